"""Whom a client ignores: it tells every server that it comes to.

A person is known by their author key (:mod:`twisted_chat.core.ignoring`), in hexadecimal. It must
not know what is hidden: the server does that.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from twisted_chat.core.messages import Ignoring

#: People whom one can ignore, and characters of the name of each that the server is told again:
#: with the rooms, this has place in a line.
IGNORED_LIMIT = 100
SHORT_NAME = 12

_AUTHOR_KEY = re.compile("[0-9a-f]{32}")


class IgnoredPeople:
    """The people whom the server is told to ignore, with the names they had."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}

    def restore(self, kept: Iterable[str]) -> None:
        """They are as :meth:`kept` told them; those who are known better are not changed."""
        for person, _, name in (item.partition(" ") for item in kept):
            if _AUTHOR_KEY.fullmatch(person):
                self._names.setdefault(person, name)

    def kept(self) -> list[str]:
        """Each as one text, to be kept."""
        return [f"{person} {name}" for person, name in self._names.items()]

    def told(self) -> dict[str, str] | None:
        """What the server is told of them, if there are any."""
        return {person: name[:SHORT_NAME] for person, name in self._names.items()} or None

    def change(self, event: Ignoring) -> bool:
        """The server has begun to ignore somebody, or ended it. Returns whether it is known who."""
        if not _AUTHOR_KEY.fullmatch(event.person):
            return False
        self._names.pop(event.person, None)
        if event.on:
            self._names[event.person] = event.nickname
            if len(self._names) > IGNORED_LIMIT:
                del self._names[next(iter(self._names))]
        return True
