"""The simplest chat server with Twisted: ``python line_receiver.py PORT``.

It writes each received line to the transport of each other client in the room, one by one. It has
no log, does not check names, and does not slow clients that send too fast.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from typing import Any

from twisted.internet import reactor
from twisted.internet.protocol import Factory, connectionDone
from twisted.protocols.basic import LineReceiver
from twisted.python.failure import Failure


class Talk(LineReceiver):
    delimiter = b"\n"
    factory: Rooms
    transport: Any

    def __init__(self) -> None:
        self.name = b""
        self.room = b""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.factory.rooms[self.room].discard(self)

    def lineReceived(self, line: bytes) -> None:
        if not self.name:
            self.name = line
            self.enter(b"lobby")
        elif line.startswith(b"/join "):
            self.enter(line[6:])
        else:
            for other in self.factory.rooms[self.room]:
                if other is not self:
                    other.transport.write(b"[" + self.name + b"]: " + line + b"\n")

    def enter(self, room: bytes) -> None:
        self.factory.rooms[self.room].discard(self)
        self.factory.rooms[room].add(self)
        self.room = room
        self.transport.write(b"* in " + room + b"\n")


class Rooms(Factory):
    protocol: Any = Talk

    def __init__(self) -> None:
        self.rooms: defaultdict[bytes, set[Any]] = defaultdict(set)


if __name__ == "__main__":
    listening: Any = reactor
    listening.listenTCP(int(sys.argv[1]), Rooms(), backlog=1024, interface="127.0.0.1")
    listening.run()
