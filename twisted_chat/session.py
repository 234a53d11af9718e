"""One person's conversation: its states and what it does with each request.

A session is choosing a name, then chatting, then closed. It must not know bytes, dialects or
the reactor: what it is asked are requests, what it shows are events, and its connection is
anything that has the few methods of :class:`Connection`.
"""

from __future__ import annotations

import enum
import os
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from twisted_chat.chat import PAGE, Chat
from twisted_chat.errors import (
    InNoRoom,
    NameFirst,
    NobodyToAnswer,
    NoSuchLanguage,
    NotIgnored,
    NotYourself,
    Refusal,
    TooManyIgnored,
)
from twisted_chat.language import LANGUAGES, match
from twisted_chat.messages import (
    AreYouThere,
    ChooseName,
    Entry,
    Event,
    Help,
    HelpShown,
    HistoryShown,
    HowToLeave,
    Ignore,
    IgnoredListed,
    Ignoring,
    Interrupt,
    Join,
    LanguageShown,
    Leave,
    ListPeople,
    ListRooms,
    Quit,
    ReadHistory,
    Refused,
    Replayed,
    Reply,
    Request,
    Say,
    ServerStopping,
    SetLanguage,
    SetTimestamps,
    StillHere,
    Style,
    Tell,
    TimestampsSet,
    Topic,
    TopicShown,
    Unignore,
)
from twisted_chat.names import Nickname, folded, nickname
from twisted_chat.room import OWN_KINDS, Batch, Cursor, Room

IGNORED_LIMIT = 100

#: Entries that ``/history`` shows when no number is given.
HISTORY_DEFAULT = 20


class Connection(Protocol):
    """What a session knows of the connection it speaks over."""

    @property
    def ready(self) -> bool:
        """Whether the other side keeps up with what it is sent."""

    def show(self, events: Sequence[Event], style: Style) -> None:
        """Send events."""

    def show_batch(self, batch: Batch, style: Style) -> None:
        """Send a batch that others are sent too."""

    def hold(self) -> Callable[[], None]:
        """Take no requests until the function that is returned is called."""

    def close(self) -> None:
        """Close, once what was sent has arrived."""


class State(enum.Enum):
    CHOOSING = enum.auto()
    CHATTING = enum.auto()
    CLOSED = enum.auto()


class Session:
    """A :class:`twisted_chat.chat.Person` at the other end of a :class:`Connection`."""

    def __init__(self, chat: Chat, connection: Connection, address: str, language: str) -> None:
        #: Where they come from, for the operator's log.
        self.address = address
        self.nickname = Nickname("", "", frozenset())
        self.client_id = os.urandom(16)
        self.cursors: dict[str, Cursor] = {}
        self.current: Room | None = None
        self._chat = chat
        self._connection = connection
        self._state = State.CHOOSING
        self._correspondent: Nickname | None = None
        self._ignored: dict[str, Nickname] = {}
        self._set_style(language, timestamps=False)

    @property
    def language(self) -> str:
        return self._style.language

    # -- requests -----------------------------------------------------------------------------

    def handle(self, request: Request) -> None:
        """Do what is asked, or show why not."""
        if self._state is State.CLOSED:
            return
        if self._state is State.CHOOSING and isinstance(request, Say):
            request = ChooseName(request.text)
        states, answer = _ANSWERS[type(request)]
        try:
            if self._state not in states:
                raise NameFirst()
            answer(self, request)
        except Refusal as refusal:
            self.show(Refused(refusal))

    def leave(self) -> None:
        """Leave the chat, as on :class:`Quit`: also when the connection has broken off."""
        if self._state is State.CHOOSING:
            self._connection.close()
        elif self._state is State.CHATTING:
            self._chat.leave(self, self._connection.close)
        self._state = State.CLOSED

    def resume(self) -> None:
        """The connection is ready for more."""
        self._chat.resume(self)

    def _choose_name(self, request: ChooseName) -> None:
        name = nickname(request.name)
        if self._state is State.CHATTING:
            self._in_turn(lambda then: self._chat.rename(self, name, then))
        else:
            self._in_turn(lambda then: self._chat.enter(self, name, then))
            self._state = State.CHATTING

    def _say(self, request: Say) -> None:
        if request.text.strip():
            self._chat.say(self, self._current_room(), request.text, request.kind)
            self._wait_for_space()

    def _tell(self, request: Tell) -> None:
        self._in_turn(lambda then: self._chat.tell(self, request.name, request.text, then))

    def _reply(self, request: Reply) -> None:
        if self._correspondent is None:
            raise NobodyToAnswer()
        self._tell(Tell(self._correspondent.text, request.text))

    def _join(self, request: Join) -> None:
        self._in_turn(lambda then: self._chat.join(self, request.room, then))

    def _leave_room(self, request: Leave) -> None:
        room = self._own_room(request.room)
        self._in_turn(lambda then: self._chat.leave_room(self, room, then))

    def _list_rooms(self, request: ListRooms) -> None:
        self.show(self._chat.list_rooms())

    def _list_people(self, request: ListPeople) -> None:
        self.show(self._chat.list_people(self._any_room(request.room)))

    def _topic(self, request: Topic) -> None:
        room = self._current_room()
        if request.text is None:
            self.show(TopicShown(room.name, room.topic))
        else:
            self._chat.set_topic(self, room, request.text)
            self._wait_for_space()

    def _ignore(self, request: Ignore) -> None:
        if request.name is None:
            self.show(IgnoredListed(tuple(name.text for name in self._ignored.values())))
            return
        name = self._chat.person(request.name).nickname
        if name == self.nickname:
            raise NotYourself()
        if len(self._ignored) >= IGNORED_LIMIT:
            raise TooManyIgnored(limit=IGNORED_LIMIT)
        self._ignored[name.folded] = name
        self.show(Ignoring(name.text, on=True))

    def _unignore(self, request: Unignore) -> None:
        try:
            name = self._ignored.pop(nickname(request.name).folded)
        except (Refusal, KeyError):
            raise NotIgnored(name=request.name) from None
        self.show(Ignoring(name.text, on=False))

    def _read_history(self, request: ReadHistory) -> None:
        room = self._any_room(request.room)
        limit = HISTORY_DEFAULT if request.limit is None else min(request.limit, PAGE)
        release = self._connection.hold()

        def reply(page: HistoryShown | Refusal) -> None:
            self.show(Refused(page) if isinstance(page, Refusal) else page)
            release()

        self._chat.read_history(room, limit, request.before, reply)

    def _set_language(self, request: SetLanguage) -> None:
        if request.language is not None:
            language = match(request.language)
            if language is None:
                raise NoSuchLanguage(language=request.language, languages=", ".join(LANGUAGES))
            self._set_style(language, self._style.timestamps)
        self.show(LanguageShown(self.language, LANGUAGES, changed=request.language is not None))

    def _set_timestamps(self, request: SetTimestamps) -> None:
        self._set_style(self.language, request.on)
        self.show(TimestampsSet(request.on))

    def _help(self, request: Help) -> None:
        self.show(HelpShown(request.command))

    def _are_you_there(self, request: AreYouThere) -> None:
        self.show(StillHere())

    def _interrupt(self, request: Interrupt) -> None:
        self.show(HowToLeave())

    def _quit(self, request: Quit) -> None:
        self.leave()

    # -- being a person in the chat -----------------------------------------------------------

    @property
    def name(self) -> str:
        return self.nickname.text

    @property
    def ready(self) -> bool:
        return self._connection.ready

    def receive(self, batch: Batch) -> None:
        style = self._style if batch.room is self.current else self._style_elsewhere
        if self.client_id in batch.authors or (self._ignored and self._ignores_any(batch)):
            events = [event for event in batch.events if self._wants(event)]
            if events:
                self._connection.show(events, style)
        else:
            self._connection.show_batch(batch, style)

    def show(self, *events: Event) -> None:
        self._connection.show(events, self._style)

    def heard_from(self, name: Nickname) -> None:
        self._correspondent = name

    def ignores(self, name: str) -> bool:
        return bool(self._ignored) and folded(name) in self._ignored

    def acknowledge(self, entry: Entry) -> None:
        """People on a terminal see their own line as they type it: they are told nothing."""

    def dismiss(self) -> None:
        self._state = State.CLOSED
        self.show(ServerStopping())
        self._connection.close()

    def _ignores_any(self, batch: Batch) -> bool:
        return any(self.ignores(name) for name in batch.nicknames)

    def _wants(self, event: Event) -> bool:
        if isinstance(event, Replayed):
            return not self.ignores(event.entry.nickname)
        if not isinstance(event, Entry):
            return True
        if event.client_id == self.client_id and event.kind in OWN_KINDS:
            return False
        return not self.ignores(event.nickname)

    # -- helpers ------------------------------------------------------------------------------

    def _in_turn(self, ask: Callable[[Callable[[], None]], None]) -> None:
        """Ask the chat for something that is answered in its turn; take no requests until then."""
        release = self._connection.hold()
        try:
            ask(release)
        except Refusal:
            release()
            raise

    def _wait_for_space(self) -> None:
        if self._chat.full:
            self._chat.when_space(self._connection.hold())

    def _current_room(self) -> Room:
        if self.current is None:
            raise InNoRoom()
        return self.current

    def _own_room(self, name: str | None) -> Room:
        return self._current_room() if name is None else self._chat.own_room(self, name)

    def _any_room(self, name: str | None) -> Room:
        return self._current_room() if name is None else self._chat.room(name)

    def _set_style(self, language: str, timestamps: bool) -> None:
        self._style = Style(language, timestamps)
        self._style_elsewhere = Style(language, timestamps, prefixed=True)


_ALWAYS = frozenset({State.CHOOSING, State.CHATTING})
_CHATTING = frozenset({State.CHATTING})

#: What is done with each request, and in which states it is legal.
_ANSWERS: dict[type[Request], tuple[frozenset[State], Callable[[Session, Any], None]]] = {
    ChooseName: (_ALWAYS, Session._choose_name),
    Say: (_CHATTING, Session._say),
    Tell: (_CHATTING, Session._tell),
    Reply: (_CHATTING, Session._reply),
    Join: (_CHATTING, Session._join),
    Leave: (_CHATTING, Session._leave_room),
    ListRooms: (_CHATTING, Session._list_rooms),
    ListPeople: (_CHATTING, Session._list_people),
    Topic: (_CHATTING, Session._topic),
    Ignore: (_CHATTING, Session._ignore),
    Unignore: (_CHATTING, Session._unignore),
    ReadHistory: (_CHATTING, Session._read_history),
    SetLanguage: (_ALWAYS, Session._set_language),
    SetTimestamps: (_ALWAYS, Session._set_timestamps),
    Help: (_ALWAYS, Session._help),
    AreYouThere: (_ALWAYS, Session._are_you_there),
    Interrupt: (_ALWAYS, Session._interrupt),
    Quit: (_ALWAYS, Session._quit),
}
