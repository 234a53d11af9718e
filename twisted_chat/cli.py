"""``twisted-chat``: the command line of the bundled programs.

It reads the arguments. What a subcommand needs is imported in it, the reactor above all.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import NoReturn

from twisted_chat import __version__
from twisted_chat.client.address import DEFAULT_HOST, DEFAULT_PORT, parse_address
from twisted_chat.dialects import text as dialect
from twisted_chat.errors import NameInvalid, Refusal
from twisted_chat.language import from_environment
from twisted_chat.messages import Say


class _Parser(argparse.ArgumentParser):
    """Says in one line what is wrong."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; returns its exit status."""
    parser = _arguments()
    options = parser.parse_args(arguments)
    if options.command is None:
        parser.print_help()
        return 2
    status: int = options.command(options)
    return status


def _arguments() -> argparse.ArgumentParser:
    parser = _Parser(prog="twisted-chat", description="Programs around the chat server.")
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    parser.set_defaults(command=None)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")

    connect = commands.add_parser(
        "connect",
        help="join a chat",
        description="Join a chat: type your name, then what you want to say; sair leaves.",
    )
    connect.set_defaults(command=_connect)
    connect.add_argument(
        "address",
        nargs="?",
        metavar="HOST[:PORT]",
        type=_told(parse_address),
        default=(DEFAULT_HOST, DEFAULT_PORT),
        help=f"where the server is [default: {DEFAULT_HOST}:{DEFAULT_PORT}]",
    )
    connect.add_argument("--nick", metavar="NAME", type=_told(_name), help="your name")
    return parser
