"""Certificates for the tests: made by an authority of their own, or signed by nobody."""

from __future__ import annotations

import datetime
import hashlib
import ipaddress
from pathlib import Path
from typing import Any, NamedTuple


class Certificate(NamedTuple):
    """Files in PEM, and the SHA-256 fingerprint."""

    certificate: Path
    key: Path
    fingerprint: str

    def endpoint(self, port: int, interface: str = "127.0.0.1") -> str:
        """What a server listens at with it."""
        return f"ssl:{port}:interface={interface}:certKey={self.certificate}:privateKey={self.key}"


def certificate(
    folder: Path,
    name: str = "server",
    *,
    hosts: tuple[str, ...] = ("localhost", "127.0.0.1"),
    days: float = 30,
    signer: Certificate | None = None,
) -> Certificate:
    """A new certificate in ``folder``, of ``hosts``, self-signed or by ``signer``; for ``days``."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key: Any = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    issuer, issuer_key = subject, key
    if signer is not None:
        issuer = x509.load_pem_x509_certificate(signer.certificate.read_bytes()).subject
        issuer_key = serialization.load_pem_private_key(signer.key.read_bytes(), None)
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=60))
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([_name(host) for host in hosts]), False)
        .add_extension(x509.BasicConstraints(ca=signer is None, path_length=None), True)
        .sign(issuer_key, hashes.SHA256())
    )
    paths = folder / f"{name}.pem", folder / f"{name}.key"
    paths[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    digest = hashlib.sha256(made.public_bytes(serialization.Encoding.DER)).hexdigest().upper()
    return Certificate(*paths, ":".join(digest[at : at + 2] for at in range(0, 64, 2)))


def _name(host: str) -> Any:
    from cryptography import x509

    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)
