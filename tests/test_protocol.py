"""The door: framing, telnet's habits, flood control, half-close, slow readers; in memory."""

from __future__ import annotations

import errno
import gc
import json
import socket
import threading
import weakref
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.logger import ILogObserver, globalLogPublisher
from zope.interface import implementer

from tests.support.protocol import HELLO, House
from twisted_chat.core.errors import ControlCharacter
from twisted_chat.core.events import Entry
from twisted_chat.core.flood import Rate
from twisted_chat.net.closing import CLOSE_TIMEOUT
from twisted_chat.net.shared import ConnectedClient
from twisted_chat.net.sockets import set_options


@pytest.mark.parametrize("sent", [b"", b"half a na", b"Ana\n/who\n", b'{"type":"hello"}\n'])
def test_a_connection_that_is_gone_leaves_no_garbage(sent: bytes) -> None:
    """Or else thousands of them would pile up until the collector looks for circles."""
    house = House()
    client = house.connect()
    client.send(sent)
    house.clock.advance(1)
    gone = weakref.ref(client.protocol)
    client.lose()
    house.clock.advance(60)
    gc.disable()  # it is not what takes it away
    try:
        del client
        assert gone() is None
    finally:
        gc.enable()


# -- the greeting -------------------------------------------------------------------------------


def test_the_greeting_waits_for_the_other_side_to_speak_first() -> None:
    house = House()
    client = house.connect()
    house.clock.advance(0.24)
    assert client.read() == b""
    house.clock.advance(0.02)
    assert client.read() == b"Welcome! Please type your username:\n"


def test_who_speaks_first_is_greeted_at_once_and_once() -> None:
    house = House()
    client = house.connect()
    client.send(b"A")
    assert client.read() == b"Welcome! Please type your username:\n"
    client.send(b"na\n")
    house.clock.advance(1)
    assert b"Welcome" not in client.read()


def test_what_came_before_the_greeting_is_read_before_it_however_late_the_reactor_is() -> None:
    house = House()
    bot = house.connect()
    house.clock.turn(3)
    bot.send(HELLO)
    house.clock.advance(3)
    assert [json.loads(line)["type"] for line in bot.lines()][:1] == ["welcome"]


def test_whoever_is_gone_before_the_greeting_leaves_nothing_behind() -> None:
    house = House()
    client = house.connect()
    client.lose()
    house.clock.advance(0)
    assert house.clock.getDelayedCalls() == []
    assert house.factory.snapshot() == ()


# -- lines ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r\0"])
def test_ends_of_lines(end: bytes) -> None:
    house = House()
    bia = house.enter("Bia")
    ana = house.connect()
    ana.send(b"Ana" + end + b"oi" + end)
    assert bia.lines() == ["[SERVER]: Ana joined the chat.", "[Ana]: oi"]


def test_answers_end_as_the_client_ends_its_lines() -> None:
    house = House()
    ana, bia = house.connect(), house.connect()
    ana.send(b"Ana\r\n")
    bia.send(b"Bia\n")
    ana.read(), bia.read()
    house.enter("Caio")
    assert ana.read() == b"[SERVER]: Caio joined the chat.\r\n"
    assert bia.read() == b"[SERVER]: Caio joined the chat.\n"


def test_a_crlf_in_two_reads() -> None:
    house = House()
    bia = house.enter("Bia")
    ana = house.enter("Ana")
    bia.read()
    for piece in (b"oi\r", b"\n", b"you", b"\r\n"):
        ana.send(piece)
    assert bia.lines() == ["[Ana]: oi", "[Ana]: you"]


def test_bad_utf8_and_control_characters_are_refused_and_the_connection_kept() -> None:
    house = House()
    bia = house.enter("Bia")
    ana = house.enter("Ana")
    bia.read()
    ana.send(b"ol\xe1\n\x1b[2J\nbare\rreturn\na\0b\nstill here\n")
    assert bia.lines() == ["[Ana]: still here"]
    assert [line.split(":")[1] for line in ana.lines()] == [
        " That line was not sent",
        " That line was not sent",
        " That line was not sent",
        " That line was not sent",
    ]


@pytest.mark.parametrize("size", [4097, 5000, 10**6])
def test_an_overlong_line_is_refused_once_and_the_connection_kept(size: int) -> None:
    house = House()
    bia = house.enter("Bia")
    ana = house.enter("Ana")
    bia.read()
    data = b"x" * size + b"\nafter\n"
    for start in range(0, len(data), 1000):
        ana.send(data[start : start + 1000])
        assert len(ana.protocol._incoming._splitter.partial) <= 4098
    assert bia.lines() == ["[Ana]: after"]
    assert len(ana.lines()) == 1


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_a_line_of_exactly_the_limit_is_taken(end: bytes) -> None:
    house = House()
    bia = house.enter("Bia")
    ana = house.enter("Ana")
    bia.read()
    ana.send(b"x" * 4096 + end)
    assert bia.lines() == ["[Ana]: " + "x" * 4096]
    assert ana.lines() == []


@settings(max_examples=60, deadline=None)
@given(st.lists(st.binary(max_size=40), max_size=30), st.integers(1, 50))
def test_however_the_bytes_are_cut_the_same_lines_arrive(lines: list[bytes], size: int) -> None:
    """Whole or in pieces, the same lines are relayed; nothing unsafe is; nothing fails."""

    def relayed(pieces: list[bytes]) -> bytes:
        house = House()
        bia = house.enter("Bia")
        ana = house.enter("Ana")
        bia.read()
        for piece in pieces:
            ana.send(piece)
        return bia.read()

    data = b"".join(line.replace(b"\xff", b"").replace(b"\x04", b"") + b"\n" for line in lines)
    pieces = [data[start : start + size] for start in range(0, len(data), size)]
    whole = relayed([data])
    assert relayed(pieces) == whole
    assert not any(byte < 32 and byte not in b"\t\n" for byte in whole)


# -- telnet -----------------------------------------------------------------------------------


def test_ctrl_c_in_telnet_is_answered_so_that_output_goes_on() -> None:
    house = House()
    ana = house.enter("Ana")
    ana.send(b"half a li\xff\xf4\xff\xfd\x06")
    assert ana.read() == b"\xff\xfc\x06[SERVER]: To leave, type /quit and press Enter.\n"
    bia = house.enter("Bia")
    ana.send(b"whole\r\n")
    assert bia.lines() == ["[Ana]: whole"]


def test_are_you_there_is_answered() -> None:
    house = House()
    ana = house.enter("Ana")
    ana.send(b"\xff\xf6")
    assert ana.lines() == ["[SERVER]: Yes, I am here."]


def test_telnet_commands_are_taken_out_of_a_line() -> None:
    house = House()
    bia = house.enter("Bia")
    ana = house.enter("Ana")
    bia.read()
    ana.send(b"o\xff")
    ana.send(b"\xf9i\xff\xfb\x1f\n")
    assert bia.lines() == ["[Ana]: oi"]


def test_a_character_and_a_line_can_be_erased() -> None:
    """RFC 854, EC and EL: also over several reads, never more than the line."""
    house = House()
    bia = house.enter("Bia")
    ana = house.enter("Ana")
    bia.read()
    ana.send(b"first\r\n\xff\xf7oi" + "é".encode())
    ana.send(b"\xff\xf7\r\n")
    ana.send(b"wrong li\xff\xf8right\r\n")
    assert bia.lines() == ["[Ana]: first", "[Ana]: oi", "[Ana]: right"]


@pytest.mark.parametrize("mark", [b"\xff\xf2", b"\xff\xf4\xff\xf2", b"\xff\xf1"])
def test_a_data_mark_takes_nothing_of_the_line(mark: bytes) -> None:
    house = House()
    bia = house.enter("Bia")
    ana = house.enter("Ana")
    bia.read()
    ana.send(mark[:-1])
    ana.send(mark[-1:] + b"oi\r\n")
    assert bia.lines() == ["[Ana]: oi"]


def test_keepalives_of_nul_and_lines_that_end_with_cr_alone() -> None:
    house = House()
    bia = house.enter("Bia")
    ana = house.connect()
    ana.send(b"\0")
    ana.send(b"Ana\r")
    ana.read()
    ana.send(b"/who\r")
    assert ana.read() == b"[SERVER]: In #lobby (2): Bia, Ana.\r\n"
    ana.send(b"\0\0")
    ana.send(b"\0oi\r")
    assert bia.lines()[-1] == "[Ana]: oi"


def test_urgent_data_stays_in_its_place() -> None:
    """``send synch``: IAC DM, of which the last byte is sent urgently."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        far = socket.create_connection(listening.getsockname())
        near, _ = listening.accept()
        with far, near:
            set_options(SimpleNamespace(socket=near), 60)
            far.send(b"\xff\xf2", socket.MSG_OOB)
            far.send(b"oi\r\n")
            received = b""
            while len(received) < 6:
                received += near.recv(100)
            assert received == b"\xff\xf2oi\r\n"


def test_ctrl_d_in_telnet_leaves() -> None:
    house = House()
    bia = house.enter("Bia")
    ana = house.enter("Ana")
    bia.read()
    ana.send(b"\x04")
    assert bia.lines() == ["[SERVER]: Ana left the chat."]
    assert ana.transport.disconnecting


def test_what_comes_after_a_subnegotiation_without_end_is_not_looked_at() -> None:
    house = House()
    ana = house.enter("Ana")
    ana.send(b"\xff\xf1" * 2000 + b"\xff\xfa" + b"x" * 5000 + b"\n")
    house.clock.advance(0)
    assert ana.transport.disconnected
    assert not ana.protocol.busy


def test_a_subnegotiation_without_end_closes() -> None:
    house = House()
    ana = house.enter("Ana")
    ana.send(b"\xff\xfa" + b"x" * 2000)
    assert ana.transport.disconnected


# -- half-close -----------------------------------------------------------------------------


def test_half_close_says_the_last_line_and_gets_the_replies() -> None:
    house = House()
    bia = house.enter("Bia")
    ana = house.connect()
    ana.protocol.dataReceived(b"Ana\n/who\noi")
    ana.half_close()
    assert ana.lines()[-1] == "[SERVER]: In #lobby (2): Bia, Ana."
    assert ana.transport.disconnecting
    assert bia.lines() == [
        "[SERVER]: Ana joined the chat.",
        "[Ana]: oi",
        "[SERVER]: Ana left the chat.",
    ]


def test_a_reset_of_which_only_what_was_sent_to_it_knew_is_no_half_close() -> None:
    """A send takes the socket's error, and what is read then looks like an end."""
    house = House(rate=Rate(2, 1))
    bia = house.enter("Bia")
    ana = house.connect()
    ana.send(b"Ana\nwhole\nhalf a li")
    ana.protocol._outbox.error = errno.ECONNRESET
    ana.half_close()
    ana.lose()
    house.clock.advance(10)
    house.world.journal.run()
    assert [line for line in bia.lines() if line.startswith("[Ana]")] == ["[Ana]: whole"]


def test_half_close_after_flood_control_says_everything() -> None:
    house = House(rate=Rate(2, 10))
    bia = house.enter("Bia")
    ana = house.connect()
    ana.send(b"Ana\n" + b"".join(b"%d\n" % n for n in range(10)))
    ana.half_close()
    for _ in range(30):
        house.clock.advance(0.1)
        house.world.journal.run()
    told = bia.lines()
    assert told[1:-1] == [f"[Ana]: {n}" for n in range(10)]
    assert ana.transport.disconnecting


def test_half_close_without_a_name() -> None:
    house = House()
    client = house.connect()
    client.half_close()
    assert client.read() == b"Welcome! Please type your username:\n"
    assert client.transport.disconnecting


# -- flood control and slow readers ------------------------------------------------------------


def test_who_sends_too_much_is_not_read_for_a_moment_and_loses_nothing() -> None:
    house = House(rate=Rate(3, 5))
    bia = house.enter("Bia")
    ana = house.enter("Ana")
    bia.read()
    house.clock.advance(10)
    ana.send(b"".join(b"%d\n" % n for n in range(10)))
    assert bia.lines() == ["[Ana]: 0", "[Ana]: 1", "[Ana]: 2"]
    assert ana.transport.producerState == "paused"
    house.clock.advance(0.2)
    house.world.journal.run()
    assert bia.lines() == ["[Ana]: 3"]
    for _ in range(10):
        house.clock.advance(0.2)
        house.world.journal.run()
    assert bia.lines() == [f"[Ana]: {n}" for n in range(4, 10)]
    assert ana.transport.producerState == "producing"


def test_who_does_not_read_is_not_read() -> None:
    """Answers to somebody who never reads them cannot pile up."""
    house = House()
    bia = house.enter("Bia")
    ana = house.enter("Ana")
    bia.read()
    producer: Any = ana.transport.producer
    producer.pauseProducing()
    ana.send(b"/help\noi\n")
    assert ana.read() == b""
    assert bia.read() == b""
    producer.resumeProducing()
    house.world.journal.run()
    assert b"/join" in ana.read()
    assert bia.lines() == ["[Ana]: oi"]


def test_who_reads_again_is_shown_what_was_said_meanwhile() -> None:
    house = House()
    bia = house.enter("Bia")
    ana = house.enter("Ana")
    bia.read()
    producer: Any = bia.transport.producer
    producer.pauseProducing()
    ana.send(b"".join(b"%d\n" % n for n in range(600)))
    assert bia.read() == b""
    producer.resumeProducing()
    for _ in range(3):  # others have their turn in between
        house.clock.advance(0)
        house.world.journal.run()
    assert bia.lines() == [f"[Ana]: {n}" for n in range(600)]


def test_closing_does_not_wait_for_ever_for_somebody_who_does_not_read() -> None:
    house = House()
    ana = house.enter("Ana")
    ana.send(b"sair\n")
    assert ana.transport.disconnecting
    assert not ana.transport.disconnected
    house.clock.advance(CLOSE_TIMEOUT)
    assert ana.transport.disconnected


# -- the factory --------------------------------------------------------------------------------


def test_the_log_says_what_the_papers_figure_2_says() -> None:
    house = House(language="pt_BR")
    lines: list[str] = []

    @implementer(ILogObserver)
    def observe(event: Any) -> None:
        if event.get("log_namespace") == "twisted_chat.net.connection.ChatFactory":
            lines.append(event["log_format"].format(**event))

    globalLogPublisher.addObserver(observe)
    try:
        ana = house.enter("Ana")
        house.clock.advance(0)
        house.factory.said(
            ana.protocol.session,
            Entry("lobby", 1, 0, "say", "Ana", "Olá\nfake", 0, None, b""),
        )
        ana.lose()
        house.clock.advance(0)
    finally:
        globalLogPublisher.removeObserver(observe)
    assert lines == [
        "[NOVA CONEXÃO] ('192.168.1.1', 54321) conectado.",
        "[CONEXÕES ATIVAS] 1",
        "Mensagem recebida de ('192.168.1.1', 54321): [Ana]: Olá␊fake",
        "[CONEXÃO ENCERRADA] ('192.168.1.1', 54321) desconectado.",
        "[CONEXÕES ATIVAS] 0",
    ]


def test_a_defect_is_logged_for_us_and_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    house = House()
    ana = house.enter("Ana")
    failures: list[Any] = []

    @implementer(ILogObserver)
    def observe(event: Any) -> None:
        if "log_failure" in event:
            failures.append(event["log_failure"].value)

    monkeypatch.setattr(house.world.chat.reading, "list_rooms", lambda *_, **__: 1 / 0)
    globalLogPublisher.addObserver(observe)
    try:
        ana.send(b"/rooms\n/who\n")
    finally:
        globalLogPublisher.removeObserver(observe)
    assert [type(failure) for failure in failures] == [ZeroDivisionError]
    assert ana.lines()[-1] == "[SERVER]: In #lobby (1): Ana."


def test_announce_and_snapshot_from_16_threads_while_clients_come_and_go() -> None:
    house = House()
    watcher = house.enter("Watcher")
    watcher_address = watcher.protocol.session.address
    errors: list[BaseException] = []

    def outsider(number: int) -> None:
        try:
            for turn in range(50):
                house.factory.announce(f"{number}.{turn}")
                snapshot = house.factory.snapshot()
                assert ConnectedClient("Watcher", watcher_address) in snapshot
                names = [client.nickname for client in snapshot if client.nickname]
                assert len(names) == len(set(names))
            with pytest.raises(ControlCharacter):
                house.factory.announce("\x07")
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=outsider, args=(n,)) for n in range(16)]
    for thread in threads:
        thread.start()
    for turn in range(100):
        client = house.enter(f"guest{turn % 7}")
        house.clock.run_calls()
        client.lose()
    for thread in threads:
        thread.join()
    house.clock.run_calls()
    house.world.journal.run()
    assert errors == []
    announced = [line for line in watcher.lines() if "guest" not in line]
    assert len(announced) == 16 * 50
    for number in range(16):
        own = [line for line in announced if line.startswith(f"[SERVER]: {number}.")]
        assert own == [f"[SERVER]: {number}.{turn}" for turn in range(50)]


# -- programs -----------------------------------------------------------------------------------


def test_a_first_line_that_starts_with_a_brace_is_a_programs() -> None:
    """Nothing but JSON Lines is sent to it, whatever it sends."""
    house = House()
    bot = house.connect()
    bot.send(b"{")
    house.clock.advance(1)
    assert bot.read() == b""
    bot.send(HELLO[1:] + b"sair\n\x04\n/help\n[]\n{}\n\xff\xfe\n" + b"x" * 20_000 + b"\n")
    lines = [json.loads(line) for line in bot.read().splitlines()]
    assert [line["type"] for line in lines[:2]] == ["welcome", "entered"]
    codes = [line["code"] for line in lines[2:]]
    assert set(codes) == {"bad-request", "line-too-long"}
    assert not bot.transport.disconnecting


def test_a_brace_later_on_is_text() -> None:
    house = House()
    bia = house.enter("Bia")
    ana = house.enter("Ana")
    bia.read()
    ana.send(b'{"type":"quit"}\n')
    assert bia.lines() == ['[Ana]: {"type":"quit"}']


def test_text_and_programs_share_a_room() -> None:
    house = House()
    ana = house.enter("Ana")
    bot = house.connect()
    bot.send(HELLO)
    bot.read()
    ana.send(b"oi\r\n")
    bot.send(b'{"type":"say","text":"hello","id":"1"}\r\n')
    assert ana.lines() == ["[SERVER]: Bot joined the chat.", "[Bot]: hello"]
    said = [json.loads(line) for line in bot.read().split(b"\n")[:-1]]
    assert [(line["type"], line.get("text")) for line in said] == [
        ("said", "oi"),
        ("ack", None),
        ("said", "hello"),
    ]


def test_a_program_that_speaks_after_the_greeting_is_one_nevertheless() -> None:
    house = House()
    bot = house.connect()
    house.clock.advance(1)
    assert bot.read().startswith(b"Welcome!")
    bot.send(HELLO)
    assert bot.read().startswith(b'{"type":"welcome"')


@pytest.mark.parametrize("sent", [b"\xff\xf4\xff\xf6{}\n", b"{\xff\xf4}\xff\xf6\n"])
def test_telnet_commands_before_the_first_request_are_ignored(sent: bytes) -> None:
    program = House().connect()
    program.send(sent)
    (answer,) = (json.loads(line) for line in program.lines() if line.startswith("{"))
    assert answer["code"] == "bad-request"


def test_telnet_commands_of_a_program_are_bad_requests() -> None:
    house = House()
    bot = house.connect()
    bot.send(HELLO)
    bot.read()
    bot.send(b'\xff\xfd\x01{"type":"ping"}\n{"type":"say","text":" ","id":"b"}\n')
    lines = [json.loads(line) for line in bot.read().splitlines()]
    assert [(line["code"], line["id"]) for line in lines] == [
        ("bad-request", None),
        ("bad-request", "b"),
    ]


def test_the_end_of_a_programs_input_is_not_its_leave() -> None:
    """What the kernel sends for a program that was killed: it may come back."""
    house = House()
    ana = house.enter("Ana")
    bot = house.connect()
    bot.send(HELLO)
    ana.read()
    bot.half_close()
    assert bot.transport.disconnecting
    bot.lose()
    assert ana.read() == b""
    again = house.connect()
    again.send(HELLO)
    house.clock.advance(30)
    house.world.journal.run()
    assert ana.read() == b""


def test_a_person_whose_connection_was_closed_can_come_back_with_the_code() -> None:
    house = House()
    bia = house.enter("Bia")
    ana = house.enter("Ana")
    code = ana.protocol.session.code
    bia.read()
    ana.half_close()
    ana.lose()
    bia.send(b"missed\n")
    assert bia.lines() == ["[SERVER]: Ana left the chat."]
    again = house.connect()
    again.send(f"/resume {code}\n".encode())
    assert b"[Bia]: missed" in again.read()


def test_the_grace_period_is_the_factorys() -> None:
    house = House()
    ana = house.enter("Ana")
    bot = house.connect()
    bot.send(HELLO)
    ana.read()
    bot.lose()
    house.clock.advance(9.9)
    house.world.journal.run()
    assert ana.read() == b""
    house.clock.advance(0.2)
    house.world.journal.run()
    assert ana.lines() == ["[SERVER]: Bot left the chat."]


def test_a_program_that_came_back_is_served_over_its_new_connection_only() -> None:
    house = House()
    ana = house.enter("Ana")
    old, new = house.connect(), house.connect()
    old.send(HELLO)
    new.send(HELLO)
    assert b'"replaced"' in old.read()
    assert old.transport.disconnecting
    old.lose()
    new.read()
    ana.send(b"oi\n")
    assert b'"oi"' in new.read()
    assert len(house.factory.snapshot()) == 2


def test_taking_over_while_the_old_connection_is_held_frees_the_new_one() -> None:
    """What the old connection was waiting for does not hold the new one up."""
    house = House()
    ana = house.enter("Ana")
    old, new = house.connect(), house.connect()
    old.send(HELLO)
    old.protocol.dataReceived(b'{"type":"join","room":"cinema"}\n')
    new.protocol.dataReceived(HELLO + b'{"type":"say","room":"lobby","text":"here","id":"1"}\n')
    house.world.journal.run()
    assert ana.lines()[-1] == "[Bot]: here"
