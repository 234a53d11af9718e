"""A chat in a process of its own, on a database on disk, which is told to be killed.

``python -m tests.support.mail_process DATABASE tell|come|come-and-confirm`` prints a line for each
thing that has happened. After ``tell`` and ``come`` it waits for its end.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable

from tests.support.fakes import NO_RATE, Visitor
from tests.support.writer import Loop
from twisted_chat.core.errors import Refusal
from twisted_chat.core.events import Event, MessageKept, Told
from twisted_chat.core.mailboxes import KIND
from twisted_chat.core.names import nickname
from twisted_chat.core.proofs import Proof
from twisted_chat.core.requests import ChooseName, Tell
from twisted_chat.journal.group_commit import GroupCommitJournal
from twisted_chat.journal.sqlite.store import Store
from twisted_chat.server.build import build_chat

TEXT = "a word, and a word"


class Process:
    """The chat; a :class:`.World` with threads and a disk."""

    language = "en"

    def __init__(self, path: str) -> None:
        self.loop = Loop()
        self.store: list[Store] = []
        self.journal = GroupCommitJournal(
            lambda: self._open(path), self.loop.call, lambda wake: wake()
        )
        self.chat = build_chat(
            self.journal,
            later=self._later,
            seconds=time.monotonic,
            microseconds=lambda: time.time_ns() // 1000,
            limits=NO_RATE,
        )
        opened: list[Refusal | None] = []
        self.chat.open(opened.append)
        assert opened == [None]

    def _open(self, path: str) -> Store:
        self.store.append(Store(path))
        return self.store[-1]

    def _later(self, seconds: float, callback: Callable[[], None]) -> object:
        timer = threading.Timer(seconds, self.loop.call, (callback,))
        timer.daemon = True
        timer.start()
        return timer

    def enter(self, name: str, account: int = 0) -> Visitor:
        """Somebody who has come in."""
        visitor = Visitor(self)  # type: ignore[arg-type]
        if account:
            visitor.session._enter_as(Proof(account, nickname(name), "", ""), {}, None, None)
        else:
            visitor.session.handle(ChooseName(name))
        self.loop.run_until(lambda: visitor.session.name == name)
        return visitor

    def tell(self) -> None:
        """Make an account, and send it two messages."""
        made: list[Refusal | None] = []
        self.chat.desk.make(0, nickname("Ana"), (), made.append)
        self.loop.run_until(lambda: made == [None])
        bia = self.enter("Bia")
        for number in range(2):
            bia.session.handle(Tell("Ana", f"{TEXT} {number}"))
        self.loop.run_until(lambda: self._count(bia, MessageKept) == 2)
        print("kept", flush=True)

    def come(self, *, confirm: bool) -> None:
        """The person of the account comes in; without ``confirm``, nothing has arrived."""
        ana = self.enter("Ana", 1)
        ana.connection.arrives = confirm
        keys = len(self.store[0].record_keys(KIND))
        self.loop.run_until(lambda: self._count(ana, Told) == keys)
        for event in ana.connection.events:
            if isinstance(event, Told):
                print(event.sender, event.text, flush=True)
        print("shown", flush=True)
        if confirm:
            stopped: list[bool] = []
            while self.store[0].record_keys(KIND):
                time.sleep(0.01)
                self.loop.call(lambda: None)
                self.loop.run_until(lambda: True)
                while not self.loop._calls.empty():
                    self.loop._calls.get()()
            self.chat.stop(lambda: stopped.append(True))
            self.loop.run_until(lambda: bool(stopped))

    def _count(self, visitor: Visitor, kind: type[Event]) -> int:
        return sum(isinstance(event, kind) for event in visitor.connection.events)


def main(path: str, what: str) -> None:
    process = Process(path)
    if what == "tell":
        process.tell()
    else:
        process.come(confirm=what == "come-and-confirm")
    if what != "come-and-confirm":
        process.loop.run_until(lambda: False)


if __name__ == "__main__":
    main(*sys.argv[1:])
