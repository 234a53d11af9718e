"""An address as a line of the log shows it, which still knows its parts. Pure."""

from __future__ import annotations


class Address(str):
    """The text of an address; ``host`` and ``port`` are what it was made of.

    ``port`` is None where there is none, as for a socket in the file system.
    """

    __slots__ = ("host", "port")

    host: str
    port: int | None

    @classmethod
    def of(cls, host: str, port: int | None, text: str) -> Address:
        """The address ``host`` and ``port``, which is shown as ``text``."""
        address = cls(text)
        address.host, address.port = host, port
        return address
