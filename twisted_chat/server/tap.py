"""``twistd chat``: its options, and :func:`makeService`, which builds the service."""

from __future__ import annotations

import gc
import signal
import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from twisted.application.service import IService
from twisted.internet.defer import Deferred
from twisted.logger import ILogObserver, LogLevel
from twisted.python import usage
from twisted.python.components import Componentized

from twisted_chat.core.errors import CannotStart, FileUnwritable
from twisted_chat.i18n import language
from twisted_chat.i18n.language import N_
from twisted_chat.server.daemon import Relay, check_files, relay_errors
from twisted_chat.server.ending import (
    LONGEST_END,
    LastResort,
    end_in_time,
    ignore_further_signals,
    wait_for_reactor,
)
from twisted_chat.server.logs import TwistdLog, log_path, twistd_log
from twisted_chat.server.service import ChatService, StartupFailure
from twisted_chat.server.settings import (
    LISTEN,
    RESERVED_NAMES,
    SETTINGS,
    SWITCHES,
    TRUSTED_NETWORKS,
    Setting,
    Settings,
    load,
)
from twisted_chat.server.systemd import Notifier


class Options(usage.Options):
    """The command line. Wrong values end the program with one line and a status that is not 0."""

    synopsis = "[options]"
    longdesc = (
        "A chat server that anyone can join with telnet, netcat or the bundled client. "
        "Without options it listens on 127.0.0.1:50000 and stores the messages in chat.db."
    )
    optFlags = tuple((switch.name, None, switch.help) for switch in SWITCHES)
    optParameters = (
        ("config", "c", None, "A TOML file; its keys are the names of these options."),
        *(
            (setting.name, None, None, f"{setting.help} [default: {setting.default or 'none'}]")
            for setting in SETTINGS
            if setting not in SWITCHES and not setting.repeatable
        ),
    )

    #: twistd's own options, if these are a subcommand of them.
    parent: usage.Options | None = None

    def __init__(self) -> None:
        super().__init__()
        self._repeated: dict[str, str | list[str]] = {}

    def opt_listen(self, description: str) -> None:
        self._add(LISTEN, description)

    def opt_trusted_networks(self, networks: str) -> None:
        self._add(TRUSTED_NETWORKS, networks)

    def opt_reserved_names(self, names: str) -> None:
        self._add(RESERVED_NAMES, names)

    opt_listen.__doc__ = f"{LISTEN.help} [default: {LISTEN.default}]"
    opt_trusted_networks.__doc__ = f"{TRUSTED_NETWORKS.help} [default: none]"
    opt_reserved_names.__doc__ = f"{RESERVED_NAMES.help} [default: none]"

    def _add(self, setting: Setting, text: str) -> None:
        texts = self._repeated.setdefault(setting.name, [])
        assert isinstance(texts, list)
        texts.append(text)

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
            if setting not in SWITCHES and not setting.repeatable and self[setting.name] is not None
        }
        given.update(self._repeated)
        given.update({switch.name: "on" for switch in SWITCHES if self[switch.name]})
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
    """The service, in a process of its own, whose log it writes and whose signals it handles."""

    #: None if the operator chose another log.
    log: TwistdLog | None = None

    #: Tells the terminal that the daemon cannot start.
    relay: Relay | None = None

    def setServiceParent(self, parent: Any) -> None:
        super().setServiceParent(parent)
        if self.log is not None and isinstance(parent, Componentized):
            parent.setComponent(ILogObserver, self.log.observer)  # it is twistd's application

    def privilegedStartService(self) -> None:
        """Start the log's thread: nothing forks after this."""
        if self.log is not None:
            self.log.start(self._reactor)
        super().privilegedStartService()

    def startService(self) -> None:
        super().startService()
        wait_for_reactor(self._reactor)
        if self.relay is not None:
            self.relay.close()
        self._last_resort = LastResort(self._tell_killed)
        if not signal.getsignal(signal.SIGUSR1):  # or else it is in use
            signal.signal(signal.SIGUSR1, self._rotate)
        self._reactor.callWhenRunning(end_in_time, self._last_resort)
        # The modules stay to the end: no garbage collection needs to look through them again.
        self._reactor.callWhenRunning(gc.freeze)

    def stopService(self) -> Deferred[None]:
        """Stop, and end the process in time even if something hangs."""
        ignore_further_signals()
        self._last_resort.arm()
        return super().stopService()

    def reopen_logs(self) -> None:
        super().reopen_logs()
        if self.log is not None:
            self.log.reopen()

    def _rotate(self, number: int, frame: object) -> None:
        super().reopen_logs()
        if self.log is not None:
            self.log.rotate()

    def _tell_killed(self) -> None:
        self._say(
            "killed",
            N_("The server did not stop within {seconds:g} seconds, and is killed."),
            LogLevel.critical,
            seconds=LONGEST_END,
        )


def makeService(options: Options, reactor: Any = None) -> IService:
    """The service that ``options`` describe."""
    if reactor is None:
        from twisted.internet import reactor  # not earlier: twistd may install another one
    # Timers use a clock that nobody can set: otherwise, setting the time back by an hour would
    # stop them for an hour.
    reactor.seconds = time.monotonic
    service = TwistdService(
        reactor, options.settings, read_again=options.read_again, notifier=Notifier()
    )
    if options.parent is not None:
        try:
            _use_process(service, options.parent, options.settings)
        except CannotStart as error:
            raise StartupFailure(error.sentence(options.settings.language)) from error
    return service


def _use_process(service: TwistdService, twistd: usage.Options, settings: Settings) -> None:
    """Connect ``service`` with twistd's process: its log and its files.

    :raises FileUnwritable: a file of twistd's options cannot be used.
    """
    check_files(twistd)
    service.relay = relay_errors(twistd)
    try:
        service.log = twistd_log(twistd, settings.log_format, settings.language)
    except OSError as error:
        path = log_path(twistd)
        raise FileUnwritable(setting="--logfile", path=path, reason=error.strerror) from error
