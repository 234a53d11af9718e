"""Addresses of clients: the text that the log shows, with the host and port in it. Pure."""

from __future__ import annotations


class Address(str):
    """The text of an address, with the ``host`` and ``port`` that it shows.

    ``port`` is None for an address without one, such as a socket in the file system.
    """

    __slots__ = ("host", "port")

    host: str
    port: int | None

    @classmethod
    def of(cls, host: str, port: int | None, text: str) -> Address:
        """The address of ``host`` and ``port``, shown as ``text``."""
        address = cls(text)
        address.host, address.port = host, port
        return address
