"""A person's side of the conversation: from typed lines to requests, from events to lines.

The text dialect parses the typed lines (:mod:`.typed`) and renders the events (:mod:`.display`), so
that the client looks and answers as the server does over telnet. It must not know the terminal: a
:class:`.view.View` shows the lines, and reads the rest from :class:`.view.Talk`, which this is.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from twisted.internet.defer import Deferred

from twisted_chat.client.client import ChatClient
from twisted_chat.client.events import Connected, Disconnected, LogReplaced, Receipt
from twisted_chat.client.state import MemoryState
from twisted_chat.core.account_errors import AccountEnded
from twisted_chat.core.callbacks import nothing
from twisted_chat.core.characters import visible
from twisted_chat.core.commands import Phase
from twisted_chat.core.errors import NameFirst, NotSaved, Refusal
from twisted_chat.core.events import (
    Acknowledged,
    DevicesListed,
    Entered,
    EntriesRemoved,
    Entry,
    Event,
    HistoryShown,
    Joined,
    LanguageShown,
    Left,
    Marked,
    MessageKept,
    NotSent,
    PeopleListed,
    Pong,
    PresenceSummary,
    Refused,
    Registered,
    Renamed,
    Replaced,
    RoomLeft,
    SearchShown,
    TokenMade,
    Told,
    Unregistered,
    Welcomed,
)
from twisted_chat.core.requests import ChooseName, Say, Tell
from twisted_chat.i18n.language import N_
from twisted_chat.terminal import commands
from twisted_chat.terminal.answers import Answers
from twisted_chat.terminal.backlog import BACKLOG, Backlogs
from twisted_chat.terminal.commands import TypePassword
from twisted_chat.terminal.days import Days
from twisted_chat.terminal.display import Display, text_of
from twisted_chat.terminal.login import Login, is_final
from twisted_chat.terminal.marks import Marks
from twisted_chat.terminal.pages import Pages
from twisted_chat.terminal.rooms import Rooms
from twisted_chat.terminal.tokens import Tokens
from twisted_chat.terminal.typed import KEYS, Typed
from twisted_chat.terminal.view import Connection, Tab, View

#: Seconds that the last messages may take to be saved before the client leaves.
SAVE_TIMEOUT = 5.0

CLOSING = N_("[Closing the connection...]")
GREETING = N_("Welcome! Please type your username:")
LOST = N_("[Connection lost: {reason}. Trying again…]")
LOST_TO_A_PERSON = N_("[Connection lost. Press Enter to leave.]")
BACK = N_("[Connected again.]")
TRIED_AGAIN = N_("It will be sent again shortly.")
KEPT = N_("Lines not sent yet: {n}. They are kept, and sent the next time you connect.")
GONE = N_("Lines neither sent nor kept: {n}.")
NEW_LOG = N_("The server has started a new log for #{room}.")

#: Exit statuses.
LEFT, SOMETHING_REFUSED, NO_CONNECTION = 0, 1, 3


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
        tokens: Tokens | None = None,
        label: str = "client",
    ) -> None:
        """
        :param client: the client, which is not started yet.
        :param reactor: provides IReactorTime.
        :param language: ``en`` or ``pt_BR``.
        :param timestamps: whether lines are shown with their time.
        :param backlog: the number of entries that are shown on joining a room.
        :param hold: whether lines of other rooms are held until the person switches there.
        :param echoes: whether the terminal shows typed lines itself, so that they are not repeated.
        :param interactive: whether a person reads refusals, and can choose another nickname.
        :param dates: whether a line shows the date where it changes.
        :param happened: called with every event.
        :param tokens: stores a token in place of a password; by default, in memory only.
        :param label: what this machine is called in the list of the person's devices.
        """
        #: Fires with the exit status at the end.
        self.ended: Deferred[int] = Deferred()
        self.connection: Connection = "connecting"
        #: Called when no more lines will be shown.
        self.when_closing: Callable[[], None] = nothing
        #: Why the client could not connect, in English; empty if it was connected once.
        self.failure = ""
        self._client = client
        self._reactor = reactor
        self._echoes = echoes
        self._interactive = interactive
        self._tell_all = happened
        self._display = Display(language, hold=hold, days=Days(time.time()) if dates else None)
        self._pages = Pages(self._display, lambda request: self._typed.ask(request))
        self._marks = Marks(reactor, client.mark)
        self._rooms = Rooms(self._display, self._pages, self._read)
        self._typed = Typed(
            client, self._display, self._rooms, self._pages, self.leave, self._let_type
        )
        ask = self._typed.ask
        self._login = Login(client, self._display, tokens, label, self._ask_name, ask)
        self._typed.timestamps = timestamps
        self._backlogs = Backlogs(client, self._display, self._rooms, self._typed.ask, backlog)
        self._next_attempt = 0.0
        self._asks_for_name = False
        #: The nickname that the person typed when they were asked for one.
        self.name_typed: str | None = None
        #: Whether the person was asked for a nickname.
        self._is_new = False
        self._has_been_in = False
        #: Whether the person was told that there is no connection.
        self._has_told_lost = False
        #: The last shown reason why the client rejected a connection, as for its certificate.
        self._not_trusted: str | None = None
        self._is_leaving = False
        #: The code of the last shown reason why the server refuses the client.
        self._kept_out_by = ""
        self._waiting_to_type: list[Deferred[None]] = []
        self._has_entered = False
        self._answers = Answers(client, reactor)

    def start(self) -> None:
        """Start the client, which connects."""
        self._client.listen(self._happened, dealt_with=False)
        self._client.startService()

    # -- for the view -------------------------------------------------------------------------

    @property
    def view(self) -> View:
        return self._display.view

    @view.setter
    def view(self, view: View) -> None:
        self._display.view = view

    @property
    def nickname(self) -> str | None:
        return self._display.nickname

    @property
    def room(self) -> str | None:
        return self._display.room

    @property
    def language(self) -> str:
        return self._display.language

    @property
    def timestamps(self) -> bool:
        return self._typed.timestamps

    @property
    def tabs(self) -> Mapping[str, Tab]:
        return self._rooms.tabs

    @property
    def delay(self) -> float | None:
        return self._client.delay

    @property
    def retry(self) -> float:
        now: float = self._reactor.seconds()
        return max(0.0, self._next_attempt - now)

    @property
    def waiting(self) -> Sequence[str]:
        texts = (text_of(request) for request in self._client.waiting)
        return [visible(text) for text in texts if text is not None]

    @property
    def prompt(self) -> str | None:
        if self._is_leaving:
            return None
        return self._display.translate(GREETING) if self._asks_for_name else self._login.prompt

    @property
    def hides(self) -> bool:
        return self._login.question is not None and not (self._asks_for_name or self._is_leaving)

    def typed(self, line: str) -> None:
        if self._is_leaving:
            return
        try:
            self._do(line)
        except Refusal as refusal:
            self._display.refuse(refusal)
        self.view.refresh()

    def pasted(self, lines: Sequence[str]) -> None:
        if self._is_leaving:
            return
        for line in lines:
            try:
                self._typed.say(Say(line))
            except Refusal as refusal:
                self._display.refuse(refusal)
                self._display.not_said(Say(line))
        self.view.refresh()

    def switch(self, room: str) -> None:
        self._rooms.switch(room)
        self.view.refresh()

    def switch_by(self, step: int) -> None:
        self._rooms.switch_by(step)
        self.view.refresh()

    def switch_to_news(self) -> None:
        self._rooms.switch_to_news()
        self.view.refresh()

    def leave(self) -> None:
        """Leave when all messages are saved, or after :data:`SAVE_TIMEOUT`; a second call leaves
        at once.
        """
        if self._is_leaving:
            self._answers.give_up()
        else:
            self._is_leaving = True
            self._asks_for_name = False
            self._marks.end()
            self._display.notice(CLOSING, plain=True)
            self._wait_for_answers(SAVE_TIMEOUT if self.connection == "online" else 0)

    def finish(self, timeout: float) -> None:
        """Leave when all requests are answered, or ``timeout`` seconds pass without an answer."""
        if not self._is_leaving:
            self._is_leaving = True
            self._wait_for_answers(timeout)

    def ready(self) -> Deferred[None]:
        """Fires when the conversation can take the next line of the input."""
        waiting: Deferred[None] = Deferred()
        waiting.addCallback(lambda _: self._client.ready())
        self._waiting_to_type.append(waiting)
        self._let_type()
        return waiting

    def _let_type(self) -> None:
        is_asked = self._asks_for_name or self._login.question is not None
        is_expected = is_asked or (self._has_entered and not self._rooms.moves)
        if is_expected or self._is_leaving or self.connection == "offline":
            typing, self._waiting_to_type = self._waiting_to_type, []
            for one in typing:
                one.callback(None)

    def _do(self, line: str) -> None:
        if self._login.takes_line(asks_for_name=self._asks_for_name):
            self._login.typed(line)
            return
        if not line.strip() and not self._asks_for_name:
            if self.connection == "offline" and self._echoes and self._interactive:
                self.leave()
            return
        request = commands.parse(line.encode("utf-8", "surrogateescape"))
        if self._asks_for_name and isinstance(request, Say):
            request = ChooseName(request.text)
        if self._asks_for_name and not commands.is_legal(request, Phase.CHOOSING):
            raise NameFirst()
        if self._asks_for_name and isinstance(request, ChooseName):
            self._introduce(request.name)
        elif isinstance(request, TypePassword):
            self._login.ask_for_password(request.wanted)
        else:
            self._typed.do(request)

    def _ask_name(self) -> None:
        self._asks_for_name = True

    def _introduce(self, name: str) -> None:
        self._asks_for_name = False
        self._is_new = True
        self.name_typed = visible(name.strip())
        self._login.introduce(self.name_typed)

    def _read(self, entry: Entry) -> None:
        """Note that ``entry`` of a room, and all before it, were shown to the person."""
        self._client.dealt_with(entry)
        self._marks.read(entry.room, entry.number)

    # -- events -------------------------------------------------------------------------------

    def _happened(self, event: Event) -> None:
        if self._tell_all is not None:
            self._tell_all(event)
        if isinstance(event, EntriesRemoved):
            self._client.dealt_with(event)
        happened = _HAPPENED.get(type(event), Conversation._show)
        happened(self, event)
        self._answers.look(has_been_in=self._has_been_in)
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
        if self._is_leaving and not self._answers.are_awaited:
            self._client.stopService()
        elif self.prompt is not None:
            return  # the answer is sent over the next connection
        elif not self._has_been_in and not self._client.rooms:
            self.failure = event.reason
            self._is_leaving = True
            self._client.stopService()
        elif was_online or not self._has_told_lost or self._is_refused_anew(event):
            self._has_told_lost = True
            if (
                self._echoes and self._interactive and event.refusal is None
            ):  # the words of the paper, although the client will reconnect
                self._display.notice(LOST_TO_A_PERSON, plain=True)
            else:
                reason = self._display.translate(event.reason)
                self._display.notice(LOST, reason=reason, plain=True)

    def _is_refused_anew(self, event: Disconnected) -> bool:
        """Whether the client rejected the connection, for another reason than the last time."""
        was, self._not_trusted = self._not_trusted, event.reason if event.refusal else None
        return event.refusal is not None and event.reason != was

    def _end(self, reason: str) -> None:
        self._answers.stop()
        if reason and not self._display.has_refused:
            self._display.notice("{reason}", reason=self._display.translate(reason))
        unsent = 0 if self._client.kept is None else len(self.waiting)
        if unsent:
            is_lost = isinstance(self._client.state, MemoryState)
            self._display.notice(GONE if is_lost else KEPT, n=unsent)
        if self.ended.called:
            return
        self.when_closing()
        if reason or self.failure or unsent:
            self.ended.callback(NO_CONNECTION)
        else:
            failed = self._display.has_refused and not self._interactive
            self.ended.callback(SOMETHING_REFUSED if failed else LEFT)

    def _welcomed(self, event: Welcomed) -> None:
        self.connection = "online"
        self._display.nickname = event.nickname
        self._typed.welcomed()
        if self._interactive:
            self._login.welcomed(event)
        self._kept_out_by = ""
        if self._has_been_in:
            self._display.notice(BACK, plain=True)
            return
        self._has_been_in = True
        self._display.show_lines("notice", [visible(line) for line in event.motd])
        greeting = N_("You are {name} now. /help shows the commands; /quit leaves.")
        name = visible(event.nickname)
        self._display.server("notice", self._display.translate(greeting, name=name))
        if self._is_new and self._display.hold:
            self._display.notice(KEYS)

    def _entered(self, event: Entered) -> None:
        self._has_entered = True
        is_new = event.room not in self._rooms
        room = self._rooms.enter(event)
        if room is None:
            return
        if not is_new:
            if event.id is not None:  # the answer to /join, and no effect of a reconnection
                self._display.show(event)
            return
        kept = self._client.kept
        room.seen = kept.rooms.get(event.room) if kept is not None else None
        self._rooms.put(room, self._display.lines("notice", event))
        self._backlogs.load(room, event.last)

    def _left_room(self, event: RoomLeft) -> None:
        self._rooms.leave(event.room)
        current = self._display.room
        self._display.show(RoomLeft(event.room, current))
        if current is not None:
            self._rooms.switch(current)

    def _entry(self, entry: Entry) -> None:
        room = self._rooms.get(entry.room)
        if room is None:
            return
        if entry.kind == "topic":
            room.tab.topic = entry.text
        is_typed = self._typed.takes_back(entry.message_id)
        room.spoke(entry.nickname, self.nickname)
        if is_typed and self._echoes:
            self._rooms.read(room, entry)
            return
        lines = self._display.entry(entry)
        self._rooms.put(room, lines)
        self._rooms.read(room, entry)
        if lines[0].mentions:
            room.tab.mentioned = room.tab.mentioned or room.tab.name != self.room
            self.view.alert()

    def _joined(self, event: Joined) -> None:
        self._rooms.joined(event)

    def _left(self, event: Left) -> None:
        self._rooms.left(event)
        if event.departed:
            self._typed.on_departure([event.nickname])

    def _crowd(self, event: PresenceSummary) -> None:
        self._rooms.crowd(event)
        if event.chat and not event.joined:
            self._typed.on_departure(event.people)

    def _renamed(self, event: Renamed) -> None:
        if event.own:
            self._display.nickname = event.new
            self._login.keep()
        self._typed.on_rename(event)
        for room in self._rooms:
            room.rename(event.old, event.new)
        self._display.show(event)

    def _told(self, event: Told) -> None:
        if event.own:
            self._show_delivered(event)
            return
        self._typed.on_private_message(event.sender)
        self._display.show_private(event, event.sender)
        self.view.alert()

    def _show_delivered(self, event: Told | MessageKept) -> None:
        # The server's event lacks the text, but the request has it.
        asked = self._client.asked(event.id)
        if isinstance(asked, Tell):
            told = Told("", event.recipient, asked.text, event.time, own=True)
            self._display.show_private(told, event.recipient)
            if isinstance(event, MessageKept):
                self._display.show(event)

    def _receipt(self, event: Receipt) -> None:
        if self._typed.receipts:
            name = self.nickname or ""
            saved = Entry(event.room, event.number, event.time, "say", name, "", 0, None, b"")
            self._display.show(Acknowledged((saved,)))

    def _refused(self, event: Refused) -> None:
        if not self._client.is_in and self._client.kept is not None and event.id is None:
            if self._interactive and not self._is_leaving and self._login.asks_about(event.refusal):
                return
            if not is_final(event.refusal, has_been_in=self._has_been_in):
                sentence = event.refusal.sentence(self.language)
                if event.refusal.code != self._kept_out_by:
                    self._kept_out_by = event.refusal.code
                    self._display.server("error", sentence)
                self._client.try_again(event.refusal)
                return
            self._display.refuse(event.refusal)
            self._asks_for_name = self._interactive and not self._is_leaving
            if not self._interactive:
                self._is_leaving = True
                self._client.stopService()
            return
        if event.refusal.code == NotSaved.code:
            sentence = event.refusal.sentence(self.language)
            self._display.server("error", f"{sentence} {self._display.translate(TRIED_AGAIN)}")
            return
        if event.refusal.code == AccountEnded.code:
            self._log_out(event)
            return
        is_asked = self._interactive and self._login.asks_because_of(event)
        if not is_asked and not self._login.is_own(event.id):
            self._display.refuse(event.refusal)
            self._display.not_said(self._client.asked(event.id))

    def _registered(self, event: Registered) -> None:
        self._display.show(event)
        if self._interactive:
            self._login.get_token()

    def _show_account(self, event: DevicesListed | TokenMade) -> None:
        if not self._login.is_own(event.id):
            self._display.show(event)

    def _marked(self, event: Marked) -> None:
        self._marks.read_elsewhere(event.room, event.number)
        self._rooms.read_elsewhere(event.room, event.number)

    def _log_out(self, event: Event) -> None:
        """Leave for good: the server closes the connection, and the token is no longer valid."""
        self._display.show(event)
        self._login.forget()
        self._client.stopService()

    def _history_shown(self, event: HistoryShown) -> None:
        if not self._backlogs.is_one(event):
            self._pages.show_history(event)

    def _found(self, event: SearchShown) -> None:
        self._pages.show_found(event)

    def _people_listed(self, event: PeopleListed) -> None:
        room = self._rooms.get(event.room)
        if room is not None:
            room.list_people(event.people, event.people_count, self.nickname)
        self._display.show(event)

    def _log_replaced(self, event: LogReplaced) -> None:
        self._marks.replaced(event.room)
        self._display.notice(NEW_LOG, room=event.room)

    def _show(self, event: Event) -> None:
        self._display.show(event)

    def _silent(self, event: Event) -> None:
        """Show nothing."""

    def _wait_for_answers(self, timeout: float) -> None:
        self._answers.wait(timeout, self._client.stopService)
        self._answers.look(has_been_in=self._has_been_in)


#: The methods for events that need more than being shown.
_HAPPENED: dict[type[Event], Callable[[Conversation, Any], None]] = {
    Connected: Conversation._connected,
    PresenceSummary: Conversation._crowd,
    DevicesListed: Conversation._show_account,
    Disconnected: Conversation._disconnected,
    Entered: Conversation._entered,
    Entry: Conversation._entry,
    HistoryShown: Conversation._history_shown,
    Joined: Conversation._joined,
    LanguageShown: Conversation._silent,
    Left: Conversation._left,
    LogReplaced: Conversation._log_replaced,
    Marked: Conversation._marked,
    NotSent: Conversation._silent,  # the client sends these messages again by itself
    PeopleListed: Conversation._people_listed,
    Pong: Conversation._silent,
    Receipt: Conversation._receipt,
    Refused: Conversation._refused,
    Registered: Conversation._registered,
    Renamed: Conversation._renamed,
    Replaced: Conversation._silent,
    RoomLeft: Conversation._left_room,
    SearchShown: Conversation._found,
    MessageKept: Conversation._show_delivered,
    Told: Conversation._told,
    TokenMade: Conversation._show_account,
    Unregistered: Conversation._log_out,
    Welcomed: Conversation._welcomed,
}
