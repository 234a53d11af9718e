"""The arguments of ``python -m benchmarks``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import NoReturn

from twisted_chat.client.address import Address, WrongAddress, parse_address


class _Parser(argparse.ArgumentParser):
    """Reports a wrong argument in one line, without the usage."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}\n")


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Parse ``arguments``; None stands for the arguments of this process.

    :raises SystemExit: with status 0 after ``--help``; with status 2 if an argument is wrong.
    """
    parser = _Parser(
        prog="benchmarks",
        description="Start a server, connect clients, let some of them send as fast as they can, "
        "check that each client gets every line in order, and print the figures. Status 1: a line "
        "was missing, doubled, out of order or altered, or a target of the table was missed; 2: "
        "the measurement failed.",
    )
    _add_work(parser)
    _add_servers(parser)
    _add_output(parser)
    return parser.parse_args(arguments)


def _add_work(parser: argparse.ArgumentParser) -> None:
    numbers = (
        ("--clients", 100, "clients"),
        ("--rooms", 1, "rooms; each client is in one"),
        ("--senders", 10, "clients that send; the others only listen"),
        ("--size", 64, "bytes per message"),
        ("--stopped", 0, "clients that stop reading until all messages are sent"),
    )
    for option, default, meaning in numbers:
        parser.add_argument(
            option, metavar="N", type=int, default=default, help=f"{meaning} [default: {default}]"
        )
    parser.add_argument(
        "--seconds",
        metavar="S",
        type=float,
        default=5.0,
        help="counted seconds, after one of warm-up; 0: only connect [default: 5]",
    )
    parser.add_argument(
        "--rate",
        metavar="N",
        type=float,
        help="messages per second, of all senders [default: as many as the server accepts]",
    )
    parser.add_argument(
        "--mixed", action="store_true", help="clients of both languages, and programs"
    )
    parser.add_argument(
        "--table",
        metavar="ROW,…",
        nargs="?",
        const="all",
        help="instead, measure all works that have targets (or only these rows of the table), "
        "--seconds each, and print which targets were reached",
    )
    parser.add_argument(
        "--repeats",
        metavar="N",
        type=_count,
        default=1,
        help="repetitions of each measurement; the median counts [default: 1]",
    )


def _add_servers(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--connect",
        metavar="HOST[:PORT]",
        type=_address,
        help="a running server of ours, with --rate=off, instead of starting one",
    )
    parser.add_argument(
        "--package",
        metavar="FOLDER",
        help="measure the server in this checkout [default: the one that is installed]",
    )
    parser.add_argument(
        "--durability", choices=("full", "normal"), default="full", help="of our server"
    )
    parser.add_argument(
        "--flood-control",
        action="store_true",
        help="of our server: on, at a rate that slows nobody [default: off]",
    )
    parser.add_argument(
        "--against",
        metavar="SERVER,…",
        default="",
        help="also measure these servers, if they are installed: ngircd, inspircd, "
        "nats; limit, threads, linereceiver (from --baselines); or all",
    )
    parser.add_argument(
        "--baselines", metavar="FOLDER", help="their folder [default: of this checkout]"
    )


def _add_output(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", metavar="FILE", help="write all figures there")
    parser.add_argument("--plot", metavar="FILE.png", help="draw the comparison (needs matplotlib)")


def _address(text: str) -> Address:
    try:
        return parse_address(text)
    except WrongAddress as error:
        raise argparse.ArgumentTypeError(error.sentence("en")) from None


def _count(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 6 and int(text)):
        raise argparse.ArgumentTypeError(f"{text!a} is not a number from 1 to 999999")
    return int(text)
