"""The output and the exit status of ``twisted-chat announce``.

Exit status: 0 it is done; 1 it was refused; 2 it could not be tried.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import msgspec

from twisted_chat.console.output import NOBODY_READS
from twisted_chat.core.changes import announcement
from twisted_chat.core.characters import visible
from twisted_chat.core.errors import CannotStart, Refusal
from twisted_chat.core.operator_requests import MakeAnnouncement
from twisted_chat.i18n.language import N_
from twisted_chat.journal.sqlite.store import MEMORY
from twisted_chat.operator.connection import NoServer, ask
from twisted_chat.server.control_socket import path_of
from twisted_chat.server.settings import load_database

#: The status of a program that Ctrl-C ended, as a shell has it.
_INTERRUPTED = 130


class NoSocketInMemory(CannotStart):
    code = "no-control-in-memory"
    template = N_("A server whose database is in memory cannot be reached by operators.")


class NobodyToAnnounceTo(CannotStart):
    code = "no-server"
    template = N_("No server serves {path}, so there is nobody to announce anything to.")


class Server(msgspec.Struct, frozen=True):
    """The server that a command is for: the path of its database, or of the file that names it."""

    database: str | None
    config: str | None

    def path(self) -> str:
        """The path of its database.

        :raises CannotStart: the file cannot be read, or the database is in memory.
        """
        database = load_database(self.database, self.config)
        if database == MEMORY:
            raise NoSocketInMemory()
        return database


def announce(server: Server, text: str, room: str | None, language: str) -> int:
    """Have the running server announce ``text`` to everybody, or to the people in ``room``."""

    def run() -> int:
        announcement(text, room)  # refuses what cannot be sent
        database = server.path()
        try:
            ask(path_of(database), MakeAnnouncement(text, room), language)
        except NoServer:
            raise NobodyToAnnounceTo(path=visible(database)) from None
        return 0

    return _status_of(run, "announce", language)


def _status_of(run: Callable[[], int], command: str, language: str) -> int:
    try:
        return run()
    except Refusal as refusal:
        _complain(f"twisted-chat {command}: {refusal.sentence(language)}")
        return 2 if isinstance(refusal, CannotStart) else 1
    except BrokenPipeError:
        return NOBODY_READS
    except KeyboardInterrupt:
        return _INTERRUPTED


def _complain(line: str) -> None:
    if sys.stderr is not None:
        print(line, file=sys.stderr, flush=True)
