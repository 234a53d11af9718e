"""Whom a client ignores: it tells every server that it comes to.

A person is known by their author key (:mod:`twisted_chat.core.ignoring`), in hexadecimal. It must
not know what is hidden: the server does that.
"""

from __future__ import annotations

from collections.abc import Iterable

from twisted_chat.core.events import Ignoring
from twisted_chat.core.ignoring import IGNORED_LIMIT, is_author_key

#: Characters of all names together that the server is told: with the rooms, they fit into a line.
#: If there are more, each name is cut to :data:`SHORT_NAME` characters.
NAMES_LENGTH = 1200
SHORT_NAME = 12


class IgnoredPeople:
    """The people whom the server is told to ignore, with the names they had."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}

    def restore(self, kept: Iterable[str]) -> None:
        """They are as :meth:`kept` told them; those who are known better are not changed."""
        for person, _, name in (item.partition(" ") for item in kept):
            if is_author_key(person):
                self._names.setdefault(person, name)

    def kept(self) -> list[str]:
        """Each as one text, to be kept."""
        return [f"{person} {name}" for person, name in self._names.items()]

    def told(self) -> dict[str, str] | None:
        """What the server is told of them, if there are any."""
        if sum(map(len, self._names.values())) <= NAMES_LENGTH:
            return dict(self._names) or None
        return {person: name[:SHORT_NAME] for person, name in self._names.items()}

    def change(self, event: Ignoring) -> bool:
        """The server has begun to ignore somebody, or ended it. Returns whether it is known who."""
        if not is_author_key(event.person):
            return False
        self._names.pop(event.person, None)
        if event.on:
            self._names[event.person] = event.nickname
            if len(self._names) > IGNORED_LIMIT:
                del self._names[next(iter(self._names))]
        return True
