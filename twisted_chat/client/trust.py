"""The rules by which a server's certificate is trusted, and the refusals of others. Pure.

A certificate is trusted because an authority (of the system, or of a file) has signed it, or
because its fingerprint is *pinned*: a person has confirmed it before. This module must not know
sockets or how a certificate is read.
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
    """The server may be an impostor: nothing was sent to it."""


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
    """Which certificates are trusted: by default, those that the system's authorities signed.

    :param pin: the SHA-256 fingerprint of the only trusted certificate, in the form of
        :func:`parse_fingerprint`; its names and dates are then not checked.
    :param ca: a PEM file with the certificates of the authorities, instead of the system's.
    """

    pin: str | None = None
    ca: str | os.PathLike[str] | None = None


def parse_fingerprint(text: str) -> str:
    """Parse a fingerprint; returns the form of ``openssl x509 -fingerprint -sha256``: ``AB:CD:…``.

    :raises WrongFingerprint: ``text`` is not a SHA-256 fingerprint.
    """
    digits = re.sub(r"(?i)^\s*sha-?256( fingerprint)?[:=]|[:\s]", "", text).upper()
    if len(digits) != _DIGITS or not re.fullmatch(r"[0-9A-F]+", digits):
        raise WrongFingerprint(given=visible(text))
    return ":".join(digits[at : at + 2] for at in range(0, _DIGITS, 2))
