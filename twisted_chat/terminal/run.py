"""``twisted-chat connect``: the client put together, on a terminal or between pipes."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Callable, Coroutine, Mapping
from io import StringIO, TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import msgspec
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.threads import deferToThread
from twisted.logger import (
    FilteringLogObserver,
    ILogObserver,
    LogLevel,
    LogLevelFilterPredicate,
    globalLogBeginner,
    textFileLogObserver,
)
from twisted.python.failure import Failure

from twisted_chat.client.address import DEFAULT_HOST, Address, format_address, parse_address
from twisted_chat.client.client import ChatClient
from twisted_chat.client.endpoint import server_endpoint
from twisted_chat.client.state import Kept, MemoryState, State
from twisted_chat.client.state_database import StateInUse, StateUnusable
from twisted_chat.client.state_file import FileState
from twisted_chat.client.trust import CertificateUnknown, NotTrusted, Trust
from twisted_chat.client.wire import as_json
from twisted_chat.console.output import forget_output, why_not
from twisted_chat.core.errors import Refusal
from twisted_chat.core.events import Event, Welcomed
from twisted_chat.i18n.language import N_, catalogue
from twisted_chat.terminal import config, extra
from twisted_chat.terminal.ask import ask
from twisted_chat.terminal.backlog import BACKLOG
from twisted_chat.terminal.colours import look, usable
from twisted_chat.terminal.config import Config
from twisted_chat.terminal.conversation import Conversation
from twisted_chat.terminal.plain import PlainView, SilentView, read_input
from twisted_chat.terminal.screen import Screen
from twisted_chat.terminal.wrapping import ROW_END, wrap

if TYPE_CHECKING:
    from twisted_chat.terminal.window import Window

CANNOT_CONNECT = N_("cannot connect to {address}: {reason}")
ALONE = N_(
    "You are already connected to this server in another terminal, so you need another "
    "name here. Unsent lines are kept only if you give that name with --nick NAME."
)

TRUST = (
    N_("The certificate of {address} is not trusted: {reason}."),
    N_("Its SHA-256 fingerprint:"),
    "{fingerprint}",
    N_("If the server's operator confirms it, type yes to trust it from now on:"),
)

#: What trusts a certificate.
YES = ("yes", "y", "sim", "s")

STDIN, STDOUT = 0, 1

#: Exit status: it could not begin.
CANNOT_BEGIN = 2

#: The file of one's own identity on a server; it is no nickname. Another one is under its name.
_OWN = "@"


class Security(msgspec.Struct, frozen=True, kw_only=True):
    """What the command line says about TLS: each of these asks for it."""

    tls: bool = False
    ca: str | None = None
    #: As :func:`.trust.parse_fingerprint` gives it.
    pin: str | None = None


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What the command line says."""

    address: Address | None = None
    security: Security = Security()
    nick: str | None = None
    plain: bool = False
    json: bool = False


class Place(msgspec.Struct, frozen=True):
    """Which server, as whom, and where that is kept."""

    server: Address
    trust: Trust
    #: Where its certificate is kept, once it was pinned.
    pin_file: Path
    nickname: str | None
    #: Whether it is the person's own identity there, and not one that was asked for.
    is_own: bool
    state: Path

    @property
    def address(self) -> str:
        return format_address(*self.server)

    @property
    def key(self) -> str:
        """What the server is called in the configuration."""
        return server_key(self.server)


def find_place(
    address: Address | None,
    security: Security,
    nick: str | None,
    configured: Config,
    environ: Mapping[str, str],
) -> Place:
    """What the command line leaves open is as configured.

    :raises Refusal: what is configured is not an address, or there is no place for a state.
    """
    host, port, is_secure = address or parse_address(configured.server or DEFAULT_HOST)
    is_secure |= security.tls or security.ca is not None or security.pin is not None
    pin_file = config.pin_path(environ, host, port)
    known = configured.nicknames.get(server_key(Address(host, port)), configured.nickname)
    is_own = nick is None or nick == known
    name = _OWN if nick is None or is_own else nick
    state = config.state_path(environ, host, port, name)
    return Place(
        Address(host, port, is_secure),
        _trust(security, configured, pin_file) if is_secure else Trust(),
        pin_file,
        nick or known,
        is_own,
        state,
    )


def server_key(server: Address) -> str:
    """A server as the configuration names it: the same over TLS and without."""
    return format_address(server.host.lower(), server.port)


def _trust(security: Security, configured: Config, pin_file: Path) -> Trust:
    """What was asked for now counts more than what is configured, and that more than a pin."""
    if security.pin is not None:
        return Trust(pin=security.pin)
    ca = security.ca or configured.ca
    if ca is not None:
        return Trust(ca=os.path.expanduser(ca))
    return Trust(pin=config.read_pin(pin_file))


def complain(text: str) -> None:
    """Tell in one line what is wrong, apart from what is said; on a terminal, broken at blanks."""
    line = f"twisted-chat: {text}"
    if sys.stderr is None:  # print would take standard output
        return
    with contextlib.suppress(OSError):  # the exit status tells it, too
        if sys.stderr.isatty():
            columns = os.get_terminal_size(sys.stderr.fileno()).columns
            line = wrap(line, columns, 2).replace(ROW_END, "\n")
        print(line, file=sys.stderr, flush=True)


def log_to(path: Path) -> None:
    """Defects are for a developer to read, and not over what a person types."""
    observers: list[ILogObserver] = []
    with contextlib.suppress(OSError):
        stream = path.open("a", encoding="utf-8")
        wanted = LogLevelFilterPredicate(LogLevel.error)
        observers.append(FilteringLogObserver(textFileLogObserver(stream), [wanted]))
    globalLogBeginner.beginLoggingTo(observers, redirectStandardIO=False, discardBuffer=True)


def is_interactive() -> bool:
    """Whether there is a person at a terminal."""
    return os.isatty(STDIN) and os.isatty(STDOUT)


def wants_window(options: Options, environ: Mapping[str, str]) -> bool:
    """Whether the terminal is to have a prompt at its bottom. That needs an asyncio reactor."""
    return (
        not (options.plain or options.json)
        and usable(
            environ, input_is_terminal=os.isatty(STDIN), output_is_terminal=os.isatty(STDOUT)
        )
        and extra.is_installed()
    )


def prepare_streams() -> None:
    """What cannot be written in the terminal's encoding is written as something else."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # else it was closed, and is None
            stream.reconfigure(errors="replace")


def run_reactor(reactor: Any, main: Callable[[], Coroutine[Any, Any, int]], language: str) -> int:
    """Run ``reactor`` until ``main``, which gives an exit status, has ended; returns that.

    A refusal is told in one line.
    """
    outcome: list[int | Failure] = []

    def begin() -> None:
        running = Deferred.fromCoroutine(main())
        running.addBoth(outcome.append).addBoth(lambda _: reactor.stop())

    reactor.callWhenRunning(begin)
    reactor.run(installSignalHandlers=False)
    (result,) = outcome
    if isinstance(result, int):
        return result
    if not result.check(Refusal):
        result.raiseException()
    complain(cast("Refusal", result.value).sentence(language))
    return CANNOT_BEGIN


def leave_on_signals(reactor: Any, leave: Callable[[], object]) -> None:
    """Who presses Ctrl-C leaves in good order; who cannot wait for that presses it again."""

    def interrupt(number: int, _: object) -> None:
        signal.signal(number, signal.SIG_DFL)
        reactor.callFromThread(leave)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)


def run(reactor: Any, options: Options, language: str, environ: Mapping[str, str]) -> int:
    """Connect and run ``reactor`` until it is over; returns the exit status."""
    prepare_streams()
    try:
        path = config.config_path(environ)
        connect = Connect(reactor, options, language, environ, path, config.read(path))
    except Refusal as refusal:
        complain(refusal.sentence(language))
        return CANNOT_BEGIN
    return run_reactor(reactor, connect.run, language)


class Connect:
    """One run of ``twisted-chat connect``."""

    def __init__(
        self,
        reactor: Any,
        options: Options,
        language: str,
        environ: Mapping[str, str],
        path: Path,
        configured: Config,
    ) -> None:
        """:raises Refusal: what is configured cannot be."""
        self._reactor = reactor
        self._options = options
        self._language = language
        self._environ = environ
        self._path = path
        self._config = configured
        self._place = find_place(
            options.address, options.security, options.nick, configured, environ
        )
        self._client: ChatClient
        self._conversation: Conversation
        self._window: Window | None = None
        #: Where events are printed, for a program.
        self._output: Screen | None = None
        #: Where lines or events are printed.
        self._screen: Screen | None = None

    async def run(self) -> int:
        """Until the person has left; returns the exit status."""
        window = wants_window(self._options, self._environ)
        if is_interactive() and not self._options.json and not extra.is_installed():
            complain(extra.how_to_install(self._language))
        await self._make_trusted()
        kept = await self._open()
        conversation = self._conversation = Conversation(
            self._client,
            self._reactor,
            language=self._language,
            timestamps=window and self._config.timestamps,
            backlog=BACKLOG if is_interactive() else 0,
            hold=window,
            echoes=not window,
            interactive=is_interactive(),
            dates=is_interactive(),
            happened=self._happened,
        )
        if window:
            await self._in_window(kept, conversation)
        else:
            self._between_lines(conversation)
        status = await conversation.ended
        if isinstance(self._client.failure, NotTrusted):
            complain(self._client.failure.sentence(self._language))
        elif conversation.failure:
            translate = catalogue(self._language).gettext
            reason = translate(conversation.failure)
            complain(translate(CANNOT_CONNECT).format(address=self._place.address, reason=reason))
        if self._screen is not None and self._screen.error is not None:
            other, sentence = why_not(self._screen.error, self._language)
            if sentence:  # or else nobody reads it, and one has left in good order
                complain(sentence)
                status = status or other
        return status

    async def _make_trusted(self) -> None:
        """Ask the person about a certificate that nobody vouches for, the first time.

        :raises CertificateUnknown: they do not trust it.
        """
        place = self._place
        if not place.server.tls:
            return
        pin = self._options.security.pin
        if pin is None and is_interactive() and place.trust == Trust():
            unknown = await self._certificate_unknown()
            if unknown is not None:
                pin = str(unknown.details["fingerprint"])
                translate = catalogue(self._language).gettext
                question = "\n".join(translate(line).format(**unknown.details) for line in TRUST)
                answer = await ask(self._reactor, question)
                if answer.casefold() not in YES:
                    raise unknown
        if pin is not None:
            self._place = msgspec.structs.replace(place, trust=Trust(pin=pin))
            try:
                await deferToThread(config.keep_pin, place.pin_file, pin)
            except Refusal as refusal:  # one is asked again, then
                complain(refusal.sentence(self._language))

    async def _certificate_unknown(self) -> CertificateUnknown | None:
        """Whether it is: a server that is not there now is told about later."""
        place = self._place
        endpoint = server_endpoint(self._reactor, place.server, place.trust, self._language)
        try:
            probe: Any = await endpoint.connect(Factory.forProtocol(Protocol))
            probe.transport.loseConnection()
        except CertificateUnknown as unknown:
            return unknown
        except Exception:
            pass
        return None

    async def _open(self) -> Kept:
        """Make a client, and open its state."""
        self._client = self._make_client(FileState(self._reactor, self._place.state))
        try:
            return await self._client.open()
        except StateInUse:
            if not self._place.is_own:
                raise
            complain(catalogue(self._language).gettext(ALONE))
        except StateUnusable as refusal:  # one can talk all the same
            complain(refusal.sentence(self._language))
        self._client = self._make_client(MemoryState())
        return await self._client.open()

    def _make_client(self, state: State) -> ChatClient:
        place = self._place
        return ChatClient(
            self._reactor,
            server_endpoint(self._reactor, place.server, place.trust, self._language),
            place.nickname,
            state=state,
            # A person is shown the last lines instead, and where the new ones begin.
            catch_up=not is_interactive(),
            insist=False,
            language=self._language,
        )

    def _happened(self, event: Event) -> None:
        if self._output is not None:
            self._output.line(as_json(event).decode().rstrip("\n"))
        if self._window is not None and not self._window.ready:
            self._client.pause()
            self._window.when_ready(self._client.resume)
        if isinstance(event, Welcomed) and self._options.nick is None and is_interactive():
            self._remember(self._conversation.name_typed)

    def _remember(self, nickname: str | None) -> None:
        """The name that the person typed is theirs on this server; what that says is not."""
        server = self._place.key
        if not extra.is_installed():  # which was told at the beginning
            return
        if nickname is not None and server not in self._config.nicknames:
            nicknames = {**self._config.nicknames, server: nickname}
            self._config = msgspec.structs.replace(self._config, nicknames=nicknames)
            remembering = deferToThread(config.remember_name, self._path, server, nickname)
            remembering.addErrback(self._not_remembered)

    def _not_remembered(self, failure: Failure) -> None:
        failure.trap(Refusal)
        complain(cast("Refusal", failure.value).sentence(self._language))

    async def _in_window(self, kept: Kept, conversation: Conversation) -> None:
        from twisted_chat.terminal.window import Window  # what it needs takes a while to import

        log_to(self._place.state.with_name("client.log"))
        window = self._window = conversation.view = Window(
            conversation,
            look=look(self._environ, self._config.background),
            history=kept.typed,
            remember=self._typed,
            draft=kept.draft,
            keep_draft=self._client.state.draft,
            bell=self._config.bell,
        )
        leave_on_signals(self._reactor, window.leave)
        conversation.when_closing = window.close
        conversation.start()
        await Deferred.fromFuture(asyncio.ensure_future(window.run()))

    def _typed(self, line: str) -> None:
        state = self._client.state
        state.typed(line)
        state.draft("")

    def _between_lines(self, conversation: Conversation) -> None:
        view: PlainView | SilentView

        def output_gone() -> None:
            forget_output()
            conversation.leave()

        screen = self._screen = Screen(sys.stdout or StringIO(), output_gone)
        if self._options.json:
            self._output = screen
            view = SilentView(conversation)
        else:
            view = PlainView(conversation, screen, interactive=is_interactive())
        conversation.view = view
        leave_on_signals(self._reactor, view.interrupted)
        conversation.start()
        read_input(self._reactor, conversation, view)
