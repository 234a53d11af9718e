"""Records: state that outlives the server, such as an account. Each is stored whole, by its key.

A record has a kind and a key; a later record with both replaces the earlier one. A record that an
older version of the program wrote must stay readable: a field that is added needs a default, and no
field changes its meaning. This module must not know where records are stored.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec

from twisted_chat.core.accounts import Account
from twisted_chat.core.mailboxes import KIND as MESSAGE
from twisted_chat.core.mailboxes import StoredMessage, key_of
from twisted_chat.core.room_rules import RoomRules

#: Everything that can be a record; each class has a row in :data:`KINDS`.
Record = Account | RoomRules | StoredMessage


class Forgotten(msgspec.Struct, frozen=True):
    """The record of ``kind`` with this ``key`` is to be deleted; there may be none."""

    kind: str
    key: str


class Kind(NamedTuple):
    """One kind of records: its class, and the function that gives the key of a record.

    If ``stays_on_disk``, the records are not read when the log is opened, only their keys.
    """

    type: type
    key: Callable[[Any], str]
    stays_on_disk: bool = False


#: The kinds of records by their names, which are stored and never change.
KINDS: dict[str, Kind] = {
    "account": Kind(Account, lambda account: str(account.number)),
    MESSAGE: Kind(StoredMessage, lambda one: key_of(one.recipient, one), stays_on_disk=True),
    "room": Kind(RoomRules, lambda rules: rules.room),
}

#: The kind of the records of people who can come back (:class:`.KeptPerson`), which are stored
#: otherwise; the key is the author number. Such a record is deleted together with others here.
PERSON = "person"

#: The names of the kinds whose records stay on disk.
ON_DISK = tuple(name for name, kind in KINDS.items() if kind.stays_on_disk)

_NAMES = {kind.type: name for name, kind in KINDS.items()}

_encode = msgspec.json.Encoder(order="deterministic").encode


class RecordDamaged(ValueError):
    """A stored record cannot be read."""


def place(record: Record | Forgotten) -> tuple[str, str]:
    """The name of the kind of ``record``, and its key."""
    if isinstance(record, Forgotten):
        return record.kind, record.key
    name = _NAMES[type(record)]
    return name, KINDS[name].key(record)


def encode(record: Record) -> str:
    """``record`` as JSON; :func:`decode` reads it."""
    return _encode(record).decode()


def decode(kind: str, key: str, data: str) -> Record:
    """The record that :func:`encode` made ``data`` of.

    :raises RecordDamaged: it is not a record of this ``kind`` with this ``key``.
    """
    try:
        record: Record = msgspec.json.decode(data, type=KINDS[kind].type)
    except (KeyError, TypeError, ValueError) as error:  # msgspec raises subclasses
        raise RecordDamaged(f"the record {kind} {key} is damaged") from error
    if place(record) != (kind, key):
        raise RecordDamaged(f"the record {kind} {key} is that of another key")
    return record
