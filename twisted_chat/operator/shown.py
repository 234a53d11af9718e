"""Accounts as lines for people, and as JSON for programs; pure."""

from __future__ import annotations

import json
from collections import Counter
from datetime import datetime, timedelta
from typing import Any

from msgspec import to_builtins

from twisted_chat.archive.progress import grouped
from twisted_chat.core.characters import find_unsafe, visible
from twisted_chat.core.mailboxes import StoredMessage
from twisted_chat.core.operator_requests import ShownAccount
from twisted_chat.i18n.language import N_, catalogue

_EPOCH = datetime(1970, 1, 1)

_STATUS = {"active": N_("active"), "disabled": N_("disabled"), "closed": N_("closed")}

#: For each kind of credential: one, and several.
_KINDS = {
    "password": (N_("a password"), N_("{n} passwords")),
    "device": (N_("1 device"), N_("{n} devices")),
    "token": (N_("1 token"), N_("{n} tokens")),
    "code": (N_("1 code"), N_("{n} codes")),
    "certificate": (N_("1 certificate"), N_("{n} certificates")),
    "key": (N_("1 key"), N_("{n} keys")),
}


def as_line(account: ShownAccount, language: str) -> str:
    """``account`` as one line of a list."""
    translate = catalogue(language).gettext
    counts = Counter(credential.kind for credential in account.credentials)
    has = []
    for kind, (one, several) in _KINDS.items():
        if counts[kind]:
            words = translate(one if counts[kind] == 1 else several)
            has.append(words.format(n=grouped(counts[kind], language)))
    if account.directory:
        has.append(translate(N_("a password of the other system")))
    return translate(N_("{number} {name}: {status}, made on {date}; {credentials}")).format(
        number=account.number,
        name=visible(account.name),
        status=translate(_STATUS[account.status]),
        date=f"{_when(account.made):%Y-%m-%d}",
        credentials=", ".join(has) or translate(N_("nothing to log in with")),
    )


def as_json(account: ShownAccount) -> str:
    """``account`` as one line of JSON, with its times as in RFC 3339 (UTC)."""
    fields: dict[str, Any] = to_builtins(account)
    fields["made"] = _time(account.made)
    for credential in fields["credentials"]:
        for name in ("made", "expires"):
            if credential.get(name):
                credential[name] = _time(credential[name])
    return _line(fields)


def message_as_json(message: StoredMessage) -> str:
    """A private message that is kept for an account, as one line of JSON."""
    fields = {"type": "message", "sender": message.sender, "text": message.text}
    return _line({**fields, "time": _time(message.time)})


def until(time: int) -> str:
    """The date and the minute of ``time``, in microseconds since 1970 UTC."""
    return f"{_when(time):%Y-%m-%d %H:%M}"


def _line(fields: dict[str, Any]) -> str:
    line = json.dumps(fields, ensure_ascii=False)
    # Control characters would reach a terminal that shows the line; escaped, they do not.
    return json.dumps(fields) if find_unsafe(line) else line


def _time(time: int) -> str:
    return f"{_when(time).isoformat(timespec='microseconds')}Z"


def _when(time: int) -> datetime:
    return _EPOCH + timedelta(microseconds=time)
