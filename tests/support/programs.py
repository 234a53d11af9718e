"""Programs in a ``World``: how they come in, and the events that they were sent."""

from __future__ import annotations

from typing import Any

from tests.support.fakes import Visitor, World
from twisted_chat.core.events import Entry, Event
from twisted_chat.core.requests import Hello

ANA, BIA = "a" * 32, "b" * 32


def program(world: World, nickname: str, client: str | None = None, **resume: int) -> Visitor:
    visitor = Visitor(world, program=True)
    visitor.ask(Hello(nickname, client, None, resume))
    return visitor


def of(visitor: Visitor, *kinds: type[Event]) -> list[Any]:
    return [event for event in visitor.connection.events if isinstance(event, kinds)]


def numbers(visitor: Visitor) -> list[int]:
    return [entry.number for entry in of(visitor, Entry)]
