"""However much some send, everybody has their turn, and a turn has an end."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from twisted_chat.net.scheduler import LINES_A_TURN, SLICE, Scheduler


class Loop:
    """A reactor's loop: what is asked for is called in the next turn."""

    def __init__(self) -> None:
        self.calls: list[Callable[[], None]] = []
        self.scheduler = Scheduler(self.calls.append)

    def turn(self) -> None:
        calls = self.calls[:]
        self.calls.clear()
        for call in calls:
            call()


class Talker:
    """Has so many lines; ``log`` notes who handled how many."""

    def __init__(self, name: str, lines: int, log: list[tuple[str, int]]) -> None:
        self.name = name
        self.lines = lines
        self._log = log

    @property
    def busy(self) -> bool:
        return self.lines > 0

    @property
    def waiting(self) -> int:
        return self.lines

    def work(self, limit: int) -> int:
        done = min(limit, self.lines)
        self.lines -= done
        self._log.append((self.name, done))
        return done


def test_few_lines_are_handled_at_once() -> None:
    loop, log = Loop(), list[tuple[str, int]]()
    loop.scheduler.submit(Talker("ana", 3, log))
    assert log == [("ana", 3)]
    loop.turn()
    assert loop.calls == []


def test_who_has_much_takes_turns_with_who_has_little() -> None:
    loop, log = Loop(), list[tuple[str, int]]()
    flood = Talker("flood", 10 * LINES_A_TURN, log)
    loop.scheduler.submit(flood)
    loop.scheduler.submit(Talker("ana", 1, log))
    loop.scheduler.submit(Talker("bia", 1, log))
    assert log == [("flood", SLICE)]
    loop.turn()
    assert log[1:4] == [("ana", 1), ("flood", SLICE), ("bia", 1)]
    while flood.lines:
        before = flood.lines
        loop.turn()
        assert before - flood.lines <= LINES_A_TURN + SLICE
    assert len(loop.calls) <= 1


def test_who_has_little_does_not_wait_for_all_who_have_much() -> None:
    loop, log = Loop(), list[tuple[str, int]]()
    for n in range(1000):
        loop.scheduler.submit(Talker(f"flood {n}", 10 * SLICE, log))
    loop.turn()
    log.clear()
    loop.scheduler.submit(Talker("ana", 1, log))
    loop.turn()
    assert log[0] == ("ana", 1)
    assert len(log) > 1


def test_many_at_once_do_not_make_one_long_turn() -> None:
    loop, log = Loop(), list[tuple[str, int]]()
    for n in range(1000):
        loop.scheduler.submit(Talker(str(n), SLICE, log))
    assert sum(done for _, done in log) <= LINES_A_TURN
    for _ in range(1000 * SLICE // LINES_A_TURN + 1):
        loop.turn()
    assert [name for name, _ in log] == [str(n) for n in range(1000)]


def test_a_defect_of_one_does_not_stop_the_others() -> None:
    class Broken(Talker):
        def work(self, limit: int) -> int:
            raise ZeroDivisionError

    loop, log = Loop(), list[tuple[str, int]]()
    loop.scheduler.submit(Talker("flood", 3 * SLICE, log))
    loop.scheduler.submit(Broken("broken", 1, log))
    loop.scheduler.submit(Talker("ana", 1, log))
    with pytest.raises(ZeroDivisionError):
        loop.turn()
    loop.turn()
    loop.turn()
    assert ("ana", 1) in log
    assert sum(done for name, done in log if name == "flood") == 3 * SLICE
