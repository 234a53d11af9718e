"""A line that the person at a telnet client types without seeing it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.protocol import Client, House
from twisted_chat.core.requests import Request
from twisted_chat.net.echo import Echo, Move, move
from twisted_chat.net.hidden_line import ANSWER_TIMEOUT
from twisted_chat.net.telnet import TelnetFilter

WILL_ECHO, WONT_ECHO = b"\xff\xfb\x01", b"\xff\xfc\x01"
DO_ECHO, DONT_ECHO = b"\xff\xfd\x01", b"\xff\xfe\x01"


class Typist:
    """A connection that is at the choice of a nickname; ``told`` are the answers about hiding."""

    def __init__(self, first: bytes = b"\r\n") -> None:
        self.house = House()
        self.client: Client = self.house.connect()
        self.client.send(first)
        self.client.read()
        self.told: list[bool] = []
        self.lines: list[Request] = []

        def handle(request: Request) -> None:
            self.lines.append(request)

        self.client.protocol.session.handle = handle  # type: ignore[method-assign]

    def hide(self) -> None:
        self.client.protocol.hide_typing(True, self.told.append)

    def send(self, data: bytes) -> bytes:
        self.client.send(data)
        return self.client.read()

    def wait(self) -> bytes:
        self.house.clock.advance(ANSWER_TIMEOUT)
        return self.client.read()

    @property
    def texts(self) -> list[str]:
        return [getattr(line, "text", type(line).__name__) for line in self.lines]


@pytest.fixture
def hidden() -> Typist:
    """A typist whose telnet client has agreed to hide the next line."""
    typist = Typist()
    typist.hide()
    assert typist.client.read() == WILL_ECHO
    assert typist.send(DO_ECHO) == b""
    assert typist.told == [True]
    return typist


# -- who is asked -----------------------------------------------------------------------------


def test_netcat_is_not_asked_and_gets_its_answer_at_once() -> None:
    typist = Typist(b"\n")
    typist.hide()
    assert typist.told == [False]
    assert typist.client.read() == b""
    typist.send(b"secret\n")
    assert typist.texts == ["secret"]


def test_a_client_that_has_sent_a_telnet_command_is_asked() -> None:
    """PuTTY negotiates at the beginning, and may end its lines with LF."""
    typist = Typist(b"\xff\xfb\x1f\n")
    typist.hide()
    assert typist.client.read() == WILL_ECHO


def test_a_script_whose_next_line_is_there_already_is_not_asked() -> None:
    typist = Typist()
    release = typist.client.protocol.hold()
    typist.send(b"secret\r\n")
    typist.hide()
    release()
    assert typist.told == [False]
    assert typist.client.read() == b""
    assert typist.texts == ["secret"]


# -- what the client answers ------------------------------------------------------------------


def test_a_client_that_refuses_is_not_asked_twice_for_one_line() -> None:
    typist = Typist()
    typist.hide()
    typist.client.read()
    assert typist.send(DONT_ECHO) == b""
    assert typist.told == [False]
    assert typist.send(b"secret\r\n") == b""
    assert typist.texts == ["secret"]


def test_a_client_without_an_answer_gets_the_question_after_a_second() -> None:
    """``nc -C`` ends its lines as telnet does, and shows three strange characters at most once."""
    typist = Typist()
    typist.hide()
    typist.client.read()
    assert typist.wait() == b""
    assert typist.told == [False]
    typist.send(b"secret\r\n")
    assert typist.texts == ["secret"]
    typist.hide()
    assert typist.told == [False, False]
    assert typist.client.read() == b""


def test_an_answer_that_comes_too_late_is_taken_back() -> None:
    typist = Typist()
    typist.hide()
    typist.client.read()
    typist.wait()
    assert typist.send(DO_ECHO) == WONT_ECHO
    assert typist.send(DONT_ECHO) == b""
    typist.hide()
    assert typist.client.read() == WILL_ECHO


def test_no_line_is_handled_before_the_client_has_answered() -> None:
    typist = Typist()
    typist.hide()
    typist.send(b"secret\r\n")
    assert typist.texts == []
    typist.wait()
    assert typist.told == [False]
    assert typist.texts == ["secret"]


def test_a_client_that_changes_its_mind_gets_its_echo_back(hidden: Typist) -> None:
    assert hidden.send(DONT_ECHO) == WONT_ECHO


# -- the echo comes back ----------------------------------------------------------------------


@pytest.mark.parametrize("line", [b"secret\r\n", b"\r\n", b"secret\r\0", b"/cancel\r\n"])
def test_one_line_is_hidden_and_the_next_is_shown(hidden: Typist, line: bytes) -> None:
    assert hidden.send(line).startswith(WONT_ECHO)
    assert hidden.send(DONT_ECHO) == b""
    assert hidden.send(b"next\r\n") == b""


def test_ctrl_c_shows_what_is_typed_again(hidden: Typist) -> None:
    """The client shows nothing until it gets the timing mark, so that comes first."""
    assert hidden.send(b"secr\xff\xf4\xff\xfd\x06") == b"\xff\xfc\x06" + WONT_ECHO
    assert hidden.texts == ["Interrupt"]


def test_are_you_there_is_no_line(hidden: Typist) -> None:
    assert hidden.send(b"sec\xff\xf6") == b""
    assert hidden.send(b"ret\r\n") == WONT_ECHO
    assert hidden.texts == ["AreYouThere", "secret"]


def test_the_session_can_show_again_what_is_typed(hidden: Typist) -> None:
    hidden.client.protocol.hide_typing(False)
    assert hidden.client.read() == WONT_ECHO


@pytest.mark.parametrize("answer", [b"", DO_ECHO])
def test_a_connection_that_is_closed_shows_what_is_typed(answer: bytes) -> None:
    """The login deadline, a takeover and the server's stop close it."""
    typist = Typist()
    typist.hide()
    typist.send(answer)
    typist.client.protocol.close()
    assert typist.client.read() == (WONT_ECHO if answer else b"")
    assert not typist.house.clock.getDelayedCalls() or typist.wait() == b""


def test_a_connection_that_is_lost_is_told_nothing() -> None:
    typist = Typist()
    typist.hide()
    typist.client.read()
    typist.client.lose()
    assert typist.wait() == b""
    assert typist.told == []


def test_a_hidden_line_can_follow_another_one(hidden: Typist) -> None:
    """A second question may come before the client has agreed to show what is typed."""
    hidden.send(b"wrong\r\n")
    hidden.hide()
    assert hidden.client.read() == b""
    assert hidden.send(DONT_ECHO) == WILL_ECHO
    assert hidden.told == [True]
    hidden.send(DO_ECHO)
    assert hidden.told == [True, True]


# -- a client that sends each key at once -----------------------------------------------------


@pytest.mark.parametrize(
    ("keys", "line"),
    [
        (b"abc\x7fd", "abd"),
        (b"abc\x08\x08d", "ad"),
        (b"wrong\x15right", "right"),
        ("senhã\x7fa".encode(), "senha"),
        (b"\x7f\x7fok", "ok"),
    ],
)
def test_keys_edit_the_hidden_line(hidden: Typist, keys: bytes, line: str) -> None:
    for key in keys:
        hidden.send(bytes((key,)))
    hidden.send(b"\r")
    hidden.send(b"\0")
    assert hidden.texts == [line]


def test_ctrl_c_as_a_character_interrupts_the_hidden_line(hidden: Typist) -> None:
    hidden.send(b"secr\x03")
    assert hidden.texts == ["Interrupt"]


def test_ctrl_d_as_a_character_leaves(hidden: Typist) -> None:
    assert hidden.send(b"\x04") == WONT_ECHO
    assert hidden.texts == ["Quit"]


def test_keys_do_not_edit_a_line_that_is_seen() -> None:
    typist = Typist()
    typist.send(b"abc\x7f\r\n")
    assert typist.texts == []  # refused, as a control character


# -- the option -------------------------------------------------------------------------------


@given(st.lists(st.sampled_from(list(Move))))
def test_the_last_wish_is_fulfilled_whatever_the_client_answers(moves: list[Move]) -> None:
    """No answer is left without effect, and no loop of answers begins (RFC 1143)."""
    state, offers, answers = Echo.SHOWN, 0, 0
    for what in moves:
        state, sent = move(state, what)
        if what in (Move.HIDE, Move.SHOW):
            offers += 1
        elif sent:
            answers += 1
    assert answers <= offers
    wish = next((one for one in reversed(moves) if one in (Move.HIDE, Move.SHOW)), Move.SHOW)
    if wish is Move.SHOW:
        for _ in range(3):  # the client answers all that is open
            if state in (Echo.ASKED, Echo.WITHDRAWN):
                state, _ = move(state, Move.DO)
            elif state in (Echo.ENDED, Echo.AGAIN):
                state, _ = move(state, Move.DONT)
        assert state is Echo.SHOWN


def test_do_echo_without_an_offer_is_refused() -> None:
    """PuTTY asks for it at the beginning; the offer comes later, and is agreed to."""
    telnet = TelnetFilter()
    assert telnet.feed(DO_ECHO) == ([], WONT_ECHO)
    assert telnet.hide_typing(True) == WILL_ECHO
    assert telnet.feed(DO_ECHO) == ([], b"")
    assert telnet.echo is Echo.HIDDEN


def test_the_answer_may_come_among_other_options() -> None:
    telnet = TelnetFilter()
    telnet.hide_typing(True)
    assert telnet.feed(b"\xff\xfd\x03" + DO_ECHO + b"\xff\xfd\x06") == (
        [],
        b"\xff\xfc\x03\xff\xfc\x06",
    )
    assert telnet.echo is Echo.HIDDEN
