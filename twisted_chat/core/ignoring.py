"""Ignore lists: a person is ignored, not a name.

An ignored person is identified by the author, which does not change with the nickname or the
connection. Somebody else who takes the nickname is not ignored. This module must not know which
events are hidden from whom. Everything here runs on one thread.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from weakref import WeakValueDictionary

from twisted_chat.core.names import folded

#: People whom one person can ignore, at most.
IGNORED_LIMIT = 100

_AUTHOR = re.compile("-?[1-9][0-9]{0,18}")
_AUTHOR_KEY = re.compile("[0-9a-f]{32}")


def author_of(text: str) -> int | bytes | None:
    """The author that ``text`` names, in decimal digits; None if it names none.

    Clients of an earlier version have an author key in its place, 16 bytes in hexadecimal.
    """
    if _AUTHOR.fullmatch(text):
        author = int(text)
        return author if -(2**63) <= author < 2**63 else None
    return bytes.fromhex(text) if _AUTHOR_KEY.fullmatch(text) else None


class Ignored:
    """A person whom at least one other person ignores; ``name`` is their present nickname."""

    __slots__ = ("__weakref__", "author", "name")

    def __init__(self, author: int, name: str) -> None:
        self.author = author
        self.name = name


class IgnoredPeople:
    """All people whom at least one other person ignores, as long as that lasts."""

    def __init__(self) -> None:
        self._people: WeakValueDictionary[int, Ignored] = WeakValueDictionary()

    def get(self, author: int, name: str) -> Ignored:
        """The ignored person with the author ``author``, created as ``name`` if unknown."""
        found = self._people.get(author)
        if found is None:
            found = self._people[author] = Ignored(author, name)
        return found

    def called(self, author: int, name: str) -> None:
        """The person with the author ``author`` changed the nickname to ``name``."""
        found = self._people.get(author)
        if found is not None:
            found.name = name


class IgnoreList:
    """The people whom one person ignores, in the order in which they were added."""

    __slots__ = ("_people",)

    def __init__(self) -> None:
        #: By author: the ignored person, and their nickname when they were added.
        self._people: dict[int, tuple[Ignored, str]] = {}

    def __len__(self) -> int:
        return len(self._people)

    def __contains__(self, author: object) -> bool:
        return author in self._people

    def __iter__(self) -> Iterator[Ignored]:
        return (person for person, _ in self._people.values())

    def add(self, person: Ignored) -> None:
        self._people.setdefault(person.author, (person, person.name))

    def replace(self, author: int, person: Ignored) -> None:
        """Put ``person`` in the place of ``author``: a guest who has an account now."""
        ignored, original = self._people.pop(author)
        person.name = person.name or ignored.name
        self._people[person.author] = person, original

    def remove(self, name: str) -> Ignored:
        """Remove the person whose present nickname is ``name``, or else the person who had this
        nickname when they were added.

        :raises KeyError: there is no such person.
        """
        wanted = folded(name)
        for names in (
            {author: person.name for author, (person, _) in self._people.items()},
            {author: original for author, (_, original) in self._people.items()},
        ):
            for author in reversed(names):
                if folded(names[author]) == wanted:
                    return self._people.pop(author)[0]
        raise KeyError(name)
