"""Lines that wait for flood control are said, go on elsewhere, or are reported as not sent."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Sequence
from errno import ECONNRESET, EPIPE
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.python.failure import Failure

from tests.support.protocol import HELLO, Client, House
from twisted_chat.core.flood import Rate
from twisted_chat.core.requests import Say
from twisted_chat.net.incoming import LINE_OVERHEAD, MOVED_BYTES
from twisted_chat.net.reading import LOOK_AHEAD

SLOW = Rate(3, 5)


def house_with(name: str = "Ana") -> tuple[House, Client, Client]:
    """A house with flood control; Bia and somebody else who has all their lines left."""
    house = House(rate=SLOW)
    bia = house.enter("Bia")
    client = house.enter(name)
    bia.read()
    for _ in range(20):
        pass_time(house)
    return house, bia, client


def pass_time(house: House, seconds: float = 0.2) -> None:
    house.clock.advance(seconds)
    house.world.journal.run()


def numbers(count: int, start: int = 0) -> bytes:
    return b"".join(b"%d\n" % number for number in range(start, start + count))


def said(client: Client) -> list[str]:
    return [line.removeprefix("[Ana]: ") for line in client.lines() if line.startswith("[Ana]")]


# -- together, and one by one ---------------------------------------------------------------------


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 6)), max_size=12))
def test_lines_that_come_together_wait_as_long_as_one_by_one(steps: list[tuple[int, int]]) -> None:
    """Each step is how many lines come, and how many fifths of a second pass after them."""

    def heard(together: bool) -> list[tuple[list[str], list[str]]]:
        house, bia, ana = house_with()
        if not together:
            ana.protocol._say_many = lambda limit: 0  # type: ignore[method-assign]
        seen = []
        for count, fifths in steps:
            ana.send(numbers(count))
            for _ in range(fifths):
                pass_time(house)
            seen.append((bia.lines(), ana.lines()))
        return seen

    assert heard(together=True) == heard(together=False)


def test_lines_with_a_token_each_are_said_together() -> None:
    _house, bia, ana = house_with()
    counts = []
    say_many = ana.protocol.session.say_many

    def counted(requests: Sequence[Say]) -> bool:
        counts.append(len(requests))
        return say_many(requests)

    ana.protocol.session.say_many = counted  # type: ignore[method-assign]
    ana.send(numbers(10))
    assert said(bia) == ["0", "1", "2"]
    assert counts == [3]


# -- dropping them ------------------------------------------------------------------------------


@pytest.mark.parametrize("command", [b"/cancel\n", b"/CANCELAR\r\n", b"\xff\xf4\xff\xfd\x06"])
def test_what_waits_can_be_dropped(command: bytes) -> None:
    house, bia, ana = house_with()
    ana.send(numbers(50))
    ana.read()
    ana.send(command)
    assert b"[SERVER]: Your lines that were not sent: 47." in ana.read()
    ana.send(b"after\n")
    for _ in range(20):
        pass_time(house)
    assert said(bia) == ["0", "1", "2", "after"]


def test_in_one_paste_what_need_not_wait_is_said_and_the_rest_dropped() -> None:
    house, bia, ana = house_with()
    ana.send(numbers(10) + b"/cancel\nafter\n")
    for _ in range(20):
        pass_time(house)
    assert said(bia) == ["0", "1", "2", "after"]


def test_nothing_is_dropped_where_nothing_waits() -> None:
    _house, bia, ana = house_with()
    ana.send(b"one\n/cancel\n")
    assert ana.lines() == ["[SERVER]: None of your lines is waiting to be sent."]
    assert said(bia) == ["one"]


def test_a_command_that_comes_in_pieces_is_one() -> None:
    _house, _bia, ana = house_with()
    ana.send(numbers(50))
    ana.read()
    for byte in b"/cancel\n":
        ana.send(bytes((byte,)))
    assert ana.lines() == ["[SERVER]: Your lines that were not sent: 47."]


def test_what_only_begins_like_it_drops_nothing() -> None:
    house, bia, ana = house_with()
    ana.send(numbers(5) + b"/cancel it\n//cancel\n/cancelled\n")
    for _ in range(20):
        pass_time(house)
    assert said(bia)[:5] == ["0", "1", "2", "3", "4"]


def test_lines_that_wait_are_not_compared_with_all_commands(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """To find the nearest to each of many takes a third of a second for what is read at once."""
    _house, _bia, ana = house_with()
    ana.send(numbers(50))
    monkeypatch.delattr("difflib.get_close_matches")
    ana.send(b"/c\n/C\n/canc\n/cancel\n")
    assert b"[SERVER]: Your lines that were not sent: 50." in ana.read()


def test_dropping_does_not_make_telnet_commands_cheaper() -> None:
    house, bia, ana = house_with()
    for _ in range(100):
        ana.send(b"\xff\xf1" * 64 + b"\xff\xf4")
    ana.send(b"last\n")
    for _ in range(10):
        pass_time(house)
    assert said(bia) == []


# -- a connection that ends -----------------------------------------------------------------------


def test_after_a_reset_nothing_is_said_and_the_name_is_free() -> None:
    house, bia, ana = house_with()
    ana.send(numbers(50))
    ana.protocol.connectionLost(Failure(ConnectionLost()))
    for _ in range(20):
        pass_time(house)
    assert bia.lines() == ["[Ana]: 0", "[Ana]: 1", "[Ana]: 2", "[SERVER]: Ana left the chat."]


def test_who_comes_back_after_a_reset_is_told_what_was_not_sent() -> None:
    house, _bia, ana = house_with()
    code = ana.protocol.session.code
    ana.send(numbers(50) + b"\n \nhalf a li")
    ana.protocol.connectionLost(Failure(ConnectionLost()))
    again = house.connect()
    again.send(f"/resume {code}\n".encode())
    for _ in range(20):
        pass_time(house)
    assert "[SERVER]: Your lines that were not sent: 47." in again.lines()


@pytest.mark.parametrize("half_closed", [True, False])
def test_after_the_end_of_all_that_was_sent_all_is_said(half_closed: bool) -> None:
    """Over TLS, and where what is shown is answered by a reset, the connection is lost at once."""
    house, bia, ana = house_with()
    ana.send(numbers(8) + b"last")
    if half_closed:
        ana.half_close()
    reason = ConnectionLost() if half_closed else ConnectionDone()
    ana.protocol.connectionLost(Failure(reason))
    for _ in range(40):
        pass_time(house)
    told = bia.lines()
    assert [line for line in told if line.startswith("[Ana]")] == [
        *(f"[Ana]: {number}" for number in range(8)),
        "[Ana]: last",
    ]
    assert told[-1] == "[SERVER]: Ana left the chat."
    assert [client.nickname for client in house.factory.snapshot()] == ["Bia"]


def test_who_sends_and_closes_at_once_has_all_of_it_saved() -> None:
    """Also the lines behind what is done in its turn: a name, a room."""
    house = House()
    bia = house.enter("Bia")
    bia.send(b"/join x\n")
    bia.read()
    ana = house.connect()
    ana.protocol.dataReceived(b"Ana\none\n/join x\ntwo\n")
    ana.protocol.connectionLost(Failure(ConnectionDone()))
    for _ in range(3):
        pass_time(house)
    assert [line for line in bia.lines() if "[Ana]" in line] == ["#lobby [Ana]: one", "[Ana]: two"]
    assert house.factory.active == 1


@pytest.mark.parametrize("more", [b"", b"\xff\xf1" * 3000 + b"\xff\xfa" + b"x" * 3000])
def test_nothing_is_left_of_a_reader_who_stopped_and_is_gone(more: bytes) -> None:
    house, bia, ana = house_with()
    producer: Any = ana.transport.producer
    producer.pauseProducing()
    ana.send(numbers(8) + more)
    ana.half_close()
    ana.protocol.connectionLost(Failure(ConnectionLost()))
    for _ in range(200):
        pass_time(house, 1)
    assert said(bia) == [str(number) for number in range(8)]
    assert house.factory.active == 1


def test_nothing_is_told_in_private_to_somebody_who_is_gone_and_still_heard() -> None:
    house, bia, ana = house_with()
    ana.send(numbers(8))
    ana.protocol.connectionLost(Failure(ConnectionDone()))
    bia.read()
    bia.send(b"/msg Ana are you there?\n")
    pass_time(house)
    assert any("Ana" in line and "read" in line for line in bia.lines())


def test_lines_of_somebody_who_is_gone_count_for_their_source() -> None:
    house, _bia, ana = house_with()
    ana.send(numbers(8))
    ana.protocol.connectionLost(Failure(ConnectionDone()))
    source = ana.protocol.source
    connections = source.connections
    for _ in range(20):
        pass_time(house)
    assert source.connections == connections - 1


@pytest.mark.parametrize(("error", "came"), [(ECONNRESET, False), (EPIPE, True)])
def test_an_error_that_was_told_when_something_was_sent(error: int, came: bool) -> None:
    """The system tells it once: a reset is no end, but EPIPE comes after all that was sent."""
    house = House()
    bia = house.enter("Bia")
    client = house.connect()
    client.protocol.dataReceived(b"half")
    client.protocol.outlet.error = error
    client.protocol.readConnectionLost()
    house.world.journal.run()
    assert (b"half joined" in bia.read()) is came


def test_after_a_reset_what_need_not_wait_is_said() -> None:
    """A client that closes and has not read all resets the connection: over TLS, always."""
    house = House()
    bia = house.enter("Bia")
    bia.read()
    ana = house.connect()
    ana.protocol.dataReceived(b"Ana\none\ntwo\nhalf a li")
    ana.protocol.connectionLost(Failure(ConnectionLost()))
    pass_time(house)
    assert said(bia) == ["one", "two"]
    assert house.factory.active == 1


# -- another connection -------------------------------------------------------------------------


def test_lines_that_wait_move_to_the_connection_of_resume() -> None:
    house, bia, ana = house_with()
    code = ana.protocol.session.code
    ana.send(numbers(10).replace(b"\n", b"\r\n"))
    again = house.connect()
    again.send(f"/resume {code}\nnew 1\nnew 2\n".encode())
    for _ in range(40):
        pass_time(house)
    assert said(bia) == [*(str(number) for number in range(10)), "new 1", "new 2"]
    assert ana.transport.disconnecting
    assert "not sent" not in ana.read().decode() + again.read().decode()


def test_a_program_that_comes_back_is_told_what_was_dropped() -> None:
    """It sends again what was not acknowledged, under the same ids."""
    house = House(rate=SLOW)
    old = house.connect()
    says = b"".join(b'{"type":"say","text":"%d","id":"%d"}\n' % (n, n) for n in range(10))
    old.send(HELLO + says)
    again = house.connect()
    again.send(HELLO)
    for _ in range(20):
        pass_time(house)
    assert b'{"type":"not-sent","count":8}\n' in again.read()


@pytest.mark.parametrize("size", [LOOK_AHEAD - 1, LOOK_AHEAD])
def test_of_somebody_whose_lines_wait_only_so_much_is_read(size: int) -> None:
    _house, _bia, ana = house_with()
    ana.protocol.hold()
    ana.send(b"abc\n" * (size // 4) + b"x" * (size % 4))
    assert ana.transport.producerState == "paused"
    ana.protocol.look_ahead()
    assert ana.transport.producerState == ("paused" if size == LOOK_AHEAD else "producing")


def test_lines_that_go_on_again_and_again_do_not_pile_up() -> None:
    house, _bia, ana = house_with()
    for _ in range(5):
        code = ana.protocol.session.code
        ana.send(b"abc\n" * (LOOK_AHEAD // 4))
        ana = house.connect()
        ana.send(f"/resume {code}\n".encode())
        pass_time(house, 30)
    assert ana.protocol.waiting <= MOVED_BYTES // LINE_OVERHEAD
    assert b"[SERVER]: Your lines that were not sent:" in ana.read()


# -- what the system has received, and nobody has read -------------------------------------------


@pytest.fixture
def unread() -> Iterator[Callable[[Client, bytes], None]]:
    """A function that has the system hold what a client sent."""
    opened: list[socket.socket] = []

    def receive(client: Client, data: bytes) -> None:
        theirs, ours = socket.socketpair()
        opened.extend((theirs, ours))
        theirs.sendall(data)
        transport: Any = client.transport
        transport.socket = ours
        ours.setblocking(False)
        transport.doRead = lambda: client.protocol.dataReceived(ours.recv(2**16))

    yield receive
    for end in opened:
        end.close()


def test_what_nobody_has_read_goes_on_over_the_connection_of_resume(
    unread: Callable[[Client, bytes], None],
) -> None:
    house, bia, ana = house_with()
    code = ana.protocol.session.code
    ana.send(numbers(10))
    unread(ana, numbers(10, 10))
    again = house.connect()
    again.send(f"/resume {code}\nnew\n".encode())
    for _ in range(60):
        pass_time(house)
    assert said(bia) == [*(str(number) for number in range(20)), "new"]


@pytest.mark.parametrize("how", ["cut off", "reset", "quit", "endless command"])
def test_what_nobody_has_read_is_told_as_not_sent(
    unread: Callable[[Client, bytes], None], how: str
) -> None:
    house, bia, ana = house_with()
    code = ana.protocol.session.code
    if how == "quit":
        ana.protocol.dataReceived(b"/quit\n")
    else:
        ana.send(numbers(10))
    unread(ana, numbers(10, 10))
    pass_time(house, 0)
    if how == "quit":
        assert "[SERVER]: Your lines that were not sent: 10." in ana.lines()
        return
    spoken = said(bia)
    if how == "reset":
        ana.protocol.hung_up(ECONNRESET)
    elif how == "endless command":
        ana.send(b"\xff\xfa" + b"x" * 3000)
    else:
        ana.protocol.vanished()
    ana.protocol.connectionLost(Failure(ConnectionLost()))
    again = house.connect()
    again.send(f"/resume {code}\n".encode())
    for _ in range(20):
        pass_time(house)
    assert f"[SERVER]: Your lines that were not sent: {20 - len(spoken)}." in again.lines()
    assert said(bia) == []


def test_another_protocol_is_not_told_how_much_of_it_was_dropped(
    unread: Callable[[Client, bytes], None],
) -> None:
    house, _bia, _ana = house_with()
    browser = house.connect()
    unread(browser, b"Host: here\r\n\r\n")
    browser.send(b"GET / HTTP/1.1\r\n")
    assert b"not sent" not in browser.read()


# -- what closes on our side ----------------------------------------------------------------------


def test_lines_behind_quit_are_not_sent_and_that_is_told() -> None:
    house, bia, ana = house_with()
    ana.send(b"bye\n/quit\none\ntwo\n")
    pass_time(house)
    assert ana.lines() == ["[SERVER]: Your lines that were not sent: 2.", "[SERVER]: Goodbye!"]
    assert said(bia) == ["bye"]


def test_when_the_server_stops_all_that_was_received_is_said_whatever_the_rate() -> None:
    house, bia, ana = house_with()
    ana.send(numbers(100) + b"/join x\nin x\n")
    done = house.factory.handle_all(2)
    for _ in range(20):
        pass_time(house, 0.02)
    assert done.called
    house.world.chat.stop(lambda: None)
    assert said(bia) == [str(number) for number in range(100)]
    store = house.world.journal.log.store
    assert [entry.text for entry in store.reader().before("x", 10, 5)] == ["in x"]
    assert "not sent" not in ana.read().decode()


def test_what_cannot_be_saved_in_time_is_told_when_the_server_stops() -> None:
    house, bia, ana = house_with()
    ana.protocol.dataReceived(b"/join x\n" + numbers(9))  # which the journal has not done
    done = house.factory.handle_all(2)
    for _ in range(150):
        house.clock.advance(0.02)
    assert done.called
    ana.send(b"later\n")
    house.world.chat.stop(lambda: None)
    assert "[SERVER]: Your lines that were not sent: 10." in ana.lines()
    assert bia.lines()[-1].startswith("[SERVER]: The server is shutting down.")
