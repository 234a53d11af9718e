"""A client's requests as methods, so that a program need not use their classes.

This module must not know how a request is sent.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from twisted.internet.defer import Deferred

from twisted_chat.client.events import Receipt
from twisted_chat.core.events import (
    CodeMade,
    DevicesListed,
    Entered,
    HistoryShown,
    MessageKept,
    PasswordSet,
    PeopleListed,
    Registered,
    Renamed,
    RoomLeft,
    RoomsListed,
    SearchShown,
    TokenMade,
    TokenRevoked,
    Told,
    TopicShown,
    Unregistered,
)
from twisted_chat.core.requests import (
    AddDevice,
    ChangeRoom,
    ChooseName,
    GiveRole,
    InvitePerson,
    Join,
    Leave,
    ListDevices,
    ListPeople,
    ListRooms,
    NewToken,
    ReadHistory,
    Register,
    Request,
    RevokeToken,
    Say,
    Search,
    SetPassword,
    Tell,
    Topic,
    Unregister,
)
from twisted_chat.core.room_events import Invited, RoleSet, RoomSettings
from twisted_chat.core.room_rules import Join as WhoJoins
from twisted_chat.core.room_rules import Speak


class Requests:
    """The requests of :class:`.ChatClient`. Each returns a Deferred that fires with the answer."""

    def ask(self, request: Request) -> Deferred[Any]:
        """Make any request; returns a Deferred that fires with the answer."""
        raise NotImplementedError

    # -- talking ------------------------------------------------------------------------------

    def say(
        self, text: str, room: str | None = None, *, act: bool = False, id: str | None = None
    ) -> Deferred[Receipt]:
        """Send a message; fires when it is saved.

        :param text: the message.
        :param room: the room; None for the client's first room.
        :param act: whether the message is an action, as with ``/me``.
        :param id: an id with which the program may send the message again: the server stores it
            once.
        """
        return self.ask(Say(text, room, "act" if act else "say", id=id))

    def tell(self, name: str, text: str) -> Deferred[Told | MessageKept]:
        """Send a private message to one person; fires when it was delivered, or when it is kept
        for somebody with an account who is away.

        It is never sent twice: if the connection breaks before the answer comes, it fails with
        :class:`.NotDelivered`.
        """
        return self.ask(Tell(name, text))

    def set_topic(self, room: str, topic: str) -> Deferred[Receipt]:
        """Set the topic of ``room``; fires when it is saved."""
        return self.ask(Topic(topic, room))

    # -- moving and asking --------------------------------------------------------------------

    def join(self, room: str, password: str | None = None) -> Deferred[Entered]:
        """Join a room; the server creates it if it does not exist and no ``password`` is given."""
        return self.ask(Join(room, password))

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
        """Read a page of a room's log; see ``history`` in ``docs/protocol.rst``.

        :param room: the room.
        :param limit: the number of entries, at most 100; None for the server's default.
        :param before: return the last entries before this number.
        :param after: return the first entries after this number.
        """
        return self.ask(ReadHistory(room, limit, before, after))

    def search(
        self, words: str, room: str | None = None, limit: int | None = None
    ) -> Deferred[SearchShown]:
        """Find the newest entries that contain all words.

        :param words: the words, with spaces between them.
        :param room: the room; None for all rooms.
        :param limit: the number of entries, at most; None for the server's default.
        """
        return self.ask(Search(words, room, limit))

    def list_rooms(self) -> Deferred[RoomsListed]:
        """List the rooms with people in them, the fullest first."""
        return self.ask(ListRooms())

    def list_people(self, room: str) -> Deferred[PeopleListed]:
        """List the people in ``room``."""
        return self.ask(ListPeople(room))

    def topic(self, room: str) -> Deferred[TopicShown]:
        """Get the topic of ``room``."""
        return self.ask(Topic(None, room))

    # -- the rules of a room ------------------------------------------------------------------

    def rules(self, room: str) -> Deferred[RoomSettings]:
        """Get the rules of ``room``."""
        return self.ask(ChangeRoom(room))

    def set_rules(
        self,
        room: str,
        *,
        speak: Speak | None = None,
        join: WhoJoins | None = None,
        password: str | None = None,
        hidden: bool | None = None,
        slow: int | None = None,
        keep_days: int | Literal["default"] | None = None,
    ) -> Deferred[RoomSettings]:
        """Set rules of ``room``; see ``room-set`` in ``docs/protocol.rst``. None leaves a rule."""
        return self.ask(ChangeRoom(room, speak, join, password, hidden, slow, keep_days))

    def give_role(
        self, name: str, role: Literal["owner", "moderator", "speaker", "none"], room: str
    ) -> Deferred[RoleSet]:
        """Give the account called ``name`` a role in ``room``; ``none`` takes it away."""
        return self.ask(GiveRole(name, role, room))

    def invite(self, name: str, room: str) -> Deferred[Invited]:
        """Let somebody join ``room``, which is closed to them."""
        return self.ask(InvitePerson(name, room))

    # -- the account --------------------------------------------------------------------------

    def register(self, password: str) -> Deferred[Registered]:
        """Register the nickname: it belongs to an account with this password from now on."""
        return self.ask(Register(password))

    def set_password(self, password: str, old: str | None = None) -> Deferred[PasswordSet]:
        """Set the password of the account.

        :param old: the present one; needed unless the connection came in with it.
        """
        return self.ask(SetPassword(password, old))

    def new_token(
        self, label: str, rooms: Sequence[str] = (), *, device: bool = False
    ) -> Deferred[TokenMade]:
        """Make a token of the account, which is in the answer only.

        :param label: what the person calls it.
        :param rooms: the rooms to which it is limited; none: all rooms.
        :param device: whether it is for this client to keep in place of the password.
        """
        return self.ask(NewToken(label, tuple(rooms), device))

    def revoke_token(self, label: str) -> Deferred[TokenRevoked]:
        """Revoke a token or device; its connections are closed."""
        return self.ask(RevokeToken(label))

    def add_device(self) -> Deferred[CodeMade]:
        """Get a code with which another device of the person comes in once."""
        return self.ask(AddDevice())

    def list_devices(self) -> Deferred[DevicesListed]:
        """List the devices, tokens and other connections of the account."""
        return self.ask(ListDevices())

    def unregister(self, nickname: str, password: str | None = None) -> Deferred[Unregistered]:
        """Close the account for ever.

        :param nickname: its nickname, as a confirmation.
        :param password: needed unless the connection came in with it.
        """
        return self.ask(Unregister(nickname, password))
