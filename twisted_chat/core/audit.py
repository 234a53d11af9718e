"""The interface of the audit log, which tells the operator who had which nickname, from where.

A record contains no message and no secret. This module must not know where records are written.
"""

from __future__ import annotations

from typing import Protocol


class Audit(Protocol):
    """Writes one record of the audit log.

    :param what: the kind of record, such as ``named``, ``renamed`` or ``wrong-code``.
    :param address: the address of the connection.
    :param nickname: the person's nickname, if any.
    :param details: further values: no messages and no secrets.
    """

    def __call__(
        self, what: str, address: str, nickname: str | None = None, **details: str
    ) -> None: ...


#: The :class:`Audit` of a server without an audit log: it writes nothing.
def not_audited(what: str, address: str, nickname: str | None = None, **details: str) -> None: ...
