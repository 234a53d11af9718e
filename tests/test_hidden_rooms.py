"""Nothing of a room that does not exist for somebody reaches them, whatever they or others do.

Every request of the table, and every class of event, has a case here: a new one without a case
makes a test fail. What somebody outside is shown is compared with what they are shown by a server
that does not have the room.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec
import pytest
from argon2 import PasswordHasher

import twisted_chat.core.room_events  # noqa: F401  (its events are found by reflection)
from tests.support.fakes import Visitor, World
from twisted_chat.core import catch_up, events, requests
from twisted_chat.core.accounts import Credential
from twisted_chat.core.catch_up import PAGE
from twisted_chat.core.changes import announcement
from twisted_chat.core.commands import TABLE
from twisted_chat.core.events import Event, Style
from twisted_chat.core.names import nickname
from twisted_chat.core.proofs import Proof
from twisted_chat.core.requests import Request
from twisted_chat.core.room import TAIL
from twisted_chat.core.room_changes import SetRoom
from twisted_chat.core.room_events import Invited, RoleSet, RoomSettings
from twisted_chat.dialects import jsonl, text
from twisted_chat.server.passwords import CHEAP

#: The room, other spellings of its name, its topic, and what is said in it.
ROOM, OTHERS, TOPIC, SAID = "straße", ("STRASSE", "#Strasse"), "quokka plans", "pineapple for three"

#: The people in it, who are nowhere else.
OWNER, INSIDERS = "Ana", ("Caio", "Dan")

#: The client id of the program inside.
CLIENT = "ab" * 16

#: The hash of its password, if it has one.
LOCK = PasswordHasher.from_parameters(CHEAP).hash("the password inside")

#: The rules under which it does not exist: for a guest, and for an account outside.
FOR_ALL: tuple[dict[str, Any], ...] = (
    {"hidden": True},
    {"join": "invited"},
    {"join": "password", "password": LOCK},
    {"hidden": True, "join": "invited"},
)
FOR_GUESTS: tuple[dict[str, Any], ...] = ({"join": "registered"}, *FOR_ALL)


def named(rules: dict[str, Any]) -> str:
    """``rules`` in the name of a test, without the hash of a password."""
    return ", ".join(f"{rule}: {rules[rule]}" for rule in rules if rule != "password")


#: The rules of a room, and whether the people outside have an account.
Case = tuple[dict[str, Any], bool]
CASES: list[Case] = [
    *((rules, False) for rules in FOR_GUESTS),
    *((rules, True) for rules in FOR_ALL),
]

#: The first and the last of them, and (slow) the others.
SOME_CASES = pytest.mark.parametrize(
    "cases",
    [
        pytest.param((CASES[0], CASES[-1]), id="two"),
        pytest.param(tuple(CASES[1:-1]), id="others", marks=pytest.mark.slow),
    ],
)


class Scene:
    """The people inside, the people outside (one with the text dialect, and a program) and, if
    ``with_room``, the room under these rules.
    """

    def __init__(self, rules: dict[str, Any], *, with_room: bool = True, account: bool = False):
        self.world = World(history_lines=5)
        self.owner = self.enter(OWNER, account=True)
        self.insiders = [self.enter(name) for name in INSIDERS]
        self.bot = self.enter("bot", program=True, client=CLIENT)
        self.everybody = [self.owner, *self.insiders, self.bot]
        if with_room:
            self.go_inside(rules)
        for visitor in self.everybody:
            visitor.types("/leave lobby")
        self.outside = self.enter("Eva", account=account)
        self.listener = self.enter("ears", program=True)
        self.outside.types("a pineapple in the lobby")
        # A room between two spellings of the name, in the order of the alphabet.
        self.outside.types("/join strasz", "empty now", "/leave strasz")
        for visitor in (*self.everybody, self.outside, self.listener):
            visitor.connection.events.clear()
            visitor.sees()

    def enter(
        self,
        name: str,
        *,
        account: bool = False,
        program: bool = False,
        client: str | None = None,
    ) -> Visitor:
        visitor = Visitor(self.world, program=program)
        if account:
            secret = Credential("c", "password", "x")
            self.world.chat.desk.make(0, nickname(name), (secret,), lambda _: None)
            self.world.journal.run()
            made = self.world.chat.accounts.named(nickname(name))
            assert made is not None
            visitor.enter_as(Proof(made.number, made.nickname, "c", "password"))
        elif program:
            visitor.ask(requests.Hello(name, client))
        else:
            visitor.types(name)
        return visitor

    def go_inside(self, rules: dict[str, Any]) -> None:
        for visitor in self.everybody:
            visitor.ask(requests.Join(ROOM))
        self.owner.types(f"/topic {TOPIC}", SAID)
        author = self.owner.session.author
        self.world.journal.submit((SetRoom(author, OWNER, ROOM, 0, **rules),))
        self.world.journal.run()
        found = self.world.chat._state.rules.get(ROOM)
        assert found is not None
        assert all(getattr(found, name) == value for name, value in rules.items())

    def shown_outside(self) -> str:
        """All that the two outside were shown, in both dialects."""
        shown = ""
        for visitor in (self.outside, self.listener):
            seen = [e for e in visitor.connection.events if type(e) not in events_for_people()]
            shown += jsonl.render(seen, Style("en")).data.decode()
            shown += text.render(visitor.connection.events, Style("en")).data.decode()
        return shown


def events_for_people() -> frozenset[type[Event]]:
    """The events that have no form in JSON Lines."""
    return frozenset(subclasses(Event)) - jsonl._RENDERERS.keys()


def subclasses(cls: type[Any]) -> Iterator[type[Any]]:
    for below in cls.__subclasses__():
        if below.__module__.startswith("twisted_chat.core."):
            yield below
        yield from subclasses(below)


def without_chance(shown: str) -> str:
    """``shown`` without times, and what is made by chance."""
    shown = re.sub(r"\d\d:\d\d", "", shown)
    shown = re.sub(r'"(time|client|log|code|token|made|person)":[^,}]*', "", shown)
    return re.sub(r"/resume \S+|type this code[^\n]*|The token[^\n]*", "", shown)


def check_no_secret(shown: str) -> None:
    for secret in (TOPIC, SAID, *INSIDERS, OWNER):
        assert secret not in shown
    assert ROOM not in shown


# -- requests ---------------------------------------------------------------------------------

NAMES = (ROOM, *OTHERS)


def about(*make: Callable[[str], Request]) -> list[Request]:
    """Requests that name the room, in each spelling."""
    return [each(name) for each in make for name in NAMES]


R = requests

#: For each request, those that somebody outside tries: their answers are what they would be without
#: the room. Each is made in a scene of its own.
ASKED: dict[type[Request], Sequence[Request]] = {
    R.AddDevice: [R.AddDevice()],
    R.AreYouThere: [R.AreYouThere()],
    R.Cancel: [R.Cancel()],
    R.ChangeRoom: [
        R.ChangeRoom(),
        *about(R.ChangeRoom, lambda name: R.ChangeRoom(name, hidden=False)),
    ],
    R.ChooseName: [R.ChooseName("Eve"), R.ChooseName(OWNER)],
    R.GiveSecret: [R.GiveSecret("a long password")],
    R.GiveRole: [
        R.GiveRole(OWNER, "none"),
        *about(lambda name: R.GiveRole("Eva", "owner", name)),
    ],
    R.Hello: [],
    R.Help: [R.Help(), R.Help("join")],
    R.Ignore: [R.Ignore(), R.Ignore("Caio")],
    R.Interrupt: [R.Interrupt()],
    R.InvitePerson: [
        R.InvitePerson("Caio"),
        *about(lambda name: R.InvitePerson("Eva", name)),
    ],
    R.Join: [R.Join("nowhere", "a long password"), *about(lambda name: R.Join(name, "a password"))],
    R.Leave: about(R.Leave),
    R.ListDevices: [R.ListDevices()],
    R.ListLimits: [R.ListLimits()],
    R.ListPeople: [R.ListPeople(), *about(R.ListPeople)],
    R.ListRooms: [
        *(
            R.ListRooms(word, after, all=all)
            for all in (True, False)
            for word in ("", "stra", "quokka")
            for after in ("", *NAMES)
        ),
        R.ListRooms("pineapple", all=True),
    ],
    R.LogOut: [R.LogOut()],
    R.Mark: about(lambda name: R.Mark(name, 1)),
    R.NewToken: [R.NewToken("label", (name,)) for name in NAMES],
    R.Ping: [R.Ping()],
    R.Quit: [R.Quit()],
    R.ReadHistory: [
        R.ReadHistory(),
        *about(R.ReadHistory, lambda name: R.ReadHistory(name, 5, after=0)),
    ],
    R.Register: [R.Register("a long password")],
    R.Reply: [R.Reply("hello")],
    R.Resume: [R.Resume("bcdf-ghjk-mnpq-rstv-wxz2")],
    R.RevokeToken: [R.RevokeToken("label")],
    R.Say: [R.Say("hello", kind="act"), *about(lambda name: R.Say("hello", name))],
    R.Search: [
        R.Search("pineapple"),
        R.Search("quokka"),
        R.Search("pineapple", limit=1),
        *about(lambda name: R.Search("pineapple", name)),
    ],
    R.SetLanguage: [R.SetLanguage()],
    R.SetPassword: [R.SetPassword("a long password")],
    R.SetReceipts: [R.SetReceipts(True)],
    R.SetTimestamps: [R.SetTimestamps(True)],
    R.Tell: [R.Tell("Caio", "hello"), R.Tell("nobody", "hello")],
    R.Topic: [
        R.Topic(),
        *about(lambda name: R.Topic(None, name), lambda name: R.Topic("mine", name)),
    ],
    R.Unignore: [R.Unignore("Caio")],
    R.Unregister: [R.Unregister("Eva")],
}

#: Requests that create the room under a name that is free, so that their answers must differ. They
#: are tested below, each by itself.
CREATE: set[type[Request]] = {R.Hello}


def test_every_request_has_a_case() -> None:
    assert TABLE.by_request.keys() - ASKED.keys() == set()
    assert {request for request, cases in ASKED.items() if not cases} == CREATE


@pytest.mark.parametrize(
    "request_",
    [case for request, cases in ASKED.items() if request in TABLE.by_request for case in cases],
    ids=repr,
)
@SOME_CASES
def test_who_is_outside_finds_nothing(request_: Request, cases: tuple[Case, ...]) -> None:
    for rules, account in cases:
        if isinstance(request_, R.Join) and rules == {"hidden": True}:
            continue  # they may join it, and do
        shown = []
        for with_room in (True, False):
            scene = Scene(rules, with_room=with_room, account=account)
            for visitor in (scene.outside, scene.listener):
                visitor.ask(request_)
            shown.append(without_chance(scene.shown_outside()))
        assert shown[0] == shown[1]
        assert TOPIC not in shown[0]
        assert SAID not in shown[0]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("rules", [rules for rules in FOR_GUESTS if "join" in rules], ids=named)
def test_who_may_not_join_learns_nothing_else(rules: dict[str, Any], name: str) -> None:
    """That it cannot be created tells that it exists. All else is as with any other closed room."""
    scene = Scene(rules)
    typed = name.lower().removeprefix("#")
    assert scene.outside.types(f"/join {name}") == [f"[SERVER]: You cannot join #{typed}."]
    scene.listener.ask(R.Join(name))
    shown = scene.shown_outside()
    for secret in (TOPIC, SAID, *INSIDERS, OWNER):
        assert secret not in shown
    assert scene.listener.connection.refusals() == ["cannot-join"]


@pytest.mark.parametrize("name", NAMES)
def test_who_may_join_a_hidden_room_enters_it_by_its_name(name: str) -> None:
    scene = Scene({"hidden": True})
    assert scene.outside.types(f"/join {name}")[0].startswith(f"[SERVER]: Also in #{ROOM}: {OWNER}")
    assert scene.outside.session.cursors.keys() == {"lobby", ROOM}


@pytest.mark.parametrize("rules", [rules for rules in FOR_GUESTS if "join" in rules], ids=named)
def test_a_program_comes_in_without_a_room_that_is_closed_to_it(rules: dict[str, Any]) -> None:
    scene = Scene(rules)
    visitor = Visitor(scene.world, program=True)
    visitor.ask(R.Hello("spy", "0f" * 16, None, {"lobby": 0, ROOM: 0, OTHERS[0]: 0}))
    assert visitor.session.cursors.keys() == {"lobby"}
    shown = jsonl.render(visitor.connection.events, Style("en")).data.decode()
    for secret in (TOPIC, SAID, *INSIDERS, OWNER, ROOM):
        assert secret not in shown


# -- events -----------------------------------------------------------------------------------


def join(scene: Scene, count: int) -> None:
    """So many people come into the room at once."""
    author = scene.owner.session.author
    scene.world.journal.submit((SetRoom(author, OWNER, ROOM, 0, join="all", hidden=True),))
    scene.world.journal.run()
    newcomers = [scene.enter(f"new{number}") for number in range(count)]
    for newcomer in newcomers:
        newcomer.types("/leave lobby")
    scene.world.clock.advance(2)
    scene.world.journal.run()
    forget(scene)
    for newcomer in newcomers:
        newcomer.send(R.Join(ROOM))
    scene.world.journal.run()
    scene.world.clock.advance(2)
    scene.world.journal.run()
    scene.everybody += newcomers


def forget(scene: Scene) -> None:
    """Forget what was shown to those outside meanwhile: people who came through the lobby."""
    for visitor in (scene.outside, scene.listener):
        visitor.connection.events.clear()
        visitor.sees()


def everybody_types(*lines: str) -> Callable[[Scene], None]:
    def act(scene: Scene) -> None:
        for visitor in (scene.owner, *scene.insiders):
            visitor.types(*lines)

    return act


def owner_types(*lines: str) -> Callable[[Scene], None]:
    def act(scene: Scene) -> None:
        scene.owner.types(*lines)

    return act


def bot_asks(*asked: Request) -> Callable[[Scene], None]:
    def act(scene: Scene) -> None:
        scene.bot.ask(*asked)

    return act


def announce(scene: Scene) -> None:
    scene.world.chat.announce(announcement(SAID, ROOM))
    scene.world.journal.run()


def comes_back(scene: Scene) -> None:
    """Somebody inside comes back, to entries of their absence."""
    caio = scene.insiders[0]
    scene.owner.types("/invite Caio")
    caio.breaks_off()
    scene.owner.types("while Caio is away")
    back = Visitor(scene.world)
    back.types(f"/resume {caio.session.code}")
    scene.everybody.append(back)


def is_removed(scene: Scene) -> None:
    """A program comes back to a room whose entries were removed."""
    scene.bot.lose()
    scene.owner.types("while the bot is away", *["and more"] * TAIL)
    scene.world.journal.remove_before(0, None, {ROOM: 2**62})
    scene.world.journal.run()
    room = scene.world.chat._rooms.get(ROOM)
    assert room is not None
    room.forget_tail()
    back = Visitor(scene.world, program=True)
    back.ask(R.Hello("bot", CLIENT, None, {ROOM: 1}))
    scene.owner.types("one more")
    scene.everybody.append(back)


def lags(scene: Scene) -> None:
    """Somebody inside does not read for so long that lines are skipped."""
    caio = scene.insiders[0]
    caio.connection.ready = False
    scene.owner.types(*["more"] * (TAIL + PAGE + 2))
    caio.connection.ready = True
    caio.session.on_ready()
    scene.world.journal.run()


def first_types(*lines: str) -> Callable[[Scene], None]:
    def act(scene: Scene) -> None:
        scene.insiders[0].types(*lines)

    return act


def goes_and_returns(scene: Scene) -> None:
    scene.insiders[0].types("/leave")
    scene.owner.types("/invite Caio")
    scene.insiders[0].types(f"/join {ROOM}")


def gives_a_role(scene: Scene) -> None:
    scene.enter("Bia", account=True).types("/leave lobby")
    forget(scene)
    scene.owner.types("/role Bia moderator")


#: For each event that can be about a room: what people inside do so that one of them is shown it.
DONE: dict[type[Event], Callable[[Scene], None]] = {
    events.Acknowledged: bot_asks(R.Say("x", ROOM, id="1")),
    events.Announced: announce,
    events.Entered: goes_and_returns,
    events.EntriesRemoved: is_removed,
    events.Entry: everybody_types(SAID, "/me waves"),
    events.HistoryShown: everybody_types("/history"),
    events.Joined: lambda scene: join(scene, 1),
    events.Left: first_types("/leave"),
    events.LinesSkipped: lags,
    events.PeopleListed: everybody_types("/who"),
    events.PresenceSummary: lambda scene: join(scene, 31),
    events.Renamed: first_types("/nick Cleo"),
    events.Replayed: comes_back,
    events.ReplayStarts: comes_back,
    events.RoomLeft: first_types("/leave"),
    events.RoomsListed: everybody_types("/rooms"),
    events.SearchShown: everybody_types("/search pineapple"),
    events.Told: owner_types(f"/msg Caio {SAID}"),
    events.TopicShown: everybody_types("/topic"),
    events.Welcomed: comes_back,
    Invited: owner_types("/invite Caio"),
    RoleSet: gives_a_role,
    RoomSettings: owner_types("/room slow 5"),
}

#: Events that are shown to one client alone and say nothing of a room; see the test. Those of an
#: account name rooms that its own person has named.
ABOUT_NO_ROOM: set[type[Event]] = {
    events.AccountOffered,
    events.CodeMade,
    events.DevicesListed,
    events.Goodbye,
    events.Greeted,
    events.HelpShown,
    events.HowToLeave,
    events.IgnoredListed,
    events.Ignoring,
    events.MessageKept,
    events.LanguageShown,
    events.LimitsShown,
    events.MailStarts,
    events.NothingWaits,
    events.NotSent,
    events.PasswordSet,
    events.Pong,
    events.ReceiptsSet,
    events.Refused,
    events.Registered,
    events.Replaced,
    events.SecretAsked,
    events.ServerStopping,
    events.Slowed,
    events.StillHere,
    events.TimestampsSet,
    events.TokenMade,
    events.TokenRevoked,
    events.Unregistered,
}

#: An event to the other connections of one account, about a room that they are all in.
BETWEEN_DEVICES: set[type[Event]] = {events.Marked}


def test_every_event_has_a_case() -> None:
    known = DONE.keys() | ABOUT_NO_ROOM | BETWEEN_DEVICES
    assert set(subclasses(Event)) - known == set()


@pytest.mark.parametrize("event", sorted(ABOUT_NO_ROOM, key=str))
def test_an_event_about_no_room_has_no_field_for_one(event: type[Event]) -> None:
    fields = {field.name for field in msgspec.structs.fields(event)}
    if event is events.TokenMade:
        fields.remove("rooms")  # those that the person has named
    assert not fields & {"room", "rooms", "topic", "entry", "entries", "people_count", "current"}


@pytest.mark.parametrize("event", sorted(DONE, key=str))
@SOME_CASES
def test_who_is_outside_is_shown_nothing_of_what_happens_inside(
    event: type[Event], cases: tuple[Case, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catch_up, "CATCH_UP_LIMIT", TAIL)
    for rules, account in cases:
        scene = Scene(rules, account=account)
        DONE[event](scene)
        inside = [e for visitor in scene.everybody for e in visitor.connection.events]
        assert any(type(e) is event for e in inside), "this case shows nothing"
        check_no_secret(scene.shown_outside())
        for visitor in (scene.outside, scene.listener):
            assert visitor.connection.events == []
