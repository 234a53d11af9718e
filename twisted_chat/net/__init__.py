"""Sockets and what is spoken on them, up to the line of a client. It must not know the disk."""
