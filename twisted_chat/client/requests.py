"""What a client can ask of a server: a method for each request, in place of its class."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred

from twisted_chat.client.events import Receipt
from twisted_chat.core.events import (
    Entered,
    HistoryShown,
    PeopleListed,
    Renamed,
    RoomLeft,
    RoomsListed,
    SearchShown,
    Told,
    TopicShown,
)
from twisted_chat.core.requests import (
    ChooseName,
    Join,
    Leave,
    ListPeople,
    ListRooms,
    ReadHistory,
    Request,
    Say,
    Search,
    Tell,
    Topic,
)


class Requests:
    """The requests of :class:`.ChatClient`. Each gives a Deferred that fires with the answer."""

    def ask(self, request: Request) -> Deferred[Any]:
        """Make any request."""
        raise NotImplementedError

    # -- talking ------------------------------------------------------------------------------

    def say(
        self, text: str, room: str | None = None, *, act: bool = False, id: str | None = None
    ) -> Deferred[Receipt]:
        """Say ``text`` in ``room``, or in the first that one is in; fires once it is saved.

        Whoever gives an ``id`` can say it again later without its being said twice.
        """
        return self.ask(Say(text, room, "act" if act else "say", id=id))

    def tell(self, name: str, text: str) -> Deferred[Told]:
        """Tell one person something in private; fires when it was delivered.

        It is never sent twice, so it fails with :class:`.NotDelivered` where a connection broke
        before the answer came.
        """
        return self.ask(Tell(name, text))

    def set_topic(self, room: str, topic: str) -> Deferred[Receipt]:
        """Give ``room`` a topic; fires once it is saved."""
        return self.ask(Topic(topic, room))

    # -- moving and asking --------------------------------------------------------------------

    def join(self, room: str) -> Deferred[Entered]:
        """Go to a room."""
        return self.ask(Join(room))

    def leave(self, room: str) -> Deferred[RoomLeft]:
        """Leave a room."""
        return self.ask(Leave(room))

    def rename(self, nickname: str) -> Deferred[Renamed]:
        """Take another nickname."""
        return self.ask(ChooseName(nickname))

    def history(
        self,
        room: str,
        limit: int | None = None,
        *,
        before: int | None = None,
        after: int | None = None,
    ) -> Deferred[HistoryShown]:
        """A page of a room's log, at most 100 entries: see ``history`` in ``docs/protocol.rst``."""
        return self.ask(ReadHistory(room, limit, before, after))

    def search(
        self, words: str, room: str | None = None, limit: int | None = None
    ) -> Deferred[SearchShown]:
        """The latest entries that hold all of ``words``, in one room or in all."""
        return self.ask(Search(words, room, limit))

    def list_rooms(self) -> Deferred[RoomsListed]:
        """The rooms there are, the fullest first."""
        return self.ask(ListRooms())

    def list_people(self, room: str) -> Deferred[PeopleListed]:
        """Who is in ``room``."""
        return self.ask(ListPeople(room))

    def topic(self, room: str) -> Deferred[TopicShown]:
        """The topic of ``room``."""
        return self.ask(Topic(None, room))
