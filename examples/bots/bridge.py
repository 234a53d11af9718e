"""Carries messages between a room of one server and a room of another, both ways.

    python bridge.py tcp:127.0.0.1:50000 lobby tcp:example.org:50000 cinema --state bridge

No message is lost or doubled, whatever is killed: an entry is dealt with after the other server has
saved it, and if it comes again, it is sent again with the same id.
"""

import argparse
import sys
from collections.abc import Iterator
from hashlib import blake2s
from pathlib import Path
from typing import Any

from twisted.internet.defer import ensureDeferred, gatherResults

from twisted_chat.client import ChatClient, ClientStopped, Entry, FileState, Refused, run_bot
from twisted_chat.core.errors import Refusal

#: The prefix of the ids of carried messages: no bridge carries them any further.
MARK = "bridge-"

#: Bytes above which a text is sent in pieces (the limit is 4096), and characters of a piece.
LONG, PIECE = 3900, 900


async def main(reactor: Any, options: argparse.Namespace) -> None:
    sides: list[tuple[ChatClient, str]] = []
    for server, room in ((options.server1, options.room1), (options.server2, options.room2)):
        state = FileState(reactor, options.state / f"{len(sides) + 1}.state")
        client = ChatClient(reactor, server, options.nick, rooms=[room], state=state)
        reactor.addSystemEventTrigger("before", "shutdown", client.stopService)
        sides.append((client, room))
    one, other = sides
    carrying = [ensureDeferred(carry(*one, *other)), ensureDeferred(carry(*other, *one))]
    for client, _ in sides:
        client.startService()
    await gatherResults(carrying)


async def carry(source: ChatClient, room: str, target: ChatClient, target_room: str) -> None:
    """Send the messages of ``source`` to ``target``, until one of them is stopped."""
    async for event in source.events():
        if isinstance(event, Refused) and event.id is None:
            print(event.refusal, file=sys.stderr)
        if not isinstance(event, Entry) or event.room != room or event.kind == "topic":
            continue
        for id, line in lines(event):
            try:
                await target.say(line, target_room, id=id)
            except ClientStopped:
                return  # this entry is not dealt with: it comes again
            except Refusal as refusal:
                print(refusal, file=sys.stderr)


def lines(entry: Entry) -> Iterator[tuple[str, str]]:
    """The messages for the other side, each with an id that depends on the entry only."""
    if not (entry.message_id or "").startswith(MARK):
        place = f"{entry.room} {entry.number} {entry.time}"
        id = MARK + blake2s(place.encode(), digest_size=16).hexdigest()
        author = f"* {entry.nickname}" if entry.kind == "act" else f"<{entry.nickname}>"
        piece = PIECE if len(entry.text.encode()) > LONG else LONG
        for start in range(0, len(entry.text), piece):
            yield f"{id}-{start}", f"{author} {entry.text[start : start + piece]}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Joins a room of one server with one of another.")
    for side in "12":
        parser.add_argument(f"server{side}", help="an endpoint, such as tcp:127.0.0.1:50000")
        parser.add_argument(f"room{side}", help="a room there, in lower case")
    parser.add_argument("--nick", default="Bridge", help="on both servers [default: Bridge]")
    parser.add_argument("--state", type=Path, required=True, help="a folder")
    run_bot(main, [parser.parse_args()])
