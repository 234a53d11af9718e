"""What the operator's log of names is told: who had which name, from where.

Its values are no texts or secrets. It must not know where that is written.
"""

from __future__ import annotations

from typing import Protocol


class Audit(Protocol):
    """Is told who has which name from where; the values of ``details`` are no texts or secrets."""

    def __call__(
        self, what: str, address: str, nickname: str | None = None, **details: str
    ) -> None: ...


def not_audited(what: str, address: str, nickname: str | None = None, **details: str) -> None: ...
