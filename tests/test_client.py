"""The client that stays: what it asks, keeps, sends again and tells, against a server of which
each move is made by hand.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import pytest
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.error import (
    ConnectBindError,
    ConnectionDone,
    ConnectionLost,
    ConnectionRefusedError,
    DNSLookupError,
    TimeoutError,
)
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.logger import LogLevel, capturedLogs
from twisted.python.failure import Failure
from zope.interface import implementer

import twisted_chat.client
from twisted_chat.client import (
    ChatClient,
    ClientStopped,
    Connected,
    Disconnected,
    LogReplaced,
    MemoryState,
    NotDelivered,
    Receipt,
    RequestRefused,
)
from twisted_chat.client.address import Address
from twisted_chat.client.client import LAST_RETRY, LEAVE_TIMEOUT, REPLACED, STEADY
from twisted_chat.client.complaints import CANNOT_START, NOT_LET_IN
from twisted_chat.client.endpoint import CONNECT_TIMEOUT, server_endpoint
from twisted_chat.client.event_stream import EVENTS
from twisted_chat.client.protocol import CLOSED, HELLO_TIMEOUT, SILENT
from twisted_chat.client.state import Kept, NotKept
from twisted_chat.client.state_database import StateUnusable
from twisted_chat.client.unanswered import ANSWERS, MANY, SAVE_RETRY, WINDOW, new_id
from twisted_chat.core.errors import (
    ControlCharacter,
    LineTooLong,
    NameInvalid,
    NameTaken,
    NotInRoom,
    NotSaved,
    Refusal,
)
from twisted_chat.core.events import (
    Acknowledged,
    Announced,
    CodeMade,
    DevicesListed,
    Entered,
    EntriesRemoved,
    Entry,
    Event,
    HistoryShown,
    IgnoredListed,
    Ignoring,
    Joined,
    LanguageShown,
    LimitsShown,
    MessageKept,
    PasswordSet,
    PeopleListed,
    Pong,
    Refused,
    Registered,
    Renamed,
    Replaced,
    RoomLeft,
    RoomsListed,
    SearchShown,
    ServerStopping,
    Style,
    TokenMade,
    TokenRevoked,
    Told,
    TopicShown,
    Unregistered,
    Welcomed,
)
from twisted_chat.core.limits import Limits
from twisted_chat.core.requests import (
    AddDevice,
    ChangeRoom,
    ChooseName,
    GiveRole,
    Hello,
    Ignore,
    InvitePerson,
    Join,
    Leave,
    ListDevices,
    ListLimits,
    ListPeople,
    ListRooms,
    LogOut,
    Mark,
    NewToken,
    Ping,
    Quit,
    ReadHistory,
    Register,
    Request,
    RevokeToken,
    Say,
    Search,
    SetLanguage,
    SetPassword,
    Tell,
    Topic,
    Unignore,
    Unregister,
)
from twisted_chat.core.room_events import Invited, RoleSet, RoomSettings
from twisted_chat.dialects import jsonl
from twisted_chat.testing import ChatServer

T = TypeVar("T")

CLIENT = "0123456789abcdef0123456789abcdef"


class Wire(StringTransport):
    """A transport that is lost in a later turn, as a real one."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(lenient=True)
        self._clock = clock
        self.protocol: Any = None
        self.aborted = False
        self.is_lost = False

    def loseConnection(self) -> None:
        self.disconnecting = True
        if not self.is_lost:
            self._clock.callLater(0, self.lose)

    def abortConnection(self) -> None:
        self.aborted = True
        self.loseConnection()

    def lose(self, error: Exception | None = None) -> None:
        if not self.is_lost:
            self.is_lost = True
            self.protocol.connectionLost(Failure(error or ConnectionDone()))


@implementer(IStreamClientEndpoint)
class Door:
    """An endpoint at which a connection is made when told to."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.attempts = 0
        self.waiting: Deferred[Any] | None = None

    def connect(self, factory: Any) -> Deferred[Any]:
        self.attempts += 1
        self._factory = factory
        self.waiting = Deferred()
        return self.waiting

    def open(self) -> Wire:
        """Connect, and make the connection before telling of it, as Twisted does."""
        assert self.waiting is not None
        waiting, self.waiting = self.waiting, None
        wire = Wire(self._clock)
        wire.protocol = self._factory.buildProtocol(None)
        wire.protocol.makeConnection(wire)
        waiting.callback(wire.protocol)
        return wire

    def refuse(self, error: Exception) -> None:
        assert self.waiting is not None
        waiting, self.waiting = self.waiting, None
        waiting.errback(Failure(error))


class Server:
    """A client, what it was told, and the other end, played by the test."""

    def __init__(self, nickname: str | None = "Ana", **options: Any) -> None:
        self.clock = Clock()
        self.door = Door(self.clock)
        options.setdefault("state", MemoryState(CLIENT))
        self.client = ChatClient(self.clock, self.door, nickname, **options)
        self.state = self.client.state
        self.heard: list[Event] = []
        self.client.listen(self.heard.append)
        self.wire: Wire

    # -- the connection -----------------------------------------------------------------------

    def connect(self) -> Server:
        """The client starts, or tries again, and there is a connection."""
        if not self.client.running:
            self.client.startService()
        if self.door.waiting is None:
            self.clock.advance(LAST_RETRY + 1)
        self.wire = self.door.open()
        return self

    def welcome(self, *rooms: str, **last: int) -> Server:
        """Connect, and let the client in to these rooms."""
        self.connect()
        last = {**dict.fromkeys(rooms, 0), **last} or {"lobby": 0}
        self.say_welcome(**last)
        return self

    def say_welcome(self, **last: int) -> None:
        self.says(Welcomed("Ana", (), last, bytes.fromhex(CLIENT), "", False))
        self.says(*(entered(room, number) for room, number in last.items()))

    def says(self, *events: Event) -> None:
        self.wire.protocol.dataReceived(jsonl.render(events, Style("en")).data)

    def answers_all(self) -> list[Request]:
        """Acknowledge what was said, in its order, until nothing more is said."""
        answered: list[Request] = []
        while asked := self.asked():
            for request in asked:
                if isinstance(request, Say):
                    answered.append(request)
                    self.acknowledges(request)
        return answered

    def acknowledges(self, request: Request, number: int = 1) -> None:
        assert isinstance(request, (Say, Topic))
        room, text = request.room or "lobby", request.text or ""
        saved = Entry(room, number, 5, "say", "Ana", text, 0, request.id, b"")
        self.says(Acknowledged((saved,)))

    def fails_to_save(self, request: Request) -> None:
        self.says(Refused(NotSaved(text="x", reason="disk I/O error"), request.id))

    def loses(self, error: Exception | None = None) -> None:
        self.wire.lose(error)

    # -- what it did --------------------------------------------------------------------------

    def asked(self) -> list[Request]:
        """What was asked since the last time, but for the connection's own pings."""
        lines = self.wire.value().splitlines()
        self.wire.clear()
        requests = [jsonl.parse(line) for line in lines]
        return [request for request in requests if request != Ping()]

    def texts(self) -> list[str | None]:
        """What was said since the last time."""
        return [r.text for r in self.asked() if isinstance(r, (Say, Tell, Topic))]

    def all(self, kind: type[T]) -> list[T]:
        return [event for event in self.heard if isinstance(event, kind)]

    def numbers(self, room: str = "lobby") -> list[int]:
        return [entry.number for entry in self.all(Entry) if entry.room == room]

    def refusals(self) -> list[str]:
        return [refused.refusal.code for refused in self.all(Refused)]

    def kept(self) -> list[str]:
        """The ids of the messages that would outlive the process."""
        (kept,) = results(self.state.open())
        assert isinstance(kept, Kept)
        return [id for id, _ in kept.waiting]

    def seen(self) -> dict[str, int]:
        """What would outlive the process of the rooms."""
        (kept,) = results(self.state.open())
        assert isinstance(kept, Kept)
        return kept.rooms

    def killed(self, **options: Any) -> Server:
        """The process is gone; what comes next has what it kept."""
        return Server(**{"state": self.state, **options})

    def stop(self) -> None:
        """The client stops in good order and leaves nothing behind."""
        stopped = results(self.client.stopService())
        self.clock.advance(0)
        if self.client.is_in:
            self.loses()
        self.clock.advance(LEAVE_TIMEOUT)
        self.clock.advance(0)
        assert stopped == [None]
        assert self.clock.getDelayedCalls() == []
        assert self.heard[-1] == Disconnected("", None)
        assert len([event for event in self.all(Disconnected) if event.retry is None]) == 1


def results(deferred: Deferred[T]) -> list[T | Failure]:
    """What ``deferred`` fires with, when it has."""
    found: list[T | Failure] = []
    deferred.addBoth(found.append)
    return found


def failure_of(deferred: Deferred[Any]) -> BaseException:
    """Why ``deferred`` has failed."""
    (failure,) = results(deferred)
    assert isinstance(failure, Failure)
    assert failure.value is not None
    return failure.value


def said(number: int, room: str = "lobby", text: str = "oi") -> Entry:
    return Entry(room, number, 5, "say", "Bia", text, 0, None, b"")


def entered(room: str, last: int = 0) -> Entered:
    return Entered(room, (), 0, "", last, 0)


@pytest.fixture(autouse=True)
def _no_defects(request: pytest.FixtureRequest) -> Iterator[None]:
    """No error is swallowed, and nothing that a test does not expect is logged as one."""
    with capturedLogs() as logged:
        yield
    if "defects" not in request.fixturenames:
        wrong = [event for event in logged if event["log_level"] >= LogLevel.error]
        assert [e for e in wrong if e.get("log_format") not in (CANNOT_START, NOT_LET_IN)] == []


@pytest.fixture
def defects() -> Iterator[Callable[[], int]]:
    """How many defects were logged so far."""
    with capturedLogs() as logged:
        yield lambda: sum(event["log_level"] is LogLevel.critical for event in logged)


# -- coming in --------------------------------------------------------------------------------


def test_it_introduces_itself_and_is_told_all_in_its_order() -> None:
    server = Server(language="pt_BR").connect()
    assert server.asked() == [Hello("Ana", CLIENT, "pt_BR", {})]
    assert not server.client.is_in
    server.say_welcome(lobby=3)
    assert server.client.is_in
    assert server.client.rooms == {"lobby": 3}
    server.says(said(4))
    assert [type(event) for event in server.heard] == [Connected, Welcomed, Entered, Entry]
    server.stop()


def test_without_a_name_it_waits_for_one() -> None:
    server = Server(None).connect()
    assert server.asked() == []
    server.client.introduce("Bia")
    assert server.asked() == [Hello("Bia", CLIENT)]
    server.stop()


def test_rooms_that_are_wanted_are_joined_and_those_with_a_number_resumed() -> None:
    server = Server(rooms={"#Cinema": None, "News": 7}).connect()
    assert server.asked() == [Hello("Ana", CLIENT, None, {"news": 7})]
    server.say_welcome(lobby=2, news=9)
    assert server.asked() == [Join("cinema")]
    server.says(said(8, "news"), said(9, "news"), entered("cinema", 5))
    assert server.client.rooms == {"cinema": 5, "news": 9, "lobby": 2}
    assert server.numbers("news") == [8, 9]


def test_a_room_that_cannot_be_is_refused_at_once() -> None:
    with pytest.raises(NameInvalid):
        Server(rooms=["no room"])
    server = Server()
    assert isinstance(failure_of(server.client.join("no room")), NameInvalid)
    server.welcome()
    server.says(entered("lobby"))
    assert server.client.is_in


def test_what_was_dealt_with_is_where_the_next_process_goes_on() -> None:
    server = Server().welcome(lobby=3)
    server.says(said(4), said(5))
    again = server.killed(rooms=["lobby", "cinema"]).connect()
    assert again.asked() == [Hello("Ana", CLIENT, None, {"lobby": 5})]
    later = server.killed(rooms={"lobby": 4}).connect()
    assert later.asked() == [Hello("Ana", CLIENT, None, {"lobby": 4})], "an explicit number counts"


def test_without_catching_up_only_what_is_new_is_told() -> None:
    server = Server().welcome(lobby=3)
    again = server.killed(catch_up=False).connect()
    assert again.asked() == [Hello("Ana", CLIENT, None, {})]
    again.say_welcome(lobby=8)
    again.says(said(7), said(8), said(9))  # the server goes on where it had been
    assert again.numbers() == [9]


def test_a_name_that_is_no_text_is_left_to_the_server_to_refuse() -> None:
    (hello,) = Server("A\udcff").connect().asked()
    assert hello == Hello("A\ufffd", CLIENT)


def test_a_refused_name_is_tried_again_as_if_there_were_no_connection() -> None:
    server = Server().connect()
    server.says(Refused(NameTaken(name="Ana")))
    server.clock.advance(0)
    assert server.wire.is_lost
    (lost,) = server.all(Disconnected)
    assert lost.reason == NameTaken(name="Ana").sentence("en")
    assert server.refusals() == ["name-taken"]
    server.welcome()
    assert server.client.is_in
    server.stop()


def test_a_refused_name_is_replaced_by_whoever_is_asked() -> None:
    server = Server(insist=False).connect()
    server.says(Refused(NameTaken(name="Ana")))
    server.asked()
    server.client.introduce("Bia")
    assert server.asked() == [Hello("Bia", CLIENT)]
    server.says(Refused(NameTaken(name="Bia")))
    server.loses()
    assert server.connect().asked() == [Hello("Bia", CLIENT)]
    server.stop()


def test_the_name_that_one_has_is_the_one_to_come_back_with() -> None:
    server = Server().welcome()
    server.says(Renamed("Caio", "Davi"), Renamed("Ana", "Bia", own=True))
    server.loses()
    assert server.connect().asked() == [Hello("Bia", CLIENT, None, {"lobby": 0})]


# -- rooms over connections -------------------------------------------------------------------


def test_it_comes_back_after_what_it_was_told_last() -> None:
    server = Server().welcome("lobby", "cinema")
    server.says(said(1), said(2), said(1, "cinema"))
    server.loses(ConnectionLost())
    assert not server.client.is_in
    assert server.connect().asked() == [Hello("Ana", CLIENT, None, {"lobby": 2, "cinema": 1})]
    server.say_welcome(lobby=4, cinema=1)
    server.says(said(3), said(4))
    assert server.numbers() == [1, 2, 3, 4]


def test_what_comes_twice_is_told_once() -> None:
    server = Server().welcome()
    server.says(said(1), said(2), said(2), said(1), said(3))
    assert server.numbers() == [1, 2, 3]


def test_a_room_of_which_the_coming_in_was_not_told_is_joined_again() -> None:
    server = Server(rooms=["cinema"]).welcome()
    assert Join("cinema") in server.asked()
    server.loses()
    server.welcome()
    assert server.asked() == [Hello("Ana", CLIENT, None, {"lobby": 0}), Join("cinema")]


def test_a_room_that_was_left_stays_left() -> None:
    """The server takes whoever comes to its own room; nothing of that is told."""
    server = Server().welcome("lobby", "cinema")
    left = results(server.client.leave("lobby"))
    server.says(RoomLeft("lobby", "cinema"))
    assert len(left) == 1
    for _ in range(2):  # also if the connection breaks in the middle of it
        server.loses()
        server.connect()
        assert server.asked() == [Hello("Ana", CLIENT, None, {"cinema": 0})]
        del server.heard[:]
        server.says(Welcomed("Ana", (), {"lobby": 5, "cinema": 0}, bytes(16), "", True))
        assert server.asked() == [Leave("lobby")]
        server.says(entered("lobby", 5), entered("cinema"), said(6))
    server.says(RoomLeft("lobby", "cinema"), said(1, "cinema"))
    assert [event for event in server.heard if getattr(event, "room", "") == "lobby"] == []
    assert server.numbers("cinema") == [1]
    assert server.seen() == {"cinema": 1}
    joined = results(server.client.join("lobby"))
    server.says(entered("lobby", 6))
    assert len(joined) == 1
    assert server.client.rooms == {"cinema": 1, "lobby": 6}


def test_a_room_that_is_left_while_offline_is_left_on_return() -> None:
    server = Server().welcome("lobby", "cinema")
    server.loses()
    left = results(server.client.leave("#Cinema"))
    server.welcome("lobby", "cinema")
    (_, leave) = server.asked()
    assert isinstance(leave, Leave)
    assert left == []
    server.says(RoomLeft("cinema", "lobby"))
    assert [type(event) for event in left] == [RoomLeft]
    assert server.client.rooms == {"lobby": 0}


def test_a_room_that_is_being_joined_when_the_connection_breaks_is_not_left() -> None:
    """The server had done it, but not yet told."""
    server = Server().welcome()
    joined = results(server.client.join("cinema"))
    server.loses()
    server.welcome("lobby", "cinema")
    asked = server.asked()
    assert [type(request) for request in asked] == [Hello, Join]
    assert len(joined) == 1
    server.says(said(1, "cinema"))
    assert server.numbers("cinema") == [1]


def test_another_log_of_a_room_begins_anew_also_in_what_is_kept() -> None:
    server = Server().welcome(lobby=500)
    server.loses()
    server.welcome(lobby=3)
    server.says(said(4))
    replaced, again, entry = server.heard[-3:]
    assert replaced == LogReplaced("lobby")
    assert isinstance(again, Entered)
    assert isinstance(entry, Entry)
    assert server.seen() == {"lobby": 4}


def test_what_is_not_kept_any_more_is_passed_over_once() -> None:
    server = Server().welcome(lobby=5)
    server.loses()
    server.welcome(lobby=90)
    server.says(EntriesRemoved("lobby", 80))
    assert server.seen() == {"lobby": 79}
    server.says(said(80), EntriesRemoved("lobby", 70), said(79), said(81))
    assert server.numbers() == [80, 81]
    server.says(EntriesRemoved("nowhere", 5), said(9, "nowhere"))
    assert "nowhere" not in server.client.rooms


# -- asking -----------------------------------------------------------------------------------

ASKED: list[tuple[Request, Event]] = [
    (AddDevice(), CodeMade("Ana", "bcdf-ghjk", 10, "q")),
    (
        ChangeRoom("lobby", slow=5),
        RoomSettings("lobby", "all", "all", False, 5, None, by="Ana", id="q"),
    ),
    (ChooseName("Bia"), Renamed("Ana", "Bia", own=True)),
    (GiveRole("Bia", "speaker", "lobby"), RoleSet("lobby", "Bia", "speaker", "Ana", "q")),
    (Ignore("Bia"), Ignoring("Bia", on=True)),
    (Ignore(), IgnoredListed(("Bia",))),
    (InvitePerson("Bia", "lobby"), Invited("lobby", "Bia", "Ana", True, "q")),
    (Join("Cinema"), entered("cinema")),
    (Leave("lobby"), RoomLeft("lobby", None)),
    (ListDevices(), DevicesListed((), "q")),
    (ListLimits(), LimitsShown(Limits(), "q")),
    (ListPeople("lobby"), PeopleListed("lobby", (), 0, "q")),
    (ListRooms(), RoomsListed((), 0, "q")),
    (NewToken("bot"), TokenMade("bot", "tchat_x", (), "q")),
    (Ping(), Pong("q")),
    (ReadHistory("lobby"), HistoryShown("lobby", (said(1),), 1, "q")),
    (Register("x"), Registered("Ana", 1, "q")),
    (RevokeToken("bot"), TokenRevoked("bot", "q")),
    (Say("oi"), Acknowledged((Entry("lobby", 1, 5, "say", "Ana", "oi", 0, "q", b""),))),
    (Search("oi"), SearchShown("oi", (), (), "q")),
    (SetLanguage(), LanguageShown("en", (), changed=False)),
    (SetPassword("x"), PasswordSet("q")),
    (Tell("Bia", "oi"), Told("Ana", "Bia", "", 5, own=True, id="q")),
    (Tell("Bia", "oi"), MessageKept("Bia", 5, "q")),
    (Topic(None, "lobby"), TopicShown("lobby", "", "q")),
    (Topic("oi"), Acknowledged((Entry("lobby", 1, 5, "topic", "Ana", "oi", 0, "q", b""),))),
    (Unignore("Bia"), Ignoring("Bia", on=False)),
    (Unregister("Ana"), Unregistered("Ana", "q")),
]

NAMES = [type(request).__name__ for request, _ in ASKED]

#: What comes at any time and answers nothing.
NEWS = (
    Joined("lobby", "Caio", True),
    Renamed("Caio", "Davi"),
    Told("Caio", "", "psst", 5),
    Announced("oi"),
    Refused(NotInRoom(room="x")),
    entered("news"),
    RoomLeft("news", None),
    said(7),
    RoomSettings("lobby", "all", "all", False, 5, None, by="Caio"),
    RoleSet("lobby", "Davi", "speaker", "Caio"),
    Invited("news", "Ana", "Caio"),
)


def test_every_request_is_tried() -> None:
    assert {type(request) for request, _ in ASKED} == ANSWERS.keys()
    assert {*ANSWERS, Hello, LogOut, Mark, Quit} == set(jsonl.REQUESTS.values())


@pytest.mark.parametrize(("request_", "answer"), ASKED, ids=NAMES)
def test_each_request_is_answered_by_its_answer_and_told_before(
    request_: Request, answer: Event
) -> None:
    server = Server().welcome()
    request = type(request_)(**{**fields(request_), "id": "q"})
    answered = results(server.client.ask(request))
    server.says(*NEWS)
    server.says(Pong("another"))
    if request_ != Ping():
        server.says(Pong("q"))
    assert answered == []
    del server.heard[:]
    server.says(answer)
    assert server.heard == answered
    assert server.client.waiting == []
    server.says(answer)
    assert len(answered) == 1


def fields(request: Request) -> dict[str, Any]:
    return {name: getattr(request, name) for name in request.__struct_fields__}


@pytest.mark.parametrize("request_", [request for request, _ in ASKED], ids=NAMES)
def test_each_request_can_be_refused(request_: Request) -> None:
    server = Server().welcome()
    request = type(request_)(**{**fields(request_), "id": "q"})
    knows: list[Request | None] = []
    server.client.listen(lambda event: knows.append(server.client.asked("q")))
    answered = server.client.ask(request)
    server.says(Refused(NotInRoom(room="x"), "q"))
    refused = failure_of(answered)
    assert isinstance(refused, RequestRefused)
    assert refused.code == "not-in-room"
    assert [type(known) for known in knows] == [type(request)], "whoever is told can ask for what"
    assert server.client.asked("q") is None
    assert server.kept() == []


@pytest.mark.parametrize("request_", [request for request, _ in ASKED], ids=NAMES)
def test_each_request_outlives_the_connection(request_: Request) -> None:
    """But a private message that was sent: nobody can know whether it arrived."""
    server = Server()
    answered = results(server.client.ask(request_))
    server.welcome()
    (first,) = server.asked()[1:]
    server.loses()
    server.welcome()
    again = server.asked()[1:]
    if isinstance(request_, Tell):
        assert again == []
        (failure,) = answered
        assert isinstance(failure, Failure)
        assert failure.check(NotDelivered)
    else:
        assert again == [first]
        assert answered == []


def test_answers_that_name_no_request_are_for_the_first_that_was_sent() -> None:
    server = Server().welcome()
    one, two = results(server.client.join("a")), results(server.client.join("b"))
    three = results(server.client.join("a"))
    server.says(entered("b"))
    assert (len(one), len(two), len(three)) == (0, 1, 0)
    server.says(entered("a"))
    assert (len(one), len(two), len(three)) == (1, 1, 0)
    server.says(entered("a"))
    assert len(three) == 1


def test_what_was_not_sent_is_not_answered() -> None:
    server = Server(state=SlowState()).welcome()
    server.client.say("before it")
    joined = results(server.client.join("news"))
    server.says(entered("news"))
    assert joined == []


def test_what_cannot_be_asked_fails_at_once_and_leaves_nothing() -> None:
    server = Server().welcome()
    server.asked()
    for request, error in (
        (Say("a\rb"), ControlCharacter),
        (Say("a\udc00"), ControlCharacter),
        (Say("x" * 5000), LineTooLong),
        (Say('"' * 4096, '"' * 4096), LineTooLong),
        (Say("oi", id="x" * 65), Refusal),
        (Join("a b"), NameInvalid),
        (Quit(), ValueError),
        (Hello("Bia"), ValueError),
    ):
        assert isinstance(failure_of(server.client.ask(request)), error)
    assert server.asked() == []
    assert server.client.waiting == []
    assert server.kept() == []


def test_what_is_said_again_under_its_id_is_said_once_and_answers_both() -> None:
    server = Server().welcome()
    server.asked()
    one = results(server.client.say("oi", id="m1"))
    two = results(server.client.say("oi", id="m1"))
    assert isinstance(failure_of(server.client.say("olá", id="m1")), ValueError)
    (say,) = server.asked()
    server.acknowledges(say)
    assert one == two == [Receipt("lobby", 1, 5, "m1")]


def test_to_cancel_takes_nothing_back_and_harms_nothing() -> None:
    server = Server().welcome()
    saying, asking = server.client.say("oi"), server.client.list_rooms()
    for one in (saying, asking):
        one.addErrback(lambda _: None)
        one.cancel()
    say, rooms = server.asked()[1:]
    server.acknowledges(say)
    server.says(RoomsListed((), 0, rooms.id))
    assert server.client.waiting == []
    server.stop()


def test_no_two_ids_are_the_same() -> None:
    assert len({new_id() for _ in range(1000)}) == 1000


# -- messages: kept, sent, sent again ---------------------------------------------------------


class SlowState(MemoryState):
    """A state whose disk is as slow as a test wants."""

    def __init__(self) -> None:
        super().__init__(CLIENT)
        self.writes: list[tuple[Deferred[None], str, bytes]] = []

    def keep(self, id: str, line: bytes) -> Deferred[None]:
        kept: Deferred[None] = Deferred()
        self.writes.append((kept, id, line))
        return kept

    def write(self) -> None:
        """What comes first is on disk."""
        kept, id, line = self.writes.pop(0)
        super().keep(id, line)
        kept.callback(None)

    def fail(self, error: Exception) -> None:
        self.writes.pop(0)[0].errback(Failure(error))


def test_nothing_is_sent_before_it_is_on_disk_and_nothing_overtakes_it() -> None:
    state = SlowState()
    server = Server(state=state).welcome()
    server.asked()
    server.client.say("one")
    server.client.say("two")
    server.client.list_rooms()
    assert server.asked() == []
    state.writes[1][0].callback(None)
    del state.writes[1]
    assert server.asked() == []
    state.write()
    assert [type(request) for request in server.asked()] == [Say, Say, ListRooms]


def test_a_connection_that_comes_back_before_the_disk_keeps_the_order() -> None:
    state = SlowState()
    server = Server(state=state).welcome()
    for text in ("one", "two", "three"):
        server.client.say(text)
    state.write()
    server.loses()
    server.welcome()
    assert server.texts() == ["one"]
    state.write()
    state.write()
    assert server.texts() == ["two", "three"]


def test_what_cannot_be_kept_is_told_and_sent_all_the_same(defects: Callable[[], int]) -> None:
    state = SlowState()
    server = Server(state=state).welcome()
    server.client.say("one")
    server.client.say("two")
    state.fail(NotKept(reason="disk I/O error"))
    assert server.refusals() == ["not-kept"]
    assert defects() == 0
    state.fail(ZeroDivisionError())
    assert defects() == 1
    assert server.texts() == ["one", "two"]


def test_what_was_said_offline_is_sent_on_return_in_its_order() -> None:
    server = Server()
    answers = [results(server.client.say(str(n), "lobby")) for n in range(3 * WINDOW)]
    assert len(server.kept()) == 3 * WINDOW
    server.welcome()
    assert server.texts() == [str(n) for n in range(WINDOW)], "not all at once"
    server.loses()
    server.welcome()
    server.answers_all()
    assert all(len(answer) == 1 for answer in answers)
    assert server.kept() == []


def test_it_is_sent_again_until_it_is_acknowledged_and_then_never() -> None:
    server = Server().welcome()
    server.client.say("one", id="1")
    server.client.say("two", id="2")
    one, two = server.asked()[1:]
    server.acknowledges(one)
    assert server.kept() == ["2"]
    server.loses()
    assert server.welcome().asked()[1:] == [two]
    again = server.killed().welcome()
    assert again.asked()[1:] == [two]
    again.acknowledges(two)
    assert again.kept() == []
    assert again.heard[-1] == Receipt("lobby", 1, 5, "2")
    again.loses()
    assert again.welcome().texts() == []


def test_a_message_is_for_one_room_however_often_it_is_sent() -> None:
    """Said before any room was known, it is for the first one, also when that is not current."""
    server = Server()
    server.client.say("oi", id="1")
    server.welcome(lobby=0)
    (say,) = server.asked()[1:]
    assert say == Say("oi", "lobby", id="1")
    server.loses()
    server.connect()
    server.says(Welcomed("Ana", (), {"cinema": 0, "lobby": 0}, bytes(16), "", True))
    assert say in server.asked()
    again = server.killed().welcome("cinema", "lobby")
    assert say in again.asked()


def test_a_restored_message_is_said_in_its_room_even_if_that_was_just_being_joined() -> None:
    server = Server().welcome()
    server.client.join("cinema")
    server.client.say("oi", "cinema", id="1")
    again = server.killed().welcome()
    assert again.asked()[1:] == [Join("cinema"), Say("oi", "cinema", id="1")]


def test_asked_again_before_what_was_kept_is_known() -> None:
    """A script that was killed says the same again, under the same id."""
    server = Server()
    server.client.say("oi", "lobby", id="1")
    server.client.say("olá", "lobby", id="2")
    state = LateState(server.state)
    again = Server(state=state)
    one = results(again.client.say("oi", "lobby", id="1"))
    other = again.client.say("something else", "lobby", id="2")
    three = results(again.client.say("three", "lobby", id="3"))
    again.client.startService()
    state.opens()
    assert isinstance(failure_of(other), ValueError)
    again.welcome()
    assert [request.id for request in again.answers_all()] == ["1", "2", "3"]
    assert len(one) == len(three) == 1


class LateState(MemoryState):
    """A state that opens when told to, with what is in ``other``."""

    def __init__(self, other: Any = None) -> None:
        super().__init__(CLIENT)
        self._other = other or MemoryState(CLIENT)
        self.opening: Deferred[Kept] = Deferred()
        self.is_closed = False

    def open(self) -> Deferred[Kept]:
        return self.opening

    def opens(self) -> None:
        MemoryState.open(self)
        (kept,) = results(self._other.open())
        assert isinstance(kept, Kept)
        self.opening.callback(kept)

    def close(self) -> Deferred[None]:
        self.is_closed = True
        return super().close()


def test_a_line_that_cannot_be_read_any_more_is_told() -> None:
    state = MemoryState(CLIENT)
    state.open()
    state.keep("1", b'{"type":"shout","text":"oi","id":"1"}')
    state.keep("2", b'{"type":"say","room":"lobby","text":"oi","id":"2"}')
    server = Server(state=state).welcome()
    assert server.refusals() == ["unknown-type"]
    assert server.texts() == ["oi"]
    assert server.kept() == ["2"]


def test_what_could_not_be_saved_is_sent_again_in_its_order_and_not_overtaken() -> None:
    server = Server().welcome()
    for text in ("one", "two", "three"):
        server.client.say(text)
    one, two, three = server.asked()[1:]
    server.fails_to_save(one)
    server.client.say("four")
    server.client.list_rooms()
    server.fails_to_save(two)
    server.acknowledges(three)
    server.clock.advance(SAVE_RETRY - 1)
    assert [type(request) for request in server.asked()] == [ListRooms]
    server.clock.advance(1)
    assert server.texts() == ["one", "two", "four"]
    assert server.refusals() == ["not-saved", "not-saved"]
    assert len(server.kept()) == 3


def test_what_could_not_be_saved_is_sent_once_over_the_next_connection() -> None:
    server = Server().welcome()
    server.client.say("one").addErrback(lambda _: None)
    server.fails_to_save(server.asked()[1])
    server.loses()
    server.welcome()
    assert server.texts() == ["one"]
    server.clock.advance(2 * SAVE_RETRY)
    assert server.texts() == []
    server.stop()


def test_many_are_told_to_be_patient() -> None:
    server = Server()
    for n in range(MANY):
        assert results(server.client.ready()) == [None]
        server.client.say(str(n), "lobby")
    ready, cancelled = results(server.client.ready()), server.client.ready()
    cancelled.addErrback(lambda _: None)
    cancelled.cancel()
    assert ready == []
    server.welcome()
    server.acknowledges(server.asked()[1])
    assert ready == [None]


# -- private messages -------------------------------------------------------------------------


def test_a_private_message_that_was_sent_is_not_sent_again() -> None:
    server = Server().welcome()
    telling = results(server.client.tell("Bia", "psst"))
    knows: list[Request | None] = []
    (tell,) = server.asked()[1:]
    server.client.listen(lambda event: knows.append(server.client.asked(tell.id)))
    server.loses()
    (failure,) = telling
    assert isinstance(failure, Failure)
    assert str(failure.value).endswith("psst")
    assert tell in knows
    assert server.kept() == []
    assert server.welcome().texts() == []


def test_a_private_message_is_sent_once_also_if_the_client_is_killed_right_after_it() -> None:
    """That it may have been sent is on disk before it is; then nobody can tell, but one knows."""
    state = SlowState()
    server = Server(state=state).welcome()
    server.client.tell("Bia", "psst").addErrback(lambda _: None)
    server.client.say("behind it", "lobby")
    state.write()
    state.write()
    assert server.texts() == []
    state.write()
    assert server.texts() == ["psst", "behind it"]
    again = server.killed(state=MemoryStateOf(state))
    again.welcome()
    assert again.texts() == ["behind it"]
    (refused,) = again.all(Refused)
    assert isinstance(refused.refusal, NotDelivered)
    assert "psst" in str(refused.refusal)
    assert len(again.kept()) == 1, "and that is told once"


def MemoryStateOf(state: MemoryState) -> MemoryState:
    """A state with what ``state`` has kept."""
    (kept,) = results(state.open())
    assert isinstance(kept, Kept)
    copy = MemoryState(kept.client_id)
    copy.open()
    for id, line in kept.waiting:
        copy.keep(id, line)
    return copy


def test_a_private_message_that_was_not_sent_outlives_the_client() -> None:
    server = Server()
    server.client.tell("Bia", "psst")
    again = server.killed().welcome()
    (tell,) = again.asked()[1:]
    assert isinstance(tell, Tell)
    again.says(Told("Ana", "Bia", "", 5, own=True, id=tell.id))
    assert again.kept() == []


# -- whoever is told --------------------------------------------------------------------------


def played(server: Server) -> None:
    """A conversation in which all happens that can be told."""
    server.connect()
    server.says(Refused(NameTaken(name="Ana")))
    server.client.introduce("Ana")
    server.say_welcome(lobby=1)
    server.client.say("oi").addErrback(lambda _: None)
    server.client.tell("Bia", "oi").addErrback(lambda _: None)
    say = server.asked()[-2]
    server.says(said(2), RoomLeft("lobby", None), entered("lobby", 3), said(4))
    server.acknowledges(say)
    server.says(EntriesRemoved("lobby", 9), ServerStopping())
    server.loses()
    server.welcome(lobby=5)
    server.says(said(6))


TOLD = [
    Connected, Refused, Welcomed, Entered, Entry, RoomLeft, Receipt, EntriesRemoved, ServerStopping,
    Disconnected, LogReplaced,
]  # fmt: skip


def test_all_is_told_that_can_be() -> None:
    server = Server(insist=False)
    played(server)
    assert {type(event) for event in server.heard} == set(TOLD)
    assert server.numbers() == [2, 4, 6]


@pytest.mark.parametrize("kind", TOLD)
def test_a_listener_that_fails_breaks_nothing(
    kind: type[Event], defects: Callable[[], int]
) -> None:
    server = Server(insist=False)
    failures: list[Event] = []

    def fails(event: Event) -> None:
        server.heard.append(event)
        if isinstance(event, kind):
            failures.append(event)
            raise ZeroDivisionError

    server.client.listen(fails)
    played(server)
    assert server.numbers() == [2, 4, 6]
    assert defects() == len(failures) > 0
    assert server.seen() == {"lobby": 6}


@pytest.mark.parametrize("kind", TOLD)
def test_a_listener_may_ask(kind: type[Event]) -> None:
    server = Server(insist=False)
    asking: list[Deferred[Any]] = []

    def asks(event: Event) -> None:
        server.heard.append(event)
        if isinstance(event, kind) and not asking:
            asking.extend([server.client.say("mine", id="m"), server.client.list_rooms()])

    server.client.listen(asks)
    played(server)
    server.loses()
    server.welcome(lobby=7)
    assert server.client.waiting[-2:] != []
    mine = [r for r in server.asked() if isinstance(r, (Say, ListRooms))]
    assert [type(request) for request in mine] == [Say, ListRooms]
    assert server.numbers() == [2, 4, 6]


@pytest.mark.parametrize("kind", TOLD)
def test_a_listener_may_pause(kind: type[Event]) -> None:
    """And resume a moment later: nothing is lost, nothing comes twice or in another order."""
    plain, server = Server(insist=False), Server(insist=False)

    def pauses(event: Event) -> None:
        server.heard.append(event)
        if isinstance(event, kind):
            server.client.pause()

    says = server.says

    def says_and_resumes(*events: Event) -> None:
        says(*events)
        while server.wire.producerState == "paused":
            server.client.resume()

    server.says = says_and_resumes  # type: ignore[method-assign]
    server.client.listen(pauses)
    played(server)
    server.client.resume()
    played(plain)
    assert [type(event) for event in server.heard] == [type(event) for event in plain.heard]


@pytest.mark.parametrize("kind", TOLD)
def test_a_listener_may_stop(kind: type[Event]) -> None:
    """Whatever it is told: the client leaves, once, and nothing is left behind."""
    server = Server(insist=False)
    stopped: list[Any] = []

    def stops(event: Event) -> None:
        server.heard.append(event)
        if isinstance(event, kind):
            server.client.stopService().addBoth(stopped.append)

    server.client.listen(stops)
    with pytest.raises(AssertionError, match="over"):
        played_until_over(server)
    server.clock.advance(LEAVE_TIMEOUT)
    server.clock.advance(0)
    assert stopped == [None] * len(stopped) != []
    assert server.heard[-1] == Disconnected("", None)
    assert server.client.waiting == [] or not server.client.is_in
    assert server.clock.getDelayedCalls() == []
    attempts = server.door.attempts
    server.clock.advance(100)
    assert server.door.attempts == attempts
    assert isinstance(failure_of(server.client.say("oi")), ClientStopped)


def played_until_over(server: Server) -> None:
    """:func:`played`, with turns of the reactor in between."""
    for name in ("says", "loses", "connect"):
        method = getattr(server, name)

        def step(*arguments: Any, method: Callable[..., Any] = method) -> Any:
            result = method(*arguments)
            server.clock.advance(0)
            server.clock.advance(0)
            assert not server.client._is_stopping, "it is over"
            return result

        setattr(server, name, step)
    played(server)


def test_whoever_listens_last_is_told() -> None:
    server = Server().welcome()
    heard: list[Event] = []
    server.client.listen(heard.append)
    server.says(said(1))
    assert len(heard) == 1
    assert server.numbers() == []


def test_a_client_to_which_nobody_listens_works() -> None:
    server = Server()
    client = ChatClient(server.clock, server.door, "Ana")
    client.startService()
    server.wire = server.door.open()
    saying = results(client.say("oi", "lobby"))
    server.say_welcome(lobby=0)
    server.says(said(1))
    server.acknowledges(server.asked()[1])
    assert len(saying) == 1


# -- pausing ----------------------------------------------------------------------------------


def test_a_paused_client_stays_paused_over_connections() -> None:
    server = Server().welcome()
    server.client.pause()
    assert server.wire.producerState == "paused"
    server.loses()
    server.connect()
    assert server.wire.producerState == "paused"
    server.clock.advance(10 * HELLO_TIMEOUT)
    assert not server.wire.disconnecting, "nobody has read what the server says"
    server.client.resume()
    assert server.wire.producerState == "producing"


def test_with_answers_due_a_pause_waits_for_them() -> None:
    server = Server().welcome()
    server.client.pause(but_for_answers=True)
    assert server.wire.producerState == "paused"
    server.client.say("oi")
    assert server.wire.producerState == "producing"
    server.acknowledges(server.asked()[1])
    assert server.wire.producerState == "paused"
    server.client.say("oi")
    server.loses()
    server.welcome()  # it must be let in to be answered
    server.acknowledges(server.asked()[1])
    assert server.wire.producerState == "paused"


# -- stopping ---------------------------------------------------------------------------------


def test_stopping_says_so_and_waits_for_what_was_said_before() -> None:
    server = Server().welcome()
    saying = results(server.client.say("oi"))
    stopped = results(server.client.stopService())
    assert stopped == []
    server.clock.advance(0)
    say, quit = server.asked()[1:]
    assert quit == Quit()
    server.acknowledges(say)
    assert len(saying) == 1
    server.loses()
    assert stopped == [None]
    assert server.heard[-1] == Disconnected("", None)
    assert server.clock.getDelayedCalls() == []


def test_a_server_that_does_not_let_go_is_left_alone() -> None:
    server = Server().welcome()
    stopped = results(server.client.stopService())
    server.clock.advance(0)
    server.clock.advance(LEAVE_TIMEOUT)
    assert server.wire.aborted
    server.clock.advance(0)
    assert stopped == [None]


def test_a_paused_client_can_leave() -> None:
    server = Server().welcome()
    server.client.pause()
    server.stop()


def before_start(server: Server) -> None:
    """Nothing was begun."""


def connecting(server: Server) -> None:
    server.client.startService()


def unwelcome(server: Server) -> None:
    server.connect()


def refused_name(server: Server) -> None:
    server.connect()
    server.says(Refused(NameTaken(name="Ana")))


def inside(server: Server) -> None:
    server.welcome()


def between_two_attempts(server: Server) -> None:
    server.welcome()
    server.loses()
    server.clock.advance(0)


def not_saved(server: Server) -> None:
    server.welcome()
    server.client.say("oi").addErrback(lambda _: None)
    server.fails_to_save(server.asked()[1])


PHASES = [
    before_start, connecting, unwelcome, refused_name, inside, between_two_attempts, not_saved
]  # fmt: skip


@pytest.mark.parametrize("insist", [True, False])
@pytest.mark.parametrize("phase", PHASES)
def test_stopping_in_every_phase_ends_everything(
    phase: Callable[[Server], None], insist: bool
) -> None:
    server = Server(insist=insist)
    phase(server)
    asking = [results(server.client.say("oi", "lobby", id="1"))]
    asking += [results(server.client.say(str(n), "lobby")) for n in range(MANY)]
    rooms, ready = server.client.list_rooms(), results(server.client.ready())
    assert ready == []
    server.stop()
    for (failure,) in asking:
        assert isinstance(failure, Failure)
        assert failure.check(ClientStopped)
    assert isinstance(failure_of(rooms), ClientStopped)
    assert ready == [None]
    assert "1" in server.kept(), "the next client will say it"
    assert Say("oi", "lobby", id="1") in server.client.waiting
    assert results(server.client.stopService()) == [None]
    assert server.clock.getDelayedCalls() == []
    with pytest.raises(ClientStopped):
        server.client.startService()


@pytest.mark.parametrize("phase", PHASES)
def test_stopping_twice_is_stopping_once(phase: Callable[[Server], None]) -> None:
    server = Server(insist=False)
    phase(server)
    stops = [results(server.client.stopService()) for _ in range(2)]
    server.clock.advance(0)
    stops.append(results(server.client.stopService()))
    server.stop()
    assert stops == [[None]] * 3


@pytest.mark.parametrize("phase", PHASES)
def test_the_server_goes_away_in_every_phase(phase: Callable[[Server], None]) -> None:
    """And the client comes back from it, however often."""
    server = Server(insist=False)
    phase(server)
    for number, error in enumerate((ConnectionDone(), ConnectionLost())):
        if server.door.waiting is not None:
            server.door.refuse(ConnectionRefusedError())
        elif server.client.running and not server.wire.is_lost:
            server.loses(error)
        assert not server.client.is_in
        if server.client.running:
            last = server.all(Disconnected)[-1]
            assert last.reason
            assert last.retry is not None
        server.welcome(lobby=number)
        server.says(said(number + 1))
    assert server.numbers() == [1, 2]
    server.stop()


def test_it_is_stopped_when_the_state_is_closed() -> None:
    """What waits is written by then; a process that ends sooner would lose it."""

    class Slow(MemoryState):
        closing: Deferred[None] | None = None

        def close(self) -> Deferred[None]:
            self.closing = Deferred()
            return self.closing

    state = Slow(CLIENT)
    server = Server(state=state)
    server.client.startService()
    stopped = results(server.client.stopService())
    server.clock.advance(LEAVE_TIMEOUT)
    assert state.closing is not None
    assert stopped == []
    state.closing.callback(None)
    assert stopped == [None]


def test_stopping_while_the_state_is_being_opened() -> None:
    state = LateState()
    server = Server(state=state)
    server.client.startService()
    opening = results(server.client.open())
    stopped = results(server.client.stopService())
    server.clock.advance(0)
    assert state.is_closed
    state.opens()
    assert stopped == [None]
    assert len(opening) == 1
    assert server.door.attempts == 0
    assert server.clock.getDelayedCalls() == []


def test_a_state_that_cannot_be_opened_is_told_and_nobody_waits() -> None:
    state = LateState()
    server = Server(state=state)
    saying, opening = server.client.say("oi", "lobby"), server.client.open()
    server.client.startService()
    state.opening.errback(StateUnusable(path="x", reason="disk I/O error"))
    assert isinstance(failure_of(saying), StateUnusable)
    assert isinstance(failure_of(opening), StateUnusable)
    assert isinstance(failure_of(server.client.open()), StateUnusable)
    assert [type(event) for event in server.heard] == [Refused, Disconnected]
    assert server.refusals() == ["state-unusable"]
    assert server.heard[-1] == Disconnected(str(failure_of(server.client.open())), None)
    assert server.door.attempts == 0
    assert isinstance(failure_of(server.client.say("oi")), ClientStopped)


def test_a_state_that_is_broken_is_a_defect_and_nobody_waits(defects: Callable[[], int]) -> None:
    state = LateState()
    server = Server(state=state)
    saying = server.client.say("oi", "lobby")
    server.client.startService()
    state.opening.errback(ZeroDivisionError("no"))
    assert isinstance(failure_of(saying), ZeroDivisionError)
    assert server.heard == [Disconnected("no", None)]
    assert defects() == 1


# -- replaced ---------------------------------------------------------------------------------


def test_whoever_was_replaced_stays_away() -> None:
    state = LateState()
    server = Server(state=state)
    server.client.startService()
    state.opens()
    server.welcome()
    saying = server.client.say("oi")
    server.asked()
    server.says(Replaced())
    server.clock.advance(0)
    assert server.asked() == [], "the one who came is not sent away"
    assert server.wire.disconnecting
    server.clock.advance(0)
    assert server.heard[-1] == Disconnected(REPLACED, None)
    assert isinstance(failure_of(saying), ClientStopped)
    assert state.is_closed
    assert not server.client.running
    assert results(server.client.stopService()) == [None]
    assert server.clock.getDelayedCalls() == []


# -- connecting -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ConnectionRefusedError(), "connection refused"),
        (DNSLookupError(), "unknown host"),
        (TimeoutError(), "no answer"),
        (ConnectBindError(errno.EADDRINUSE), os.strerror(errno.EADDRINUSE)),
        (ValueError("not a\x1bhost"), "not a\u241bhost"),
    ],
)
def test_why_there_is_no_connection_is_told(error: Exception, reason: str) -> None:
    server = Server()
    server.client.startService()
    server.door.refuse(error)
    (lost,) = server.heard
    assert isinstance(lost, Disconnected)
    assert lost.reason == reason
    server.stop()


def test_a_host_is_not_waited_for_without_end() -> None:
    reactor = MemoryReactorClock()
    ChatClient(reactor, server_endpoint(reactor, Address("192.0.2.1", 50000)), "Ana").startService()
    reactor.advance(0)
    ((_, port, _, timeout, _),) = reactor.tcpClients
    assert (port, timeout) == (50000, CONNECT_TIMEOUT)


def test_an_endpoint_can_be_a_description() -> None:
    reactor = MemoryReactorClock()
    ChatClient(reactor, "unix:/tmp/chat", "Ana").startService()
    assert reactor.unixClients[0][0] == "/tmp/chat"
    with pytest.raises(ValueError, match="carrier"):
        ChatClient(reactor, "carrier:pigeon", "Ana")


def test_the_waits_grow_until_the_client_is_let_in() -> None:
    """A server that only accepts connections is no reason to try more often."""
    server = Server()
    waits = []
    for _ in range(12):
        server.connect()
        server.loses()
        waits.append(server.all(Disconnected)[-1].retry or 0)
    assert waits[0] < 2 < waits[5] < waits[9]
    assert waits[-1] <= LAST_RETRY + 1
    server.welcome()
    server.loses()
    assert (server.all(Disconnected)[-1].retry or 0) > 2, "it did not last"
    server.welcome()
    server.clock.advance(STEADY)
    server.loses()
    assert (server.all(Disconnected)[-1].retry or 0) < 2


def test_what_is_told_of_a_loss_comes_before_the_next_attempt_and_once() -> None:
    server = Server().welcome()
    server.loses()
    lost = server.heard[-1]
    assert isinstance(lost, Disconnected)
    assert lost.reason == CLOSED
    assert lost.retry is not None
    server.clock.advance(lost.retry)
    assert server.door.waiting is not None
    assert server.heard[-1] is lost


def test_a_silent_server_is_left_and_tried_again() -> None:
    server = Server().connect()
    server.clock.advance(HELLO_TIMEOUT)
    server.clock.advance(0)
    assert [event.reason for event in server.all(Disconnected)] == [SILENT]
    server.welcome()
    server.stop()


# -- reading events ---------------------------------------------------------------------------


class Reader:
    """Somebody who reads events as far as they are let."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.events = server.client.events()
        self.read: list[Event] = []
        self.is_over = False

    def next(self, count: int = 1) -> Reader:
        for _ in range(count):
            self.go_on(ensureDeferred(self.events.__anext__()))
        return self

    def go_on(self, reading: Deferred[Event]) -> None:
        (result,) = results(reading)
        if isinstance(result, Failure):
            assert result.check(StopAsyncIteration)
            self.is_over = True
        else:
            self.read.append(result)


def test_an_entry_is_dealt_with_when_the_next_event_is_asked_for() -> None:
    """Exactly those: the one that is being worked on would come again."""
    server = Server()
    reader = Reader(server)
    server.welcome(lobby=3)
    server.says(said(4), said(5))
    reader.next(3)
    assert server.seen() == {"lobby": 3}
    reader.next()
    assert server.seen() == {"lobby": 3}
    reader.next()
    assert server.seen() == {"lobby": 4}
    assert server.client.rooms == {"lobby": 5}


def test_entries_of_a_log_that_is_no_more_do_not_count_for_the_new_one() -> None:
    server = Server()
    reader = Reader(server)
    server.welcome(lobby=499)
    server.says(said(500))
    server.loses()
    server.welcome(lobby=3)
    reader.next(len(reader.events._events))
    server.says(said(4))
    reader.next().next(0)
    assert server.seen() == {"lobby": 3}


def test_whoever_waits_gets_what_comes_next_and_may_give_up() -> None:
    server = Server()
    reader = Reader(server)
    given_up = ensureDeferred(reader.events.__anext__())
    given_up.addErrback(lambda _: None)
    given_up.cancel()
    read = results(ensureDeferred(reader.events.__anext__()))
    server.connect()
    assert read == [Connected()]


def test_whoever_is_slow_makes_the_server_wait() -> None:
    server = Server()
    reader = Reader(server)
    server.welcome()
    number = 0
    while server.wire.producerState == "producing":
        number += 1
        server.says(said(number))
    assert len(reader.events._events) == EVENTS
    reader.next(EVENTS // 2)
    assert server.wire.producerState == "paused"
    reader.next()
    assert server.wire.producerState == "producing"
    server.client.pause()
    reader.next(10)
    assert server.wire.producerState == "paused", "somebody else paused it"


def test_whoever_waits_for_an_answer_in_a_flood_gets_it() -> None:
    """The answer comes behind more events than are read ahead."""
    server = Server()
    events = server.client.events()
    replied: list[Receipt] = []

    async def bot() -> None:
        async for event in events:
            if isinstance(event, Entry) and not replied:
                replied.append(await server.client.say("oi"))

    running = ensureDeferred(bot())
    server.welcome()
    for number in range(1, 3 * EVENTS):
        server.says(said(number))
        assert server.wire.producerState == "producing"
    (say,) = server.asked()[1:]
    server.acknowledges(say)
    assert len(replied) == 1
    stopping = results(server.client.stopService())
    server.clock.advance(0)
    server.loses()
    assert stopping == [None]
    assert results(running) == [None]
    assert server.seen() == {"lobby": 3 * EVENTS - 1}


def test_reading_ends_with_the_client() -> None:
    server = Server()
    reader = Reader(server)
    server.welcome()
    server.client.stopService()
    server.clock.advance(0)
    server.loses()
    reader.next(5)
    assert reader.read[-1] == Disconnected("", None)
    assert reader.is_over
    reader.read.clear()
    assert reader.next().read == []


# -- what the documentation shows -------------------------------------------------------------


def test_the_bot_of_the_documentation_says_back_what_it_hears() -> None:
    documentation = twisted_chat.client.__doc__ or ""
    example = documentation.split("::\n", 1)[1].split("\n\n``docs/bots.rst``")[0]
    source = re.sub(r"^    ", "", example, flags=re.MULTILINE).replace("run_bot(main)", "")
    server = ChatServer()

    def client(reactor: Any, _: str, nickname: str) -> ChatClient:
        return ChatClient(reactor, server.endpoint(), nickname)

    namespace: dict[str, Any] = {}
    source = source.replace("tcp:127.0.0.1:50000", "")
    exec(source, namespace)
    namespace["ChatClient"] = client
    Deferred.fromCoroutine(namespace["main"](server.clock))
    server.settle()
    server.say("lobby", "Bia", "oi")
    server.settle()
    assert [entry.text for entry in server.log("lobby")] == ["oi", "oi"]
    assert server.log("lobby")[1].nickname == "Echo"
