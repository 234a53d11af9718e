"""Writes a room's log to a file, each entry as a line of JSON, each exactly once.

    python logger.py tcp:127.0.0.1:50000 lobby lobby.jsonl

The file is its own position: the logger continues after the number on the last whole line. Contents
and position therefore cannot differ, and ``kill -9`` does no harm.
"""

import argparse
import fcntl
import json
import os
import sys
from pathlib import Path
from typing import IO, Any

from twisted.internet.threads import deferToThread

from twisted_chat.client import ChatClient, Entry, FileState, LogReplaced, Refused, run_bot

#: Bytes that hold at least one whole line.
TAIL = 2**16


async def main(reactor: Any, options: argparse.Namespace) -> None:
    file = options.file.open("a+b")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        sys.exit(f"{options.file} is being written by another process")
    # This state keeps the client id, by which the server recognises the bot.
    state = FileState(reactor, f"{options.file}.state")
    rooms = {options.room: cut_off(file)}
    client = ChatClient(reactor, options.server, options.nick, rooms=rooms, state=state)
    reactor.addSystemEventTrigger("before", "shutdown", client.stopService)
    events = client.events()
    client.startService()
    async for event in events:
        if isinstance(event, Entry) and event.room == options.room:
            await deferToThread(append, file, event)  # files are not for the reactor's thread
        elif isinstance(event, Refused):
            print(event.refusal, file=sys.stderr)
        elif isinstance(event, LogReplaced) and event.room == options.room:
            sys.exit(f"the server has another log of #{event.room}: move {options.file} away")


def cut_off(file: IO[bytes]) -> int:
    """Remove an incomplete last line; returns the number on the last whole line, or 0."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - TAIL))
    lines, end, half = file.read().rpartition(b"\n")
    file.truncate(size - len(half))
    return int(json.loads(lines.rpartition(b"\n")[2])["number"]) if end else 0


def append(file: IO[bytes], entry: Entry) -> None:
    """Append one line and sync it to disk."""
    fields = ("number", "time", "kind", "nickname", "text")
    line = json.dumps({name: getattr(entry, name) for name in fields}, ensure_ascii=False)
    file.write(line.encode() + b"\n")
    file.flush()
    os.fsync(file.fileno())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Writes a room's log to a file.")
    parser.add_argument("server", help="an endpoint, such as tcp:127.0.0.1:50000")
    parser.add_argument("room", help="the room's name, in lower case")
    parser.add_argument("file", type=Path, help="where to write it")
    parser.add_argument("--nick", default="Logger", help="[default: Logger]")
    run_bot(main, [parser.parse_args()])
