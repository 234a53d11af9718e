"""Who may write in a room, and how often: the checks before an entry is submitted.

Slow mode counts for an account or, for guests, a source: another connection gives no fresh
allowance. This module must not know sessions, nor who is in a room.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import NamedTuple

from twisted_chat.core.people import Person
from twisted_chat.core.room_errors import SlowMode
from twisted_chat.core.room_rules import AllRules

_SECOND = 1_000_000


class _Last(NamedTuple):
    """The last entry of an account or source in a room: time in microseconds, and message id."""

    time: int
    message_id: str | None


class Speaking:
    """The rules about writing.

    :param rules: the rules of all rooms.
    :param clock: gives microseconds since 1970 UTC.
    """

    def __init__(self, rules: AllRules, clock: Callable[[], int]) -> None:
        self._rules = rules
        self._clock = clock
        #: By room, the last entries within the time of its slow mode, the oldest first.
        self._last: dict[str, OrderedDict[Hashable, _Last]] = {}

    def is_free(self, room: str) -> bool:
        """Whether everybody may write in the room of this name, as often as they like."""
        rules = self._rules.get(room)
        return rules is None or not rules.limits_writing

    def check(self, person: Person, room: str, message_id: str | None = None) -> None:
        """Check that ``person`` may write in the room of this name now, and count that they do.

        :param message_id: the id of the message, if the client may send it again.
        :raises MayNotSpeak: the room is read-only for the person.
        :raises SlowMode: they must wait.
        """
        rules = self._rules.get(room)
        if rules is None or not rules.limits_writing:
            if self._last:
                self._last.pop(room, None)
            return
        rules.check_speaks(person.author)
        if not rules.slow or rules.role(person.author) in ("owner", "moderator"):
            return
        now, wait = self._clock(), rules.slow * _SECOND
        last = self._last.setdefault(room, OrderedDict())
        while last and next(iter(last.values())).time + wait <= now:
            last.popitem(last=False)
        key = self._key(person)
        before = last.get(key)
        if before is not None and before.time + wait > now:
            if message_id is not None and message_id == before.message_id:
                return  # it was not acknowledged, and is sent again
            raise SlowMode(room=room, seconds=-(-(before.time + wait - now) // _SECOND))
        last[key] = _Last(now, message_id)

    def _key(self, person: Person) -> Hashable:
        source = person.source
        if person.author > 0 or source.trusted or source.key is None:
            return person.author
        return source.key
