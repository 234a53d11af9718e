"""The lines about the rules of rooms, as a client receives them."""

from __future__ import annotations

from twisted_chat.client.line import Line, Name
from twisted_chat.core.events import Event
from twisted_chat.core.room_events import Invited, RoleSet, RoomSettings


class RoomSettingsLine(Line, tag="room-settings"):
    """A :class:`.RoomSettings`."""

    room: Name
    speak: Name
    join: Name
    hidden: bool
    slow: int
    keep_days: int | None = None
    owner: Name | None = None
    moderators: tuple[Name, ...] = ()
    speakers: tuple[Name, ...] = ()
    invited: tuple[Name, ...] = ()
    changed: tuple[Name, ...] = ()
    by: Name = ""
    id: str | None = None

    def event(self) -> Event:
        return RoomSettings(
            self.room,
            self.speak,
            self.join,
            self.hidden,
            self.slow,
            self.keep_days,
            self.owner or "",
            self.moderators,
            self.speakers,
            self.invited,
            self.changed,
            self.by,
            self.id,
        )


class RoleSetLine(Line, tag="role-set"):
    """A :class:`.RoleSet`."""

    room: Name
    nickname: Name
    role: Name | None = None
    by: Name = ""
    id: str | None = None

    def event(self) -> Event:
        return RoleSet(self.room, self.nickname, self.role or "", self.by, self.id)


class InvitedLine(Line, tag="invited"):
    """An :class:`.Invited`."""

    room: Name
    nickname: Name
    by: Name
    own: bool = False
    id: str | None = None

    def event(self) -> Event:
        return Invited(self.room, self.nickname, self.by, self.own, self.id)
