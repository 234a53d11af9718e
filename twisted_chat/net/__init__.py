"""Connections, from the socket to the lines of a client. Nothing here may know the disk."""
