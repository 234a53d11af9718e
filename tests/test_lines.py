"""Where lines end, and what is erased of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twisted_chat.dialects.lines import MARKS_ERASED, LineSplitter, TypedLineSplitter


def split(*pieces: bytes, program: bool = False) -> list[bytes]:
    """The lines that ``pieces`` hold, without their ends."""
    splitter = LineSplitter(4096) if program else TypedLineSplitter(4096)
    lines = [line for piece in pieces for line in splitter.split(piece)]
    return lines + splitter.end()


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r\0", b"\r"])
def test_every_usual_end_of_a_line_is_one(end: bytes) -> None:
    data = b"Ana" + end + b"oi" + end + b"you" + end
    assert split(data) == [b"Ana", b"oi", b"you"]
    assert split(*(bytes((byte,)) for byte in data)) == [b"Ana", b"oi", b"you"]


def test_a_line_that_ends_with_cr_alone_is_there_at_once() -> None:
    splitter = TypedLineSplitter(4096)
    assert splitter.split(b"Ana\r") == [b"Ana"]
    assert splitter.split(b"oi\r") == [b"oi"]
    assert splitter.crlf


def test_after_a_line_that_ended_with_lf_cr_alone_is_no_end() -> None:
    assert split(b"Ana\n", b"10 %\r20 %\n") == [b"Ana", b"10 %\r20 %"]
    assert split(b"Ana\r", b"\n", b"10 %\r", b"20 %\r\n") == [b"Ana", b"10 %\r20 %"]


def test_a_programs_lines_end_with_lf_only() -> None:
    assert split(b"{}\r{}\n\0{}\n", program=True) == [b"{}\r{}", b"\0{}"]


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_nuls_between_lines_are_keepalives(end: bytes) -> None:
    assert split(b"\0Ana" + end + b"\0", b"\0", b"oi" + end) == [b"Ana", b"oi"]


def test_a_nul_within_a_line_stays_and_is_refused_later() -> None:
    assert split(b"Ana\na\0b\n") == [b"Ana", b"a\0b"]


@pytest.mark.parametrize("text", ["o", "é", "e\u0301", "日", "😀", "z\u0330\u0308"])
def test_a_character_is_erased_with_its_marks(text: str) -> None:
    splitter = TypedLineSplitter(4096)
    splitter.split(b"ab" + text.encode())
    splitter.erase_character()
    assert splitter.partial == b"ab"
    for _ in range(3):
        splitter.erase_character()
    assert splitter.partial == b""


def test_of_a_line_of_nothing_but_marks_no_more_is_erased_than_one_command_is_worth() -> None:
    splitter = TypedLineSplitter(4096)
    splitter.split(("\u0301" * 1000).encode())
    splitter.erase_character()
    assert len(splitter.partial.decode()) == 1000 - (MARKS_ERASED + 1)


def test_a_line_is_erased_but_none_before_it() -> None:
    splitter = TypedLineSplitter(4096)
    assert splitter.split(b"Ana\nwrong") == [b"Ana"]
    splitter.erase_line()
    assert splitter.split(b"right\n") == [b"right"]


def test_what_is_too_long_comes_once() -> None:
    splitter = TypedLineSplitter(10)
    assert splitter.split(b"x" * 12) == [b"x" * 12]
    assert splitter.split(b"x" * 12) == []
    assert splitter.split(b"x\nnext\n") == [b"next"]


@pytest.mark.parametrize("cls", [TypedLineSplitter, LineSplitter])
@pytest.mark.parametrize("cut", range(1, 13))
def test_a_line_of_the_limit_is_whole_wherever_it_is_cut(cut: int, cls: type[LineSplitter]) -> None:
    """The CR of its end is no part of it, also if the LF comes later."""
    splitter = cls(10)
    assert splitter.split(b"Ana\r\n") == [b"Ana"]
    data = b"x" * 10 + b"\r\nnext\r\n"
    assert splitter.split(data[:cut]) + splitter.split(data[cut:]) == [b"x" * 10, b"next"]


@pytest.mark.parametrize("cls", [TypedLineSplitter, LineSplitter])
@pytest.mark.parametrize("cut", range(1, 14))
def test_of_a_line_over_the_limit_more_than_the_limit_comes_wherever_it_is_cut(
    cut: int, cls: type[LineSplitter]
) -> None:
    """So that it is refused; and it comes once."""
    splitter = cls(10)
    assert splitter.split(b"Ana\r\n") == [b"Ana"]
    data = b"x" * 11 + b"\r\nnext\r\n"
    first, second = splitter.split(data[:cut]) + splitter.split(data[cut:])
    assert len(first) > 10
    assert second == b"next"


@pytest.mark.parametrize("cls", [TypedLineSplitter, LineSplitter])
def test_a_cr_at_the_limit_is_no_end_before_the_lf_has_come(cls: type[LineSplitter]) -> None:
    """Or the beginning of a line that is too long would be taken for a whole one."""
    splitter = cls(10)
    assert splitter.split(b"Ana\r\n") == [b"Ana"]
    assert splitter.split(b"x" * 10 + b"\r") == []
    (line,) = splitter.split(b"more\n")
    assert len(line) > 10
    assert splitter.split(b"x" * 10 + b"\r") == []
    assert splitter.split(b"\nnext\n") == [b"x" * 10, b"next"]


@given(st.lists(st.sampled_from([b"a", b"b", b"\r", b"\n", b"\0", b"\xc3\xa9"])).map(b"".join))
def test_after_the_first_line_the_lines_do_not_depend_on_how_they_are_cut(data: bytes) -> None:
    for first in (b"Ana\n", b"Ana\r\n", b"Ana\rx\r"):
        assert split(first, *(bytes((byte,)) for byte in data)) == split(first, data)


@given(st.binary())
def test_nothing_is_lost_of_a_programs_lines(data: bytes) -> None:
    lines = data.split(b"\n")
    assert split(data, program=True) == [
        line.removesuffix(b"\r") for line in lines[:-1] + [line for line in lines[-1:] if line]
    ]


@pytest.mark.parametrize("splitter", [LineSplitter(4096), TypedLineSplitter(4096)])
def test_the_end_of_a_line_is_no_part_of_it(splitter: LineSplitter) -> None:
    assert splitter.split(b"Ana\noi\r\n") == [b"Ana", b"oi"]
    assert splitter.split(b"you\r") == []
    assert splitter.end() == [b"you"]


def test_of_people_it_is_known_whether_they_end_lines_with_crlf() -> None:
    """Programs are answered with LF in any case."""
    person, program = TypedLineSplitter(4096), LineSplitter(4096)
    person.split(b"Ana\noi\n")
    assert not person.crlf
    for splitter in (person, program):
        splitter.split(b"you\r\n")
    person.split(b"10 %\r20 %\n")
    assert person.crlf
    assert not program.crlf


def test_ctrl_d_alone_ends_a_persons_line() -> None:
    assert TypedLineSplitter(4096).split(b"oi\n\x04") == [b"oi", b"\x04"]
    assert TypedLineSplitter(4096).split(b"oi\x04") == []
    assert LineSplitter(4096).split(b"\x04") == []


def test_lines_are_counted_by_their_ends() -> None:
    assert LineSplitter(4096).count(b"oi\r\nyou\nand") == 2
