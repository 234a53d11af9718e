"""The connected clients, under the one threading lock.

The reactor thread is not the only one that asks who is here: thread-pool callbacks of an
embedding application do too. Claiming, changing and releasing a nickname are each one
atomic step. Nothing is called while the lock is held, and there is no I/O in it.
"""

from __future__ import annotations

import threading
from collections.abc import Hashable
from typing import Generic, TypeVar

from twisted_chat.errors import NameTaken, NameTooSimilar
from twisted_chat.names import Nickname

ClientT = TypeVar("ClientT", bound=Hashable)


class Registry(Generic[ClientT]):
    """Who is connected, and who holds which nickname. Every method is safe from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._nicknames: dict[ClientT, Nickname | None] = {}
        self._holders: dict[str, ClientT] = {}
        self._by_folded: dict[str, ClientT] = {}

    def add(self, client: ClientT) -> int:
        """Register ``client``, still without a nickname; returns how many are connected."""
        with self._lock:
            self._nicknames.setdefault(client, None)
            return len(self._nicknames)

    def remove(self, client: ClientT) -> int:
        """Forget ``client`` and free its nickname; returns how many are still connected."""
        with self._lock:
            self._free(client)
            self._nicknames.pop(client, None)
            return len(self._nicknames)

    def claim(self, client: ClientT, nickname: Nickname) -> None:
        """Give ``nickname`` to ``client``, in place of the one it holds, if any.

        :raises NameTaken: somebody else holds it.
        :raises NameTooSimilar: somebody else holds one that looks like it.
        :raises KeyError: ``client`` is not registered.
        """
        with self._lock:
            if client not in self._nicknames:
                raise KeyError(client)
            self._check(client, self._by_folded.get(nickname.folded, client), nickname)
            for key in sorted(nickname.keys):
                self._check(client, self._holders.get(key, client), nickname)
            self._free(client)
            self._nicknames[client] = nickname
            self._holders.update(dict.fromkeys(nickname.keys, client))
            self._by_folded[nickname.folded] = client

    def release(self, client: ClientT) -> None:
        """Free the nickname of ``client``, which stays connected."""
        with self._lock:
            self._free(client)

    def find(self, nickname: Nickname) -> ClientT | None:
        """Who holds exactly this nickname, in whatever case."""
        with self._lock:
            return self._by_folded.get(nickname.folded)

    def snapshot(self) -> tuple[tuple[ClientT, Nickname | None], ...]:
        """Everybody who is connected at this moment, with their nicknames."""
        with self._lock:
            return tuple(self._nicknames.items())

    def __len__(self) -> int:
        with self._lock:
            return len(self._nicknames)

    def _free(self, client: ClientT) -> None:
        nickname = self._nicknames.get(client)
        if nickname is not None:
            self._nicknames[client] = None
            del self._by_folded[nickname.folded]
            for key in nickname.keys:
                del self._holders[key]

    def _check(self, client: ClientT, holder: ClientT, nickname: Nickname) -> None:
        if holder is client:
            return
        held = self._nicknames[holder]
        assert held is not None
        if held.folded == nickname.folded:
            raise NameTaken(name=nickname.text)
        raise NameTooSimilar(name=nickname.text, other=held.text)
