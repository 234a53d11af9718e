"""A person's side of the conversation: what they type, and what they are shown.

What is typed becomes requests, by the text dialect; what comes becomes lines, by the text
dialect too, so that a room looks the same as over telnet. It must not know the terminal: a
:class:`.view.View` shows the lines, and asks :class:`.view.Talk`, which this is, for the rest.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from typing import Any, cast

import msgspec
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.python.failure import Failure

from twisted_chat.client.client import ChatClient
from twisted_chat.client.events import Connected, Disconnected, LogReplaced, Receipt
from twisted_chat.client.state import MemoryState
from twisted_chat.client.unanswered import new_id
from twisted_chat.core.characters import visible
from twisted_chat.core.errors import (
    InNoRoom,
    NobodyToAnswer,
    NoSuchLanguage,
    NotInRoom,
    NotSaved,
    Refusal,
)
from twisted_chat.core.messages import (
    Cancel,
    ChooseName,
    Crowd,
    Entered,
    EntriesRemoved,
    Entry,
    Event,
    Help,
    HelpShown,
    HistoryShown,
    Join,
    Joined,
    LanguageShown,
    Leave,
    Left,
    ListPeople,
    NotSent,
    PeopleListed,
    Pong,
    Quit,
    ReadHistory,
    ReceiptsSet,
    Refused,
    Renamed,
    Replaced,
    Replayed,
    ReplayStarts,
    Reply,
    Request,
    Resume,
    RoomLeft,
    Say,
    Search,
    SearchShown,
    SetLanguage,
    SetReceipts,
    SetTimestamps,
    Style,
    Tell,
    TimestampsSet,
    Told,
    Topic,
    Welcomed,
)
from twisted_chat.core.names import room_among
from twisted_chat.dialects import text as dialect
from twisted_chat.dialects.display import shown
from twisted_chat.i18n import language as languages
from twisted_chat.i18n.language import N_, catalogue
from twisted_chat.terminal import commands
from twisted_chat.terminal.commands import MORE, More
from twisted_chat.terminal.days import Days
from twisted_chat.terminal.view import Connection, Line, LineKind, Tab, View

#: Entries that are shown on coming into a room.
BACKLOG = 50

#: Lines of a room that is not the current one that are kept until it is; the oldest go first,
#: and are in the room's history.
HELD = 1000

#: Bytes, about, of the lines that are kept for all rooms together.
HELD_SIZE = 2**23

#: People of a room that are known by name, for completion.
PEOPLE = 500

#: Rooms that are shown; servers allow fewer.
ROOMS = 100

#: What a search shows at a time, and the most that it finds.
PAGE = 10
FOUND = 100

#: Seconds in which what was said last may still be saved before one leaves.
LEAVE_PATIENCE = 5.0

CLOSING = N_("[Closing the connection...]")
GREETING = N_("Welcome! Please type your username:")
LOST = N_("[Connection lost: {reason}. Trying again…]")
LOST_TO_A_PERSON = N_("[Connection lost. Press Enter to leave.]")
BACK = N_("[Connected again.]")
AWAY = N_("Not connected: what you type is kept and sent when the connection is back.")
NOT_SAID = N_("Not said: {text}")
NO_TOPIC = N_("Not made the topic: {text}")
TRIED_AGAIN = N_("It is sent again in a moment.")
KEPT = N_("Not sent yet: {n}. It is kept, and sent the next time you connect.")
GONE = N_("Not sent, and not kept: {n}.")
TAKEN_BACK = N_("Not sent, and dropped: {n}.")
ON_ITS_WAY = N_("Sent, and perhaps still said: {n}.")
NOTHING_WAITS = N_("None of your lines waits to be sent.")
BEFORE = N_("[Said before you came:]")
NEW = N_("new")
NEW_BEFORE = N_("new, and {n} before these; /more shows them")
NO_MORE = N_("There is nothing more to show.")
MORE_FOUND = N_("/more shows what else was found.")
KEYS = N_(
    "Tab completes; Alt-1 to Alt-9 go to a room, Alt-A to the one where something is new; "
    "Ctrl-D on an empty line leaves."
)
NOT_SHOWN = N_("not shown here: {n}; /history shows them")
NOT_HERE = N_("The client comes back by itself; /resume is for telnet and netcat.")
NEW_LOG = N_("The server has begun a new log of #{room}.")

#: How it ended, as exit statuses.
LEFT, SOMETHING_REFUSED, NO_CONNECTION = 0, 1, 3


class _Room:
    """What is known of one room that one is in."""

    __slots__ = ("held", "is_loading", "left_out", "more", "seen", "tab", "unread")

    def __init__(self, name: str) -> None:
        self.tab = Tab(name)
        #: Lines that wait to be shown: until the room is the current one, or its backlog came.
        self.held: list[Line] = []
        #: Lines that were to be held and are not, as they are too many.
        self.left_out = 0
        self.is_loading = False
        #: The number of the last entry that was shown in an earlier run of the client.
        self.seen: int | None = None
        #: The last entry that was not shown yet.
        self.unread: Entry | None = None
        #: What ``/more`` does once the lines that wait are shown.
        self.more: Callable[[], None] | None = None


class Conversation:
    """A :class:`.view.Talk` over ``client``, shown by :attr:`view`."""

    def __init__(
        self,
        client: ChatClient,
        reactor: Any,
        *,
        language: str,
        timestamps: bool = False,
        backlog: int = BACKLOG,
        hold: bool = True,
        echoes: bool = False,
        interactive: bool = True,
        dates: bool = False,
        happened: Callable[[Event], None] | None = None,
    ) -> None:
        """``backlog``: entries to be shown on coming into a room. ``hold``: lines of other
        rooms are shown when one switches there, and not at once. ``echoes``: the terminal shows
        what is typed, so it is not shown again. ``interactive``: there is somebody who sees
        what is refused, and can choose another name then. ``dates``: a line tells the date where
        it changes. ``happened`` is told every event.
        """
        #: Fires with the exit status when it is over.
        self.ended: Deferred[int] = Deferred()
        self.view: View
        self.nickname: str | None = None
        self.room: str | None = None
        self.connection: Connection = "connecting"
        self.timestamps = timestamps
        self.language = language
        #: Called when nothing more will be shown.
        self.when_closing: Callable[[], None] = _nothing
        #: Why there is no connection, in English, as long as there was none yet.
        self.failure = ""
        self._client = client
        self._reactor = reactor
        self._backlog = backlog
        self._hold = hold
        self._echoes = echoes
        self._interactive = interactive
        self._days = Days(time.time()) if dates else None
        self._tell_all = happened
        self._rooms: dict[str, _Room] = {}
        self._next_attempt = 0.0
        self._asks_for_name = False
        #: The name that the person typed when they were asked for one.
        self.name_typed: str | None = None
        #: Whether the person was asked for a name.
        self._is_new = False
        self._has_been_in = False
        #: Whether it was told that there is no connection, and that lines wait for one.
        self._has_told_lost = False
        self._has_told_away = False
        #: Why this side would not have the last connection, as it was told.
        self._not_trusted: str | None = None
        self._is_leaving = False
        self._is_refused = False
        #: Why the server does not let us in again, as it was told last.
        self._kept_out_by = ""
        self._receipts = False
        self._typing: list[Deferred[None]] = []
        self._typed: set[str] = set()
        self._backlogs: set[str | None] = set()
        #: Bytes of what is held for all rooms.
        self._held_size = 0
        self._has_entered = False
        #: The room that one is going to, and how many moves have no answer yet.
        self._heading: str | None = None
        self._moves = 0
        self._correspondent: str | None = None
        self._more: Callable[[], None] | None = None
        #: While leaving: for how long to wait for an answer, what ends it, and how many wait.
        self._seconds = 0.0
        self._patience: IDelayedCall | None = None
        self._count = 0
        self._when_answered: Deferred[None] | None = None

    def start(self) -> None:
        """Connect."""
        self._client.listen(self._happened, dealt_with=False)
        self._client.startService()

    # -- for the view -------------------------------------------------------------------------

    @property
    def tabs(self) -> Mapping[str, Tab]:
        return {name: room.tab for name, room in self._rooms.items()}

    @property
    def delay(self) -> float | None:
        return self._client.delay

    @property
    def retry(self) -> float:
        now: float = self._reactor.seconds()
        return max(0.0, self._next_attempt - now)

    @property
    def waiting(self) -> Sequence[str]:
        texts = (_text_of(request) for request in self._client.waiting)
        return [visible(text) for text in texts if text is not None]

    @property
    def prompt(self) -> str | None:
        return self._translate(GREETING) if self._asks_for_name else None

    def typed(self, line: str) -> None:
        if self._is_leaving:
            return
        try:
            self._do(line)
        except Refusal as refusal:
            self._show_refusal(refusal)
        self.view.refresh()

    def pasted(self, lines: Sequence[str]) -> None:
        if self._is_leaving:
            return
        for line in lines:
            try:
                self._say(Say(line))
            except Refusal as refusal:
                self._show_refusal(refusal)
                self._show_not_said(Say(line))
        self.view.refresh()

    def switch(self, room: str) -> None:
        chosen = self._rooms[room]
        if self.room != room:
            self.room = room
            self.view.show([self._mark(f"#{visible(room)}", room)])
        self._show_held(chosen)
        self.view.refresh()

    def switch_by(self, step: int) -> None:
        names = list(self._rooms)
        if names:
            at = names.index(self.room) if self.room in self._rooms else 0
            self.switch(names[(at + step) % len(names)])

    def switch_to_news(self) -> None:
        tabs = [tab for tab in self.tabs.values() if tab.unread]
        if tabs:
            self.switch(max(tabs, key=lambda tab: tab.mentioned).name)

    def leave(self) -> None:
        """Leave, once what was typed is saved, or cannot be for a while; a second time, now."""
        if self._is_leaving:
            self._no_answer()
        else:
            self._is_leaving = True
            self._asks_for_name = False
            self._notice(CLOSING, plain=True)
            self._wait_for_answers(LEAVE_PATIENCE if self.connection == "online" else 0)

    def finish(self, patience: float) -> None:
        """Nothing more will be typed: leave once everything is answered; ``patience`` seconds
        without an answer are too many.
        """
        if not self._is_leaving:
            self._is_leaving = True
            self._wait_for_answers(patience)

    def ready(self) -> Deferred[None]:
        """Fires when more can be typed: at once, most of the time."""
        waiting: Deferred[None] = Deferred()
        waiting.addCallback(lambda _: self._client.ready())
        self._typing.append(waiting)
        self._let_type()
        return waiting

    def _let_type(self) -> None:
        is_expected = self._asks_for_name or (self._has_entered and not self._moves)
        if is_expected or self._is_leaving or self.connection == "offline":
            typing, self._typing = self._typing, []
            for one in typing:
                one.callback(None)

    # -- what is typed ------------------------------------------------------------------------

    def _do(self, line: str) -> None:
        if self._asks_for_name and line.strip() not in (dialect.LEAVE, dialect.END_OF_TRANSMISSION):
            self._introduce(line)
            return
        if not line.strip():
            if self.connection == "offline" and self._echoes and self._interactive:
                self.leave()
            return
        request = commands.parse(line.encode("utf-8", "surrogateescape"))
        answer = _ANSWERS_HERE.get(type(request))
        if answer is not None:
            answer(self, request)
        else:
            self._ask(request)

    def _introduce(self, name: str) -> None:
        self._asks_for_name = False
        self._is_new = True
        self.name_typed = visible(name.strip())
        self._client.introduce(self.name_typed)

    def _ask(self, request: Request) -> None:
        is_asked = False

        def failed(failure: Failure) -> None:
            failure.trap(Refusal)
            if not is_asked:  # what the server refuses is told as an event
                self._show_refusal(cast("Refusal", failure.value))
                self._show_not_said(request)

        self._client.ask(request).addErrback(failed)
        is_asked = True
        text = _text_of(request)
        if text is not None and not self._client.is_in and not self._has_told_away:
            self._has_told_away = True
            self._notice(AWAY)

    def _room_called(self, text: str) -> str:
        """The room that is meant, as the server calls it if one is there."""
        return room_among(text, self._rooms)

    def _going_to(self) -> str | None:
        """The room that one is in, or will be in: the server tells it only after the welcome."""
        rooms = (self._heading, self.room, *self._client.rooms)
        return next((room for room in rooms if room is not None), None)

    def _here(self, room: str | None = None) -> str:
        """The room that is meant: the one that one is going to, even before one is there."""
        if room is not None:
            name = self._room_called(room)
            if name not in self._rooms:
                raise NotInRoom(room=name)
            return name
        here = self._going_to()
        if here is None:
            raise InNoRoom()
        return here

    def _say(self, request: Say) -> None:
        room = self._going_to()
        if room is None and self._has_been_in:
            raise InNoRoom()
        id = new_id()
        self._typed.add(id)
        self._ask(Say(request.text, room, request.kind, id=id))

    def _choose_name(self, request: ChooseName) -> None:
        if self._has_been_in and not self._client.is_in:  # perhaps the old one is taken by now
            self._client.introduce(request.name)
        else:
            self._ask(request)

    def _reply(self, request: Reply) -> None:
        if self._correspondent is None:
            raise NobodyToAnswer()
        self._ask(Tell(self._correspondent, request.text))

    def _join(self, request: Join) -> None:
        room = self._room_called(request.room)
        if room in self._rooms:
            self.switch(room)
            return
        self._heading = room
        self._move_by(Join(room))

    def _leave_room(self, request: Leave) -> None:
        room = self._here(request.room)
        if room == self._here():
            others = (name for name in reversed(self._rooms) if name != room)
            self._heading = next(others, self._heading)
        self._move_by(Leave(room))

    def _move_by(self, request: Join | Leave) -> None:
        """What is typed next is for where one is then."""
        self._moves += 1

        def done(result: object) -> None:
            self._moves -= 1
            if not self._moves:
                self._heading = None
            if isinstance(result, Failure):
                result.trap(Refusal)
            self._let_type()

        self._client.ask(request).addBoth(done)

    def _list_people(self, request: ListPeople) -> None:
        self._ask(ListPeople(self._room_called(request.room) if request.room else self._here()))

    def _topic(self, request: Topic) -> None:
        self._ask(Topic(request.text, self._here()))

    def _history(self, request: ReadHistory) -> None:
        room = self._room_called(request.room) if request.room else self._here()
        self._ask(ReadHistory(room, request.limit, request.before))

    def _search(self, request: Search) -> None:
        room = request.room and self._room_called(request.room)
        self._ask(Search(request.words, room, FOUND))

    def _set_language(self, request: SetLanguage) -> None:
        changed = request.language is not None
        if request.language is not None:
            language = languages.match(request.language)
            if language is None:
                raise NoSuchLanguage(
                    language=visible(request.language), languages=", ".join(languages.LANGUAGES)
                )
            self.language = self._client.language = language
            self._client.ask(request).addErrback(lambda _: None)
        self._show(LanguageShown(self.language, tuple(languages.LANGUAGES), changed))

    def _set_timestamps(self, request: SetTimestamps) -> None:
        self.timestamps = request.on
        self._show(TimestampsSet(request.on))

    def _set_receipts(self, request: SetReceipts) -> None:
        self._receipts = request.on
        self._show(ReceiptsSet(request.on))

    def _help(self, request: Help) -> None:
        if request.command is not None and request.command.strip("/") in MORE.names:
            self._notice(MORE.help)
            return
        self._show(HelpShown(request.command))
        if request.command is None:
            width = max(len(one.usage(self.language)) for one in commands.COMMANDS)
            usage, help = MORE.usage(self.language), self._translate(MORE.help)
            self._show_lines("notice", [f"  {usage:<{width}}  {help}"])
            if self._hold:
                self._notice(KEYS)

    def _resume(self, request: Resume) -> None:
        self._notice(NOT_HERE)

    def _cancel(self, request: Cancel) -> None:
        dropped, sent = self._client.take_back(), len(self.waiting)
        if dropped:
            self._notice(TAKEN_BACK, n=dropped)
        if sent:
            self._notice(ON_ITS_WAY, n=sent)
        if not dropped and not sent:
            self._notice(NOTHING_WAITS)

    def _quit(self, request: Quit) -> None:
        self.leave()

    def _show_more(self, request: More) -> None:
        more, self._more = self._more, None
        if more is None:
            self._notice(NO_MORE)
        else:
            more()

    # -- what happens -------------------------------------------------------------------------

    def _happened(self, event: Event) -> None:
        if self._tell_all is not None:
            self._tell_all(event)
        if isinstance(event, EntriesRemoved):
            self._client.dealt_with(event)
        happened = _HAPPENED.get(type(event), Conversation._show)
        happened(self, event)
        if self._when_answered is not None:
            self._look_for_answers()
        self.view.refresh()
        self._let_type()

    def _connected(self, event: Connected) -> None:
        self.connection = "connecting"
        if self._client.nickname is None and not self._is_leaving:
            self._asks_for_name = True

    def _disconnected(self, event: Disconnected) -> None:
        was_online = self.connection == "online"
        self.connection = "offline"
        if event.retry is None:
            is_first = event.refusal is not None and not self._has_been_in
            if is_first:
                self.failure = event.reason
            self._end("" if is_first else event.reason)
            return
        self._next_attempt = self._reactor.seconds() + event.retry
        if self._is_leaving and self._when_answered is None:
            self._client.stopService()
        elif not self._has_been_in and not self._client.rooms:
            self.failure = event.reason
            self._is_leaving = True
            self._client.stopService()
        elif was_online or not self._has_told_lost or self._is_refused_anew(event):
            self._has_told_lost = True
            if (
                self._echoes and self._interactive and event.refusal is None
            ):  # as in the paper; it comes back all the same
                self._notice(LOST_TO_A_PERSON, plain=True)
            else:
                self._notice(LOST, reason=self._translate(event.reason), plain=True)

    def _is_refused_anew(self, event: Disconnected) -> bool:
        """Whether the connection is one that must not be had, for a reason that was not told."""
        was, self._not_trusted = self._not_trusted, event.reason if event.refusal else None
        return event.refusal is not None and event.reason != was

    def _end(self, reason: str) -> None:
        if self._patience is not None and self._patience.active():
            self._patience.cancel()
        if reason and not self._is_refused:
            self._notice("{reason}", reason=self._translate(reason))
        unsent = 0 if self._client.kept is None else len(self.waiting)
        if unsent:
            self._notice(GONE if isinstance(self._client.state, MemoryState) else KEPT, n=unsent)
        if self.ended.called:
            return
        self.when_closing()
        if reason or self.failure or unsent:
            self.ended.callback(NO_CONNECTION)
        else:
            failed = self._is_refused and not self._interactive
            self.ended.callback(SOMETHING_REFUSED if failed else LEFT)

    def _welcomed(self, event: Welcomed) -> None:
        self.connection = "online"
        self.nickname = event.nickname
        self._has_told_away = False
        self._kept_out_by = ""
        if self._has_been_in:
            self._notice(BACK, plain=True)
            return
        self._has_been_in = True
        self._show_lines("notice", [visible(line) for line in event.motd])
        greeting = N_("You are {name} now. /help shows the commands; sair leaves.")
        self._server("notice", self._translate(greeting, name=visible(event.nickname)))
        if self._is_new and self._hold:
            self._notice(KEYS)

    def _entered(self, event: Entered) -> None:
        self._has_entered = True
        room = self._rooms.get(event.room)
        if room is None and len(self._rooms) >= ROOMS:
            return
        is_new = room is None
        if room is None:
            room = self._rooms[event.room] = _Room(event.room)
            kept = self._client.kept
            room.seen = kept.rooms.get(event.room) if kept is not None else None
        room.tab.topic = event.topic
        room.tab.people = list(event.people[:PEOPLE])
        room.tab.count = event.people_count + 1
        if not is_new:
            return
        if self.room is None or event.room == self._heading:
            self.room = event.room
            self._heading = None
        self._put(room, self._lines("notice", event))
        if self._backlog and event.last and len(self._backlogs) < ROOMS:
            self._load(room, event.last)

    def _load(self, room: _Room, last: int) -> None:
        """Show what was said last, before anything new."""
        room.is_loading = True
        name = room.tab.name

        def show(page: HistoryShown) -> None:
            room.is_loading = False
            news, room.held = room.held, []
            before = [self._old_line(entry) for entry in page.entries]
            seen = room.seen
            if seen is not None and page.entries and seen < last:
                first = page.entries[0].number
                at = sum(entry.number <= seen for entry in page.entries)
                text = self._translate(NEW)
                if first > seen + 1:
                    room.more = lambda: self._ask(ReadHistory(name, BACKLOG, first))
                    text = self._translate(NEW_BEFORE, n=first - seen - 1)
                self._count_unread(room, max(0, first - seen - 1), before[at:])
                before.insert(at, self._mark(text, name))
            if page.entries and room.unread is None:
                room.unread = page.entries[-1]
            room.held = [*self._backlog_starts(name), *before, *news] if before else news
            self._held_size += sum(map(_size, room.held)) - sum(map(_size, news))
            if not self._is_held(room):
                self._show_held(room)

        def go_on(_: object) -> None:
            self._backlogs.discard(request.id)
            room.is_loading = False
            if not self._is_held(room):
                self._show_held(room)

        request = ReadHistory(name, self._backlog, last + 1, id=new_id())
        self._backlogs.add(request.id)
        self._client.ask(request).addCallbacks(show, go_on)

    def _count_unread(self, room: _Room, more: int, lines: Sequence[Line]) -> None:
        """What was said since the person read the room last, in an earlier run too."""
        if room.tab.name != self.room:
            fresh = [line for line in lines if line.kind in ("said", "act") and not line.own]
            room.tab.unread += more + len(fresh)
            room.tab.mentioned |= any(line.mentions for line in fresh)

    def _backlog_starts(self, room: str) -> list[Line]:
        if self._hold:
            return [Line(text=self._translate(BEFORE), kind="notice", room=room)]
        return self._lines("notice", ReplayStarts(room, resumed=False))

    def _old_line(self, entry: Entry) -> Line:
        """An entry from before one came: with its date, where lines have no times."""
        line = self._entry_line(entry)
        if self._hold:
            return line
        return msgspec.structs.replace(line, text=self._lines("said", Replayed(entry))[0].text)

    def _left_room(self, event: RoomLeft) -> None:
        left = self._rooms.pop(event.room, None)
        if left is not None:
            self._leave_out(left, len(left.held))
        if self.room == event.room:
            self.room = next(reversed(self._rooms), None)
        self._show(RoomLeft(event.room, self.room))
        if self.room is not None:
            self._show_held(self._rooms[self.room])

    def _entry(self, entry: Entry) -> None:
        room = self._rooms.get(entry.room)
        if room is None:
            return
        if entry.kind == "topic":
            room.tab.topic = entry.text
        is_typed = entry.message_id in self._typed
        if is_typed:
            self._typed.discard(str(entry.message_id))
        self._spoke(room, entry.nickname)
        if is_typed and self._echoes:
            self._has_read(room, entry)
            return
        line = self._entry_line(entry)
        self._put(room, [line])
        self._has_read(room, entry)
        if line.mentions:
            room.tab.mentioned = room.tab.mentioned or room.tab.name != self.room
            self.view.alert()

    def _has_read(self, room: _Room, entry: Entry) -> None:
        """What is held is not read yet: the next run of the client will still call it new."""
        if self._is_held(room):
            room.unread = entry
        else:
            self._client.dealt_with(entry)

    def _spoke(self, room: _Room, nickname: str) -> None:
        people = room.tab.people
        if nickname in people:
            people.remove(nickname)
        if nickname != self.nickname:
            people.insert(0, nickname)
            del people[PEOPLE:]

    def _joined(self, event: Joined) -> None:
        for room in self._rooms_of(event.room):
            room.tab.count += 1
            self._come(room, [event.nickname])
        self._move(event)

    def _left(self, event: Left) -> None:
        for room in self._rooms_of(event.room):
            self._go(room, [event.nickname], 1)
        if event.departed:  # which is told in one of the rooms that one shares with them
            for room in self._rooms.values():
                if room.tab.name != event.room and event.nickname in room.tab.people:
                    self._go(room, [event.nickname], 1)
        self._move(event)

    def _crowd(self, event: Crowd) -> None:
        for room in self._rooms_of(event.room):
            if event.came:
                room.tab.count += event.count
                self._come(room, event.people)
            else:
                self._go(room, event.people, event.count)
        self._move(event)

    def _come(self, room: _Room, names: Iterable[str]) -> None:
        people = room.tab.people
        new = dict.fromkeys(name for name in islice(names, PEOPLE) if name != self.nickname)
        people.extend(new.keys() - frozenset(people))
        del people[PEOPLE:]

    def _go(self, room: _Room, names: Iterable[str], count: int) -> None:
        gone = frozenset(names)
        room.tab.people = [name for name in room.tab.people if name not in gone]
        room.tab.count = max(1, room.tab.count - count)

    def _move(self, event: Joined | Left | Crowd) -> None:
        for room in self._rooms_of(event.room):
            if self._hold and room.tab.name != self.room:
                continue  # nobody wants to read that afterwards
            self._put(room, self._lines("notice", event))

    def _renamed(self, event: Renamed) -> None:
        if event.own:
            self.nickname = event.new
        for room in self._rooms.values():
            people = room.tab.people
            room.tab.people = [event.new if name == event.old else name for name in people]
        self._show(event)

    def _told(self, event: Told) -> None:
        if event.own:
            self._show_delivered(event)
            return
        self._correspondent = event.sender
        self._show_private(event, event.sender)
        self.view.alert()

    def _show_delivered(self, event: Told) -> None:
        # The text is not repeated by the server: it is what was asked.
        asked = self._client.asked(event.id)
        if isinstance(asked, Tell):
            told = Told("", event.recipient, asked.text, event.time, own=True)
            self._show_private(told, event.recipient)

    def _show_private(self, event: Told, nickname: str) -> None:
        text = self._lines("private", event)[0].text
        self._display(
            [
                Line(
                    text=text,
                    kind="private",
                    nickname=visible(nickname),
                    body=shown(event.text),
                    time=event.time,
                    own=event.own,
                    mentions=not event.own,
                )
            ]
        )

    def _receipt(self, event: Receipt) -> None:
        if self._receipts:
            sentence = N_("Saved as number {number} of #{room}.")
            self._notice(sentence, number=event.number, room=event.room)

    def _refused(self, event: Refused) -> None:
        if not self._client.is_in and self._client.kept is not None and event.id is None:
            if self._has_been_in or not event.refusal.code.startswith("name-"):
                sentence = event.refusal.sentence(self.language)
                if sentence != self._kept_out_by:
                    self._kept_out_by = sentence
                    self._server("error", sentence)
                self._client.try_again(event.refusal)
                return
            self._show_refusal(event.refusal)
            self._asks_for_name = self._interactive and not self._is_leaving
            if not self._interactive:
                self._is_leaving = True
                self._client.stopService()
            return
        if event.refusal.code == NotSaved.code:
            sentence = event.refusal.sentence(self.language)
            self._server("error", f"{sentence} {self._translate(TRIED_AGAIN)}")
            return
        self._is_refused = True
        self._show_refusal(event.refusal)
        self._show_not_said(self._client.asked(event.id))

    def _show_not_said(self, request: Request | None) -> None:
        """The text that was refused, so that it can be said in another way."""
        text = _text_of(request)
        if text is not None:
            sentence = NO_TOPIC if isinstance(request, Topic) else NOT_SAID
            self._server("error", self._translate(sentence, text=visible(text)))

    def _history_shown(self, event: HistoryShown) -> None:
        if event.id in self._backlogs:
            self._backlogs.discard(event.id)
            return
        self._show(event)
        first = event.entries[0].number if event.entries else event.first
        before = event.before or (first if first > event.first else 0)
        if before:
            count = len(event.entries) or None
            self._more = lambda: self._ask(ReadHistory(event.room, count, before))
        else:
            self._more = None

    def _found(self, event: SearchShown) -> None:
        found = list(zip(event.entries, event.snippets, strict=True))
        self._show(_found(event.words, found[:PAGE]))
        rest = found[PAGE:]
        self._more = None
        if rest:
            self._notice(MORE_FOUND)
            self._more = lambda: self._found(_found(event.words, rest))

    def _people_listed(self, event: PeopleListed) -> None:
        for room in self._rooms_of(event.room):
            room.tab.count = event.people_count
            known = [name for name in event.people if name != self.nickname]
            room.tab.people = [*dict.fromkeys([*room.tab.people, *known])][:PEOPLE]
        self._show(event)

    def _log_replaced(self, event: LogReplaced) -> None:
        self._notice(NEW_LOG, room=event.room)

    def _silent(self, event: Event) -> None:
        """Nothing to be shown."""

    # -- leaving ------------------------------------------------------------------------------

    def _wait_for_answers(self, patience: float) -> None:
        self._when_answered = Deferred()
        self._when_answered.addCallback(lambda _: self._client.stopService())
        self._seconds = patience
        self._count = len(self._client.waiting)
        self._patience = self._reactor.callLater(patience, self._no_answer)
        self._look_for_answers()

    def _look_for_answers(self) -> None:
        waiting = len(self._client.waiting)
        assert self._patience is not None
        if waiting == 0 and self._has_been_in:
            self._no_answer()
        elif waiting < self._count and self._patience.active():
            self._count = waiting
            self._patience.reset(self._seconds)

    def _no_answer(self) -> None:
        when, self._when_answered = self._when_answered, None
        if self._patience is not None and self._patience.active():
            self._patience.cancel()
        if when is not None:
            when.callback(None)

    # -- lines --------------------------------------------------------------------------------

    def _translate(self, sentence: str, **details: object) -> str:
        translated = catalogue(self.language).gettext(sentence) if sentence else ""
        return translated.format(**details) if details else translated

    def _rooms_of(self, name: str) -> Sequence[_Room]:
        room = self._rooms.get(name)
        return () if room is None else (room,)

    def _is_held(self, room: _Room) -> bool:
        return room.is_loading or (self._hold and room.tab.name != self.room)

    def _put(self, room: _Room, lines: Sequence[Line]) -> None:
        """Show lines of a room, now or when it is the current one."""
        if not self._is_held(room):
            self._display(lines)
            return
        room.held.extend(lines)
        self._held_size += sum(map(_size, lines))
        if room.tab.name != self.room:
            room.tab.unread += sum(line.kind in ("said", "act") for line in lines)
        if len(room.held) > HELD:
            self._leave_out(room, len(room.held) - HELD)
        while self._held_size > HELD_SIZE:
            largest = max(self._rooms.values(), key=lambda one: len(one.held))
            self._leave_out(largest, 1 + len(largest.held) // 2)

    def _leave_out(self, room: _Room, count: int) -> None:
        """The oldest lines that are kept of a room are in its history."""
        self._held_size -= sum(map(_size, room.held[:count]))
        room.left_out += min(count, len(room.held))
        del room.held[:count]

    def _show_held(self, room: _Room) -> None:
        if room.is_loading:
            return
        room.tab.unread = 0
        room.tab.mentioned = False
        if room.unread is not None:
            self._client.dealt_with(room.unread)
            room.unread = None
        if room.more is not None:
            self._more, room.more = room.more, None
        held, room.held = room.held, []
        self._held_size -= sum(map(_size, held))
        if room.left_out:
            held.insert(0, self._mark(self._translate(NOT_SHOWN, n=room.left_out), room.tab.name))
            room.left_out = 0
        if held:
            self._display(held)

    def _entry_line(self, entry: Entry) -> Line:
        own = entry.nickname == self.nickname
        (line,) = self._lines("act" if entry.kind == "act" else "said", entry)
        if entry.kind == "topic":
            return Line(text=line.text, kind="notice", room=entry.room, time=entry.time)
        return Line(
            text=line.text,
            kind=line.kind,
            room=entry.room,
            nickname=visible(entry.nickname),
            body=shown(entry.text),
            time=entry.time,
            number=entry.number,
            own=own,
            mentions=not own and self._is_named_in(entry.text),
        )

    def _is_named_in(self, text: str) -> bool:
        if not self.nickname:
            return False
        return bool(re.search(rf"(?<!\w){re.escape(self.nickname)}(?!\w)", text, re.IGNORECASE))

    def _lines(self, kind: LineKind, event: Event) -> list[Line]:
        room: str | None = getattr(event, "room", None)
        prefixed = not self._hold and room is not None and room != self.room
        style = Style(self.language, prefixed=prefixed, local=True)
        lines = dialect.lines([event], style)
        return [Line(text=text, kind=kind, room=room) for text in lines]

    def _display(self, lines: Sequence[Line]) -> None:
        self.view.show(lines if self._days is None else list(self._days.with_dates(lines)))

    def _show(self, event: Event) -> None:
        """Show it as the server would."""
        self.view.show(self._lines("notice", event))

    def _show_lines(self, kind: LineKind, texts: Iterable[str]) -> None:
        self.view.show([Line(text=text, kind=kind) for text in texts])

    def _notice(self, sentence: str, *, plain: bool = False, **details: object) -> None:
        """Show what the client has to say; ``plain``: it is in brackets already."""
        shown = {
            name: visible(value) if isinstance(value, str) else value
            for name, value in details.items()
        }
        text = self._translate(sentence, **shown)
        self._show_lines("notice", [text if plain else f"[{text}]"])

    def _server(self, kind: LineKind, text: str) -> None:
        """Show what the server has to say."""
        self._show_lines(kind, [f"[{self._translate(N_('SERVER'))}]: {text}"])

    def _show_refusal(self, refusal: Refusal) -> None:
        self._is_refused = True
        self._server("error", refusal.sentence(self.language))

    def _mark(self, text: str, room: str) -> Line:
        return Line(text=text, kind="mark", room=room)


def _nothing() -> None:
    """Do nothing."""


def _found(words: str, found: Sequence[tuple[Entry, str]]) -> SearchShown:
    """What was found, of pairs of an entry and its snippet."""
    return SearchShown(words, tuple(entry for entry, _ in found), tuple(cut for _, cut in found))


def _size(line: Line) -> int:
    """Bytes that a line takes, about: it is kept as a whole and in parts."""
    return 500 + 2 * len(line.text)


def _text_of(request: Request | None) -> str | None:
    """What is said with ``request``, if something is."""
    return request.text if isinstance(request, (Say, Tell, Topic)) else None


#: What is not only passed on to the server, but for the room that is meant.
_ANSWERS_HERE: dict[type[Request], Callable[[Conversation, Any], None]] = {
    Cancel: Conversation._cancel,
    ChooseName: Conversation._choose_name,
    Help: Conversation._help,
    Join: Conversation._join,
    Leave: Conversation._leave_room,
    ListPeople: Conversation._list_people,
    More: Conversation._show_more,
    Quit: Conversation._quit,
    ReadHistory: Conversation._history,
    Reply: Conversation._reply,
    Resume: Conversation._resume,
    Say: Conversation._say,
    Search: Conversation._search,
    SetLanguage: Conversation._set_language,
    SetReceipts: Conversation._set_receipts,
    SetTimestamps: Conversation._set_timestamps,
    Topic: Conversation._topic,
}

#: What is not only shown.
_HAPPENED: dict[type[Event], Callable[[Conversation, Any], None]] = {
    Connected: Conversation._connected,
    Crowd: Conversation._crowd,
    Disconnected: Conversation._disconnected,
    Entered: Conversation._entered,
    Entry: Conversation._entry,
    HistoryShown: Conversation._history_shown,
    Joined: Conversation._joined,
    LanguageShown: Conversation._silent,
    Left: Conversation._left,
    LogReplaced: Conversation._log_replaced,
    NotSent: Conversation._silent,  # they wait again, and are sent
    PeopleListed: Conversation._people_listed,
    Pong: Conversation._silent,
    Receipt: Conversation._receipt,
    Refused: Conversation._refused,
    Renamed: Conversation._renamed,
    Replaced: Conversation._silent,
    RoomLeft: Conversation._left_room,
    SearchShown: Conversation._found,
    Told: Conversation._told,
    Welcomed: Conversation._welcomed,
}
