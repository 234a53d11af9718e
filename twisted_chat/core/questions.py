"""The requests whose answers only the asking person sees: reading, preferences, small questions.

The table of :mod:`twisted_chat.core.commands` names these methods. They must not decide who may see
a room: the chat decides, by the rule of :mod:`twisted_chat.core.permissions`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from msgspec import structs

from twisted_chat.core.characters import visible
from twisted_chat.core.errors import (
    InNoRoom,
    NothingToSearch,
    NotIgnored,
    NotYourself,
    Refusal,
    SearchTooLong,
    TooManyIgnored,
)
from twisted_chat.core.events import (
    HelpShown,
    HistoryShown,
    HowToLeave,
    IgnoredListed,
    Ignoring,
    LanguageShown,
    LimitsShown,
    Pong,
    ReceiptsSet,
    SearchShown,
    StillHere,
    TimestampsSet,
)
from twisted_chat.core.ignoring import IGNORED_LIMIT, author_of
from twisted_chat.core.limits import HISTORY_DEFAULT, SEARCH_BYTES, SEARCH_DEFAULT, SEARCH_WORDS
from twisted_chat.core.names import NICKNAME_LIMIT
from twisted_chat.core.preferences import language_called
from twisted_chat.core.recipient import Recipient
from twisted_chat.core.requests import (
    AreYouThere,
    Help,
    Ignore,
    Interrupt,
    ListLimits,
    ListPeople,
    ListRooms,
    Ping,
    ReadHistory,
    Search,
    SetLanguage,
    SetReceipts,
    SetTimestamps,
    Unignore,
)
from twisted_chat.core.room import Room
from twisted_chat.i18n.language import LANGUAGES


class Asker(Recipient):
    """The part of a session that answers questions."""

    # -- who and what is there -----------------------------------------------------------------

    def _list_rooms(self, request: ListRooms) -> None:
        after = request.after and self._chat.reading.room_called(request.after, self)
        listed = self._chat.reading.list_rooms(self, request.word, after, with_empty=request.all)
        self.show(structs.replace(listed, id=request.id))

    def _list_people(self, request: ListPeople) -> None:
        people = self._chat.reading.list_people(self, self._any_room(request.room))
        self.show(structs.replace(people, id=request.id))

    # -- reading the log -----------------------------------------------------------------------

    def _read_history(self, request: ReadHistory) -> None:
        room = self._any_room(request.room)
        limit = HISTORY_DEFAULT if request.limit is None else request.limit
        reply = self._answer_later(request.id)

        def read() -> None:
            self._chat.reading.read_history(
                self,
                room,
                limit,
                reply,
                before=request.before,
                after=request.after,
                without=self._ignored,
            )

        self._after_own_lines(read)

    def _search(self, request: Search) -> None:
        words = request.words
        if len(words.encode()) > SEARCH_BYTES or len(words.split()) > SEARCH_WORDS:
            raise SearchTooLong(words=SEARCH_WORDS, bytes=SEARCH_BYTES)
        if not any(character.isalnum() for character in words):
            raise NothingToSearch()
        room = None if request.room is None else self._chat.reading.room(self, request.room)
        limit = SEARCH_DEFAULT if request.limit is None else request.limit
        source = self._connection.searcher
        reply = self._answer_later(request.id)
        ignored = tuple(person.author for person in self._ignored)

        def search() -> None:
            self._chat.reading.search(self, words, room, limit, reply, source, ignored)

        self._after_own_lines(search)

    def _after_own_lines(self, read: Callable[[], None]) -> None:
        """Call ``read`` when the log contains all lines that this person has sent."""
        if self._unsaved:
            self._chat.barrier(read)
        else:
            read()

    # -- ignoring people -----------------------------------------------------------------------

    def _ignore(self, request: Ignore) -> None:
        if request.name is None:
            people = tuple(person.name for person in self._ignored)
            self.show(IgnoredListed(people, request.id))
            return
        person = self._chat.person(request.name)
        if person.author == self.author:
            raise NotYourself()
        if len(self._ignored) >= IGNORED_LIMIT and person.author not in self._ignored:
            raise TooManyIgnored(limit=IGNORED_LIMIT)
        self._ignored.add(self._chat.ignored.get(person.author, person.name))
        self._ignored_changed()
        author = str(person.author)
        self.show(Ignoring(person.name, on=True, id=request.id, person=author))

    def _ignore_too(self, people: Mapping[str, str]) -> None:
        """Ignore people by their authors (:func:`.author_of`), with their last known nicknames."""
        for text, name in people.items():
            author = author_of(text)
            if isinstance(author, bytes):
                author = self._chat.guest(author)
            if len(self._ignored) < IGNORED_LIMIT and author is not None:
                here = self._chat.people.get(author)
                known = visible(name[:NICKNAME_LIMIT]) if here is None else here.name
                self._ignored.add(self._chat.ignored.get(author, known))
        if people:
            self._ignored_changed()

    def _ignored_changed(self) -> None:
        """Use the list from now on, and remember it: for a guest with a code, or for an account."""
        self._chat.restyle(self)
        if self.author > 0:
            ignored = [(person.author, person.name) for person in self._ignored]
            self._chat.desk.set_ignored(self.author, ignored)
        else:
            self._chat.keeper.changed(self)

    def _unignore(self, request: Unignore) -> None:
        try:
            person = self._ignored.remove(request.name)
        except KeyError:
            raise NotIgnored(name=request.name) from None
        self._ignored_changed()
        author = str(person.author)
        self.show(Ignoring(person.name, on=False, id=request.id, person=author))

    # -- preferences ---------------------------------------------------------------------------

    def _set_language(self, request: SetLanguage) -> None:
        if request.language is not None:
            self._set_style(language_called(request.language), self._style.timestamps)
        changed = request.language is not None
        self.show(LanguageShown(self.language, LANGUAGES, changed, request.id))

    def _set_timestamps(self, request: SetTimestamps) -> None:
        self._set_style(self.language, request.on)
        self.show(TimestampsSet(request.on))

    def _set_receipts(self, request: SetReceipts) -> None:
        self._receipts = request.on
        self.show(ReceiptsSet(request.on))

    # -- small questions -----------------------------------------------------------------------

    def _help(self, request: Help) -> None:
        self.show(HelpShown(request.command))

    def _are_you_there(self, request: AreYouThere) -> None:
        self.show(StillHere())

    def _interrupt(self, request: Interrupt) -> None:
        self.show(HowToLeave())

    def _ping(self, request: Ping) -> None:
        self.show(Pong(request.id))

    def _list_limits(self, request: ListLimits) -> None:
        self.show(LimitsShown(self._chat.limits, request.id))

    # -- helpers -------------------------------------------------------------------------------

    def _answer_later(
        self, id: str | None
    ) -> Callable[[HistoryShown | SearchShown | Refusal], None]:
        """A function that answers the request ``id`` later; the next request waits until then."""
        release = self._connection.hold()

        def reply(answer: HistoryShown | SearchShown | Refusal) -> None:
            if isinstance(answer, Refusal):
                self.refuse(answer, id)
            else:
                self.show(structs.replace(answer, id=id))
            release()

        return reply

    def _current_room(self) -> Room:
        if self.current is None:
            raise InNoRoom()
        return self.current

    def _any_room(self, name: str | None) -> Room:
        return self._current_room() if name is None else self._chat.reading.room(self, name)
