"""``twistd chat``: its options, and :func:`makeService`, which puts everything together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.application.service import IService
from twisted.python import usage

from twisted_chat import language
from twisted_chat.errors import CannotStart
from twisted_chat.service import ChatService, StartupFailure
from twisted_chat.settings import LISTEN, LOG_MESSAGES, SETTINGS, load


class Options(usage.Options):
    """The command line. Wrong values end the program with one line and a status that is not 0."""

    synopsis = "[options]"
    longdesc = (
        "A chat server that anyone can join with telnet, netcat or the bundled client. "
        "Without options it listens on 127.0.0.1:50000 and keeps what is said in chat.db."
    )
    optFlags = ((LOG_MESSAGES.name, None, LOG_MESSAGES.help),)
    optParameters = (
        ("config", "c", None, "A TOML file; its keys are the names of these options."),
        *(
            (setting.name, None, None, f"{setting.help} [default: {setting.default or 'none'}]")
            for setting in SETTINGS
            if setting not in (LISTEN, LOG_MESSAGES)
        ),
    )

    def __init__(self) -> None:
        super().__init__()
        self._listen: list[str] = []

    def opt_listen(self, description: str) -> None:
        self._listen.append(description)

    opt_listen.__doc__ = f"{LISTEN.help} [default: {LISTEN.default}]"

    def parseOptions(self, options: Sequence[str] | None = None) -> None:
        try:
            super().parseOptions(options)
        except usage.UsageError as error:
            raise StartupFailure(str(error)) from error

    def parseArgs(self, *arguments: str) -> None:
        if arguments:
            raise usage.UsageError(f"there are no arguments, only options: {' '.join(arguments)}")

    def postOptions(self) -> None:
        given: dict[str, str | list[str]] = {
            setting.name: self[setting.name]
            for setting in SETTINGS
            if setting not in (LISTEN, LOG_MESSAGES) and self[setting.name] is not None
        }
        if self._listen:
            given[LISTEN.name] = self._listen
        if self[LOG_MESSAGES.name]:
            given[LOG_MESSAGES.name] = "on"
        try:
            self.settings = load(given, self["config"])
        except CannotStart as error:
            raise StartupFailure(error.sentence(language.from_environment())) from error


def makeService(options: Options, reactor: Any = None) -> IService:
    """The service that ``options`` describe."""
    if reactor is None:
        from twisted.internet import reactor  # not earlier: twistd may install another one
    return ChatService(reactor, options.settings)
