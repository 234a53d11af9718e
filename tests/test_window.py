"""The terminal of a person: keys in, lines out, and a half-typed line that is never lost.

The tests with tmux run this module as a program: a window with a fake conversation, to which
lines are sent through a UNIX socket.
"""

from __future__ import annotations

import asyncio
import re
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prompt_toolkit.input import create_pipe_input
from twisted.logger import capturedLogs

from tests.support.characters import any_text
from tests.support.processes import environment
from tests.support.tmux import PATIENCE, Tmux, needs_tmux
from tests.support.window import FakeTalk, Running, converse
from twisted_chat.core.characters import find_unsafe
from twisted_chat.terminal.bar import WAITING_SHOWN, Part, bar, fit, prompt, waiting
from twisted_chat.terminal.clusters import clusters, simplified
from twisted_chat.terminal.colours import Look, width
from twisted_chat.terminal.view import Line, Tab
from twisted_chat.terminal.window import PIECE, QUEUE_LIMIT, Window


def said(text: str, nickname: str = "alice") -> Line:
    return Line(text=f"[{nickname}]: {text}", kind="said", nickname=nickname, body=text)


# -- the bar ----------------------------------------------------------------------------------


def shown(parts: Sequence[Part]) -> str:
    return "  ".join(part.text for part in parts)


def full_talk() -> FakeTalk:
    talk = FakeTalk()
    talk.tabs["lobby"].topic = "Everything about nothing"
    talk.tabs["cinema"] = Tab("cinema", unread=3, mentioned=True)
    talk.tabs["books"] = Tab("books", unread=7)
    talk.tabs["quiet"] = Tab("quiet")
    talk.waiting = ["one", "two"]
    return talk


def test_the_bar_tells_everything_where_there_is_room() -> None:
    assert shown(bar(full_talk(), 120)) == (
        "1:#lobby  Everything about nothing  people: 4  online  2 unsent  34 ms"
        "  2:#cinema 3!  3:#books 7  4:#quiet"
    )


def test_the_less_important_parts_go_first() -> None:
    lengths = (88, 74, 64, 58, 46, 34, 23, 8)
    bars = [shown(bar(full_talk(), columns)) for columns in lengths]
    assert bars == [
        "1:#lobby  people: 4  online  2 unsent  34 ms  2:#cinema 3!  3:#books 7  4:#quiet",
        "1:#lobby  people: 4  online  2 unsent  34 ms  2:#cinema 3!  3:#books 7",
        "1:#lobby  people: 4  2 unsent  34 ms  2:#cinema 3!  3:#books 7",
        "1:#lobby  people: 4  2 unsent  2:#cinema 3!  3:#books 7",
        "1:#lobby  2 unsent  2:#cinema 3!  3:#books 7",
        "1:#lobby  2 unsent  2:#cinema 3!",
        "1:#lobby  2 unsent",
        "1:#lobby",
    ]


def test_a_lost_connection_is_told_even_where_nothing_else_has_room() -> None:
    talk = full_talk()
    talk.connection, talk.retry = "offline", 4.2
    assert "offline, next attempt in 5 s" in shown(bar(talk, 120))
    assert shown(bar(talk, 20)) == "offline, next attem…"
    talk.retry = 0.0
    assert shown(bar(talk, 20)) == "1:#lobby  offline"
    talk.connection = "connecting"
    assert shown(bar(talk, 12)) == "connecting"


def test_the_topic_takes_the_room_that_is_left() -> None:
    talk = full_talk()
    talk.tabs = {"lobby": talk.tabs["lobby"]}
    assert shown(bar(talk, 60)) == ("1:#lobby  Everything ab…  people: 4  online  2 unsent  34 ms")
    assert "Every" not in shown(bar(talk, 52))


def test_the_bar_while_a_name_is_asked_for() -> None:
    talk = FakeTalk()
    talk.room, talk.tabs, talk.connection = None, {}, "connecting"
    assert shown(bar(talk, 60)) == "connecting  34 ms"
    talk.prompt = "Your name:"
    assert shown(bar(talk, 60)) == "connected, without a name yet  34 ms"


def test_the_bar_before_there_is_a_room() -> None:
    talk = FakeTalk()
    talk.room, talk.tabs, talk.delay, talk.connection = None, {}, None, "connecting"
    assert shown(bar(talk, 80)) == "connecting"


def test_the_bar_speaks_the_persons_language() -> None:
    talk = full_talk()
    talk.language = "pt_BR"
    assert all(shown(bar(talk, columns)) for columns in range(1, 120))


tabs = st.dictionaries(
    any_text,
    st.builds(
        Tab,
        name=st.just(""),
        topic=any_text,
        count=st.integers(0, 10**6),
        unread=st.integers(0, 10**6),
        mentioned=st.booleans(),
    ),
    max_size=5,
)


@given(st.data(), tabs, st.integers(1, 150))
def test_whatever_the_bar_tells_it_has_room_and_is_harmless(
    data: st.DataObject, tabs: dict[str, Tab], columns: int
) -> None:
    talk = FakeTalk()
    for name, tab in tabs.items():
        tab.name = name
    talk.tabs = tabs
    talk.room = data.draw(st.sampled_from([None, *tabs]))
    talk.connection = data.draw(st.sampled_from(["connecting", "online", "offline"]))
    talk.retry = data.draw(st.floats(0, 10**6))
    talk.waiting = data.draw(st.lists(any_text, max_size=5))
    text = shown(bar(talk, columns))
    assert width(text) <= columns
    rows = waiting(talk, columns)
    assert len(rows) <= WAITING_SHOWN + 1
    assert all(width(row) <= columns for row in rows)
    before = prompt(talk, columns)
    assert width(before) <= max(2, columns // 2)
    assert all(find_unsafe(one) is None for one in (text, before, *rows))


@given(st.lists(st.builds(Part, st.text(max_size=10), st.integers(0, 9)), min_size=1))
def test_nothing_less_important_is_kept_instead(parts: list[Part]) -> None:
    kept = fit(parts, 20)
    assert kept
    lost = [part for part in parts if parts.count(part) > kept.count(part)]
    if len(kept) > 1:
        assert all(one.rank <= other.rank for one in kept for other in lost)


# -- around the prompt ------------------------------------------------------------------------


def test_the_prompt_is_the_room_or_a_question() -> None:
    talk = FakeTalk()
    assert prompt(talk, 80) == "#lobby> "
    talk.room = "a-room-with-quite-a-long-name"
    assert prompt(talk, 20) == "#a-room…> "
    talk.room = None
    assert prompt(talk, 80) == "> "
    talk.prompt = "Your name:"
    assert prompt(talk, 80) == "Your name: "


def test_the_last_waiting_lines_are_shown_and_the_others_counted() -> None:
    talk = FakeTalk()
    talk.waiting = ["one", "two", "three"]
    assert waiting(talk, 80) == ["… one", "… two", "… three"]
    talk.waiting += ["four", "five"]
    assert waiting(talk, 80) == ["… and 2 more", "… three", "… four", "… five"]


# -- a window, keys, and what is written ------------------------------------------------------


def typed(keys: str, talk: FakeTalk | None = None, **options: Any) -> list[str]:
    """The lines that the conversation is given when ``keys`` are pressed, then Enter."""

    async def scenario(running: Running) -> None:
        count = len(running.talk.told)
        running.press(keys + "\r")
        await running.until(lambda: len(running.talk.told) > count)

    return converse(scenario, talk, **options).talk.told


def test_what_is_typed_is_given_to_the_conversation() -> None:
    assert typed("hello\rworld") == ["hello", "world"]


def test_an_empty_line_is_nothing_unless_it_answers_a_question() -> None:
    assert typed("\r  \rhello") == ["hello"]
    talk = FakeTalk()
    talk.prompt = "Your name:"
    assert typed("", talk) == [""]


def test_each_line_of_a_paste_is_a_line_once_enter_is_pressed() -> None:
    async def scenario(running: Running) -> None:
        running.press("\x1b[200~one\r\ntwo\r\rthree\r\n\x1b[201~")
        await running.until(lambda: "Pasted lines: 3" in running.output)
        assert running.talk.told == []
        running.press("\r")
        await running.until(lambda: len(running.talk.texts) == 3)

    talk = converse(scenario).talk
    assert (talk.texts, talk.told) == (["one", "two", "three"], [])


BLOCK = "#!/bin/sh\n/usr/bin/env\nsair\n  /quit now"


def test_pasted_lines_are_text_whatever_they_look_like() -> None:
    remembered: list[str] = []

    async def scenario(running: Running) -> None:
        running.press(f"\x1b[200~{BLOCK}\n\x1b[201~\r")
        await running.until(lambda: running.talk.texts != [])
        running.press("/quit\r")  # what is typed next is typed
        await running.until(lambda: running.talk.told != [])

    talk = converse(scenario, remember=remembered.append).talk
    assert (talk.texts, talk.told, talk.left) == (BLOCK.split("\n"), ["/quit"], 0)
    # From the history they are typed, so they are kept as what has to be typed.
    assert remembered == ["#!/bin/sh", "//usr/bin/env", "  /quit now", "/quit"]


def test_one_pasted_line_goes_into_the_line_that_is_typed() -> None:
    async def scenario(running: Running) -> None:
        running.press("see \x1b[200~this\n\x1b[201~ one\r")
        await running.until(lambda: running.talk.told != [])

    assert converse(scenario).talk.told == ["see this one"]


@pytest.mark.parametrize("key", ["\x03", "\x1b"])
def test_a_wrong_paste_is_discarded(key: str) -> None:
    """What was typed before it is still there."""

    async def scenario(running: Running) -> None:
        running.press(f"half\x1b[200~{BLOCK}\x1b[201~")
        await running.until(lambda: "Pasted lines: 4" in running.output)
        running.press(key)
        await running.until(lambda: "were discarded" in running.output)
        running.press(" typed\r")
        await running.until(lambda: running.talk.told != [])

    talk = converse(scenario).talk
    assert (talk.texts, talk.told, talk.left) == ([], ["half typed"], 0)


def test_a_paste_that_was_not_sent_is_still_text_the_next_time() -> None:
    async def scenario(running: Running) -> None:
        running.press("\r")
        await running.until(lambda: running.talk.texts != [])

    talk = converse(scenario, draft="/quit\nsair").talk
    assert (talk.texts, talk.told) == (["/quit", "sair"], [])


def test_of_lines_pasted_at_a_question_one_answers_and_the_others_stay() -> None:
    talk = FakeTalk()
    talk.prompt = "Your name:"

    async def scenario(running: Running) -> None:
        running.press("\x1b[200~Ana\nsair\x1b[201~\r")
        await running.until(lambda: talk.told != [])
        talk.prompt = None
        running.press("\r")
        await running.until(lambda: talk.texts != [])

    converse(scenario, talk)
    assert (talk.told, talk.texts) == (["Ana"], ["sair"])


def test_pasted_control_characters_are_neither_sent_nor_obeyed() -> None:
    async def scenario(running: Running) -> None:
        running.press("\x1b[200~a\x1b]0;evil\x07\u202eb\x9b2J\x1b[201~\r")
        await running.until(lambda: running.talk.told != [])

    running = converse(scenario)
    assert running.talk.told == ["a\u241b]0;evil\u2407\ufffdb\ufffd2J"]
    assert not set("\u202e\x9b\x07") & set(running.output)
    assert "\x1b]0;" not in running.output


def test_a_control_character_that_is_quoted_is_not_sent_either() -> None:
    assert typed("a\x11\x02b") == ["a\u2402b"]


RAINBOW, THUMB, FLAG, E, KA = "🏳️‍🌈", "👍🏽", "🇧🇷", "e\u0301", "कि"


@pytest.mark.parametrize("character", [RAINBOW, THUMB, FLAG, E, KA, "1️⃣", "❤️", "x", "語"])
def test_one_character_is_erased_and_passed_over_as_one(character: str) -> None:
    """Of however many code points it is."""
    assert typed(f"a{character}b{character}\x7f") == [f"a{character}b"]
    assert typed(f"a{character}\x1b[D!") == [f"a!{character}"]
    assert typed(f"a{character}b\x01\x1b[C\x1b[C!") == [f"a{character}!b"]
    assert typed(f"a{character}b\x01\x1b[C\x1b[3~") == ["ab"]
    assert typed(f"a{character}b\x01\x1b[C\x04") == ["ab"]


def test_nothing_is_erased_where_nothing_is() -> None:
    assert typed("\x7f\x1b[D\x1b[C\x1b[3~a") == ["a"]


@pytest.mark.parametrize(
    ("text", "drawn"),
    [
        (RAINBOW, "🏳"),
        (THUMB, "👍"),
        (FLAG, "BR"),
        ("1️⃣", "1"),
        (E, E),
        (KA, KA),
        ("한글 ไทย", "한글 ไทย"),
    ],
)
def test_what_terminals_disagree_about_is_drawn_simply(text: str, drawn: str) -> None:
    assert simplified(f"a{text}b") == f"a{drawn}b"


@given(any_text)
def test_simple_text_loses_no_letter(text: str) -> None:
    assert "".join(clusters(text)) == text
    assert simplified(simplified(text)) == simplified(text)


def test_tab_completes_and_what_is_typed_next_stands_behind_it() -> None:
    assert typed("zo\thi") == ["zoe: hi"]
    assert typed("hi zo\t!") == ["hi zoe !"]
    assert typed("/jo\tci\t") == ["/join #cinema "]
    assert typed("xyz\t") == ["xyz"]


def test_tab_again_goes_through_the_candidates() -> None:
    async def scenario(running: Running) -> None:
        running.press("a\t")
        await running.until(lambda: "albert" in running.output)
        running.press("\t")
        await asyncio.sleep(0)
        running.press("\tyes\r")
        await running.until(lambda: running.talk.told != [])

    assert converse(scenario).talk.told == ["albert: yes"]


def test_lines_typed_before_come_back_with_the_up_key() -> None:
    async def scenario(running: Running) -> None:
        await asyncio.sleep(0.02)  # the history is loaded when it is first shown
        running.press("\x1b[A\x1b[A!\r")
        await running.until(lambda: running.talk.told != [])

    assert converse(scenario, history=["one", "two"]).talk.told == ["one!"]


def test_the_up_key_keeps_a_half_typed_line() -> None:
    async def scenario(running: Running) -> None:
        await asyncio.sleep(0.02)
        running.press("half\x1b[A\x1b[B\r")
        await running.until(lambda: running.talk.told != [])

    assert converse(scenario, history=["one"]).talk.told == ["half"]


def test_lines_typed_before_are_found_with_ctrl_r() -> None:
    async def scenario(running: Running) -> None:
        await asyncio.sleep(0.02)
        running.press("\x12on")
        await running.until(lambda: "Search" in running.output)
        running.press("\r")
        await asyncio.sleep(0.02)
        running.press("\x05!\r")
        await running.until(lambda: running.talk.told != [])

    assert converse(scenario, history=["one", "two"]).talk.told == ["one!"]


def test_each_new_line_is_remembered_once() -> None:
    remembered: list[str] = []
    typed("one\rone\rtwo", history=["zero"], remember=remembered.append)
    assert remembered == ["one", "two"]


def test_answers_to_a_question_are_not_remembered() -> None:
    remembered: list[str] = []
    talk = FakeTalk()
    talk.prompt = "Your name:"
    typed("secret", talk, remember=remembered.append)
    assert remembered == []


def test_ctrl_c_keeps_the_line_and_says_how_to_leave() -> None:
    async def scenario(running: Running) -> None:
        running.press("half\x03")
        await running.until(lambda: "Ctrl-C again" in running.output)
        running.press(" typed\r")
        await running.until(lambda: running.talk.told != [])

    running = converse(scenario)
    assert running.talk.told == ["half typed"]
    assert running.talk.left == 0


def test_ctrl_c_twice_leaves_with_the_line_kept_for_the_next_time() -> None:
    drafts: list[str] = []

    async def scenario(running: Running) -> None:
        running.talk.on_leave = running.window.close
        running.press("half\x03\x03")
        await asyncio.wait_for(running.task, PATIENCE)

    running = converse(scenario, keep_draft=drafts.append)
    assert (running.talk.left, running.talk.told, drafts[-1]) == (1, [], "half")


def test_a_half_typed_line_is_kept_as_it_is_typed() -> None:
    """So that it is there also after the client was killed."""
    drafts: list[str] = []

    async def scenario(running: Running) -> None:
        running.press("ab")
        await running.until(lambda: drafts == ["a", "ab"])

    converse(scenario, keep_draft=drafts.append)


@pytest.mark.parametrize("key", ["\x03", "\x04"])
def test_ctrl_c_and_ctrl_d_on_an_empty_line_leave(key: str) -> None:
    async def scenario(running: Running) -> None:
        running.press(key)
        await running.until(lambda: running.talk.left == 1)

    converse(scenario)


def test_leaving_twice_is_told_to_the_conversation() -> None:
    """Which does not wait for anything then."""

    async def scenario(running: Running) -> None:
        running.press("\x04\x04")
        await running.until(lambda: running.talk.left == 2)

    converse(scenario)


def test_ctrl_d_deletes_a_character_and_never_the_line() -> None:
    assert typed("ab\x02\x04c\x04\x04") == ["ac"]


def test_a_draft_is_there_at_the_next_start() -> None:
    assert typed(" line", draft="half a") == ["half a line"]


def test_rooms_are_switched_by_number_by_direction_and_by_news() -> None:
    async def scenario(running: Running) -> None:
        running.press("half\x1b2\x1b9\x1b[1;3D\x1b[1;3C\x1ba")
        await running.until(lambda: len(running.talk.moves) == 4)
        running.press("\r")
        await running.until(lambda: running.talk.told != [])

    talk = converse(scenario).talk
    assert talk.moves == ["cinema", -1, 1, "news"]
    assert talk.told == ["half"], "the line stays"


# -- what is shown ----------------------------------------------------------------------------


def test_lines_are_shown_in_their_order_also_those_of_the_last_moment() -> None:
    async def scenario(running: Running) -> None:
        running.window.show([said("one"), said("two")])
        await running.until(lambda: "two" in running.output)
        running.window.show([said("three")])

    output = converse(scenario).output
    assert re.findall(r"\]: (\w+)", re.sub(r"\x1b\[[0-9;]*m", "", output)) == [
        "one",
        "two",
        "three",
    ]


def test_lines_shown_before_the_start_and_after_the_end_are_written() -> None:
    async def scenario(running: Running) -> None:
        running.window.close()
        await asyncio.wait_for(running.task, PATIENCE)
        running.window.show([said("goodbye")])

    assert "goodbye" in converse(scenario).output

    async def run() -> None:
        with create_pipe_input() as keys:
            running = Running(FakeTalk(), keys)
            running.window.show([said("early")])
            await running.until(lambda: "early" in running.output)
            running.window.close()
            await running.task

    asyncio.run(run())


def test_a_half_typed_line_is_drawn_again_below_each_line() -> None:
    async def scenario(running: Running) -> None:
        running.press("half")
        await running.until(lambda: "half" in running.output)
        running.window.show([said("news")])
        await running.until(lambda: "half" in running.output.partition("news")[2])

    converse(scenario)


@pytest.mark.parametrize(
    ("typed", "rows"),
    [("x" * 41, 0), ("x" * 42, 0), ("x" * 43, 1), ("x" * 42 + "\x1b[D", 0), ("oi ", 0)],
)
def test_a_row_that_is_just_full_takes_no_other_row(typed: str, rows: int) -> None:
    """Behind the prompt of 8 columns, in a terminal that is made 50 columns wide: one row more
    than there is, and a line that is shown would be erased.
    """

    async def scenario(running: Running) -> None:
        running.press(typed)
        await running.until(lambda: "".join(typed.split("\x1b")[:1]).strip() in running.output)
        await asyncio.sleep(0.05)  # until it is drawn
        assert running.window._drawn.rows_more(50) == rows

    converse(scenario)


def test_keys_are_answered_while_ten_thousand_lines_arrive() -> None:
    """A key that is pressed amid the flood is handled amid it, not after it."""
    behind: list[int] = []

    async def scenario(running: Running) -> None:
        running.talk.on_typed = lambda line: behind.append(running.output.count("[alice]"))
        running.window.show([Line(text=f"[alice] {n}", kind="said") for n in range(10_000)])
        await running.until(lambda: "[alice] 0\r" in running.output)
        running.press("hello\r")
        await running.until(lambda: "[alice] 9999\r" in running.output)

    converse(scenario)
    assert behind
    assert behind[0] < 10_000


def test_whoever_shows_lines_can_see_that_there_are_too_many() -> None:
    calls: list[str] = []

    async def scenario(running: Running) -> None:
        window = running.window
        assert window.ready
        window.when_ready(lambda: calls.append("at once"))
        window.show([said(str(n)) for n in range(QUEUE_LIMIT + PIECE)])
        assert not window.ready
        window.when_ready(lambda: calls.append("later"))
        assert calls == ["at once"]
        await running.until(lambda: len(calls) == 2)
        assert window.ready

    converse(scenario)


def test_nothing_that_is_told_steers_the_terminal() -> None:
    evil = "\x1b]0;evil\x07\x9b2J\u202e"
    talk = FakeTalk()
    talk.room = evil
    talk.tabs = {evil: Tab(evil, topic=evil, people=[f"a{evil}", f"ab{evil}"])}
    talk.waiting = [evil]

    async def scenario(running: Running) -> None:
        running.window.show(
            [Line(text=evil, kind="mark"), Line(text=evil, kind="said", nickname=evil), said("x")]
        )
        running.press("a\t\t")
        await running.until(lambda: "x" in running.output)
        running.talk.prompt = evil
        running.window.refresh()
        await running.answers()

    output = converse(scenario, talk).output
    assert not set("\u202e\x9b\x07") & set(output)
    assert "\x1b]" not in output


def test_the_bell_rings_once_for_several_mentions() -> None:
    async def scenario(running: Running) -> None:
        running.window.alert()
        running.window.alert()

    assert converse(scenario).output.count("\x07") == 1
    assert converse(scenario, bell=False).output.count("\x07") == 0


def test_without_colours_none_is_written() -> None:
    async def scenario(running: Running) -> None:
        running.window.show([said("x"), Line(text="no", kind="error")])
        running.press("a\t")
        await running.until(lambda: "no" in running.output and "albert" in running.output)

    output = converse(scenario, look=Look(0)).output
    codes = {code for codes in re.findall(r"\x1b\[([0-9;]*)m", output) for code in codes.split(";")}
    assert codes <= {"", "0", "1", "2", "4", "7"}


def test_ctrl_l_draws_the_last_lines_again() -> None:
    async def scenario(running: Running) -> None:
        running.window.show([said(str(n)) for n in range(100)])
        await running.until(lambda: "]: 99" in running.output)
        running.press("half\x0c")
        await running.until(lambda: running.output.count("]: 99") == 2)
        assert running.output.count("]: 50") == 1, "there is no room for it"
        running.press("\r")
        await running.until(lambda: running.talk.told != [])

    talk = converse(scenario).talk
    assert talk.told == ["half"]


def test_a_defect_goes_to_the_log_and_not_to_the_screen() -> None:
    def fail(line: str) -> None:
        raise RuntimeError("broken")

    async def scenario(running: Running) -> None:
        running.talk.on_typed = fail
        running.press("hello\r")
        await running.until(lambda: running.talk.told != [])
        running.talk.on_typed = lambda line: None
        await running.answers()

    with capturedLogs() as events:
        running = converse(scenario)
    assert any("broken" in str(event.get("log_failure")) for event in events)
    assert "broken" not in running.output


def test_a_closed_keyboard_leaves_and_keeps_the_line() -> None:
    drafts: list[str] = []

    async def scenario(running: Running) -> None:
        running.press("half")
        await running.until(lambda: "half" in running.output)
        running.close_keyboard()
        await asyncio.wait_for(running.task, PATIENCE)

    assert converse(scenario, keep_draft=drafts.append).talk.left == 1
    assert drafts[-1] == "half"


# -- on a real terminal -----------------------------------------------------------------------


class Client:
    """The program below, in tmux."""

    def __init__(self, terminal: Tmux, address: Path) -> None:
        self.terminal = terminal
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(str(address))

    def send(self, *lines: str) -> None:
        """Let lines arrive."""
        self._socket.sendall("".join(f"{line}\n" for line in lines).encode())

    def close(self) -> None:
        self._socket.close()


@contextmanager
def client(folder: Path, columns: int = 60, rows: int = 12) -> Iterator[Client]:
    address = folder / "lines"
    command = [sys.executable, "-m", "tests.test_window", str(address)]
    variables = {**environment(), "TZ": "UTC", "COLORTERM": ""}
    with Tmux(command, columns=columns, rows=rows, environment=variables) as terminal:
        terminal.wait_for("#lobby>")
        one = Client(terminal, address)
        try:
            yield one
        finally:
            one.close()


def wrapped(text: str, columns: int) -> list[str]:
    return [text[start : start + columns].rstrip() for start in range(0, len(text), columns)]


def ends_with(bottom: list[str]) -> Callable[[list[str]], bool]:
    return lambda rows: rows[-len(bottom) :] == bottom


process = [pytest.mark.process, pytest.mark.slow, needs_tmux]


class TestTerminal:
    """Screens of a real terminal, compared."""

    pytestmark = process

    def test_a_half_typed_line_survives_all_that_happens_around_it(self, tmp_path: Path) -> None:
        with client(tmp_path) as one:
            terminal = one.terminal
            terminal.enter("half a li")
            terminal.wait_for("#lobby> half a li")
            one.send("[bob]: first", "[bob]: second")
            rows = terminal.wait_for("second")
            bottom = "1:#lobby  people: 4  online  34 ms  2:#cinema"
            assert rows == ["[bob]: first", "[bob]: second", "#lobby> half a li", bottom]
            terminal.press("C-c")
            rows = terminal.wait_for("Ctrl-C again")
            assert rows[2] == "#lobby> half a li"
            terminal.press("C-d")
            terminal.enter("ne for al")
            terminal.press("Tab")
            rows = terminal.wait_for("albert")
            assert rows[2] == "#lobby> half a line for al"
            terminal.press("Tab")
            terminal.wait_for("#lobby> half a line for alice")
            terminal.enter("!")
            one.send("[bob]: third")
            rows = terminal.wait_for("third")
            assert rows[2:] == ["[bob]: third", "#lobby> half a line for alice !", bottom]
            terminal.press("Enter")
            rows = terminal.wait_for("[me]: half a line for alice !")
            assert rows[-2:] == ["#lobby>", bottom]

    def test_a_half_typed_line_survives_a_resize_and_leaves_no_trace(self, tmp_path: Path) -> None:
        with client(tmp_path) as one:
            terminal = one.terminal
            one.send(*(f"[bob]: {n}" for n in range(20)))
            terminal.wait_for("[bob]: 19")
            words = " ".join(f"word{n}" for n in range(12))
            terminal.enter(words)
            terminal.wait_for("word11")
            for columns, height in ((45, 12), (35, 10), (80, 12), (60, 12)):
                terminal.resize(columns, height)
                bottom = [
                    *wrapped(f"#lobby> {words}", columns),
                    shown(bar(FakeTalk(), columns - 1)),
                ]
                terminal.wait(ends_with(bottom), "\n".join(bottom))
            one.send("[bob]: last")
            rows = terminal.wait_for("last")
            assert rows[-4] == "[bob]: last"
            assert "\n".join(terminal.scrollback()).count("word0 ") == 1
            said = [row for row in terminal.scrollback() if row.startswith("[bob]")]
            assert said == [*(f"[bob]: {n}" for n in range(20)), "[bob]: last"]

    def test_a_narrow_terminal_is_enough(self, tmp_path: Path) -> None:
        with client(tmp_path, columns=20, rows=6) as one:
            one.send("[bob]: a line that is wider than the terminal")
            rows = one.terminal.wait_for("minal")
            assert rows[:3] == ["[bob]: a line that", "  is wider than the", "  terminal"]
            assert rows[3] == "#lobby>"
            assert all(len(row) <= 20 for row in rows)

    def test_what_has_scrolled_out_is_in_the_terminals_own_scrollback(self, tmp_path: Path) -> None:
        with client(tmp_path) as one:
            one.terminal.enter("half")
            one.send(*(f"[bob]: {n}" for n in range(2000)))
            one.terminal.wait_for("[bob]: 1999")
            rows = one.terminal.wait_for("#lobby> half")
            assert len([row for row in rows if "half" in row]) == 1
            said = [row for row in one.terminal.scrollback() if row.startswith("[bob]")]
            assert said == [f"[bob]: {n}" for n in range(2000)]

    def test_the_screen_is_drawn_again_with_ctrl_l(self, tmp_path: Path) -> None:
        with client(tmp_path) as one:
            one.send(*(f"[bob]: {n}" for n in range(30)))
            before = one.terminal.wait_for("[bob]: 29")
            one.terminal.press("C-l")
            one.terminal.enter("x")
            after = one.terminal.wait_for("#lobby> x")
            assert [row.replace("> x", ">") for row in after] == before
            rows = one.terminal.scrollback()
            assert len([row for row in rows if row.startswith("[bob]")]) == 30, "none twice"

    def test_pasted_lines_are_counted_and_said_one_by_one(self, tmp_path: Path) -> None:
        with client(tmp_path) as one:
            one.terminal.paste("one\ntwo \x1b[31mred\n")
            one.terminal.wait_for("Pasted lines: 2")
            one.terminal.press("Enter")
            rows = one.terminal.wait_for("[me]: two")
            assert rows[:2] == ["[me]: one", "[me]: two ␛[31mred"]

    def test_leaving_gives_the_terminal_back(self, tmp_path: Path) -> None:
        with client(tmp_path) as one:
            one.send("[bob]: bye")
            one.terminal.wait_for("bye")
            one.terminal.press("C-d")
            assert one.terminal.wait_for_end() == 0
            rows = one.terminal.scrollback()
            assert rows[:2] == ["[bob]: bye", "draft: ''"]

    def test_a_line_that_is_half_typed_on_leaving_is_kept(self, tmp_path: Path) -> None:
        with client(tmp_path) as one:
            one.terminal.enter("half")
            one.terminal.wait_for("> half")
            one.terminal.press("C-c", "C-c")
            assert one.terminal.wait_for_end() == 0
            assert one.terminal.scrollback()[0].endswith(" 'half'")


def main(address: str) -> None:
    """A window on Twisted's asyncio reactor, to which lines are sent by the socket ``address``."""
    from twisted.internet import asyncioreactor

    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    asyncioreactor.install(loop)
    from twisted.internet import protocol, task
    from twisted.internet.defer import Deferred
    from twisted.protocols.basic import LineReceiver

    class Lines(LineReceiver):
        delimiter = b"\n"

        def lineReceived(self, line: bytes) -> None:
            window.show([Line(text=line.decode(), kind="said", nickname="bob")])
            if not window.ready:
                self.pauseProducing()
                window.when_ready(self.resumeProducing)

    drafts: list[str] = []
    talk = FakeTalk()
    window = Window(talk, look=Look(256), keep_draft=drafts.append)
    talk.on_typed = lambda line: window.show([said(line, "me")])
    talk.on_leave = window.close
    factory = protocol.Factory.forProtocol(Lines)

    def run(reactor: Any) -> Deferred[None]:
        reactor.listenUNIX(address, factory)
        return Deferred.fromFuture(asyncio.ensure_future(window.run()))

    try:
        task.react(run, ())
    finally:
        print("draft:", *map(repr, drafts))


if __name__ == "__main__":
    main(sys.argv[1])
