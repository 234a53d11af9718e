"""``twisted-chat``: the command line of the bundled programs.

This module parses the arguments. Each subcommand imports the modules that it needs, so that most of
them start without the reactor.
"""

from __future__ import annotations

import argparse
import importlib
import os
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, NoReturn, TypeVar

from twisted_chat import __version__
from twisted_chat.client.address import DEFAULT_HOST, DEFAULT_PORT, parse_address
from twisted_chat.client.trust import parse_fingerprint
from twisted_chat.console import output
from twisted_chat.core.characters import visible
from twisted_chat.core.errors import CannotStart, NameInvalid, Refusal
from twisted_chat.core.names import nickname, room_name
from twisted_chat.core.requests import Say
from twisted_chat.dialects import text as dialect
from twisted_chat.dialects.jsonl import ID_LIMIT
from twisted_chat.i18n.language import N_, from_environment
from twisted_chat.operator.arguments import add_commands, is_for_output

if TYPE_CHECKING:
    from twisted_chat.terminal.run import Security

_T = TypeVar("_T")

#: The exit status after Ctrl-C: 128 plus the number of SIGINT, by the convention of shells.
INTERRUPTED = 128 + signal.SIGINT


class WrongCount(CannotStart):
    code = "wrong-count"
    template = N_("{given} is not a number of entries")


class WrongId(CannotStart):
    code = "wrong-id"
    template = N_("{given} is not an id: an id has 1 to 64 characters")


class WrongSeconds(CannotStart):
    code = "wrong-seconds"
    template = N_("{given} is not a number of seconds")


class BenchmarkNotInstalled(CannotStart):
    code = "benchmark-not-installed"
    template = N_("The benchmark is in the source checkout: python -m benchmarks")


class _Parser(argparse.ArgumentParser):
    """Reports a wrong argument in one line, without the usage."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program with ``arguments``, or those of this process; returns its exit status."""
    with output.patient_streams():
        try:
            status = _run(arguments)
        except SystemExit as end:  # argparse has printed the help or the version
            if end.code:
                raise
            end.code = output.finish(0, _complain, from_environment())
            raise
        return output.finish(status, _complain, from_environment())


def _run(arguments: Sequence[str] | None) -> int:
    if arguments is None:
        arguments = sys.argv[1:]
    if arguments[:1] == ["bench"]:
        return _bench(arguments[1:])
    parser = _arguments()
    options = parser.parse_args(arguments)
    if options.command is None:
        parser.print_help()
        return 2
    if sys.stdout is None and _is_for_output(options):  # started with a closed stdout
        closed = output.CannotWrite(path="stdout", reason="Bad file descriptor")
        _complain(closed.sentence(from_environment()))
        return output.CANNOT_WRITE
    try:
        status: int = options.command(options)
    except KeyboardInterrupt:  # Ctrl-C in a command that does not handle it
        return INTERRUPTED
    return status


def _is_for_output(options: argparse.Namespace) -> bool:
    """Whether the command is useless without standard output."""
    if options.command is _export:
        return options.output is None
    return options.command in (_history, _tail) or is_for_output(options)


def _complain(sentence: str) -> None:
    if sys.stderr is not None:  # print would write to standard output instead
        with suppress(OSError):  # the exit status reports the failure too
            print(f"twisted-chat: {sentence}", file=sys.stderr, flush=True)


def _arguments() -> argparse.ArgumentParser:
    parser = _Parser(prog="twisted-chat", description="Programs around the chat server.")
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    parser.set_defaults(command=None)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")

    _add_client(commands)

    verify = commands.add_parser(
        "verify",
        help="check that a server's log is whole",
        description="Check that no entry of the log is missing or changed, and name the first such "
        "entry of each room. Status 1: something is wrong; 2: it could not be checked.",
    )
    verify.set_defaults(command=_verify)
    _add_database(verify)

    history = commands.add_parser(
        "history",
        help="print the messages of a room",
        description="Print the messages of a room, oldest first, with numbers and times (UTC).",
    )
    history.set_defaults(command=_history)
    _add_database(history)
    history.add_argument("room", metavar="ROOM", help="the room's name")
    history.add_argument(
        "--last", metavar="N", type=_told(_count), help="only the last N messages [default: all]"
    )

    export = commands.add_parser(
        "export",
        help="export messages for other programs",
        description="Export the messages of a room, or of all rooms, in UTF-8.",
    )
    export.set_defaults(command=_export)
    _add_database(export)
    export.add_argument("room", metavar="ROOM", nargs="?", help="the room [default: all]")
    export.add_argument(
        "--format",
        choices=("jsonl", "markdown", "csv"),
        required=True,
        help="one JSON object per line, a text to read, or a table",
    )
    export.add_argument(
        "--output", metavar="FILE", help="where to write it [default: standard output]"
    )

    export.add_argument(
        "--bom",
        action="store_true",
        help="with csv, begin with a byte order mark, so that spreadsheets know that it is UTF-8",
    )

    reindex = commands.add_parser(
        "reindex",
        help="rebuild the search index of a database",
        description="Rebuild the search index of a database from its log, while no server has the "
        "database open. Status 1: the database is damaged; 2: it could not be done.",
    )
    reindex.set_defaults(command=_reindex)
    reindex.add_argument("database", metavar="DB", help="the database of a stopped server")

    backup = commands.add_parser(
        "backup",
        help="copy a server's database",
        description="Copy a database, also while the server runs, and verify the copy. A file "
        "that exists is not changed. Status 1: the log is damaged; 2: it could not be done.",
    )
    backup.set_defaults(command=_backup)
    _add_database(backup)
    backup.add_argument("copy", metavar="FILE", help="the copy")

    add_commands(commands)
    # Only for the list of commands: _run passes the arguments to the benchmark itself.
    commands.add_parser("bench", help="measure how much a server delivers", add_help=False)
    return parser


def _add_client(commands: argparse._SubParsersAction[_Parser]) -> None:
    connect = commands.add_parser(
        "connect",
        help="join a chat",
        description="Join a chat: type what you want to say; /help shows the commands, "
        "/quit leaves. Between pipes it is a filter: lines in, lines out. Status 1: something was "
        "refused; 2: wrong usage or configuration; 3: no connection, or lines that were not sent, "
        "which are kept for the next time.",
    )
    connect.set_defaults(command=_connect)
    connect.add_argument(
        "address",
        nargs="?",
        metavar="[tls:]HOST[:PORT]",
        type=_told(parse_address),
        help=f"where the server is [default: as configured, or {DEFAULT_HOST}:{DEFAULT_PORT}]",
    )
    _add_security(connect)
    _add_nick(connect)
    connect.add_argument(
        "--plain", action="store_true", help="only lines, without a status bar: for screen readers"
    )
    connect.add_argument(
        "--json", action="store_true", help="print events as JSON Lines, for programs"
    )

    send = commands.add_parser(
        "send",
        help="send a message from a script",
        description="Send a message to a room and wait until it is saved. Each line is a message; "
        "lines of standard input are sent as they come. Status 0: all are saved; 1: a message was "
        "refused; 3: there was no answer in time; 130: interrupted. Unsent messages are named.",
    )
    send.set_defaults(command=_send)
    _add_server(send)
    send.add_argument(
        "--room",
        metavar="ROOM",
        type=_told(room_name),
        default="lobby",
        help="the room [default: lobby]",
    )
    send.add_argument(
        "--id",
        metavar="ID",
        type=_told(_message_id),
        help="an id for the message: sent again with the same id, it is stored once; further "
        "lines have ID.2, ID.3 and so on",
    )
    send.add_argument(
        "--timeout",
        metavar="S",
        type=_told(_seconds),
        default=10.0,
        help="seconds to wait for each message [default: 10]",
    )
    send.add_argument("text", metavar="TEXT", nargs="+", help="the message; - is standard input")

    tail = commands.add_parser(
        "tail",
        help="print messages as they come",
        description="Print the messages of rooms as they come, until interrupted.",
    )
    tail.set_defaults(command=_tail)
    _add_server(tail)
    tail.add_argument(
        "--since",
        metavar="NUMBER",
        type=_told(_number),
        help="start after this number in each room; 0 is the beginning [default: the end]",
    )
    tail.add_argument("--json", action="store_true", help="print JSON Lines")
    tail.add_argument(
        "rooms", metavar="ROOM", nargs="*", type=_told(room_name), help="the rooms [default: lobby]"
    )


def _add_server(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--server",
        metavar="[tls:]HOST[:PORT]",
        type=_told(parse_address),
        help=f"where the server is [default: as configured, or {DEFAULT_HOST}:{DEFAULT_PORT}]",
    )
    _add_security(command)
    _add_nick(command)


def _add_security(command: argparse.ArgumentParser) -> None:
    command.add_argument("--tls", action="store_true", help="use TLS, as with tls: before HOST")
    command.add_argument(
        "--ca",
        metavar="FILE",
        help="over TLS: the authorities that may sign certificates (PEM) [default: the system's]",
    )
    command.add_argument(
        "--pin",
        metavar="FINGERPRINT",
        type=_told(parse_fingerprint),
        help="over TLS: trust only the certificate with this SHA-256 fingerprint",
    )


def _security(options: argparse.Namespace) -> Security:
    from twisted_chat.terminal.run import Security

    return Security(tls=options.tls, ca=options.ca, pin=options.pin)


def _add_nick(command: argparse.ArgumentParser) -> None:
    command.add_argument("--nick", metavar="NAME", type=_told(_name), help="your name")
    command.add_argument(
        "--token-file",
        metavar="FILE",
        help="a file with a token of the account that has your name [default: the variable "
        "TWISTED_CHAT_TOKEN, else the token that connect has kept]",
    )


def _add_database(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "database", metavar="DB", help="the server's database; the server may be running"
    )


def _told(read: Callable[[str], _T]) -> Callable[[str], _T]:
    """``read`` as a type for argparse, which reports its refusals in the user's language."""

    def read_argument(text: str) -> _T:
        try:
            return read(text)
        except Refusal as refusal:
            raise argparse.ArgumentTypeError(refusal.sentence(from_environment())) from None

    return read_argument


def _name(text: str) -> str:
    """A valid nickname that the server will not take for a command.

    It is checked here because files are named after it, and a secret may stand in it by mistake:
    servers take ``Ana:SECRET``. Whether the nickname is free, the server knows.
    """
    if not isinstance(dialect.parse(text.encode("utf-8", "surrogateescape")), Say):
        raise NameInvalid()
    nickname(text)
    return text


def _message_id(text: str) -> str:
    if not (0 < len(text) <= ID_LIMIT and text.isprintable()):
        raise WrongId(given=visible(text))
    return text


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0
    if not 0 < seconds <= 86400:
        raise WrongSeconds(given=visible(text))
    return seconds


def _number(text: str) -> int:
    """The sequence number of an entry, or 0."""
    return 0 if text == "0" else _count(text)


def _count(text: str) -> int:
    """A number of entries, from 1."""
    if not (text.isascii() and text.isdecimal() and 0 < len(text) <= 18 and int(text)):
        raise WrongCount(given=visible(text))
    return int(text)


def _connect(options: argparse.Namespace) -> int:
    from twisted_chat.terminal import run

    given = run.Options(
        address=options.address,
        security=_security(options),
        nick=options.nick,
        plain=options.plain,
        json=options.json,
        token_file=options.token_file,
    )
    if run.wants_window(given, os.environ):
        from twisted.internet import asyncioreactor

        asyncioreactor.install()
    from twisted.internet import reactor

    return run.run(reactor, given, from_environment(), os.environ)


def _send(options: argparse.Namespace) -> int:
    from twisted.internet import reactor

    from twisted_chat.terminal import scripts

    sending = scripts.Sending(
        texts=None if options.text == ["-"] else scripts.messages(" ".join(options.text)),
        room=options.room,
        id=options.id,
        timeout=options.timeout,
        address=options.server,
        security=_security(options),
        nick=options.nick,
        token_file=options.token_file,
    )
    return scripts.send(reactor, sending, from_environment(), os.environ)


def _tail(options: argparse.Namespace) -> int:
    from twisted.internet import reactor

    from twisted_chat.terminal import scripts

    tailing = scripts.Tailing(
        rooms=options.rooms,
        since=options.since,
        json=options.json,
        address=options.server,
        security=_security(options),
        nick=options.nick,
        token_file=options.token_file,
    )
    return scripts.tail(reactor, tailing, from_environment(), os.environ)


def _verify(options: argparse.Namespace) -> int:
    from twisted_chat.archive import commands

    return commands.verify(options.database, from_environment())


def _history(options: argparse.Namespace) -> int:
    from twisted_chat.archive import commands

    return commands.history(options.database, options.room, options.last, from_environment())


def _export(options: argparse.Namespace) -> int:
    from twisted_chat.archive import commands

    return commands.export(
        options.database,
        options.room,
        options.format,
        options.output,
        from_environment(),
        bom=options.bom,
    )


def _reindex(options: argparse.Namespace) -> int:
    from twisted_chat.archive import commands

    return commands.reindex(options.database, from_environment())


def _backup(options: argparse.Namespace) -> int:
    from twisted_chat.archive import commands

    for number in (signal.SIGTERM, signal.SIGHUP):  # the exception removes an incomplete copy
        signal.signal(number, _end)
    return commands.backup(options.database, options.copy, from_environment())


def _end(number: int, frame: object) -> NoReturn:
    raise SystemExit(128 + number)


def _bench(arguments: Sequence[str]) -> int:
    """Run the benchmark, which parses its own arguments. It is only in the source checkout."""
    try:
        benchmark = importlib.import_module("benchmarks.delivery.command")
    except ModuleNotFoundError as error:
        # Another project's "benchmarks" may be installed. A dependency missing from ours is raised.
        if not (error.name or "").startswith("benchmarks"):
            raise
        _complain(BenchmarkNotInstalled().sentence(from_environment()))
        return 2
    status: int = benchmark.main(arguments)
    return status


if __name__ == "__main__":
    sys.exit(main())
