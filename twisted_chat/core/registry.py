"""The connected clients and the nicknames, under the one threading lock.

Not only the reactor thread uses the registry: thread-pool callbacks of an embedding application do,
too. Claiming, changing and releasing a nickname are each one atomic step. While the lock is held,
no callback is called and no I/O is done.

A client is connected to this process; a nickname may also be held by somebody on another node.
"""

from __future__ import annotations

import threading
from collections.abc import Hashable
from typing import Generic, TypeVar

from twisted_chat.core.errors import NameKept, NameTaken, NameTooSimilar
from twisted_chat.core.names import Nickname

ClientT = TypeVar("ClientT", bound=Hashable)


class Registry(Generic[ClientT]):
    """The connected clients and the holders of nicknames. All methods are thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._connected: dict[ClientT, None] = {}
        self._nicknames: dict[ClientT, Nickname] = {}
        self._holders: dict[str, ClientT] = {}
        self._by_folded: dict[str, ClientT] = {}
        #: Nicknames that are kept for people who left and can come back, by author; each with
        #: the other owner, if any, who can claim it.
        self._kept: dict[int, tuple[Nickname, Hashable]] = {}
        self._kept_keys: dict[str, int] = {}

    def add(self, client: ClientT) -> int:
        """Add ``client``, which is connected now; returns the number of connected clients."""
        with self._lock:
            self._connected[client] = None
            return len(self._connected)

    def remove(self, client: ClientT) -> int:
        """Remove ``client``; returns the number of clients that are still connected."""
        with self._lock:
            self._connected.pop(client, None)
            return len(self._connected)

    def claim(
        self,
        client: ClientT,
        nickname: Nickname,
        person: int | None = None,
        owner: Hashable = None,
    ) -> None:
        """Give ``nickname`` to ``client``, in place of the nickname that it holds, if any.

        A nickname that is kept for ``person`` (an author) or for ``owner`` can be claimed, and
        is not kept any more.

        :raises NameKept: it, or a nickname that looks like it, is kept for somebody else.
        :raises NameTaken: somebody else holds it.
        :raises NameTooSimilar: somebody else holds a nickname that looks like it.
        """
        with self._lock:
            self._check(client, self._by_folded.get(nickname.folded, client), nickname)
            for key in sorted(nickname.keys):
                self._check(client, self._holders.get(key, client), nickname)
            keepers = {self._kept_keys[key] for key in nickname.keys if key in self._kept_keys}
            for keeper in keepers:
                if keeper != person and self._kept[keeper][1] != owner:
                    raise NameKept(name=nickname.text)
            for keeper in keepers:
                self._drop(keeper)
            if person is not None:
                self._drop(person)
            self._free(client)
            self._hold(client, nickname)

    def share(self, client: ClientT, nickname: Nickname) -> None:
        """Note the nickname of ``client``, a further connection of the person who holds it."""
        with self._lock:
            self._free(client)
            self._nicknames[client] = nickname

    def release(self, client: ClientT) -> None:
        """Free the nickname of ``client``."""
        with self._lock:
            self._free(client)

    def hand_over(self, client: ClientT, other: ClientT) -> None:
        """Give the nickname of ``client`` to ``other``."""
        with self._lock:
            nickname = self._nicknames[client]
            self._free(client)
            self._hold(other, nickname)

    def keep(self, client: ClientT, person: int, owner: Hashable) -> None:
        """Take the nickname of ``client``; keep it for ``person`` (an author) or ``owner``."""
        with self._lock:
            nickname = self._nicknames[client]
            self._free(client)
            self._drop(person)
            self._kept[person] = nickname, owner
            self._kept_keys.update(dict.fromkeys(nickname.keys, person))

    def drop(self, person: int) -> None:
        """Stop keeping a nickname for ``person``, an author."""
        with self._lock:
            self._drop(person)

    def holds(self, client: ClientT) -> bool:
        """Whether ``client`` holds its nickname, and does not share that of another connection."""
        with self._lock:
            nickname = self._nicknames.get(client)
            return nickname is not None and self._by_folded.get(nickname.folded) is client

    def holders(self, nickname: Nickname) -> list[ClientT]:
        """The clients that hold ``nickname``, or one that looks like it; it is kept for nobody
        any more.
        """
        with self._lock:
            for key in nickname.keys:
                if key in self._kept_keys:
                    self._drop(self._kept_keys[key])
            keys = sorted(nickname.keys & self._holders.keys())
            found = [self._holders[key] for key in keys]
            if nickname.folded in self._by_folded:
                found.append(self._by_folded[nickname.folded])
            return list(dict.fromkeys(found))

    def find(self, nickname: Nickname) -> ClientT | None:
        """The client that holds this nickname, in any case; lookalikes do not count."""
        with self._lock:
            return self._by_folded.get(nickname.folded)

    def snapshot(self) -> tuple[tuple[ClientT, Nickname | None], ...]:
        """All connected clients, with their nicknames (None: not chosen yet)."""
        with self._lock:
            return tuple((client, self._nicknames.get(client)) for client in self._connected)

    def __len__(self) -> int:
        with self._lock:
            return len(self._connected)

    def _hold(self, client: ClientT, nickname: Nickname) -> None:
        self._nicknames[client] = nickname
        self._holders.update(dict.fromkeys(nickname.keys, client))
        self._by_folded[nickname.folded] = client

    def _free(self, client: ClientT) -> None:
        nickname = self._nicknames.pop(client, None)
        if nickname is not None and self._by_folded.get(nickname.folded) is client:
            del self._by_folded[nickname.folded]
            for key in nickname.keys:
                del self._holders[key]

    def _drop(self, person: int) -> None:
        nickname, _ = self._kept.pop(person, (None, None))
        for key in nickname.keys if nickname is not None else ():
            if self._kept_keys.get(key) == person:
                del self._kept_keys[key]

    def _check(self, client: ClientT, holder: ClientT, nickname: Nickname) -> None:
        if holder is client:
            return
        held = self._nicknames[holder]
        if held.folded == nickname.folded:
            raise NameTaken(name=nickname.text)
        raise NameTooSimilar(name=nickname.text, other=held.text)
