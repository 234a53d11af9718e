"""A person's requests: the client passes them to the server, or does them itself.

The client does the requests that concern only itself: the display, unsent messages, the next page.
This module must not know how the server's answers are shown.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, cast

import msgspec
from twisted.python.failure import Failure

from twisted_chat.client.client import ChatClient
from twisted_chat.client.unanswered import new_id
from twisted_chat.core.account_errors import NoAccount
from twisted_chat.core.errors import InNoRoom, NobodyToAnswer, NoSuchPerson, NotInRoom, Refusal
from twisted_chat.core.events import (
    LanguageShown,
    NothingWaits,
    NotSent,
    ReceiptsSet,
    Renamed,
    TimestampsSet,
)
from twisted_chat.core.limits import PAGE_LIMIT
from twisted_chat.core.preferences import language_called
from twisted_chat.core.requests import (
    Cancel,
    ChangeRoom,
    ChooseName,
    GiveRole,
    Help,
    InvitePerson,
    Join,
    Leave,
    ListPeople,
    LogOut,
    Quit,
    ReadHistory,
    Reply,
    Request,
    Resume,
    Say,
    Search,
    SetLanguage,
    SetReceipts,
    SetTimestamps,
    Tell,
    Topic,
)
from twisted_chat.i18n.language import LANGUAGES, N_
from twisted_chat.terminal.commands import More
from twisted_chat.terminal.display import Display, text_of
from twisted_chat.terminal.pages import Pages
from twisted_chat.terminal.rooms import Rooms

AWAY = N_("Not connected: your lines are kept, and sent when the connection is back.")
ON_ITS_WAY = N_("Lines already sent, which may still appear: {n}.")
NOT_HERE = N_("The client reconnects by itself; /resume is for telnet and netcat.")
KEYS = N_(
    "Tab completes; Alt-1 to Alt-9 switch to a room, Alt-A to one with new messages; "
    "Ctrl-D on an empty line leaves."
)


class Typed:
    """The requests of one person."""

    def __init__(
        self,
        client: ChatClient,
        display: Display,
        rooms: Rooms,
        pages: Pages,
        leave: Callable[[], None],
        moved: Callable[[], None],
    ) -> None:
        """
        :param client: sends the requests.
        :param display: shows refusals and notices.
        :param rooms: the person's rooms.
        :param pages: shows the next page.
        :param leave: called when the person wants to leave the chat.
        :param moved: called when the server has answered a request to join or leave a room.
        """
        self._client = client
        self._display = display
        self._rooms = rooms
        self._pages = pages
        self._leave = leave
        self._moved = moved
        #: Whether lines are shown with their time, and whether receipts are shown.
        self.timestamps = False
        self.receipts = False
        #: The present nickname of the last private message's sender, and whether they have left.
        self._correspondent: str | None = None
        self._is_correspondent_gone = False
        self._has_been_in = False
        #: Whether the person was told that their lines wait for a connection.
        self._has_told_away = False
        self._ids: set[str] = set()

    def welcomed(self) -> None:
        """Note that the server has accepted the nickname."""
        self._has_been_in = True
        self._has_told_away = False

    def on_private_message(self, sender: str) -> None:
        """Send ``/reply`` to ``sender`` from now on."""
        self._correspondent = sender
        self._is_correspondent_gone = False

    def on_rename(self, event: Renamed) -> None:
        """Send ``/reply`` to the new nickname, if the sender has changed theirs."""
        if event.old == self._correspondent and not event.own:
            self._correspondent = event.new

    def on_departure(self, names: Collection[str]) -> None:
        """Refuse ``/reply`` if its person has left with ``names``: another may take the name."""
        self._is_correspondent_gone |= self._correspondent in names

    def takes_back(self, id: str | None) -> bool:
        """Whether the entry with this message id was typed here; True only once for each id."""
        is_typed = id in self._ids
        if is_typed:
            self._ids.discard(str(id))
        return is_typed

    def do(self, request: Request) -> None:
        """Do ``request``, or pass it to the server.

        :raises Refusal: the request cannot be done.
        """
        answer = _ANSWERS.get(type(request))
        if answer is not None:
            answer(self, request)
        else:
            self.ask(request)

    def ask(self, request: Request) -> None:
        """Pass ``request`` to the server, whose answer comes as an event."""
        is_asked = False

        def failed(failure: Failure) -> None:
            failure.trap(Refusal)
            if not is_asked:  # the server's refusals come as events
                self._display.refuse(cast("Refusal", failure.value))
                self._display.not_said(request)

        self._client.ask(request).addErrback(failed)
        is_asked = True
        if text_of(request) is not None and not self._client.is_in and not self._has_told_away:
            self._has_told_away = True
            self._display.notice(AWAY)

    def say(self, request: Say) -> None:
        """Send a message to the current room, or to the room that the person is moving to.

        :raises InNoRoom: the person is in no room.
        """
        room = self._going_to()
        if room is None and self._has_been_in:
            raise InNoRoom()
        id = new_id()
        self._ids.add(id)
        self.ask(Say(request.text, room, request.kind, id=id))

    def _waiting(self) -> int:
        """The number of messages that the server has not saved yet."""
        return sum(text_of(request) is not None for request in self._client.waiting)

    # -- rooms --------------------------------------------------------------------------------

    def _going_to(self) -> str | None:
        """The room to which the person is moving, or else the current or the first one."""
        rooms = (self._rooms.heading, self._display.room, *self._client.rooms)
        return next((room for room in rooms if room is not None), None)

    def _here(self, room: str | None = None) -> str:
        """The name of ``room``, one of the person's rooms; None for the one they are moving to.

        :raises NotInRoom: the person is not in ``room``.
        :raises InNoRoom: ``room`` is None, and the person is in no room.
        """
        if room is not None:
            name = self._rooms.called(room)
            if name not in self._rooms:
                raise NotInRoom(room=name)
            return name
        here = self._going_to()
        if here is None:
            raise InNoRoom()
        return here

    def _any_room(self, room: str | None) -> str:
        return self._rooms.called(room) if room else self._here()

    def _join(self, request: Join) -> None:
        room = self._rooms.called(request.room)
        if room in self._rooms and not self._rooms.moves:
            self._rooms.switch(room)
        self._rooms.heading = room
        self._move_by(Join(room, request.password))

    def _leave_room(self, request: Leave) -> None:
        room = self._here(request.room)
        if room == self._here():
            others = (name for name in reversed(self._rooms.names) if name != room)
            self._rooms.heading = next(others, self._rooms.heading)
        self._move_by(Leave(room))

    def _move_by(self, request: Join | Leave) -> None:
        """Join or leave a room; further lines are for the room in which the person will be then."""
        self._rooms.moves += 1

        def done(result: object) -> None:
            self._rooms.moves -= 1
            if not self._rooms.moves:
                self._rooms.heading = None
            if isinstance(result, Failure):
                result.trap(Refusal)
            self._moved()

        self._client.ask(request).addBoth(done)

    def _list_people(self, request: ListPeople) -> None:
        self.ask(ListPeople(self._any_room(request.room)))

    def _of_room(self, request: ChangeRoom | GiveRole | InvitePerson) -> None:
        self.ask(msgspec.structs.replace(request, room=self._any_room(request.room)))

    def _topic(self, request: Topic) -> None:
        here = self._here()
        room = self._rooms.get(here)
        is_same = room is not None and request.text == room.tab.topic and not self._waiting()
        # A topic that is set already is shown to this person only.
        self.ask(Topic(None if is_same else request.text, here))

    # -- people -------------------------------------------------------------------------------

    def _choose_name(self, request: ChooseName) -> None:
        if self._has_been_in and not self._client.is_in:  # somebody may have taken the old name
            self._client.introduce(request.name)
        else:
            self.ask(request)

    def _reply(self, request: Reply) -> None:
        if self._correspondent is None:
            raise NobodyToAnswer()
        if self._is_correspondent_gone:
            raise NoSuchPerson(name=self._correspondent)  # somebody else may have that name now
        self.ask(Tell(self._correspondent, request.text))

    # -- the log ------------------------------------------------------------------------------

    def _history(self, request: ReadHistory) -> None:
        self.ask(ReadHistory(self._any_room(request.room), request.limit, request.before))

    def _search(self, request: Search) -> None:
        room = request.room and self._rooms.called(request.room)
        self.ask(Search(request.words, room, PAGE_LIMIT))

    def _show_more(self, request: More) -> None:
        self._pages.more()

    # -- preferences, and the client itself ---------------------------------------------------

    def _set_language(self, request: SetLanguage) -> None:
        changed = request.language is not None
        if request.language is not None:
            language = language_called(request.language)
            self._display.language = self._client.language = language
            self._client.ask(request).addErrback(lambda _: None)
        self._display.show(LanguageShown(self._display.language, LANGUAGES, changed))

    def _set_timestamps(self, request: SetTimestamps) -> None:
        self.timestamps = request.on
        self._display.show(TimestampsSet(request.on))

    def _set_receipts(self, request: SetReceipts) -> None:
        self.receipts = request.on
        self._display.show(ReceiptsSet(request.on))

    def _help(self, request: Help) -> None:
        self._display.show_help(request.command)
        if request.command is None and self._display.hold:
            self._display.notice(KEYS)

    def _resume(self, request: Resume) -> None:
        self._display.notice(NOT_HERE)

    def _cancel(self, request: Cancel) -> None:
        dropped, sent = self._client.take_back(), self._waiting()
        if dropped:
            self._display.show(NotSent(dropped))
        if sent:
            self._display.notice(ON_ITS_WAY, n=sent)
        if not dropped and not sent:
            self._display.show(NothingWaits())

    def _quit(self, request: Quit) -> None:
        self._leave()

    def _log_out(self, request: LogOut) -> None:
        if not self._client.account:
            raise NoAccount()
        self._client.log_out(everywhere=request.everywhere)


#: The requests that are not passed to the server unchanged.
_ANSWERS: dict[type[Request], Callable[[Typed, Any], None]] = {
    Cancel: Typed._cancel,
    ChangeRoom: Typed._of_room,
    ChooseName: Typed._choose_name,
    GiveRole: Typed._of_room,
    Help: Typed._help,
    InvitePerson: Typed._of_room,
    Join: Typed._join,
    Leave: Typed._leave_room,
    ListPeople: Typed._list_people,
    LogOut: Typed._log_out,
    More: Typed._show_more,
    Quit: Typed._quit,
    ReadHistory: Typed._history,
    Reply: Typed._reply,
    Resume: Typed._resume,
    Say: Typed.say,
    Search: Typed._search,
    SetLanguage: Typed._set_language,
    SetReceipts: Typed._set_receipts,
    SetTimestamps: Typed._set_timestamps,
    Topic: Typed._topic,
}
