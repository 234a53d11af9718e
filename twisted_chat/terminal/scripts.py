"""The programs ``twisted-chat send`` and ``twisted-chat tail``: send messages, or print them.

They need no terminal. This module must not know how a connection is kept.
"""

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
from twisted_chat.core.account_errors import WrongSecret
from twisted_chat.core.characters import visible
from twisted_chat.core.errors import CannotStart, Refusal
from twisted_chat.core.events import EntriesRemoved, Entry, Event, Refused, Style, Welcomed
from twisted_chat.core.names import NOT_FOR_ANYBODY, nickname
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
    find_token,
    leave_on_signals,
    prepare_streams,
    run_reactor,
)
from twisted_chat.terminal.screen import Screen

NO_ANSWER = N_("no answer from {address} in time: {text} may or may not be saved")
WRONG_TOKEN = N_("the server does not accept this token for {name}")
INTERRUPTED_SAYING = N_("interrupted: {text} may or may not be saved")

#: Exit status after Ctrl-C, SIGTERM or SIGHUP: that of a shell after Ctrl-C.
INTERRUPTED = 130


class SomebodyElse(CannotStart):
    code = "somebody-else"
    template = N_(
        "another program on this machine is connected as {name}; give another name with --nick"
    )


#: The room to use if the command line names none.
LOBBY = "lobby"

#: Seconds between two attempts to use an identity that another process is using.
_IN_USE_RETRY = 0.1


class Sending(msgspec.Struct, frozen=True, kw_only=True):
    """The options of ``send``.

    Each of ``texts`` is a message; None stands for the lines of standard input. ``id`` is the id of
    the first message, and :func:`numbered` makes the ids of the others, so that each is saved once,
    however often the command runs. ``timeout`` is in seconds, for each message.
    """

    texts: Sequence[str] | None
    room: str = LOBBY
    id: str | None = None
    timeout: float = 10.0
    address: Address | None = None
    security: Security = Security()
    nick: str | None = None
    token_file: str | None = None


class Tailing(msgspec.Struct, frozen=True, kw_only=True):
    """The options of ``tail``, which prints the entries of ``rooms`` after the number ``since``.

    If ``since`` is None, it prints only new entries.
    """

    rooms: Sequence[str] = ()
    since: int | None = None
    json: bool = False
    address: Address | None = None
    security: Security = Security()
    nick: str | None = None
    token_file: str | None = None


def messages(text: str) -> list[str]:
    """The messages of ``text``: one for each line that is not blank, or ``text`` if all are."""
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    return [line for line in lines if line.strip()] or [text]


def numbered(id: str, number: int) -> str:
    """The id of the message ``number``, counted from 1, of several with the common ``id``."""
    if number == 1:
        return id
    further = f"{id}.{number}"
    if len(further) <= ID_LIMIT:
        return further
    return hashlib.blake2b(further.encode(), digest_size=16).hexdigest()


def send(reactor: Any, sending: Sending, language: str, environ: Mapping[str, str]) -> int:
    """Run ``send``: send the messages and wait until they are saved; returns the exit status."""

    async def main() -> int:
        saying = Deferred.fromCoroutine(_send(reactor, sending, language, environ))
        leave_on_signals(reactor, saying.cancel)
        try:
            return await saying
        except CancelledError:  # interrupted while no message was being sent
            return INTERRUPTED

    prepare_streams()
    return run_reactor(reactor, main, language)


async def _send(reactor: Any, sending: Sending, language: str, environ: Mapping[str, str]) -> int:
    place = _find_place(sending, environ)
    name = place.nickname or _user()
    token, _ = find_token(sending.token_file, environ, place, name)
    # The open state keeps other processes from using the same client id. No message is stored in
    # it, because a script that fails may send the same message again. With a token, several
    # programs can be the same person, and their account stands in for the client id.
    state = None if token is not None else FileState(reactor, place.state)
    client_id: str | None = None
    try:
        if state is not None:
            client_id = await _own(reactor, state, name, sending.timeout)
    except StateUnusable:
        if sending.id is not None:
            raise  # the server recognises a repeated message by its client id too
    client = _client(reactor, place, name, token, MemoryState(client_id), language, [sending.room])
    client.startService()
    try:
        return await _say_all(reactor, client, sending, place, language)
    finally:
        await client.stopService()
        if state is not None:
            await state.close()


def tail(reactor: Any, tailing: Tailing, language: str, environ: Mapping[str, str]) -> int:
    """Run ``tail``: print messages until a signal ends it; returns the exit status."""

    async def main() -> int:
        place = _find_place(tailing, environ)
        token, _ = find_token(tailing.token_file, environ, place, tailing.nick)
        name = tailing.nick or f"tail-{secrets.token_hex(2)}"
        if token is not None and tailing.nick is None:
            name = place.nickname or name
        rooms = dict.fromkeys(tailing.rooms or [LOBBY], tailing.since)
        client = _client(reactor, place, name, token, MemoryState(), language, rooms)
        leave_on_signals(reactor, client.stopService)
        events = client.events()
        client.startService()
        status = await _print_all(events, tailing, place, name, language)
        if client.running:
            await client.stopService()
        return status

    prepare_streams()
    return run_reactor(reactor, main, language)


def _user() -> str:
    """The name of the user who runs the program, or "script" if it cannot be a nickname."""
    try:
        user = getpass.getuser()
        NOT_FOR_ANYBODY.check(nickname(user))
    except (KeyError, OSError, Refusal):  # unknown to the system, invalid, or reserved as "root" is
        return "script"
    return user


def _find_place(given: Sending | Tailing, environ: Mapping[str, str]) -> Place:
    configured = config.read(config.config_path(environ))
    return find_place(given.address, given.security, given.nick, configured, environ)


def _client(
    reactor: Any,
    place: Place,
    nickname: str,
    token: str | None,
    state: MemoryState,
    language: str,
    rooms: Mapping[str, int | None] | Sequence[str],
) -> ChatClient:
    endpoint = server_endpoint(reactor, place.server, place.trust, language)
    return ChatClient(
        reactor,
        endpoint,
        nickname,
        rooms=rooms,
        state=state,
        insist=False,
        language=language,
        token=token,
    )


def _why(refusal: Refusal, name: str | None, language: str) -> str:
    """The sentence about ``refusal`` for the standard error of a script called ``name``."""
    if refusal.code != WrongSecret.code:
        return refusal.sentence(language)
    return catalogue(language).gettext(WRONG_TOKEN).format(name=visible(name or ""))


async def _own(reactor: Any, state: FileState, name: str, timeout: float) -> str:
    """Open ``state`` and return its client id, once no other process uses it.

    :raises SomebodyElse: another process still uses it after ``timeout`` seconds.
    :raises StateUnusable: the state cannot be stored.
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
            complain(_why(refused or refusal, client.nickname, language))
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
    """The lines of standard input as they come, read no faster than :meth:`next` takes them."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._queue: DeferredQueue[str | None] = DeferredQueue()
        self._taken: Deferred[None] | None = None
        descriptor = STDIN if sys.stdin else -1  # another file may have a closed stdin's number
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
        """Pass lines to the reactor's thread, and wait until they are taken. Blocks."""
        blockingCallFromThread(self._reactor, self._offer, lines)  # type: ignore[arg-type]

    def _offer(self, lines: list[str]) -> Deferred[None]:
        for line in lines:
            self._queue.put(line)
        if not lines or self._queue.waiting:  # all lines are taken
            return succeed(None)
        self._taken = Deferred()
        return self._taken

    def _ended(self) -> None:
        self._reactor.callFromThread(self._queue.put, None)


async def _print_all(
    events: Events, tailing: Tailing, place: Place, name: str, language: str
) -> int:
    translate = catalogue(language).gettext
    has_been_in = False
    style = Style(language, prefixed=len(tailing.rooms) > 1)
    screen = Screen(sys.stdout or StringIO(), forget_output)
    async for event in events:
        if isinstance(event, Welcomed):
            has_been_in = True
        elif isinstance(event, Refused):
            complain(_why(event.refusal, name, language))
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
