"""The plain screen: what is written is seen at once, and one that is gone says so."""

from __future__ import annotations

import io

from twisted_chat.terminal.screen import Screen


class BrokenStream(io.StringIO):
    """A pipe that nobody reads any more."""

    writes = 0

    def flush(self) -> None:
        self.writes += 1
        raise BrokenPipeError


class FlushedStream(io.StringIO):
    """Knows how much of it has been flushed."""

    flushed = ""

    def flush(self) -> None:
        self.flushed = self.getvalue()


def test_every_piece_is_flushed() -> None:
    stream = FlushedStream()
    screen = Screen(stream, lambda: None)
    screen.prompt("name:")
    assert stream.flushed == "name: "
    screen.line("hello")
    assert stream.flushed == "name: \nhello\n"


def test_a_screen_that_is_gone_says_so_once() -> None:
    stream = BrokenStream()
    gone: list[None] = []
    screen = Screen(stream, lambda: gone.append(None))
    screen.line("one")
    screen.line("two")
    assert gone == [None]
    assert stream.writes == 1
