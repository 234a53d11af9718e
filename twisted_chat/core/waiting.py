"""The requests of this node that wait until their change is applied.

This module must not know what a change does.
"""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType
from typing import NamedTuple

from twisted_chat.core.errors import Refusal
from twisted_chat.core.people import Person, Positions


class Waiting(NamedTuple):
    """A request of this node that is answered when its change is applied.

    ``answer`` is called with None, or with the reason why nothing was changed. ``person`` made the
    request; ``positions`` has the starting positions in the rooms that they join; ``id`` is the
    request's id. If ``goes_there``, the joined room becomes the current one.
    """

    answer: Callable[[Refusal | None], None]
    person: Person | None = None
    positions: Positions = MappingProxyType({})
    id: str | None = None
    resumed: bool = False
    goes_there: bool = False

    @property
    def asker(self) -> tuple[Person, str | None] | None:
        """The connection that made the request, and the request's id; None if nobody made it."""
        return None if self.person is None else (self.person, self.id)
