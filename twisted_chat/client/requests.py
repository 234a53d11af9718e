"""A client's requests as methods, so that a program need not use their classes."""

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
        """Send ``text`` to ``room``, or to the client's first room; fires when it is saved.

        With an ``id``, the program can send it again later: the server stores it once.
        """
        return self.ask(Say(text, room, "act" if act else "say", id=id))

    def tell(self, name: str, text: str) -> Deferred[Told]:
        """Send a private message to one person; fires when it was delivered.

        It is never sent twice: if the connection breaks before the answer comes, it fails with
        :class:`.NotDelivered`.
        """
        return self.ask(Tell(name, text))

    def set_topic(self, room: str, topic: str) -> Deferred[Receipt]:
        """Set the topic of ``room``; fires when it is saved."""
        return self.ask(Topic(topic, room))

    # -- moving and asking --------------------------------------------------------------------

    def join(self, room: str) -> Deferred[Entered]:
        """Join a room; it is created if there is none."""
        return self.ask(Join(room))

    def leave(self, room: str) -> Deferred[RoomLeft]:
        """Leave a room."""
        return self.ask(Leave(room))

    def rename(self, nickname: str) -> Deferred[Renamed]:
        """Change the nickname."""
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
        """The latest entries that contain all of ``words``, in one room or in all."""
        return self.ask(Search(words, room, limit))

    def list_rooms(self) -> Deferred[RoomsListed]:
        """The rooms with people in them, those with the most people first."""
        return self.ask(ListRooms())

    def list_people(self, room: str) -> Deferred[PeopleListed]:
        """The people in ``room``."""
        return self.ask(ListPeople(room))

    def topic(self, room: str) -> Deferred[TopicShown]:
        """The topic of ``room``."""
        return self.ask(Topic(None, room))
