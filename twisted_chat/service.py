"""The service: it listens, opens the log, and ends in good order."""

from __future__ import annotations

import sys
import time
from functools import partial
from typing import Any

from twisted.application.service import Service
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred, gatherResults, maybeDeferred
from twisted.internet.endpoints import serverFromString
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort
from twisted.internet.task import LoopingCall
from twisted.python.failure import Failure

from twisted_chat.chat import Chat
from twisted_chat.errors import CannotListen, CannotStart, WrongSetting
from twisted_chat.identities import Identities
from twisted_chat.journal.store import Store
from twisted_chat.journal.writer import GroupCommitJournal
from twisted_chat.language import N_
from twisted_chat.protocol import ChatFactory, describe
from twisted_chat.registry import Registry
from twisted_chat.settings import LISTEN, Settings

#: Seconds that people's connections may take to close when the service stops.
CLOSING_TIMEOUT = 2.0

#: Seconds from one removal of old entries to the next.
REMOVAL_INTERVAL = 3600.0


class StartupFailure(SystemExit, Exception):
    """Ends ``twistd`` with one line on the terminal and a status that is not 0.

    A SystemExit, so that no traceback is printed; an Exception too, so that twistd's daemon
    reports it to the terminal it was started from.
    """

    def __init__(self, line: str) -> None:
        super().__init__(line)
        self.code = 1
        # Not sys.stderr: twistd sends that to the log, which may be a file.
        print(f"twistd chat: {line}", file=sys.__stderr__)


def microseconds() -> int:
    """The time now, in microseconds since 1970 UTC."""
    return time.time_ns() // 1000


class ChatService(Service):
    """The whole chat service. Nothing is opened before it is started."""

    def __init__(self, reactor: Any, settings: Settings) -> None:
        journal = GroupCommitJournal(
            partial(Store, settings.database, settings.durability),
            reactor.callFromThread,
            partial(reactor.callLater, 0),
        )
        self._chat = Chat(
            journal,
            Registry(),
            Identities(settings.resume_window, time.monotonic),
            microseconds,
            reactor.callLater,
            default_room=settings.room,
            history_lines=settings.history_lines,
            keep_days=settings.keep,
            motd=settings.motd,
            said=self._said if settings.log_messages else None,
        )
        self.factory = ChatFactory(
            reactor,
            self._chat,
            greeting_delay=settings.greeting_delay,
            rate=settings.rate,
            language=settings.language,
            reconnect_grace=settings.reconnect_grace,
        )
        self._removal = LoopingCall(self._chat.remove_old)
        self._removal.clock = reactor
        self._reactor = reactor
        self._settings = settings
        self._ports: list[IListeningPort] = []

    def privilegedStartService(self) -> None:
        """Listen, while the process may still use any port."""
        try:
            for description in self._settings.listen:
                self._listen(description)
        except CannotStart as error:
            self._fail(error)

    def startService(self) -> None:
        """Open the log. Nobody is accepted earlier: the reactor does not run yet."""
        try:
            self._chat.start()
        except CannotStart as error:
            self._fail(error)
        super().startService()
        self._removal.start(REMOVAL_INTERVAL)
        for port in self._ports:
            self.factory.say(
                N_("[LISTENING] Server is listening on {address}"), address=_address(port)
            )

    def stopService(self) -> Deferred[None]:
        """Accept nobody any more, save what was said, tell people, close."""
        super().stopService()
        if self._removal.running:
            self._removal.stop()
        stopped: Deferred[None] = Deferred()
        self._chat.stop(partial(stopped.callback, None))
        closed = gatherResults([maybeDeferred(port.stopListening) for port in self._ports])
        return closed.addCallback(lambda _: stopped).addCallback(self._wait_for_people)

    def _wait_for_people(self, _: None) -> Deferred[None]:
        emptied = self.factory.emptied()
        emptied.addTimeout(CLOSING_TIMEOUT, self._reactor)
        return emptied.addErrback(lambda _: None)  # the reactor drops who is left

    def _listen(self, description: str) -> None:
        try:
            listening = serverFromString(self._reactor, description).listen(self.factory)
        except (TypeError, KeyError, IndexError) as error:
            # What Twisted's parsers raise of themselves for arguments that do not fit.
            raise WrongSetting(
                setting="--listen", value=description, expected=LISTEN.expected
            ) from error
        except (ValueError, ImportError, OSError) as error:
            raise CannotListen(endpoint=description, reason=error) from error
        failures: list[Failure] = []
        listening.addCallbacks(self._ports.append, failures.append)
        if failures:
            reason = failures[0].value
            if isinstance(reason, CannotListenError):
                reason = reason.socketError
            raise CannotListen(endpoint=description, reason=getattr(reason, "strerror", reason))

    def _fail(self, error: CannotStart) -> None:
        sentence = error.sentence(self._settings.language)
        self.factory.log.critical("{sentence}", sentence=sentence)  # the daemon's only words
        raise StartupFailure(sentence) from error

    def _said(self, *arguments: Any) -> None:
        self.factory.said(*arguments)


def _address(port: IListeningPort) -> str:
    host = port.getHost()
    if isinstance(host, (IPv4Address, IPv6Address)):
        return f"{host.host}:{host.port}"
    return describe(host)
