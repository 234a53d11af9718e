"""``twisted-chat send`` and ``twisted-chat tail``: a message out, or all that is said in."""

from __future__ import annotations

import getpass
import hashlib
import secrets
import sys
import threading
from collections.abc import AsyncIterator, Mapping, Sequence
from io import StringIO
from typing import Any

import msgspec
from twisted.internet.defer import (
    CancelledError,
    Deferred,
    DeferredQueue,
    TimeoutError,
    succeed,
)
from twisted.internet.task import deferLater
from twisted.internet.threads import blockingCallFromThread

from twisted_chat.client.address import Address
from twisted_chat.client.client import ChatClient
from twisted_chat.client.endpoint import server_endpoint
from twisted_chat.client.event_stream import Events
from twisted_chat.client.events import Disconnected
from twisted_chat.client.state import MemoryState
from twisted_chat.client.state_database import StateInUse, StateUnusable
from twisted_chat.client.state_file import FileState
from twisted_chat.client.wire import as_json
from twisted_chat.console.output import forget_output, why_not
from twisted_chat.core.characters import visible
from twisted_chat.core.errors import CannotStart, Refusal
from twisted_chat.core.events import EntriesRemoved, Entry, Event, Refused, Style, Welcomed
from twisted_chat.core.names import ALWAYS_RESERVED, Reserved, nickname
from twisted_chat.dialects import text as dialect
from twisted_chat.dialects import wording
from twisted_chat.dialects.jsonl import ID_LIMIT
from twisted_chat.i18n.language import N_, catalogue
from twisted_chat.terminal import config
from twisted_chat.terminal.conversation import LEFT, NO_CONNECTION, SOMETHING_REFUSED
from twisted_chat.terminal.keyboard import read_lines
from twisted_chat.terminal.run import (
    CANNOT_CONNECT,
    STDIN,
    Place,
    Security,
    complain,
    find_place,
    leave_on_signals,
    prepare_streams,
    run_reactor,
)
from twisted_chat.terminal.screen import Screen

NO_ANSWER = N_("no answer from {address} in time: {text} may or may not be saved")
INTERRUPTED_SAYING = N_("interrupted: {text} may or may not be saved")

#: Exit status after Ctrl-C, SIGTERM or SIGHUP: that of a shell after Ctrl-C.
INTERRUPTED = 130


class SomebodyElse(CannotStart):
    code = "somebody-else"
    template = N_(
        "another program on this machine is connected as {name}; give another name with --nick"
    )


#: The room that is meant where none is named.
LOBBY = "lobby"

_RESERVED = Reserved(ALWAYS_RESERVED)

#: Seconds between two attempts to be somebody whom another process is at the moment.
_IN_USE_RETRY = 0.1


class Sending(msgspec.Struct, frozen=True, kw_only=True):
    """What ``send`` says: each text is a message; None stands for the lines of standard input.

    ``id`` names the first of them, and :func:`numbered` the others, so that each is said once,
    however often this is run. ``timeout`` is in seconds, for each message.
    """

    texts: Sequence[str] | None
    room: str = LOBBY
    id: str | None = None
    timeout: float = 10.0
    address: Address | None = None
    security: Security = Security()
    nick: str | None = None


class Tailing(msgspec.Struct, frozen=True, kw_only=True):
    """What ``tail`` prints: what is said in ``rooms``, after the number ``since`` of each."""

    rooms: Sequence[str] = ()
    since: int | None = None
    json: bool = False
    address: Address | None = None
    security: Security = Security()
    nick: str | None = None


def messages(text: str) -> list[str]:
    """The messages that ``text`` makes: one a line, and none of a blank line among others."""
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    return [line for line in lines if line.strip()] or [text]


def numbered(id: str, number: int) -> str:
    """The id of message ``number``, from 1, of those that are sent under ``id``."""
    if number == 1:
        return id
    further = f"{id}.{number}"
    if len(further) <= ID_LIMIT:
        return further
    return hashlib.blake2b(further.encode(), digest_size=16).hexdigest()


def send(reactor: Any, sending: Sending, language: str, environ: Mapping[str, str]) -> int:
    """Say something, and wait until it is saved; returns the exit status."""

    async def main() -> int:
        saying = Deferred.fromCoroutine(_send(reactor, sending, language, environ))
        leave_on_signals(reactor, saying.cancel)
        try:
            return await saying
        except CancelledError:  # nothing was being said
            return INTERRUPTED

    prepare_streams()
    return run_reactor(reactor, main, language)


async def _send(reactor: Any, sending: Sending, language: str, environ: Mapping[str, str]) -> int:
    place = _find_place(sending, environ)
    name = place.nickname or _user()
    # The state is held so that nobody else is the same person meanwhile; nothing is kept
    # in it, as a script that is told of a failure may say the same again.
    state = FileState(reactor, place.state)
    try:
        client_id: str | None = await _own(reactor, state, name, sending.timeout)
    except StateUnusable:
        if sending.id is not None:
            raise  # the server knows a message again by its sender, too
        client_id = None
    client = _client(reactor, place, name, MemoryState(client_id), language, [sending.room])
    client.startService()
    try:
        return await _say_all(reactor, client, sending, place, language)
    finally:
        await client.stopService()
        await state.close()


def tail(reactor: Any, tailing: Tailing, language: str, environ: Mapping[str, str]) -> int:
    """Print what is said until it is interrupted; returns the exit status."""

    async def main() -> int:
        place = _find_place(tailing, environ)
        name = tailing.nick or f"tail-{secrets.token_hex(2)}"
        rooms = dict.fromkeys(tailing.rooms or [LOBBY], tailing.since)
        client = _client(reactor, place, name, MemoryState(), language, rooms)
        leave_on_signals(reactor, client.stopService)
        events = client.events()
        client.startService()
        status = await _print_all(events, tailing, place, language)
        if client.running:
            await client.stopService()
        return status

    prepare_streams()
    return run_reactor(reactor, main, language)


def _user() -> str:
    """Who runs this, for a name; root's is one that no server gives."""
    try:
        user = getpass.getuser()
        _RESERVED.check(nickname(user))
    except (KeyError, OSError, Refusal):  # nobody whom the system knows, or no name of anybody
        return "script"
    return user


def _find_place(given: Sending | Tailing, environ: Mapping[str, str]) -> Place:
    configured = config.read(config.config_path(environ))
    return find_place(given.address, given.security, given.nick, configured, environ)


def _client(
    reactor: Any,
    place: Place,
    nickname: str,
    state: MemoryState,
    language: str,
    rooms: Mapping[str, int | None] | Sequence[str],
) -> ChatClient:
    endpoint = server_endpoint(reactor, place.server, place.trust, language)
    return ChatClient(
        reactor, endpoint, nickname, rooms=rooms, state=state, insist=False, language=language
    )


async def _own(reactor: Any, state: FileState, name: str, timeout: float) -> str:
    """The client id, once no other process has it.

    :raises StateUnusable: it can be kept nowhere.
    """
    deadline = reactor.seconds() + timeout
    while True:
        try:
            return (await state.open()).client_id
        except StateInUse:
            if reactor.seconds() >= deadline:
                raise SomebodyElse(name=name) from None
        await deferLater(reactor, _IN_USE_RETRY, lambda: None)


async def _say_all(
    reactor: Any, client: ChatClient, sending: Sending, place: Place, language: str
) -> int:
    translate = catalogue(language).gettext
    failure = ""
    refused: Refusal | None = None

    def happened(event: Event) -> None:
        nonlocal failure, refused
        if isinstance(event, Disconnected):
            failure = event.reason
        elif isinstance(event, Welcomed):
            failure = ""
        elif isinstance(event, Refused) and not client.is_in:
            refused = event.refusal
            client.stopService()

    client.listen(happened)
    number = 0
    async for text in _texts(reactor, sending):
        number += 1
        id = None if sending.id is None else numbered(sending.id, number)
        try:
            # Bytes of the command line or the input that are not UTF-8 are lone surrogates.
            text = dialect.decode(text.encode("utf-8", "surrogateescape"))
            saying: Deferred[Any] = client.say(text, sending.room, id=id)
            saying.addTimeout(sending.timeout, reactor)
            await saying
        except Refusal as refusal:
            complain((refused or refusal).sentence(language))
            return SOMETHING_REFUSED
        except TimeoutError:
            sentence = CANNOT_CONNECT if failure else NO_ANSWER
            details = {
                "address": place.address,
                "reason": translate(failure),
                "text": visible(text),
            }
            complain(translate(sentence).format(**details))
            return NO_CONNECTION
        except CancelledError:
            complain(translate(INTERRUPTED_SAYING).format(text=visible(text)))
            return INTERRUPTED
    return LEFT


async def _texts(reactor: Any, sending: Sending) -> AsyncIterator[str]:
    if sending.texts is not None:
        for text in sending.texts:
            yield text
        return
    lines = _Lines(reactor)
    while (line := await lines.next()) is not None:
        if line.strip():
            yield line


class _Lines:
    """The lines of standard input as they come, read no faster than they are taken."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._queue: DeferredQueue[str | None] = DeferredQueue()
        self._taken: Deferred[None] | None = None
        descriptor = STDIN if sys.stdin else -1  # the number of a closed one may be in use
        reading = threading.Thread(
            target=read_lines, args=(descriptor, self._read, self._ended), daemon=True
        )
        reading.start()

    def next(self) -> Deferred[str | None]:
        """Fires with the next line; with None when the input has ended."""
        if self._taken is not None and not self._queue.pending:
            taken, self._taken = self._taken, None
            taken.callback(None)
        return self._queue.get()

    def _read(self, lines: list[str]) -> None:
        """On the thread that reads."""
        blockingCallFromThread(self._reactor, self._offer, lines)  # type: ignore[arg-type]

    def _offer(self, lines: list[str]) -> Deferred[None]:
        for line in lines:
            self._queue.put(line)
        if not lines or self._queue.waiting:  # nothing is left
            return succeed(None)
        self._taken = Deferred()
        return self._taken

    def _ended(self) -> None:
        self._reactor.callFromThread(self._queue.put, None)


async def _print_all(events: Events, tailing: Tailing, place: Place, language: str) -> int:
    translate = catalogue(language).gettext
    has_been_in = False
    style = Style(language, prefixed=len(tailing.rooms) > 1)
    screen = Screen(sys.stdout or StringIO(), forget_output)
    async for event in events:
        if isinstance(event, Welcomed):
            has_been_in = True
        elif isinstance(event, Refused):
            complain(event.refusal.sentence(language))
            if not has_been_in:
                return SOMETHING_REFUSED
        elif isinstance(event, Disconnected):
            if event.reason and not has_been_in:
                reason = translate(event.reason)
                complain(translate(CANNOT_CONNECT).format(address=place.address, reason=reason))
                return NO_CONNECTION
        elif isinstance(event, (Entry, EntriesRemoved)) and event.room in (
            tailing.rooms or [LOBBY]
        ):
            if tailing.json:
                screen.line(as_json(event).decode().rstrip("\n"))
            else:
                for line in wording.lines([event], style):
                    screen.line(line)
            if screen.error is not None:
                status, sentence = why_not(screen.error, language)
                if sentence:
                    complain(sentence)
                return status
    return LEFT
