"""A chat service that anyone can join with telnet, netcat or the bundled client.

One idea carries it: *a room is a log; a client is a cursor*. ``docs/architecture.rst``
follows one line of chat through the modules of this package.
"""

__version__ = "0.1.0"
