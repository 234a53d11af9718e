"""Repeats messages: in the room, or in private if the message was private.

python echo.py tcp:127.0.0.1:50000 --room cinema
"""

import argparse
import sys
from hashlib import blake2s
from pathlib import Path
from typing import Any

from twisted_chat.client import ChatClient, ClientStopped, Entry, FileState, Refused, Told, run_bot
from twisted_chat.core.errors import Refusal

#: The prefix of the ids of answers. No echo answers them.
MARK = "echo-"


async def main(reactor: Any, options: argparse.Namespace) -> None:
    state = FileState(reactor, options.state)
    client = ChatClient(reactor, options.server, options.nick, rooms=options.room, state=state)
    reactor.addSystemEventTrigger("before", "shutdown", client.stopService)
    events = client.events()
    client.startService()
    async for event in events:
        try:
            if isinstance(event, Entry):
                await answer(client, event)
            elif isinstance(event, Told) and not event.own:
                await client.tell(event.sender, event.text)
            elif isinstance(event, Refused) and event.id is None:
                print(event.refusal, file=sys.stderr)
        except ClientStopped:
            break  # this entry is not dealt with: it comes again
        except Refusal as refusal:
            print(refusal, file=sys.stderr)


async def answer(client: ChatClient, entry: Entry) -> None:
    """Answer an entry once, even if it comes again because this program was killed."""
    if entry.kind == "topic" or (entry.message_id or "").startswith(MARK):
        return
    place = f"{entry.room} {entry.number} {entry.time}"
    id = MARK + blake2s(place.encode(), digest_size=16).hexdigest()
    await client.say(entry.text, entry.room, act=entry.kind == "act", id=id)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Repeats messages.")
    parser.add_argument("server", help="an endpoint, such as tcp:127.0.0.1:50000")
    parser.add_argument("--nick", default="Echo", help="[default: Echo]")
    parser.add_argument("--room", action="append", default=[], help="a room to join; repeatable")
    parser.add_argument(
        "--state", type=Path, default=Path("echo.state"), help="a file [default: echo.state]"
    )
    run_bot(main, [parser.parse_args()])
