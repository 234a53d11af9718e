"""The checks of texts against the limits that an operator can set."""

from __future__ import annotations

from collections.abc import Callable

from twisted_chat.core.errors import LineTooLong, NameTooLong, TopicTooLong
from twisted_chat.core.limits import Limits


class Checks:
    """Checks of lengths; ``limits`` returns the limits at the moment."""

    def __init__(self, limits: Callable[[], Limits]) -> None:
        self._limits = limits

    def nickname(self, name: str) -> None:
        """:raises NameTooLong: ``name`` is longer than a nickname may be."""
        if len(name) > self._limits().nickname:
            raise NameTooLong(limit=self._limits().nickname)

    def text(self, text: str) -> None:
        """:raises LineTooLong: ``text`` is longer than a message may be."""
        if not self._limits().fits(text):
            raise LineTooLong(limit=self._limits().text)

    def topic(self, topic: str) -> None:
        """:raises TopicTooLong: ``topic`` is longer than a topic may be."""
        if len(topic) > self._limits().topic:
            raise TopicTooLong(limit=self._limits().topic)
