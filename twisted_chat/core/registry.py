"""The connected clients, under the one threading lock.

The reactor thread is not the only one that asks who is here: thread-pool callbacks of an
embedding application do too. Claiming, changing and releasing a nickname are each one
atomic step. Nothing is called while the lock is held, and there is no I/O in it.
"""

from __future__ import annotations

import threading
from collections.abc import Hashable
from typing import Generic, TypeVar

from twisted_chat.core.errors import NameKept, NameTaken, NameTooSimilar
from twisted_chat.core.names import Nickname

ClientT = TypeVar("ClientT", bound=Hashable)


class Registry(Generic[ClientT]):
    """Who is connected, and who holds which nickname. Every method is safe from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._nicknames: dict[ClientT, Nickname | None] = {}
        self._holders: dict[str, ClientT] = {}
        self._by_folded: dict[str, ClientT] = {}
        #: Nicknames of those who are gone and can come back, and for whom each is kept.
        self._kept: dict[ClientT, tuple[Nickname, Hashable]] = {}
        self._kept_keys: dict[str, ClientT] = {}

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

    def claim(self, client: ClientT, nickname: Nickname, owner: Hashable = None) -> None:
        """Give ``nickname`` to ``client``, in place of the one it holds, if any.

        One that is kept for ``owner`` can be claimed, and is not kept any more.

        :raises NameKept: it is kept for somebody else, or looks like one that is.
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
            keepers = {self._kept_keys[key] for key in nickname.keys if key in self._kept_keys}
            for keeper in keepers:
                if keeper is not client and self._kept[keeper][1] != owner:
                    raise NameKept(name=nickname.text)
            for keeper in keepers:
                self._drop(keeper)
            self._free(client)
            self._nicknames[client] = nickname
            self._holders.update(dict.fromkeys(nickname.keys, client))
            self._by_folded[nickname.folded] = client

    def release(self, client: ClientT) -> None:
        """Free the nickname of ``client``, which stays connected."""
        with self._lock:
            self._free(client)

    def keep(self, client: ClientT, nickname: Nickname, owner: Hashable) -> None:
        """``client`` is gone: keep ``nickname`` for it, or for whoever else is ``owner``."""
        with self._lock:
            self._free(client)
            self._drop(client)
            self._kept[client] = nickname, owner
            self._kept_keys.update(dict.fromkeys(nickname.keys, client))

    def drop(self, client: ClientT) -> None:
        """Keep no nickname for ``client`` any more."""
        with self._lock:
            self._drop(client)

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

    def _drop(self, client: ClientT) -> None:
        nickname, _ = self._kept.pop(client, (None, None))
        for key in nickname.keys if nickname is not None else ():
            if self._kept_keys.get(key) is client:
                del self._kept_keys[key]

    def _check(self, client: ClientT, holder: ClientT, nickname: Nickname) -> None:
        if holder is client:
            return
        held = self._nicknames[holder]
        assert held is not None
        if held.folded == nickname.folded:
            raise NameTaken(name=nickname.text)
        raise NameTooSimilar(name=nickname.text, other=held.text)
