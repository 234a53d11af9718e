"""Reading what is typed: lines cut anywhere, of any length, from whatever the input is."""

from __future__ import annotations

import os
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twisted_chat.terminal.keyboard import LINE_LIMIT, LineSplitter, read_lines


@given(st.lists(st.integers(0, 30)))
def test_what_is_typed_is_cut_anywhere(cuts: list[int]) -> None:
    data = "olá\r\n\n€\nrest é".encode()
    splitter = LineSplitter()
    lines: list[str] = []
    edges = [0, *sorted(cuts), len(data)]
    for start, stop in pairwise(edges):
        lines += splitter.feed(data[start:stop])
    assert lines + splitter.end() == ["olá", "", "€", "rest é"]
    assert splitter.end() == []


def test_a_line_without_end_is_not_kept_whole() -> None:
    splitter = LineSplitter()
    for _ in range(3):
        splitter.feed(b"x" * LINE_LIMIT)
    (line,) = splitter.feed(b"\n")
    assert len(line) == LINE_LIMIT


@pytest.mark.parametrize("size", [1, 100])
@pytest.mark.parametrize("rest", ["one\n\ufefftwo\nthree", "one", ""])
def test_a_byte_order_mark_is_no_part_of_the_first_line(size: int, rest: str) -> None:
    splitter = LineSplitter()
    data = ("\ufeff" + rest).encode()
    pieces = [data[start : start + size] for start in range(0, len(data), size)]
    lines = [line for piece in pieces for line in splitter.feed(piece)] + splitter.end()
    assert "\n".join(lines) == rest


def test_reading_a_file(tmp_path: Path) -> None:
    """To its end; a line with bytes that are not UTF-8 is known by its lone surrogates."""
    path = tmp_path / "typed"
    path.write_bytes(b"one\n\xfftwo\nthree")
    lines: list[str] = []
    ends: list[None] = []
    with path.open("rb") as file:
        read_lines(file.fileno(), lines.extend, lambda: ends.append(None))
    assert lines == ["one", "\udcfftwo", "three"]
    assert ends == [None]


def test_reading_where_there_is_no_input(tmp_path: Path) -> None:
    ends: list[None] = []
    read_lines(-1, lambda lines: None, lambda: ends.append(None))
    assert ends == [None]


def test_reading_what_was_left_not_blocking() -> None:
    """Another program on the same terminal may have made it so."""
    out, into = os.pipe()
    os.set_blocking(out, False)
    lines: list[str] = []

    def typed(new: list[str]) -> None:
        lines.extend(new)

    os.write(into, b"one\n")
    os.close(into)
    read_lines(out, typed, lambda: None)
    assert lines == ["one"]
    assert os.get_blocking(out)
    os.close(out)
