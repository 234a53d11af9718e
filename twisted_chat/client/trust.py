"""Which certificate of a server is trusted, and why another one is not. Pure.

A server is trusted because its certificate was signed by an authority (those of the system, or
of a file), or because its fingerprint is *pinned*: somebody said so before. It must not know
sockets, nor how a certificate is read.
"""

from __future__ import annotations

import os
import re

import msgspec

from twisted_chat.core.characters import visible
from twisted_chat.core.errors import CannotStart, LogRefusal
from twisted_chat.i18n.language import N_

#: Hexadecimal digits of a SHA-256 fingerprint.
_DIGITS = 64


class WrongFingerprint(CannotStart):
    code = "wrong-fingerprint"
    template = N_("{given} is not a SHA-256 fingerprint: it has 64 hexadecimal digits")


class NotTrusted(CannotStart):
    """The server may be somebody else: nothing was sent to it."""


class CertificateUnknown(NotTrusted):
    code = "certificate-unknown"
    template = N_(
        "the certificate of {address} is not trusted: {reason}. Its SHA-256 "
        "fingerprint is {fingerprint}. If the server's operator confirms it, connect "
        "with --pin {fingerprint}"
    )


class CertificateChanged(NotTrusted):
    code = "certificate-changed"
    template = N_(
        "WARNING: {address} does not show the certificate that you trust. Somebody may "
        "be intercepting the connection, or the operator has replaced the certificate. "
        "Its SHA-256 fingerprint is {fingerprint}, not {pinned}. If the operator "
        "confirms the new one, connect with --pin {fingerprint}"
    )


class AuthoritiesUnreadable(LogRefusal, CannotStart):
    code = "authorities-unreadable"
    template = N_("cannot read certificates in {path}: {reason}")


class Trust(msgspec.Struct, frozen=True, kw_only=True):
    """What makes a certificate trusted.

    :param pin: the SHA-256 fingerprint of the one certificate that is, as
        :func:`parse_fingerprint` gives it; nothing else is looked at then, neither names nor dates.
    :param ca: a file of certificates in PEM: the authorities, instead of the system's.
    """

    pin: str | None = None
    ca: str | os.PathLike[str] | None = None


def parse_fingerprint(text: str) -> str:
    """``text`` as it is shown: ``AB:CD:…``, as by ``openssl x509 -fingerprint -sha256``.

    :raises WrongFingerprint: it is none.
    """
    digits = re.sub(r"(?i)^\s*sha-?256( fingerprint)?[:=]|[:\s]", "", text).upper()
    if len(digits) != _DIGITS or not re.fullmatch(r"[0-9A-F]+", digits):
        raise WrongFingerprint(given=visible(text))
    return ":".join(digits[at : at + 2] for at in range(0, _DIGITS, 2))
