"""What a disk would hold if the power were cut: rebuilt from the system calls of a process.

A write is kept once its file has been synced, and a new name once its folder has been: nothing else
is sure. (A file system keeps more than that, and in whatever order it likes.)
"""

from __future__ import annotations

import ast
import os
import random
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from tests.support.strace import Call

CALLS = (
    *("openat", "unlink", "unlinkat", "rename", "ftruncate"),
    *("write", "writev", "pwrite64", "pwritev", "fsync", "fdatasync", "sendto"),
)

#: Bytes of which a disk writes all or nothing.
SECTOR = 512

_PWRITE = re.compile(r'\d+<([^>]*)>, (".*"), \d+, (\d+)\) = \d+$')
_SYNC = re.compile(r"\d+<([^>]*)>\) = 0$")
_TRUNCATE = re.compile(r"\d+<([^>]*)>, (\d+)\) = 0$")
_OPEN = re.compile(r"O_CREAT.*\) = \d+<([^>]*)>$")
_UNLINK = re.compile(r'"([^"]*)"\) = 0$')
_SEND = re.compile(r'(\d+)<[^>]*>, (".*"), \d+, .*\) = (\d+)$')


class Sent(NamedTuple):
    """Bytes that were given to a socket, by its number."""

    socket: int
    data: bytes


Write = tuple[int, bytes] | int  # at which place what; or a new length


class _File:
    def __init__(self) -> None:
        self.kept = bytearray()
        self.unsure: list[Write] = []


class Disk:
    """The files of one folder; ``steps`` are applied to it one after the other."""

    def __init__(self, folder: Path) -> None:
        self._folder = str(folder)
        self._names: dict[str, _File] = {}
        self._kept_names: dict[str, _File] = {}

    def steps(self, calls: Iterable[Call]) -> Iterator[Sent | None]:
        """Apply each of ``calls``; gives what of them was sent to somebody *before* that.

        What is synced counts as of the end of the call, and what is sent as of its beginning.
        """
        syncs = {"fsync", "fdatasync"}
        for call in sorted(calls, key=lambda c: c.ended if c.name in syncs else c.began):
            call = call._replace(arguments=_in_one_form(call.arguments))
            sent = _SEND.match(call.arguments) if call.name == "sendto" else None
            if sent:
                data: bytes = ast.literal_eval("b" + sent[2])
                yield Sent(int(sent[1]), data[: int(sent[3])])
            else:
                self._apply(call)
                yield None

    def _apply(self, call: Call) -> None:
        name, arguments = call.name, call.arguments
        if name in ("fsync", "fdatasync") and (synced := _SYNC.match(arguments)):
            if synced[1] == self._folder:
                self._kept_names = dict(self._names)
            elif (file := self._file(synced[1])) is not None:
                _write(file.kept, file.unsure)
                file.unsure = []
        elif name == "pwrite64" and (written := _PWRITE.match(arguments)):
            if (file := self._file(written[1])) is not None:
                file.unsure.append((int(written[3]), ast.literal_eval("b" + written[2])))
        elif name == "ftruncate" and (cut := _TRUNCATE.match(arguments)):
            if (file := self._file(cut[1])) is not None:
                file.unsure.append(int(cut[2]))
        elif name == "openat" and (opened := _OPEN.search(arguments)):
            if self._is_here(opened[1]):
                self._names.setdefault(opened[1], _File())
        elif name in ("unlink", "unlinkat") and (removed := _UNLINK.search(arguments)):
            self._names.pop(os.path.join(self._folder, removed[1]), None)
        elif f"<{self._folder}/chat.db" in arguments and ".lock>" not in arguments:
            assert " = -1 " in arguments or name == "openat", f"what is {call}?"

    def _is_here(self, path: str) -> bool:
        # The memory that processes share is made anew; the others are no part of the log.
        return (
            os.path.dirname(path) == self._folder
            and re.search(r"/chat\.db(-wal|-journal)?$", path) is not None
        )

    def _file(self, path: str) -> _File | None:
        return self._names.get(path.removesuffix(" (deleted)"))

    def image(self, folder: Path, chance: random.Random | None = None) -> None:
        """Write into ``folder`` what is kept; with ``chance``, and any part of what is not sure."""
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        names = self._kept_names
        if chance is not None and chance.random() < 0.5:
            names = self._names
        for path, file in names.items():
            content = bytearray(file.kept)
            if chance is not None:
                _write(content, _any_part(file.unsure, chance))
            (folder / os.path.basename(path)).write_bytes(content)


def _in_one_form(arguments: str) -> str:
    """strace leaves more space before the result of a call that it saw in two parts."""
    given, _, result = arguments.rpartition("= ")
    return f"{given.rstrip().removesuffix(')').rstrip()}) = {result}"


def _write(content: bytearray, writes: Sequence[Write]) -> None:
    for write in writes:
        if isinstance(write, int):
            del content[write:]
            content.extend(bytes(write - len(content)))
        else:
            at, data = write
            content.extend(bytes(max(0, at - len(content))))
            content[at : at + len(data)] = data


def _any_part(writes: Sequence[Write], chance: random.Random) -> list[Write]:
    """Some of the writes, and of those some of the sectors."""
    part: list[Write] = []
    share = chance.choice((0.2, 0.8, 0.98))
    keep: Callable[[], bool] = lambda: chance.random() < share  # noqa: E731
    for write in writes:
        if isinstance(write, int):
            if keep():
                part.append(write)
            continue
        at, data = write
        if keep():
            part += [
                (at + start, data[start : start + SECTOR])
                for start in range(0, len(data), SECTOR)
                if share < 0.9 or keep()
            ]
    return part
