"""The people whom a client ignores, which it sends to the server on each connection.

A person is identified by their author (:func:`.author_of`). The
server hides their messages, and this module must not know how.
"""

from __future__ import annotations

from collections.abc import Iterable

from twisted_chat.core.events import Ignoring
from twisted_chat.core.ignoring import IGNORED_LIMIT, author_of

#: Characters of all names together in ``hello``: with the rooms, they fit in one line of JSON. If
#: there are more, each name is cut to :data:`SHORT_NAME` characters.
NAMES_LENGTH = 1200
SHORT_NAME = 12


class IgnoredPeople:
    """The ignored people, each with the last nickname that the client knew."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}

    def restore(self, kept: Iterable[str]) -> None:
        """Add the people that an earlier run returned from :meth:`kept`."""
        for person, _, name in (item.partition(" ") for item in kept):
            if author_of(person) is not None:
                self._names.setdefault(person, name)

    def kept(self) -> list[str]:
        """One text for each ignored person, for the state."""
        return [f"{person} {name}" for person, name in self._names.items()]

    def told(self) -> dict[str, str] | None:
        """The names of the ignored people by author, for ``hello``; None if there are none."""
        if sum(map(len, self._names.values())) <= NAMES_LENGTH:
            return dict(self._names) or None
        return {person: name[:SHORT_NAME] for person, name in self._names.items()}

    def change(self, event: Ignoring) -> bool:
        """Add or remove the person of ``event``.

        :returns: whether the event has a valid author; without it, nothing changes.
        """
        if author_of(event.person) is None:
            return False
        self._names.pop(event.person, None)
        for person in [text for text, name in self._names.items() if name == event.nickname]:
            if isinstance(author_of(person), bytes):  # the same person, as an earlier server called
                del self._names[person]
        if event.on:
            self._names[event.person] = event.nickname
            if len(self._names) > IGNORED_LIMIT:
                del self._names[next(iter(self._names))]
        return True
