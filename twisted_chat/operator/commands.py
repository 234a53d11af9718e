"""The output and the exit status of ``twisted-chat account``, ``room`` and ``announce``.

Exit status: 0 it is done; 1 it was refused; 2 it could not be tried, or its output not be written.
A code is alone on its line of standard output, for scripts; the sentence about it goes to standard
error.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from io import TextIOWrapper

import msgspec

from twisted_chat.archive.database import open_archive
from twisted_chat.archive.export import jsonl
from twisted_chat.console.output import NOBODY_READS, CannotWrite, forget_output
from twisted_chat.core.changes import announcement
from twisted_chat.core.characters import find_unsafe, visible
from twisted_chat.core.errors import CannotStart, ControlCharacter, Refusal
from twisted_chat.core.operator_requests import (
    AppointOwner,
    CreateAccount,
    DescribeAccount,
    DisableAccount,
    Done,
    EnableAccount,
    EraseAccount,
    GiveName,
    Invitation,
    InvitePerson,
    ListAccounts,
    MakeAnnouncement,
    ResetAccount,
    ShownAccount,
)
from twisted_chat.i18n.language import N_, catalogue
from twisted_chat.journal.sqlite.store import MEMORY
from twisted_chat.operator import shown
from twisted_chat.operator.connection import NoServer, ask
from twisted_chat.operator.desk import Desk
from twisted_chat.server.control_socket import path_of
from twisted_chat.server.settings import load_database

#: The status of a program that Ctrl-C ended, as a shell has it.
_INTERRUPTED = 130

#: The sentence after each change of an account. ``name`` is its nickname as it was typed, ``now``
#: the one that it has.
_DONE = {
    DisableAccount: N_("The account {now} is disabled, and its connections are closed."),
    EnableAccount: N_("The account {now} is enabled: its person can come in again."),
    GiveName: N_("{name} is called {now} now. Nobody else can have the old name."),
    EraseAccount: N_(
        "The account {now} is closed for ever, and nobody else can have its name. Its password, "
        "tokens, devices, read marks, list of ignored people and the private messages kept for it "
        "are deleted. Its messages in rooms stay."
    ),
}

#: The sentence about a code: for a new account, and for an existing one.
_NEW = N_("The account {name} is made. This code lets its person in once, until {until} UTC.")
_CODES = {
    InvitePerson: N_("This code lets the person of {name} in once, until {until} UTC."),
    ResetAccount: N_(
        "The password, the codes and the devices of {name} are dropped, and its connections are "
        "closed. This code lets its person in once, until {until} UTC."
    ),
}
_OWNS = N_("{name} owns #{room} now.")
_STILL_VALID = N_("Tokens, certificates and keys of {name} that are still valid: {n}.")


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


def list_accounts(server: Server, language: str, *, as_json: bool = False) -> int:
    """Print a line for each account, by number; with ``as_json``, an object."""

    def run() -> int:
        after, more = 0, True
        with Desk(server.path(), language) as desk:
            while more:
                for answer in desk.ask(ListAccounts(after)):
                    if isinstance(answer, ShownAccount):
                        line = shown.as_json(answer) if as_json else shown.as_line(answer, language)
                        _write(f"{line}\n")
                        after = answer.number
                    elif isinstance(answer, Done):
                        more = answer.more
        return 0

    return _status_of(run, "account list", language)


def export_account(server: Server, name: str, language: str) -> int:
    """Print what is stored about the account ``name``, without secrets and hashes: one object of
    JSON for the account, then one for each private message that is kept for it, then one for each
    of its entries, by rooms.
    """

    def run() -> int:
        _check(name)
        path = server.path()
        with Desk(path, language) as desk:
            (account, *_) = desk.ask(DescribeAccount(name))
        assert isinstance(account, ShownAccount)
        _write(f"{shown.as_json(account)}\n")
        with open_archive(path) as archive:
            for message in archive.kept_messages(account.number):
                _write(f"{shown.message_as_json(message)}\n")
            for room in archive.rooms():
                for text in jsonl(archive.entries(room, author=account.number), language):
                    _write(text)
        return 0

    return _status_of(run, "account export", language)


def give_code(
    server: Server, request: CreateAccount | InvitePerson | ResetAccount, action: str, language: str
) -> int:
    """Carry out ``request``, and print the code of its answer."""

    def run() -> int:
        _check(request.name)
        with Desk(server.path(), language) as desk:
            (given, *_) = desk.ask(request)
        assert isinstance(given, Invitation)
        translate = catalogue(language).gettext
        sentence = translate(_NEW if given.is_new else _CODES[type(request)])
        until = shown.until(given.expires)
        _complain(sentence.format(name=visible(given.name), until=until))
        if isinstance(request, ResetAccount) and given.tokens:
            sentence = translate(_STILL_VALID)
            _complain(sentence.format(name=visible(given.name), n=given.tokens))
        _write(f"{given.code}\n")
        return 0

    return _status_of(run, f"account {action}", language)


def change(
    server: Server,
    request: DisableAccount | EnableAccount | GiveName | EraseAccount,
    action: str,
    language: str,
) -> int:
    """Carry out ``request``, and tell what has changed."""

    def run() -> int:
        _check(request.name)
        if isinstance(request, GiveName):
            _check(request.new)
        with Desk(server.path(), language) as desk:
            (done,) = desk.ask(request)
        assert isinstance(done, Done)
        sentence = catalogue(language).gettext(_DONE[type(request)])
        _write(sentence.format(name=visible(request.name), now=visible(done.name)) + "\n")
        return 0

    return _status_of(run, f"account {action}", language)


def appoint_owner(server: Server, room: str, name: str, language: str) -> int:
    """Make the account ``name`` the owner of ``room``."""

    def run() -> int:
        _check(name)
        _check(room)
        with Desk(server.path(), language) as desk:
            (done,) = desk.ask(AppointOwner(room, name))
        assert isinstance(done, Done)
        sentence = catalogue(language).gettext(_OWNS)
        told = sentence.format(name=visible(done.name), room=visible(room.removeprefix("#")))
        _write(f"{told}\n")
        return 0

    return _status_of(run, "room owner", language)


# -- around them ------------------------------------------------------------------------------


def _check(name: str) -> None:
    """Check that ``name`` can be sent; the desk checks the rest.

    :raises Refusal: it contains an unsafe character, such as a lone surrogate.
    """
    unsafe = find_unsafe(name)
    if unsafe is not None:
        raise ControlCharacter(character=ord(unsafe))


def _write(text: str) -> None:
    """Write ``text`` to standard output now.

    :raises CannotWrite: it cannot be written.
    :raises BrokenPipeError: nobody reads it any more.
    """
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    try:
        print(text, end="", flush=True)
    except OSError as error:
        forget_output()
        if isinstance(error, BrokenPipeError):
            raise
        raise CannotWrite(path="stdout", reason=error.strerror) from error


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
        if isinstance(sys.stderr, TextIOWrapper):
            sys.stderr.reconfigure(errors="replace")
        print(line, file=sys.stderr, flush=True)
