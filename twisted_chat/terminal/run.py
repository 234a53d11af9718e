"""The program ``twisted-chat connect``: makes the client, for a terminal or between pipes.

``send`` and ``tail`` use its functions too. It must not know how lines are made or drawn.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import platform
import re
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
from twisted_chat.core.characters import visible
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
from twisted_chat.terminal.tokens import MemoryTokens, TokenFiles, Tokens
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

#: The answers that trust a certificate.
YES = ("yes", "y", "sim", "s")

STDIN, STDOUT = 0, 1

#: The environment variable with a token, for programs.
TOKEN_VARIABLE = "TWISTED_CHAT_TOKEN"

#: Characters of the name of this machine in the list of the person's devices, at most.
LABEL_LENGTH = 24

#: The exit status if the program could not begin.
CANNOT_BEGIN = 2

#: The file name of the person's usual identity on a server, which is not a valid nickname. The file
#: of any other identity has its nickname.
_OWN = "@"


class Security(msgspec.Struct, frozen=True, kw_only=True):
    """The options of the command line for TLS; any of them switches TLS on."""

    tls: bool = False
    ca: str | None = None
    #: The fingerprint, in the form of :func:`.trust.parse_fingerprint`.
    pin: str | None = None


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """The options of the command line of ``connect``."""

    address: Address | None = None
    security: Security = Security()
    nick: str | None = None
    plain: bool = False
    json: bool = False
    token_file: str | None = None


class Place(msgspec.Struct, frozen=True):
    """The server, the person's identity there, and the files of both."""

    server: Address
    trust: Trust
    #: The file for the pinned fingerprint of the server's certificate.
    pin_file: Path
    nickname: str | None
    #: Whether the identity is the person's usual one, and not one that ``--nick`` asks for.
    is_own: bool
    #: The file of the client's state.
    state: Path

    @property
    def address(self) -> str:
        return format_address(*self.server)

    @property
    def key(self) -> str:
        """The name of the server in the configuration."""
        return server_key(self.server)


def find_place(
    address: Address | None,
    security: Security,
    nick: str | None,
    configured: Config,
    environ: Mapping[str, str],
) -> Place:
    """Choose the server and the identity: the command line takes precedence over the configuration.

    :param address: the server of the command line; None for the configured one.
    :param security: the options of the command line for TLS.
    :param nick: the nickname of the command line; None for the configured one.
    :param configured: the configuration.
    :param environ: the environment variables.
    :raises Refusal: the configured address is invalid, there is no home directory for the files, or
        the pinned fingerprint cannot be read.
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


def given_token(token_file: str | None, environ: Mapping[str, str]) -> str | None:
    """The token in the file of the command line, or in the environment; None if there is none.

    :raises Refusal: the file does not exist, cannot be read, or contains no token.
    """
    if token_file is None:
        return environ.get(TOKEN_VARIABLE) or None
    path = Path(os.path.expanduser(token_file))
    token = config.read_token(path)
    if token is None:
        raise config.ConfigUnreadable(path=visible(str(path)), reason=os.strerror(errno.ENOENT))
    return token


def find_token(
    token_file: str | None, environ: Mapping[str, str], place: Place, nickname: str | None
) -> tuple[str | None, Tokens]:
    """The token to come in with, and the place for further tokens. Blocks.

    :param nickname: the nickname, if it is known.
    :raises Refusal: a file cannot be read; see :func:`given_token`.
    """
    token = given_token(token_file, environ)
    if token is not None:
        return token, MemoryTokens()
    files = TokenFiles(environ, place.server)
    return None if nickname is None else config.read_token(files.path(nickname)), files


def server_key(server: Address) -> str:
    """The name of a server in the configuration, which is the same with TLS and without."""
    return format_address(server.host.lower(), server.port)


def _trust(security: Security, configured: Config, pin_file: Path) -> Trust:
    """The trusted certificates: by the command line, else the configuration, else a stored pin."""
    if security.pin is not None:
        return Trust(pin=security.pin)
    ca = security.ca or configured.ca
    if ca is not None:
        return Trust(ca=os.path.expanduser(ca))
    return Trust(pin=config.read_pin(pin_file))


def _label() -> str:
    """The name of this machine, for the list of the person's devices."""
    name = platform.node().partition(".")[0]
    return re.sub(r"[^\w-]", "", name, flags=re.ASCII)[:LABEL_LENGTH] or "client"


def complain(text: str) -> None:
    """Write ``text`` to standard error on one line; on a terminal, wrapped at spaces."""
    line = f"twisted-chat: {text}"
    if sys.stderr is None:  # print would write to standard output instead
        return
    with contextlib.suppress(OSError):  # the exit status reports the failure too
        if sys.stderr.isatty():
            columns = os.get_terminal_size(sys.stderr.fileno()).columns
            line = wrap(line, columns, 2).replace(ROW_END, "\n")
        print(line, file=sys.stderr, flush=True)


def log_to(path: Path) -> None:
    """Write logged errors into the file ``path``, so that they do not cover the typed line."""
    observers: list[ILogObserver] = []
    with contextlib.suppress(OSError):
        stream = path.open("a", encoding="utf-8")
        wanted = LogLevelFilterPredicate(LogLevel.error)
        observers.append(FilteringLogObserver(textFileLogObserver(stream), [wanted]))
    globalLogBeginner.beginLoggingTo(observers, redirectStandardIO=False, discardBuffer=True)


def is_interactive() -> bool:
    """Whether standard input and output are a terminal."""
    return os.isatty(STDIN) and os.isatty(STDOUT)


def wants_window(options: Options, environ: Mapping[str, str]) -> bool:
    """Whether to show a prompt at the bottom of the terminal, which needs an asyncio reactor."""
    return (
        not (options.plain or options.json)
        and usable(
            environ, input_is_terminal=os.isatty(STDIN), output_is_terminal=os.isatty(STDOUT)
        )
        and extra.is_installed()
    )


def prepare_streams() -> None:
    """Have characters that the terminal's encoding lacks written as question marks."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # a closed stream is None
            stream.reconfigure(errors="replace")


def run_reactor(reactor: Any, main: Callable[[], Coroutine[Any, Any, int]], language: str) -> int:
    """Run ``reactor`` until ``main`` has ended; returns the exit status.

    :param reactor: the reactor to run.
    :param main: returns the exit status; if it raises a :class:`.Refusal`, the refusal is written
        to standard error in one line, and the status is :data:`CANNOT_BEGIN`.
    :param language: the language of that line.
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
    """Call ``leave`` on Ctrl-C or a signal that ends a process; a second one ends it at once."""

    def interrupt(number: int, _: object) -> None:
        signal.signal(number, signal.SIG_DFL)
        reactor.callFromThread(leave)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)


def run(reactor: Any, options: Options, language: str, environ: Mapping[str, str]) -> int:
    """Connect, and run ``reactor`` until the person has left; returns the exit status."""
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
        """:raises Refusal: see :func:`find_place`."""
        self._reactor = reactor
        self._options = options
        self._language = language
        self._environ = environ
        self._path = path
        self._config = configured
        self._place = find_place(
            options.address, options.security, options.nick, configured, environ
        )
        self._token: str | None = None
        self._tokens: Tokens = MemoryTokens()
        self._client: ChatClient
        self._conversation: Conversation
        self._window: Window | None = None
        #: The screen for events as JSON; None if a person reads lines.
        self._output: Screen | None = None
        #: The screen for lines or events; None in a window.
        self._screen: Screen | None = None

    async def run(self) -> int:
        """Run until the person has left; returns the exit status."""
        window = wants_window(self._options, self._environ)
        if is_interactive() and not self._options.json and not extra.is_installed():
            complain(extra.how_to_install(self._language))
        await self._make_trusted()
        try:
            self._token, self._tokens = find_token(
                self._options.token_file, self._environ, self._place, self._place.nickname
            )
        except Refusal as refusal:
            if self._options.token_file is not None:
                raise
            complain(refusal.sentence(self._language))
        kept = await self._open()
        conversation = self._conversation = Conversation(
            self._client,
            self._reactor,
            language=self._language,
            timestamps=window and self._config.timestamps,
            backlog=BACKLOG if is_interactive() else 0,
            hold=window,
            echoes=not window,
            interactive=is_interactive() and not self._options.json,
            dates=is_interactive(),
            happened=self._happened,
            tokens=self._tokens,
            label=_label(),
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
            if sentence:  # empty if only the reader of a pipe has gone, which is no error
                complain(sentence)
                status = status or other
        return status

    async def _make_trusted(self) -> None:
        """Pin a certificate: that of ``--pin``, or an unknown one after asking the person.

        :raises CertificateUnknown: the person does not trust the certificate.
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
            except Refusal as refusal:  # the person will be asked again the next time
                complain(refusal.sentence(self._language))

    async def _certificate_unknown(self) -> CertificateUnknown | None:
        """Try to connect; returns the refusal of the certificate if it is unknown, else None.

        Other failures are ignored, because the client will report them.
        """
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
        """Make a client and open its state: in memory, if the file cannot be used."""
        self._client = self._make_client(FileState(self._reactor, self._place.state))
        try:
            return await self._client.open()
        except StateInUse:
            if not self._place.is_own:
                raise
            if self._token is None:
                complain(catalogue(self._language).gettext(ALONE))
        except StateUnusable as refusal:  # the person can chat without the file
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
            # A person gets a backlog instead, with a mark where the new lines begin.
            catch_up=not is_interactive(),
            insist=False,
            language=self._language,
            token=self._token,
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
        """Write the nickname that the person typed for this server into the configuration."""
        server = self._place.key
        if not extra.is_installed():  # the person was told so at the beginning
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
        from twisted_chat.terminal.window import Window  # slow to import, and optional

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
