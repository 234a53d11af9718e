"""Private messages for accounts whose person is away: how many wait for whom, and the limits.

A message waits until it has arrived at one connection of the recipient's account. Its text is in
the log only; here is one :class:`Slot` for each message, which is also the key of its record. All
nodes that apply the same changes have the same slots: nothing here depends on a clock, a setting or
chance. This module must not know how a message is stored or shown.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import NamedTuple

import msgspec

from twisted_chat.core.errors import MailboxFull, MailboxShareFull, MailFull

#: The kind of the records of messages.
KIND = "message"

#: Messages that wait for one account, and their size in bytes.
COUNT_LIMIT = 500
SIZE_LIMIT = 2**18

#: The part of them that one author, and that one source, can send.
COUNT_SHARE = 50
SIZE_SHARE = 2**16

#: Messages that wait for all accounts together: each takes about 300 bytes of memory.
TOTAL_LIMIT = 100_000

#: Bytes that count for a message besides its text in UTF-8.
MESSAGE_BYTES = 128


class StoredMessage(msgspec.Struct, frozen=True):
    """One message, as it is stored.

    :param recipient: the number of the recipient's account.
    :param number: identifies the message among those of the recipient, and orders them. It is the
        time in microseconds since 1970 UTC, unless an earlier message has a later number.
    :param author: the sender's author number.
    :param origin: the sender's source, as a keyed hash; 0 if its share is not limited.
    :param size: the bytes that it counts for.
    :param sender: the sender's nickname.
    :param text: the message; "" if the recipient ignores the sender: then it is never shown, and
        nobody can tell that by the limits.
    :param time: when it was sent, in microseconds since 1970 UTC.
    """

    recipient: int
    number: int
    author: int
    origin: int
    size: int
    sender: str
    text: str
    time: int


class Slot(NamedTuple):
    """The place of one message, without its text; the fields are those of
    :class:`StoredMessage`.
    """

    number: int
    author: int
    origin: int
    size: int


def key_of(recipient: int, slot: Slot | StoredMessage) -> str:
    """The key of a message's record. Keys of one recipient are in the order of the numbers."""
    return f"{prefix_of(recipient)}{slot.number:020}.{slot.author}.{slot.origin}.{slot.size}"


def prefix_of(recipient: int) -> str:
    """The beginning of the keys of the messages for ``recipient``, and of no others."""
    return f"{recipient}."


def size_of(text: str) -> int:
    """The bytes that a message with this text counts for."""
    return MESSAGE_BYTES + len(text.encode())


class Mailboxes:
    """The slots of all messages that wait."""

    def __init__(self) -> None:
        #: By recipient and number, in the order of the numbers.
        self._slots: dict[int, dict[int, Slot]] = {}
        self._total = 0

    def __len__(self) -> int:
        return self._total

    def learn(self, keys: Iterable[str]) -> int:
        """Add the messages with these keys, in their order; returns how many keys are damaged."""
        damaged = 0
        for key in keys:
            try:
                recipient, number, author, origin, size = map(int, key.split("."))
            except ValueError:
                damaged += 1
            else:
                self._put(recipient, Slot(number, author, origin, size))
        return damaged

    def recipients(self) -> Sequence[int]:
        """The accounts for which any message waits."""
        return tuple(self._slots)

    def waiting(self, recipient: int) -> Collection[Slot]:
        """The messages that wait for ``recipient``, the oldest first."""
        return self._slots.get(recipient, {}).values()

    def add(
        self, recipient: int, author: int, origin: int, size: int, time: int, name: str
    ) -> Slot:
        """Add a message; the fields are those of :class:`StoredMessage`.

        :param name: the recipient's nickname.
        :raises Refusal: there is no space for it.
        """
        waiting = self.waiting(recipient)
        if self._total >= TOTAL_LIMIT:
            raise MailFull(name=name)
        if not _fits(waiting, size, COUNT_LIMIT, SIZE_LIMIT):
            raise MailboxFull(name=name)
        own = [slot for slot in waiting if slot.author == author]
        near = [slot for slot in waiting if origin and slot.origin == origin]
        if not all(_fits(share, size, COUNT_SHARE, SIZE_SHARE) for share in (own, near)):
            raise MailboxShareFull(name=name, limit=COUNT_SHARE)
        last = next(reversed(self._slots.get(recipient, {})), 0)
        slot = Slot(max(time, last + 1), author, origin, size)
        self._put(recipient, slot)
        return slot

    def take(self, recipient: int, numbers: Iterable[int]) -> list[Slot]:
        """Remove messages; returns those of them that were there."""
        waiting = self._slots.get(recipient, {})
        taken = [waiting.pop(number) for number in numbers if number in waiting]
        self._total -= len(taken)
        if not waiting:
            self._slots.pop(recipient, None)
        return taken

    def before(self, time: int) -> Iterator[tuple[int, list[int]]]:
        """The messages from before ``time``: each recipient, and the numbers."""
        for recipient, waiting in tuple(self._slots.items()):
            old = [number for number in waiting if number < time]
            if old:
                yield recipient, old

    def _put(self, recipient: int, slot: Slot) -> None:
        self._slots.setdefault(recipient, {})[slot.number] = slot
        self._total += 1


def _fits(slots: Collection[Slot], size: int, count_limit: int, size_limit: int) -> bool:
    """Whether one more message of ``size`` bytes can wait with ``slots``."""
    return len(slots) < count_limit and sum(slot.size for slot in slots) + size <= size_limit
