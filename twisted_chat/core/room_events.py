"""Events about the rules of rooms; :mod:`twisted_chat.core.events` says what an event is."""

from __future__ import annotations

from twisted_chat.core.events import Event


class RoomSettings(Event, frozen=True):
    """The rules of ``room``, with the nicknames of its people; see :class:`.RoomRules`.

    ``keep_days`` is None if entries are kept as long as in all other rooms. If somebody has just
    set them, ``changed`` has the names of those that were set, and ``by`` is the person's nickname,
    or "" for the operator. ``invited`` are shown to the owner and the moderators only.
    """

    room: str
    speak: str
    join: str
    hidden: bool
    slow: int
    keep_days: int | None
    owner: str = ""
    moderators: tuple[str, ...] = ()
    speakers: tuple[str, ...] = ()
    invited: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    by: str = ""
    id: str | None = None


class RoleSet(Event, frozen=True):
    """``nickname`` has the ``role`` in ``room`` now ("" if none), as ``by`` or the operator set."""

    room: str
    nickname: str
    role: str
    by: str = ""
    id: str | None = None


class Invited(Event, frozen=True):
    """``by`` lets ``nickname`` join ``room``; with ``own``, the client is the one who invited."""

    room: str
    nickname: str
    by: str
    own: bool = False
    id: str | None = None
