"""``twisted-chat send`` and ``twisted-chat tail``: a message out, or all that is said in."""

from __future__ import annotations

import getpass
import secrets
import sys
from collections.abc import Mapping, Sequence
from io import StringIO
from typing import Any

import msgspec
from twisted.internet.defer import Deferred, TimeoutError
from twisted.internet.task import deferLater

from twisted_chat.client import config
from twisted_chat.client.client import ChatClient, Events, host_endpoint
from twisted_chat.client.conversation import LEFT, NO_CONNECTION, SOMETHING_REFUSED
from twisted_chat.client.events import Disconnected
from twisted_chat.client.run import (
    CANNOT_CONNECT,
    Place,
    complain,
    find_place,
    forget_output,
    leave_on_signals,
    prepare_streams,
    run_reactor,
)
from twisted_chat.client.screen import Screen
from twisted_chat.client.state import FileState, MemoryState, StateInUse
from twisted_chat.client.wire import as_json
from twisted_chat.dialects import text as dialect
from twisted_chat.errors import CannotStart, Refusal
from twisted_chat.language import N_, catalogue
from twisted_chat.messages import EntriesRemoved, Entry, Event, Refused, Style, Welcomed

NO_ANSWER = N_("no answer from {address} in time: {text} may be saved or not")


class SomebodyElse(CannotStart):
    code = "somebody-else"
    template = N_("{name} is connected by another program here; say with --nick who speaks")


#: The room that is meant where none is named.
LOBBY = "lobby"

#: Seconds between two attempts to be somebody whom another process is at the moment.
_IN_USE_RETRY = 0.1


class Sending(msgspec.Struct, frozen=True, kw_only=True):
    """What ``send`` says: each text is a message.

    ``id`` names the first of them, so that it is said once, however often this is run.
    ``timeout`` is in seconds.
    """

    texts: Sequence[str]
    room: str = LOBBY
    id: str | None = None
    timeout: float = 10.0
    address: tuple[str, int] | None = None
    nick: str | None = None


class Tailing(msgspec.Struct, frozen=True, kw_only=True):
    """What ``tail`` prints: what is said in ``rooms``, after the number ``since`` of each."""

    rooms: Sequence[str] = ()
    since: int | None = None
    json: bool = False
    address: tuple[str, int] | None = None
    nick: str | None = None


def send(reactor: Any, sending: Sending, language: str, environ: Mapping[str, str]) -> int:
    """Say something, and wait until it is saved; returns the exit status."""

    async def main() -> int:
        place = _find_place(sending.address, sending.nick, environ)
        name = place.nickname or _user()
        # The state is held so that nobody else is the same person meanwhile; nothing is kept
        # in it, as a script that is told of a failure may say the same again.
        state = FileState(reactor, place.state)
        client_id = await _own(reactor, state, name, sending.timeout)
        client = _client(reactor, place, name, MemoryState(client_id), language, [sending.room])
        client.startService()
        try:
            return await _say_all(reactor, client, sending, place, language)
        finally:
            await client.stopService()
            await state.close()

    prepare_streams()
    return run_reactor(reactor, main, language)


def tail(reactor: Any, tailing: Tailing, language: str, environ: Mapping[str, str]) -> int:
    """Print what is said until it is interrupted; returns the exit status."""

    async def main() -> int:
        place = _find_place(tailing.address, tailing.nick, environ)
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
    """Who runs this, for a name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # nobody whom the system knows
        return "script"


def _find_place(
    address: tuple[str, int] | None, nick: str | None, environ: Mapping[str, str]
) -> Place:
    return find_place(address, nick, config.read(config.config_path(environ)), environ)


def _client(
    reactor: Any,
    place: Place,
    nickname: str,
    state: MemoryState,
    language: str,
    rooms: Mapping[str, int | None] | Sequence[str],
) -> ChatClient:
    endpoint = host_endpoint(reactor, place.host, place.port)
    return ChatClient(
        reactor, endpoint, nickname, rooms=rooms, state=state, insist=False, language=language
    )


async def _own(reactor: Any, state: FileState, name: str, timeout: float) -> str:
    """The client id, once no other process has it."""
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
    for at, text in enumerate(sending.texts):
        saying: Deferred[Any] = client.say(text, sending.room, id=None if at else sending.id)
        saying.addTimeout(sending.timeout, reactor)
        try:
            await saying
        except Refusal as refusal:
            complain((refused or refusal).sentence(language))
            return SOMETHING_REFUSED
        except TimeoutError:
            sentence = CANNOT_CONNECT if failure else NO_ANSWER
            details = {"address": place.address, "reason": translate(failure), "text": text}
            complain(translate(sentence).format(**details))
            return NO_CONNECTION
    return LEFT


async def _print_all(events: Events, tailing: Tailing, place: Place, language: str) -> int:
    translate = catalogue(language).gettext
    has_been_in = False
    style = Style(language, prefixed=len(tailing.rooms) > 1)
    gone: list[bool] = []

    def output_gone() -> None:
        gone.append(True)
        forget_output()

    screen = Screen(sys.stdout or StringIO(), output_gone)
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
            line = as_json(event) if tailing.json else dialect.render([event], style)
            screen.line(line.decode().rstrip("\n"))
            if gone:
                return LEFT
    return LEFT
