"""The service: it listens, opens the log, and ends in good order."""

from __future__ import annotations

import re
import signal
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from twisted.application.service import Service
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import (
    Deferred,
    DeferredLock,
    TimeoutError,
    gatherResults,
    maybeDeferred,
)
from twisted.internet.endpoints import serverFromString
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort, IProtocolFactory
from twisted.internet.task import LoopingCall
from twisted.logger import LogLevel
from twisted.python.failure import Failure

from twisted_chat.console.programs import program
from twisted_chat.core.errors import (
    CannotListen,
    CannotStart,
    CertificateUnusable,
    FileUnwritable,
    NameTooLong,
    Refusal,
    TLSForbidden,
    TLSMissing,
    WrongSetting,
)
from twisted_chat.core.journal import Journal
from twisted_chat.core.names import ALWAYS_RESERVED, Reserved, nickname
from twisted_chat.core.operator import Operator
from twisted_chat.core.proofs import Policy
from twisted_chat.i18n.language import N_, catalogue
from twisted_chat.journal.group_commit import GroupCommitJournal
from twisted_chat.journal.sqlite.store import MEMORY, Store
from twisted_chat.net.addresses import Address
from twisted_chat.net.peer import describe
from twisted_chat.net.proxy_protocol import ProxiedFactory
from twisted_chat.net.sockets import accept_while_possible
from twisted_chat.server.audit import AuditLog
from twisted_chat.server.build import Housekeeping, build_chat, build_factory
from twisted_chat.server.control import Control, ControlUnavailable
from twisted_chat.server.control_socket import path_of
from twisted_chat.server.directory import CommandDirectory
from twisted_chat.server.passwords import Argon2Passwords
from twisted_chat.server.settings import LIMITS, LISTEN, SETTINGS, Settings
from twisted_chat.server.systemd import ALIVE, READY, STOPPING, Notifier

if TYPE_CHECKING:
    from twisted_chat.server.metrics import Metrics

#: Seconds, when the service stops, for handling received lines, for closing the log, and for
#: closing connections: together less than ten, after which service managers kill the process.
HANDLING_TIMEOUT = 1.5
SAVING_TIMEOUT = 6.0
CLOSING_TIMEOUT = 2.0

#: The prefix of an endpoint's description that has a proxy in front of it.
PROXIED = "haproxy:"

#: Settings that can change while the service runs.
CHANGING = (
    "motd",
    "history_lines",
    "keep",
    "max_database",
    "clock_confirmed",
    "language",
    "greeting_delay",
    "reconnect_grace",
    "trusted_networks",
    "reserved_names",
    "registration",
    "guests",
    "insecure_secrets",
    *LIMITS.values(),
)

#: Seconds from one line in the log about missing file descriptors to the next.
NO_DESCRIPTORS_INTERVAL = 10.0


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


class MetricsUnavailable(CannotStart):
    code = "metrics-unavailable"
    template = N_("--metrics needs prometheus-client: {pip} install 'twisted-chat[metrics]'")


class ChatService(Service):
    """The whole chat service. It opens nothing before it is started."""

    def __init__(
        self,
        reactor: Any,
        settings: Settings,
        *,
        read_again: Callable[[], Settings] | None = None,
        notifier: Notifier | None = None,
    ) -> None:
        """With ``read_again``, which raises :class:`CannotStart`, SIGHUP has the settings read
        again. ``notifier`` tells the service manager how we are.
        """
        self._journal: Journal = GroupCommitJournal(
            partial(Store, settings.database, settings.durability),
            reactor.callFromThread,
            partial(reactor.callLater, 0),
            max_size=settings.max_database,
        )
        self._journal.confirmed = settings.clock_confirmed
        self._passwords = Argon2Passwords(reactor.callFromThread)
        self._directory: CommandDirectory | None = None
        if settings.auth_command:
            command, answer = settings.auth_command, reactor.callFromThread
            self._directory = CommandDirectory(
                command, answer, self._directory_failed, check_name=self._check_directory_name
            )
        self._chat = build_chat(
            self._journal,
            later=reactor.callLater,
            seconds=time.monotonic,
            microseconds=microseconds,
            resume_window=settings.resume_window,
            room=settings.room,
            history_lines=settings.history_lines,
            keep_days=settings.keep,
            motd=settings.motd,
            limits=settings.limits,
            reserved=_reserved(settings),
            said=self._said if settings.log_messages else None,
            policy=_policy(settings),
            passwords=self._passwords,
            directory=self._directory,
        )
        self.factory = build_factory(
            reactor,
            self._chat,
            greeting_delay=settings.greeting_delay,
            language=settings.language,
            reconnect_grace=settings.reconnect_grace,
            trusted_networks=settings.trusted_networks,
        )
        self._housekeeping = Housekeeping(self._chat, reactor)
        self._control = Control(reactor, Operator(self._chat, self._operated).handle)
        self._reactor = reactor
        self._settings = settings
        self._read_again = read_again
        self._reading = DeferredLock()
        self._hang_up: Any = None  # what SIGHUP did before
        self._notifier = notifier or Notifier({})
        self._alive = LoopingCall(self._notifier.tell, ALIVE)
        self._alive.clock = reactor
        self._metrics: Metrics | None = None
        self._audit: AuditLog | None = None
        self._ports: list[IListeningPort] = []
        self._metrics_ports: list[IListeningPort] = []
        self._no_descriptors_told = -NO_DESCRIPTORS_INTERVAL

    # -- starting -----------------------------------------------------------------------------

    def privilegedStartService(self) -> None:
        """Listen, while the process may still use any port."""
        try:
            for description in self._settings.listen:
                self._ports.append(self._listen("--listen", description, self.factory))
            if self._settings.metrics:
                self._serve_metrics(self._settings.metrics)
        except CannotStart as error:
            self._fail(error)

    def startService(self) -> None:
        """Open the log. Nobody is accepted earlier: the reactor does not run yet."""
        try:
            if self._settings.audit_log:
                self._open_audit(self._settings.audit_log)
        except CannotStart as error:
            self._fail(error)
        self._chat.open(self._opened)

    def _opened(self, refusal: Refusal | None) -> None:
        """The log is open, unless there is a reason why it cannot be."""
        if refusal is not None:
            self._fail(refusal)
        super().startService()
        self._housekeeping.start()
        self._listen_to_operators()
        for port in self._ports:
            self._say(
                "listening",
                N_("[LISTENING] Server is listening on {address}"),
                address=_address(port),
            )
        if self._metrics is not None:
            self._metrics.start()
        if self._read_again is not None:
            self._hang_up = signal.signal(signal.SIGHUP, self._hung_up)
        self._reactor.callWhenRunning(self._tell_ready)

    def _listen_to_operators(self) -> None:
        """The log is open, so no other server serves the database and has this socket."""
        if self._settings.database == MEMORY:
            return
        try:
            self._control.start(path_of(self._settings.database))
        except ControlUnavailable as error:
            sentence = error.sentence(self.factory.language)
            self.factory.log.error("{sentence}", event="no-control", sentence=sentence)

    def _operated(self, action: str, name: str) -> None:
        """An operator's request was carried out."""
        self._chat.audit("operator", "", name, action=action)
        self._say("operator", N_("[OPERATOR] {action} {name}"), action=action, name=name)

    def _open_audit(self, path: str) -> None:
        """Here, and not earlier: the process has forked and has its own user by now."""
        try:
            self._audit = AuditLog(path, self._settings.audit_keep, self._settings.language)
        except OSError as error:
            reason = error.strerror
            raise FileUnwritable(setting="--audit-log", path=path, reason=reason) from error
        self._audit.start()
        self._chat.audit = self._audit

    def _tell_ready(self) -> None:
        self._notifier.tell(READY)
        if self._notifier.interval is not None:
            self._alive.start(self._notifier.interval)

    def _serve_metrics(self, description: str) -> None:
        try:
            from twisted_chat.server.metrics import Metrics, site
        except ImportError as error:
            raise MetricsUnavailable(pip=program("pip")) from error
        self._metrics = Metrics(self._reactor, self.factory, self._journal)
        served = site(self._reactor, self._metrics, self._obstacle)
        self._metrics_ports.append(self._listen("--metrics", description, served))

    def _obstacle(self) -> str:
        """Why nobody should be sent here now; empty if there is nothing."""
        if not self.running:
            return "stopping"
        return self._journal.obstacle

    # -- stopping -----------------------------------------------------------------------------

    def stopService(self) -> Deferred[None]:
        """Accept nobody any more, save what was said, tell people, close."""
        super().stopService()
        self._notifier.tell(STOPPING)
        self._housekeeping.stop()
        self._control.stop()
        saved = self.factory.handle_all(HANDLING_TIMEOUT).addCallback(self._save)
        closed = gatherResults([maybeDeferred(port.stopListening) for port in self._ports])
        return (
            closed.addCallback(lambda _: saved)
            .addCallback(self._wait_for_people)
            .addCallback(self._end)
        )

    def _save(self, _: None) -> Deferred[None]:
        """Tell people, and close the log when what was said is saved."""
        stopped: Deferred[None] = Deferred()
        stopped.addTimeout(SAVING_TIMEOUT, self._reactor)
        stopped.addErrback(self._not_closed)
        self._chat.stop(lambda: None if stopped.called else stopped.callback(None))
        return stopped

    def _not_closed(self, failure: Failure) -> None:
        failure.trap(TimeoutError)
        self._say(
            "not-closed",
            N_(
                "The log could not be closed in time; messages that were not "
                "acknowledged may not be saved."
            ),
            LogLevel.error,
        )

    def _wait_for_people(self, _: None) -> Deferred[None]:
        emptied = self.factory.emptied()
        emptied.addTimeout(CLOSING_TIMEOUT, self._reactor)
        return emptied.addErrback(lambda _: None)  # the reactor drops who is left

    def _end(self, _: None) -> Deferred[None]:
        """Until now, it can be seen from outside that the service stops."""
        self._control.end()
        self._passwords.stop()
        if self._directory is not None:
            self._directory.stop()
        if self._alive.running:
            self._alive.stop()
        if self._metrics is not None:
            self._metrics.stop()
        if self._audit is not None:
            self._audit.close()
        if self._hang_up is not None:
            signal.signal(signal.SIGHUP, self._hang_up)
            self._hang_up = None
        closed = gatherResults([maybeDeferred(port.stopListening) for port in self._metrics_ports])
        return closed.addCallback(lambda _: None)

    # -- while it runs ------------------------------------------------------------------------

    def _directory_failed(self, refusal: Refusal) -> None:
        self._say(
            "directory-failed",
            N_("[DIRECTORY] The program of --auth-command gave no answer: {reason}"),
            LogLevel.error,
            reason=refusal.sentence(self._settings.language),
        )

    def _check_directory_name(self, text: str) -> None:
        """Check that the directory's person may have the nickname ``text``.

        :raises Refusal: it is not valid, or is reserved, and no account has it already.
        """
        name = nickname(text)
        if self._chat.accounts.owner(name) is None:
            if len(name.text) > self._chat.limits.nickname:
                raise NameTooLong(limit=self._chat.limits.nickname)
            self._chat.reserved.check(name)

    def _hung_up(self, number: int, frame: object) -> None:
        """SIGHUP came, in the middle of whatever was at hand."""
        self._reactor.callFromThread(self.reload)

    def reload(self) -> Deferred[None]:
        """Read the settings again and use those that can change; fires when that is done.

        If they cannot be read, nothing changes, and one line of the log says why.
        """
        assert self._read_again is not None
        self.reopen_logs()
        return self._reading.run(self._reload, self._read_again)

    def reopen_logs(self) -> None:
        """Go on in the files that have the logs' names, if ours were renamed."""
        if self._audit is not None:
            self._audit.reopen()

    def _reload(self, read_again: Callable[[], Settings]) -> Deferred[None]:
        # On a thread that nobody waits for: a file system that hangs must not hold up the end.
        reading: Deferred[Settings] = Deferred()

        def read() -> None:
            try:
                done = partial(reading.callback, read_again())
            except BaseException:
                done = partial(reading.errback, Failure())
            self._reactor.callFromThread(done)

        threading.Thread(target=read, name="settings", daemon=True).start()
        return reading.addCallbacks(self._use, self._not_read)

    def _not_read(self, failure: Failure) -> None:
        error = failure.value
        if not isinstance(error, CannotStart):
            self.factory.log.failure("internal error: the settings were not read", failure)
            return
        self._say(
            "settings-not-read",
            N_("The settings stay as they are: {reason}"),
            LogLevel.error,
            reason=error.sentence(self.factory.language),
        )

    def _use(self, settings: Settings) -> None:
        others = [
            setting.name
            for setting in SETTINGS
            if setting.field not in CHANGING
            and getattr(settings, setting.field) != getattr(self._settings, setting.field)
        ]
        self._chat.configure(
            motd=settings.motd, history_lines=settings.history_lines, keep_days=settings.keep
        )
        self._chat.reserved = _reserved(settings)
        self._chat.proofs.policy = _policy(settings)
        self._journal.max_size = settings.max_database
        self._journal.confirmed = settings.clock_confirmed
        self._chat.remove_old()
        self.factory.greeting_delay = settings.greeting_delay
        self.factory.limits = settings.limits
        self.factory.sources.trusted = settings.trusted_networks
        self.factory.reconnect_grace = settings.reconnect_grace
        self.factory.language = settings.language
        self._say("settings-read", N_("The settings were read again."))
        if others:
            self._say(
                "settings-need-restart",
                N_("These settings take effect when the server is restarted: {settings}"),
                LogLevel.warn,
                settings=", ".join(others),
            )

    def _say(self, event: str, sentence: str, level: Any = LogLevel.info, **fields: object) -> None:
        """Write one line into the server's log, in the server's language."""
        translated = catalogue(self.factory.language).gettext(sentence)
        self.factory.log.emit(level, translated, event=event, **fields)

    # -- details ------------------------------------------------------------------------------

    def _listen(self, option: str, description: str, factory: IProtocolFactory) -> IListeningPort:
        try:
            if description.startswith(PROXIED):
                endpoint = serverFromString(self._reactor, description.removeprefix(PROXIED))
                listening = endpoint.listen(ProxiedFactory(self._reactor, factory))
            else:
                endpoint = serverFromString(self._reactor, description)
                _try_tls(endpoint)
                listening = endpoint.listen(factory)
        except (TypeError, KeyError, IndexError) as error:
            # What Twisted's parsers raise of themselves for arguments that do not fit.
            raise WrongSetting(
                setting=option, value=description, expected=LISTEN.expected
            ) from error
        except OSError as error:  # a file of a certificate
            place = f"{error.filename}: " if error.filename else ""
            raise CannotListen(endpoint=description, reason=f"{place}{error.strerror}") from error
        except ValueError as error:
            raise CannotListen(endpoint=description, reason=error) from error
        except MemoryError as error:  # of cffi, with which pyOpenSSL makes its callbacks
            raise TLSForbidden(endpoint=description) from error
        except ImportError as error:
            if "ssl:" in description:
                raise TLSMissing(pip=program("pip")) from error
            raise CannotListen(endpoint=description, reason=error) from error
        except Exception as error:  # OpenSSL's are of many kinds, and of an optional package
            words = ", ".join(re.findall(r"[^\W\d_][\w .]*", str(error)))
            raise CertificateUnusable(endpoint=description, reason=words) from error
        failures: list[Failure] = []
        ports: list[IListeningPort] = []
        listening.addCallbacks(ports.append, failures.append)
        if failures:
            reason = failures[0].value
            if isinstance(reason, CannotListenError):
                reason = reason.socketError
            raise CannotListen(endpoint=description, reason=getattr(reason, "strerror", reason))
        accept_while_possible(ports[0], self._reactor, self._no_descriptors)
        return ports[0]

    def _no_descriptors(self) -> None:
        self.factory.refused["no-descriptors"] += 1
        now = self._reactor.seconds()
        if now - self._no_descriptors_told < NO_DESCRIPTORS_INTERVAL:
            return
        self._no_descriptors_told = now
        sentence = N_("No file descriptor is free: new connections have to wait.")
        self._say("no-descriptors", sentence, LogLevel.warn)

    def _fail(self, error: Refusal) -> None:
        sentence = error.sentence(self._settings.language)
        self.factory.log.critical("{sentence}", sentence=sentence)  # the daemon's only words
        raise StartupFailure(sentence) from error

    def _said(self, *arguments: Any) -> None:
        self.factory.said(*arguments)


def _try_tls(endpoint: Any) -> None:
    """Make what TLS is spoken with, if it is spoken: Twisted does not before somebody connects."""
    tls = getattr(endpoint, "_sslContextFactory", None)
    if tls is not None:
        tls.getContext()


def _policy(settings: Settings) -> Policy:
    return Policy(
        registration=settings.registration,
        guests=settings.guests,
        insecure_secrets=settings.insecure_secrets,
    )


def _reserved(settings: Settings) -> Reserved:
    return Reserved((*ALWAYS_RESERVED, *settings.reserved_names))


def _address(port: IListeningPort) -> Address:
    host = port.getHost()
    if isinstance(host, (IPv4Address, IPv6Address)):
        return Address.of(host.host, host.port, f"{host.host}:{host.port}")
    return describe(host)
