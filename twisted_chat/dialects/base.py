"""What a dialect is made of. It must not know any dialect in particular."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

from twisted_chat.core.messages import Event


def line_ends(data: bytes, events: Sequence[Event]) -> list[int]:
    """The offset at which each line of ``data`` ends, its LF included: each event is one line."""
    return list(accumulate(len(line) + 1 for line in data.split(b"\n")[:-1]))
