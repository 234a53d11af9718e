"""Telnet's commands among the bytes, as captured from the clients that people have."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twisted_chat.net.telnet import (
    SUBNEGOTIATION_LIMIT,
    Signal,
    SubnegotiationTooLong,
    TelnetFilter,
)

Found = list[bytes | Signal]


def feed(data: bytes, telnet: TelnetFilter | None = None) -> tuple[Found, bytes]:
    """What a filter makes of ``data``, empty texts left out."""
    found, answer = (telnet or TelnetFilter()).feed(data)
    return [item for item in found if item != b""], answer


def joined(found: Found) -> Found:
    """``found`` with neighbouring texts in one."""
    result: Found = []
    for item in found:
        if isinstance(item, bytes) and result and isinstance(result[-1], bytes):
            result[-1] += item
        elif item != b"":
            result.append(item)
    return result


def test_ctrl_c_of_inetutils_interrupts_and_gets_the_answer_it_waits_for() -> None:
    """IAC IP, IAC DO TIMING-MARK: it shows nothing until WONT TIMING-MARK comes."""
    assert feed(b"\xff\xf4\xff\xfd\x06") == ([Signal.INTERRUPT], b"\xff\xfc\x06")


def test_send_ayt_and_send_ip() -> None:
    assert feed(b"\xff\xf6") == ([Signal.ARE_YOU_THERE], b"")
    assert feed(b"\xff\xf4") == ([Signal.INTERRUPT], b"")


def test_signals_keep_their_place_in_the_text() -> None:
    found, answer = feed(b"one\xff\xf6two\xff\xf4\xff\xfd\x06three")
    assert found == [b"one", Signal.ARE_YOU_THERE, b"two", Signal.INTERRUPT, b"three"]
    assert answer == b"\xff\xfc\x06"


def test_every_timing_mark_is_answered() -> None:
    telnet = TelnetFilter()
    for _ in range(3):
        assert feed(b"\xff\xfd\x06", telnet) == ([], b"\xff\xfc\x06")


def test_an_option_is_refused_once() -> None:
    """DO is answered WONT and WILL is answered DONT; a repetition could start a loop."""
    telnet = TelnetFilter()
    assert feed(b"\xff\xfd\x01\xff\xfb\x01", telnet) == ([], b"\xff\xfc\x01\xff\xfe\x01")
    assert feed(b"\xff\xfd\x01\xff\xfb\x01", telnet) == ([], b"")
    assert feed(b"\xff\xfd\x03", telnet) == ([], b"\xff\xfc\x03")


@pytest.mark.parametrize("option", [0x01, 0x06, 0x18, 0xFF])
def test_wont_and_dont_are_not_answered(option: int) -> None:
    assert feed(bytes((0xFF, 0xFC, option, 0xFF, 0xFE, option))) == ([], b"")


def test_a_doubled_iac_is_the_byte_itself() -> None:
    assert feed(b"a\xff\xffb") == ([b"a\xffb"], b"")


@pytest.mark.parametrize("command", range(0xF1, 0xFA))
def test_other_commands_vanish(command: int) -> None:
    found, answer = feed(bytes((0x61, 0xFF, command, 0x62)))
    assert b"".join(item for item in found if isinstance(item, bytes)) == b"ab"
    assert answer == b""


def test_a_subnegotiation_vanishes() -> None:
    assert feed(b"a\xff\xfa\x18\x00xterm\xff\xf0b") == ([b"ab"], b"")


@pytest.mark.parametrize(
    "body",
    [b"\xff\xff", b"\xff\xff\xf0", b"\xff\xff\xff\xff\xf0", b"\xf0", b"\xff\xff\xf0\xff\xff"],
)
def test_a_doubled_iac_does_not_end_a_subnegotiation(body: bytes) -> None:
    """IAC IAC SE within one is the data bytes FF F0."""
    assert feed(b"a\xff\xfa\x18" + body + b"\xff\xf0b") == ([b"ab"], b"")


def test_a_subnegotiation_without_end_is_given_up() -> None:
    telnet = TelnetFilter()
    with pytest.raises(SubnegotiationTooLong):
        telnet.feed(b"\xff\xfa" + b"x" * 10_000)


def test_a_subnegotiation_without_end_is_given_up_in_small_parts_too() -> None:
    telnet = TelnetFilter()
    for byte in b"\xff\xfa" + b"x" * (SUBNEGOTIATION_LIMIT - 2):
        telnet.feed(bytes((byte,)))
    with pytest.raises(SubnegotiationTooLong):
        telnet.feed(b"x")


def test_the_longest_subnegotiation_passes() -> None:
    body = b"x" * (SUBNEGOTIATION_LIMIT - 4)
    assert feed(b"\xff\xfa" + body + b"\xff\xf0ok") == ([b"ok"], b"")
    with pytest.raises(SubnegotiationTooLong):
        feed(b"\xff\xfa" + body + b"x\xff\xf0ok")


def test_a_command_may_come_in_two_reads() -> None:
    telnet = TelnetFilter()
    assert not telnet.inside
    assert feed(b"a\xff", telnet) == ([b"a"], b"")
    assert telnet.inside
    assert feed(b"\xfd", telnet) == ([], b"")
    assert telnet.inside
    assert feed(b"\x06b", telnet) == ([b"b"], b"\xff\xfc\x06")
    assert not telnet.inside


#: Bytes in which telnet's own are common.
telnet_bytes = st.lists(
    st.one_of(
        st.binary(max_size=4),
        st.sampled_from(
            [b"\xff", b"\xff\xf4", b"\xff\xf6", b"\xff\xfd\x06", b"\xff\xfa", b"\xff\xf0", b"\xf0"]
        ),
    )
).map(b"".join)


@given(st.one_of(st.binary(), telnet_bytes))
def test_byte_by_byte_equals_all_at_once(data: bytes) -> None:
    whole, telnet = TelnetFilter(), TelnetFilter()
    found: Found = []
    answer = b""
    at_once = whole.feed(data)
    for byte in data:
        some, answered = telnet.feed(bytes((byte,)))
        found += some
        answer += answered
    assert (joined(found), answer) == (joined(at_once[0]), at_once[1])
    assert telnet.inside == whole.inside


@given(st.binary().filter(lambda data: b"\xff" not in data))
def test_bytes_without_iac_pass_unchanged(data: bytes) -> None:
    assert joined(feed(data)[0]) == ([data] if data else [])


@given(st.one_of(st.binary(), telnet_bytes))
def test_the_answer_is_never_longer_than_what_asked(data: bytes) -> None:
    """So nobody can use the server to multiply traffic."""
    assert len(TelnetFilter().feed(data)[1]) <= len(data)
