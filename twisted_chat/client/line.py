"""The lines that a client receives: the base of their kinds, and the types of their fields.

:mod:`twisted_chat.client.wire` has the kinds, and decodes lines.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from twisted_chat.core.events import Event
from twisted_chat.core.limits import TEXT_LIMIT

#: Microseconds since 1970, UTC, up to the year 9998, so that every time zone can show them.
Time = Annotated[int, msgspec.Meta(ge=0, lt=253_370_764_800_000_000)]

#: The number of an entry in its room.
Number = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]

#: A nickname or the name of a room, and a text or a topic, with their highest number of characters.
#: No server allows more.
Name = Annotated[str, msgspec.Meta(max_length=256)]
Text = Annotated[str, msgspec.Meta(max_length=TEXT_LIMIT)]


class Line(msgspec.Struct, tag_field="type", gc=False):
    """One kind of line, with the fields of the JSON object."""

    def event(self) -> Event:
        """The event that the server rendered to this line."""
        raise NotImplementedError
