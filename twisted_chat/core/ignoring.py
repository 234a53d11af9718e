"""Ignore lists: a person is ignored, not a name.

A person is known by their author key, which stays theirs whatever they call themselves and over
whatever connection they come back; somebody else who takes their name is not ignored. It must not
know what is hidden from whom, only who is meant. Everything here runs on one thread.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from weakref import WeakValueDictionary

from twisted_chat.core.names import folded

#: People whom one person can ignore.
IGNORED_LIMIT = 100

_AUTHOR_KEY = re.compile("[0-9a-f]{32}")


def is_author_key(text: str) -> bool:
    """Whether ``text`` can be an author key, in hexadecimal."""
    return _AUTHOR_KEY.fullmatch(text) is not None


class Ignored:
    """Somebody whom at least one person ignores; ``name`` is how they are called now."""

    __slots__ = ("__weakref__", "author", "name")

    def __init__(self, author: bytes, name: str) -> None:
        self.author = author
        self.name = name


class IgnoredPeople:
    """All who are ignored by anybody, as long as they are."""

    def __init__(self) -> None:
        self._people: WeakValueDictionary[bytes, Ignored] = WeakValueDictionary()

    def get(self, author: bytes, name: str) -> Ignored:
        """The one with this author key, who is called ``name`` if that is not known better."""
        found = self._people.get(author)
        if found is None:
            found = self._people[author] = Ignored(author, name)
        return found

    def called(self, author: bytes, name: str) -> None:
        """Somebody, who may be ignored, is called ``name`` from now on."""
        found = self._people.get(author)
        if found is not None:
            found.name = name


class IgnoreList:
    """Those whom one person ignores, in the order in which that began."""

    def __init__(self) -> None:
        #: With the name that each had when it began.
        self._people: dict[bytes, tuple[Ignored, str]] = {}

    def __len__(self) -> int:
        return len(self._people)

    def __contains__(self, author: object) -> bool:
        return author in self._people

    def __iter__(self) -> Iterator[Ignored]:
        return (person for person, _ in self._people.values())

    def add(self, person: Ignored) -> None:
        self._people.setdefault(person.author, (person, person.name))

    def remove(self, name: str) -> Ignored:
        """Ignore no longer who is called ``name`` now; or else who was when it began.

        :raises KeyError: nobody who is ignored.
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
