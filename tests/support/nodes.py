"""Several nodes that apply one log in memory, each with its chat and its people."""

from __future__ import annotations

from collections.abc import Sequence

from tests.support.fakes import Visitor, World
from twisted_chat.core.changes import NodeGone
from twisted_chat.journal.memory import MemoryLog

#: Of each room, and of the chat under None, who is there: name and author.
View = dict[str | None, list[tuple[str, int]]]


class Nodes:
    """A world for each of ``names``, all over one log."""

    def __init__(self, names: Sequence[str] = "ab") -> None:
        self.log = MemoryLog()
        self.worlds = [World(log=self.log, node=name) for name in names]

    def __getitem__(self, number: int) -> World:
        return self.worlds[number]

    def settle(self) -> None:
        """Let all be committed and applied everywhere, and what comes of it."""
        while self.log.queue or any(w.journal.groups or w.journal.reads for w in self.worlds):
            for world in self.worlds:
                world.journal.run()

    def enter(self, number: int, *names: str) -> list[Visitor]:
        """People who come in at one node; what they saw meanwhile is forgotten."""
        visitors = self.worlds[number].enter(*names)
        self.settle()
        for visitor in visitors:
            visitor.sees()
        return visitors

    def types(self, visitor: Visitor, *lines: str) -> list[str]:
        """Somebody types lines, one after the other; returns what is shown meanwhile."""
        shown = []
        for line in lines:
            shown += visitor.types(line)
            self.settle()
        return shown + visitor.sees()

    def gone(self, number: int) -> World:
        """A node disappears, and the others notice."""
        world = self.worlds.pop(number)
        world.journal.end()
        self.worlds[0].journal.submit((NodeGone(world.journal.node),))
        self.settle()
        return world

    def views(self) -> list[View]:
        """Who is where under which name, as each node has it."""
        return [view(world) for world in self.worlds]


def view(world: World) -> View:
    """Who is where under which name."""
    state = world.chat._state
    everybody = sorted({(person.name, person.author) for person in state.people})
    found: View = {None: everybody}
    for name in state.places.rooms:
        room = state.places.rooms.get(name)
        assert room is not None
        found[name] = sorted((member.name, member.author) for member in room.members)
    return found
