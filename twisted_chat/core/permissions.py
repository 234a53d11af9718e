"""Which rooms a person may see: one rule for every request that lists or reads.

A room that a person may not see does not exist for that person: it is in no list, count, page of
history or search result, its people are not listed, and a refusal contains its name only as the
person typed it. This module does not decide who may speak or moderate.
"""

from __future__ import annotations

from collections.abc import Set

from twisted_chat.core.room import Member

_NONE: frozenset[str] = frozenset()


class Permissions:
    """Everybody may see every room."""

    def hidden_from(self, person: Member) -> Set[str]:
        """The names of the rooms that do not exist for ``person``."""
        return _NONE

    def may_see(self, person: Member, room: str) -> bool:
        """Whether the room of this name, if there is one, exists for ``person``."""
        return room not in self.hidden_from(person)
