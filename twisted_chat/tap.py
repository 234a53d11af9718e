"""``twistd chat``: its options, and :func:`makeService`, which puts everything together."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from twisted.application.service import IService
from twisted.internet.defer import Deferred
from twisted.logger import ILogObserver
from twisted.python import usage
from twisted.python.components import Componentized

from twisted_chat import language
from twisted_chat.errors import CannotStart
from twisted_chat.logs import twistd_observer
from twisted_chat.notify import Notifier
from twisted_chat.service import ChatService, StartupFailure
from twisted_chat.settings import LISTEN, LOG_MESSAGES, SETTINGS, Settings, load

#: Seconds that the end takes at most.
LONGEST_END = 9.8


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

    #: twistd's own options, if this is part of them.
    parent: usage.Options | None = None

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
            self.settings = self.read(given)
        except CannotStart as error:
            raise StartupFailure(error.sentence(language.from_environment())) from error
        self.read_again = partial(self.read, given)

    def read(self, given: Mapping[str, str | list[str]]) -> Settings:
        """The settings: those ``given`` on the command line, and the others as they are now.

        :raises CannotStart: one of them is wrong.
        """
        return load(given, self["config"])


class TwistdService(ChatService):
    """The service, in a process of its own, whose log it writes."""

    observer: ILogObserver | None = None

    def setServiceParent(self, parent: Any) -> None:
        super().setServiceParent(parent)
        if self.observer is not None and isinstance(parent, Componentized):
            parent.setComponent(ILogObserver, self.observer)  # it is twistd's application

    def stopService(self) -> Deferred[None]:
        """Stop, and let the process end in time, also if something of it hangs."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)  # once is enough
        last_resort = threading.Timer(LONGEST_END, os._exit, (1,))
        last_resort.daemon = True
        last_resort.start()
        return super().stopService()


def makeService(options: Options, reactor: Any = None) -> IService:
    """The service that ``options`` describe."""
    if reactor is None:
        from twisted.internet import reactor  # not earlier: twistd may install another one
    # Timers by a clock that nobody sets, or else nothing would happen for an hour after
    # somebody set it back by one.
    reactor.seconds = time.monotonic
    service = TwistdService(
        reactor, options.settings, read_again=options.read_again, notifier=Notifier()
    )
    if options.parent is not None:
        service.observer = twistd_observer(
            options.parent, options.settings.log_format, options.settings.language
        )
    return service
