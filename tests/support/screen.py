"""A view of the client that remembers what it was given to show."""

from __future__ import annotations

from collections.abc import Sequence

from twisted_chat.terminal.view import Line


class Screen:
    """A view that remembers."""

    def __init__(self) -> None:
        self.lines: list[Line] = []
        self.alerts = 0

    def show(self, lines: Sequence[Line]) -> None:
        self.lines += lines

    def refresh(self) -> None: ...

    def alert(self) -> None:
        self.alerts += 1

    def take(self) -> list[str]:
        """What was shown since it was taken last."""
        texts = [line.text for line in self.lines]
        self.lines.clear()
        return texts
