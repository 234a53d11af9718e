"""What people type, and programs ask, about the rules of rooms: /room, /role, /invite."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from tests.support.fakes import NO_RATE, Visitor, World, code_of
from tests.support.store import log_of
from twisted_chat.core.accounts import Credential
from twisted_chat.core.author import author_key
from twisted_chat.core.changes import JoinRooms
from twisted_chat.core.errors import Refusal
from twisted_chat.core.events import Style
from twisted_chat.core.names import nickname
from twisted_chat.core.passwords import Passwords
from twisted_chat.core.proofs import Proof
from twisted_chat.core.requests import ChangeRoom, GiveRole, InvitePerson, Join, Request, Say
from twisted_chat.core.room_changes import SetRole, SetRoom
from twisted_chat.core.room_events import RoleSet
from twisted_chat.core.room_rules import DAY, RoomRules
from twisted_chat.core.sources import Sources
from twisted_chat.dialects import jsonl, text


def account(world: World, name: str, *, enters: bool = True) -> Visitor:
    """Somebody with an account, who comes in."""
    world.chat.desk.make(0, nickname(name), (Credential("c", "password", "x"),), lambda _: None)
    world.journal.run()
    made = world.chat.accounts.named(nickname(name))
    assert made is not None
    visitor = Visitor(world)
    if enters:
        visitor.enter_as(Proof(made.number, made.nickname, "c", "password"))
        assert visitor.session.author == made.number
    return visitor


def house() -> tuple[World, Visitor, Visitor, Visitor]:
    """Ana owns #den, in which Bia, who has an account, and Gil, a guest, are too."""
    world = World()
    ana, bia = account(world, "Ana"), account(world, "Bia")
    (gil,) = world.enter("Gil")
    for visitor in (ana, bia, gil):
        visitor.types("/join den")
    for visitor in (ana, bia, gil):
        visitor.sees()
    return world, ana, bia, gil


def rules_of(world: World) -> RoomRules:
    """The rules of #den."""
    rules = world.chat._state.rules.get("den")
    assert rules is not None
    return rules


class Waiting:
    """Passwords that are verified when the test calls for it."""

    def __init__(self, passwords: Passwords) -> None:
        self._passwords = passwords
        self._jobs: list[Callable[[], None]] = []

    def hash(self, password: str, reply: Any, **options: Any) -> None:
        self._jobs.append(partial(self._passwords.hash, password, reply, **options))

    def verify(self, encoded: str, password: str, reply: Any, **options: Any) -> None:
        self._jobs.append(partial(self._passwords.verify, encoded, password, reply, **options))

    def go_on(self) -> None:
        """Verify all that wait, one after the other."""
        while self._jobs:
            self._jobs.pop(0)()


def answers(visitor: Visitor, **fields: Any) -> list[Any]:
    """What a client would be sent in JSON when it asks this."""
    visitor.connection.events.clear()
    visitor.ask(jsonl.parse(json.dumps(fields).encode()))
    lines = jsonl.render(visitor.connection.events, Style("en")).data.decode().splitlines()
    return [json.loads(line) for line in lines]


# -- what is typed ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "request_"),
    [
        ("/room", ChangeRoom()),
        ("/sala", ChangeRoom()),
        ("/room #den", ChangeRoom("#den")),
        ("/room speak speakers", ChangeRoom(speak="speakers")),
        ("/sala falar Oradores", ChangeRoom(speak="speakers")),
        ("/room #den join invited", ChangeRoom("#den", join="invited")),
        ("/sala entrar registrados", ChangeRoom(join="registered")),
        ("/room join password a secret", ChangeRoom(join="password", password="a secret")),
        ("/sala #den entrar Senha X", ChangeRoom("#den", join="password", password="X")),
        ("/join den", Join("den")),
        ("/entrar den a secret", Join("den", "a secret")),
        ("/room hidden on", ChangeRoom(hidden=True)),
        ("/sala oculta não", ChangeRoom(hidden=False)),
        ("/room slow 30", ChangeRoom(slow=30)),
        ("/room slow off", ChangeRoom(slow=0)),
        ("/room keep 7", ChangeRoom(keep_days=7)),
        ("/sala guardar sempre", ChangeRoom(keep_days=0)),
        ("/room keep default", ChangeRoom(keep_days="default")),
        ("/role Bia moderator", GiveRole("Bia", "moderator")),
        ("/papel Bia moderadora #den", GiveRole("Bia", "moderator", "#den")),
        ("/role Bia NONE den", GiveRole("Bia", "none", "den")),
        ("/invite Bia", InvitePerson("Bia")),
        ("/convidar Bia den", InvitePerson("Bia", "den")),
    ],
)
def test_what_is_typed(line: str, request_: Request) -> None:
    assert text.parse(line.encode()) == request_


@pytest.mark.parametrize(
    "line",
    [
        "/room colour red",
        "/room speak",
        "/room speak nobody",
        "/room join everybody",
        "/room join password",
        "/join",
        "/room hidden perhaps",
        "/room slow soon",
        "/room slow 86401",
        "/room slow on",
        "/room keep 36501",
        "/room keep -1",
        "/role",
        "/role Bia",
        "/role Bia king",
        "/role Bia owner den cinema",
        "/invite",
        "/invite Bia den cinema",
    ],
)
def test_what_is_typed_wrongly_shows_the_usage(line: str) -> None:
    with pytest.raises(Refusal) as refused:
        text.parse(line.encode())
    assert refused.value.code == "wrong-usage"


@pytest.mark.parametrize(
    "fields",
    [
        {"type": "room-set", "speak": "nobody"},
        {"type": "room-set", "join": "anybody"},
        {"type": "room-set", "slow": -1},
        {"type": "room-set", "slow": 86_401},
        {"type": "room-set", "keep_days": 36_501},
        {"type": "room-set", "keep_days": "forever"},
        {"type": "role", "name": "Bia", "role": "king"},
        {"type": "invite"},
    ],
)
def test_what_a_program_asks_wrongly_is_a_bad_request(fields: Any) -> None:
    with pytest.raises(Refusal) as refused:
        jsonl.parse(json.dumps(fields).encode())
    assert refused.value.code == "bad-request"


# -- /room ------------------------------------------------------------------------------------


def test_room_shows_the_rules_to_everybody_in_it_and_who_is_invited_to_its_moderators() -> None:
    world, ana, bia, gil = house()
    ana.types("/role Bia moderator", "/room slow 30", "/room keep 7", "/room hidden on")
    account(world, "Caio")
    ana.types("/invite Caio", "/room join invited", "/room speak speakers")
    rules = [
        "[SERVER]: The rules of #den:",
        "  People with a role or an invitation may join.",
        "  People with a role may write.",
        "  It is hidden: only its people find it in lists.",
        "  Everybody may write once in 30 seconds.",
        "  Messages are kept for 7 days.",
        "  Owner: Ana",
        "  Moderators: Bia",
    ]
    assert gil.types("/room") == rules
    assert bia.types("/room") == [*rules, "  Invited: Caio"]
    (shown,) = answers(ana, type="room-set", room="DEN", id="1")
    assert shown == {
        "type": "room-settings",
        "id": "1",
        "room": "den",
        "speak": "speakers",
        "join": "invited",
        "hidden": True,
        "slow": 30,
        "keep_days": 7,
        "owner": "Ana",
        "moderators": ["Bia"],
        "speakers": [],
        "invited": ["Caio"],
    }


def test_a_room_without_rules_is_open_and_has_no_owner() -> None:
    (gil,) = World().enter("Gil")
    assert gil.types("/room") == [
        "[SERVER]: The rules of #lobby:",
        "  Everybody may join.",
        "  Everybody may write.",
        "  It has no owner.",
    ]
    sentence = "[SERVER]: #lobby has no owner. The operator of this server can appoint one."
    for line in ("/room hidden on", "/role Gil owner", "/invite Gil"):
        assert gil.types(line) == [sentence]


def test_everybody_in_the_room_is_told_of_a_new_rule_once_and_nobody_else() -> None:
    world, ana, bia, gil = house()
    (dora,) = world.enter("Dora")
    bia.sees()
    gil.sees()
    shown = ["[SERVER]: Ana has set a rule of #den:", "  People with an account may write."]
    assert ana.types("/room speak registered") == shown
    assert bia.sees() == gil.sees() == shown
    assert dora.sees() == []
    bia.types("/join lobby")
    gil.sees()
    ana.types("/room keep forever")
    assert bia.sees() == ["[SERVER]: Ana has set a rule of #den:", "  Messages are kept for ever."]


def test_a_rule_that_is_set_already_is_no_news() -> None:
    _, ana, bia, _ = house()
    ana.types("/room slow 5")
    bia.sees()
    assert len(ana.types("/room slow 5")) == 2
    assert bia.sees() == []


def test_several_rules_are_set_at_once() -> None:
    _, ana, bia, _ = house()
    (shown,) = answers(
        ana, type="room-set", id="1", join="invited", slow=3, keep_days="default", hidden=True
    )
    assert shown["changed"] == ["join", "hidden", "slow", "keep_days"]
    assert (shown["by"], shown["keep_days"], shown["slow"]) == ("Ana", None, 3)
    assert len(bia.sees()) == 5


def test_a_guest_or_another_account_changes_nothing() -> None:
    _, ana, bia, gil = house()
    for visitor in (bia, gil):
        assert visitor.types("/room hidden on") == ["[SERVER]: Only the owner of #den can do that."]
        assert visitor.types("/room slow 5") == [
            "[SERVER]: Only the owner and the moderators of #den can do that."
        ]
        assert visitor.types("/role Bia owner") == ["[SERVER]: Only the owner of #den can do that."]
    assert "  It is hidden" not in "\n".join(ana.types("/room"))


# -- /role ------------------------------------------------------------------------------------


def test_the_room_and_the_person_are_told_of_a_role() -> None:
    world, ana, bia, gil = house()
    caio = account(world, "Caio")
    for visitor in (caio, bia, gil):
        visitor.sees()
    assert ana.types("/role caio speaker") == ["[SERVER]: Caio is a speaker in #den now."]
    for visitor in (bia, gil, caio):
        assert visitor.sees() == ["[SERVER]: Caio is a speaker in #den now."]
    assert ana.types("/role Caio none") == ["[SERVER]: Caio has no role in #den any more."]
    assert caio.sees() == ["[SERVER]: Caio has no role in #den any more."]
    assert ana.types("/role Caio none") == [
        "[SERVER]: Caio has no role in #den, and no invitation."
    ]
    ana.types("/role Bia speaker")
    assert bia.sees()[-1:] == ["[SERVER]: Bia is a speaker in #den now."]
    assert bia.connection.events.count(RoleSet("den", "Bia", "speaker", "Ana")) == 1


def test_a_role_needs_an_account_which_need_not_be_there() -> None:
    world, ana, _, _ = house()
    assert ana.types("/role Gil speaker") == [
        "[SERVER]: Gil has no account: only people with an account can have a role."
    ]
    assert ana.types("/role Caio speaker") == [
        "[SERVER]: There is nobody here called Caio. /who shows who is here."
    ]
    account(world, "Caio", enters=False)
    assert ana.types("/role Caio speaker") == ["[SERVER]: Caio is a speaker in #den now."]
    caio = world.chat.accounts.named(nickname("Caio"))
    assert caio is not None
    world.chat.desk.set_status(caio.number, "closed", lambda _: None)
    world.journal.run()
    for line in ("/role Caio moderator", "/invite Caio"):
        assert ana.types(line) == [
            "[SERVER]: There is nobody here called Caio. /who shows who is here."
        ]


def test_a_room_is_given_away() -> None:
    _, ana, bia, _ = house()
    assert ana.types("/role Ana none") == [
        "[SERVER]: You own #den: make somebody else its owner first."
    ]
    assert ana.types("/role Bia owner") == ["[SERVER]: Bia owns #den now."]
    assert ana.types("/role Bia none") == ["[SERVER]: Only the owner of #den can do that."]
    assert ana.types("/room slow 2")[0].startswith("[SERVER]: Ana has set a rule")
    assert bia.types("/role Ana none") == ["[SERVER]: Ana has no role in #den any more."]


def test_a_role_is_given_from_elsewhere() -> None:
    _, ana, _, _ = house()
    ana.types("/leave den")
    assert ana.types("/role Bia moderator #DEN") == ["[SERVER]: Bia is a moderator of #den now."]


# -- /invite ----------------------------------------------------------------------------------


def test_the_invited_person_is_told_once_and_comes_in() -> None:
    world, ana, bia, _ = house()
    (dora,) = world.enter("Dora")
    ana.types("/room join invited")
    bia.sees()
    assert dora.types("/join den") == ["[SERVER]: You cannot join #den."]
    assert ana.types("/invite dora") == ["[SERVER]: Dora may join #den now."]
    assert dora.sees() == ["[SERVER]: Ana invites you to #den: /join den"]
    ana.types("/invite Dora")
    assert bia.sees() == dora.sees() == []
    assert "Ana" in dora.types("/join den")[0]
    ana.sees()
    ana.types("/invite Dora")
    assert dora.sees() == []


def test_an_ignored_person_invites_in_vain() -> None:
    world, ana, _, _ = house()
    (dora,) = world.enter("Dora")
    dora.types("/ignore Ana")
    ana.types("/room join invited", "/invite Dora")
    assert dora.sees() == []


def test_the_invitation_of_a_guest_lasts_as_long_as_they_can_come_back() -> None:
    world, ana, _, _ = house()
    (dora,) = world.enter("Dora")
    ana.types("/room join invited", "/invite Dora")
    dora.types("/quit")
    (dora,) = world.enter("Dora")
    assert dora.types("/join den") == ["[SERVER]: You cannot join #den."]


# -- a password -------------------------------------------------------------------------------

SECRET, WRONG = "correct horse", "battery staple"

REFUSED = (
    "[SERVER]: You cannot join #{0}: there is no such room, or it has another password. "
    "/join {0} without a password creates a room."
)


def locked() -> tuple[World, Visitor, Visitor]:
    """Ana's #den has a password, and Dora is outside."""
    world, ana, bia, gil = house()
    for visitor in (bia, gil):
        visitor.types("/leave den")
    assert ana.types(f"/room join password {SECRET}") == [
        "[SERVER]: Ana has set a rule of #den:",
        "  People who know the password may join: /join den PASSWORD",
    ]
    (dora,) = world.enter("Dora")
    ana.sees()
    return world, ana, dora


def test_who_knows_the_password_comes_in_and_comes_back_without() -> None:
    _, _, dora = locked()
    assert dora.types("/join den") == ["[SERVER]: You cannot join #den."]
    assert dora.types(f"/join den {WRONG}") == [REFUSED.format("den")]
    assert dora.types(f"/join #DEN {SECRET}")[0] == "[SERVER]: Also in #den: Ana."
    dora.types("/leave den")
    assert dora.types("/join den")[0] == "[SERVER]: Also in #den: Ana."


def test_a_room_that_does_not_exist_is_refused_like_a_wrong_password_and_not_created() -> None:
    world, _, dora = locked()
    assert dora.types(f"/join cave {SECRET}") == [REFUSED.format("cave")]
    assert "cave" not in world.chat._rooms


def test_an_open_room_needs_no_password_and_an_invited_person_neither() -> None:
    _, ana, dora = locked()
    assert "lobby" in dora.types(f"/join lobby {WRONG}")[0]
    ana.types("/invite Dora")
    assert "Ana" in dora.types(f"/join den {WRONG}")[0]


@pytest.mark.parametrize("join", ["invited", "registered"])
def test_no_password_opens_a_room_that_is_closed_in_another_way(join: str) -> None:
    _, ana, dora = locked()
    ana.types(f"/room join {join}")
    assert dora.types(f"/join den {SECRET}") == [REFUSED.format("den")]


def test_wrong_passwords_are_limited_for_the_source_whether_there_is_a_room_or_not() -> None:
    for room in ("den", "cave"):
        world, _, dora = locked()
        for _ in range(3):
            assert dora.types(f"/join {room} {WRONG}") == [REFUSED.format(room)]
        for line in (f"/join {room} {WRONG}", f"/join den {SECRET}"):
            assert dora.types(line) == [
                "[SERVER]: Too many wrong passwords came from your address. "
                "Try again in 60 seconds."
            ]
        world.clock.advance(61)
        assert "Ana" in dora.types(f"/join den {SECRET}")[0]


def test_passwords_that_wait_together_are_tried_no_more_than_others() -> None:
    """Several connections of one source try at once, before the first answer."""
    world, _, dora = locked()
    passwords = Waiting(world.chat.proofs.passwords)
    world.chat.proofs.passwords = passwords
    visitors = [dora, *world.enter("Eva", "Flo", "Guga", "Hugo")]
    for visitor in visitors:
        visitor.connection.source = dora.connection.source
        visitor.send(Join("den", WRONG if visitor is not visitors[-1] else SECRET))
    passwords.go_on()
    world.journal.run()
    refused = [visitor.connection.refusals()[-1:] for visitor in visitors]
    assert refused == [["cannot-join"]] * 3 + [["too-many-guesses"]] * 2


def test_a_token_that_is_limited_to_other_rooms_does_not_join_with_the_password() -> None:
    world, _, _ = locked()
    bia = world.chat.accounts.named(nickname("Bia"))
    assert bia is not None
    bot = Visitor(world)
    bot.enter_as(Proof(bia.number, bia.nickname, "c", "token", frozenset({"cinema"})))
    bot.sees()
    assert bot.types(f"/join den {SECRET}") == [REFUSED.format("den")]
    assert bot.types("/join den") == ["[SERVER]: You cannot join #den."]


def test_a_new_password_lets_nobody_in_with_the_old_one() -> None:
    _, ana, dora = locked()
    dora.types(f"/join den {SECRET}", "/leave den")
    ana.types(f"/room join password {WRONG}")
    assert dora.types("/join den") == ["[SERVER]: You cannot join #den."]
    assert dora.types(f"/join den {SECRET}") == [REFUSED.format("den")]
    assert "Ana" in dora.types(f"/join den {WRONG}")[0]


def test_a_password_that_changes_meanwhile_does_not_let_in() -> None:
    world, ana, dora = locked()
    old = rules_of(world).password
    world.journal.submit((SetRoom(ana.session.author, "Ana", "den", 0, password="another"),))
    world.journal.submit((JoinRooms(dora.session.author, ("den",), 0, (), old),))
    world.journal.run()
    assert dora.session.cursors.keys() == {"lobby"}


def test_a_password_does_not_travel_in_clear() -> None:
    _, ana, dora = locked()
    for visitor, line in ((ana, f"/room join password {WRONG}"), (dora, f"/join den {SECRET}")):
        visitor.connection.secure = False
        assert "not encrypted" in visitor.types(line)[0]


def test_a_password_is_long_enough_and_only_the_owner_sets_it() -> None:
    world, ana, dora = locked()
    before = rules_of(world)
    assert "at least 8" in ana.types("/room join password short")[0]
    dora.types(f"/join den {SECRET}")
    assert dora.types(f"/room join password {WRONG}") == [
        "[SERVER]: Only the owner of #den can do that."
    ]
    assert ana.types("/room join invited", "/room join all")
    (answer,) = answers(ana, type="room-set", join="password")
    assert answer["code"] == "password-missing"
    assert before.password.startswith("$argon2id$")
    assert rules_of(world).password == ""


def test_a_program_joins_with_a_password_and_the_secret_is_nowhere() -> None:
    world, _, _ = locked()
    bot = Visitor(world, program=True)
    answers(bot, type="hello", nickname="bot", client="0f" * 16)
    (refused,) = answers(bot, type="join", room="den", password=WRONG, id="1")
    assert (refused["code"], refused["id"]) == ("cannot-join", "1")
    (entered, *_) = answers(bot, type="join", room="den", password=SECRET, id="2")
    assert (entered["type"], entered["id"]) == ("entered", "2")
    (shown,) = answers(bot, type="room-set", room="den")
    for text_ in (
        json.dumps(shown),
        repr(Join("den", SECRET)),
        repr(list(world.chat._state.rules)),
    ):
        assert SECRET not in text_
    assert SECRET not in repr(ChangeRoom(join="password", password=SECRET))


# -- who may write ----------------------------------------------------------------------------


def test_who_may_not_write_is_told_so_for_messages_actions_and_topics() -> None:
    _, ana, bia, gil = house()
    ana.types("/room speak speakers")
    bia.sees()
    gil.sees()
    sentence = "[SERVER]: You may read #den, but only its speakers may write there."
    for line in ("hello", "/me waves", "/topic Fish"):
        assert bia.types(line) == gil.types(line) == [sentence]
    assert ana.sees() == []
    ana.types("/role Bia speaker")
    bia.types("hello")
    assert ana.sees() == ["[Bia]: hello"]
    ana.types("/room speak registered")
    gil.sees()
    assert gil.types("hello") == [
        "[SERVER]: You may read #den, but only people with an account may write there."
    ]


def test_lines_that_arrive_together_obey_the_rule() -> None:
    _, ana, _, gil = house()
    assert gil.session.say_many([Say("one")])
    ana.types("/room speak speakers")
    assert not gil.session.say_many([Say("one"), Say("two")])


def later(world: World, seconds: int) -> None:
    """Let the chat's clock, which moves a second at each look, go on."""
    for _ in range(seconds - 1):
        world.chat._clock()


def test_slow_mode_lets_everybody_write_once_in_a_while_but_its_moderators() -> None:
    world, ana, bia, _ = house()
    ana.types("/room slow 30")
    bia.types("one")
    assert bia.types("two") == [
        "[SERVER]: #den is in slow mode: you can write there again in 28 seconds."
    ]
    later(world, 30)
    assert bia.types("three") == []
    ana.types("one", "two")
    ana.types("/role Bia moderator")
    bia.sees()
    assert bia.types("four", "five") == []
    bia.types("/join lobby")
    assert bia.types("here it is free", "always") == []


def test_slow_mode_remembers_nobody_for_longer_than_it_needs() -> None:
    world, ana, bia, gil = house()
    ana.types("/room slow 30")
    for visitor in (bia, gil):
        visitor.types("one")
    later(world, 15)
    remembered = world.chat.speaking._last
    assert len(remembered["den"]) == 2
    later(world, 20)
    bia.types("two")
    assert len(remembered["den"]) == 1
    gil.types("two")
    ana.types("/room slow off")
    bia.types("three")
    assert remembered == {}


def test_another_connection_gives_no_fresh_allowance_in_slow_mode() -> None:
    world, ana, _, gil = house()
    ana.types("/room slow 30")
    gil.types("one", "/quit")
    source = gil.connection.source
    (again,) = world.enter("Gil2")
    again.connection.source = source
    again.types("/join den")
    assert "slow mode" in again.types("two")[0]
    other = Visitor(world)
    other.connection.source = Sources(lambda: NO_RATE, world.clock).open("198.51.100.7").source
    other.types("Eva", "/join den")
    assert other.types("three") == []


def test_a_message_that_is_sent_again_is_acknowledged_in_slow_mode() -> None:
    world, ana, _, _ = house()
    ana.types("/room slow 30")
    bot = Visitor(world, program=True)
    answers(bot, type="hello", nickname="bot", client="0f" * 16)
    answers(bot, type="join", room="den")
    say = {"type": "say", "room": "den", "text": "one", "id": "1"}
    assert answers(bot, **say)[0]["type"] == "ack"
    assert answers(bot, **say)[0]["type"] == "ack"
    assert answers(bot, **{**say, "id": "2"})[0]["code"] == "slow-mode"
    assert world.chat.guest(author_key(bytes.fromhex("0f" * 16))) == bot.session.author


# -- how long it is kept ----------------------------------------------------------------------


def test_a_room_is_kept_as_long_as_its_rules_say(monkeypatch: pytest.MonkeyPatch) -> None:
    world, ana, _, gil = house()
    asked = []
    removed = lambda *times: asked.append(times)  # noqa: E731
    monkeypatch.setattr(world.journal, "remove_before", removed)
    world.chat.remove_old()
    assert asked == []
    gil.types("/leave den")
    ana.types("/room keep 7")
    world.chat.remove_old()
    ((time, now, rooms, _),) = asked
    assert (time, rooms) == (0, {"den": now - 7 * DAY})
    assert "Messages here are kept for 7 days." in "\n".join(gil.types("/join den"))
    world.chat.configure(motd=(), history_lines=20, keep_days=30)
    ana.types("/room keep forever")
    world.chat.remove_old()
    time, now, rooms, _ = asked[-1]
    assert (now - time, rooms) == (30 * DAY, {"den": 0})
    ana.types("/room keep default")
    world.chat.remove_old()
    assert asked[-1][2] == {}


def test_entries_are_removed_after_the_days_of_their_room() -> None:
    world, ana, _, _ = house()
    ana.types("one", "two", "/room keep 1", "/join lobby", "three")
    later(world, 86_400)
    ana.types("four")
    world.chat.remove_old()
    world.journal.run()
    store = world.journal.log.store
    assert [entry.text for entry in log_of(store, "den")] == []
    assert [entry.text for entry in log_of(store, "lobby")] == ["three", "four"]


# -- what outlives the server -----------------------------------------------------------------


def test_the_rules_outlive_the_server() -> None:
    world, ana, _, _ = house()
    ana.types("said", "/room join invited", "/role Bia moderator")
    (rules,) = world.chat._state.rules
    again = World(store=world.journal.log.store)
    assert list(again.chat._state.rules) == [rules]
    (gil,) = again.enter("Gil")
    assert gil.types("/join den") == ["[SERVER]: You cannot join #den."]


def test_an_owner_who_has_set_nothing_is_forgotten_with_the_room() -> None:
    world, ana, bia, gil = house()
    for visitor in (bia, gil, ana):
        visitor.types("/leave den")
    assert list(World(store=world.journal.log.store).chat._state.rules) == []


# -- coming back ------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["invited", "password"])
def test_a_guest_who_was_let_in_comes_back_after_a_lost_connection(way: str) -> None:
    world, ana, dora = locked()
    if way == "invited":
        ana.types("/room join invited", "/invite Dora")
    dora.types(f"/join den {SECRET}")
    dora.breaks_off()
    back = Visitor(world)
    back.types(f"/resume {code_of(dora)}")
    assert back.session.cursors.keys() == {"den", "lobby"}
    assert back.session.cursors["den"].room is back.session.current


def test_a_guest_without_the_right_comes_back_without_the_room() -> None:
    world, ana, _, gil = house()
    ana.types("/room join invited")
    gil.breaks_off()
    back = Visitor(world)
    back.connection.source = gil.connection.source
    limit = world.chat.limits.rooms_per_hour
    back.connection.source.count_new_rooms([f"r{number}" for number in range(limit)])
    shown = "\n".join(back.types(f"/resume {code_of(gil)}"))
    assert back.session.cursors.keys() == {"lobby"}
    assert "den" not in shown


def test_an_account_comes_back_to_a_room_with_a_password_after_a_restart() -> None:
    world, _, _ = locked()
    bia = world.chat.accounts.named(nickname("Bia"))
    assert bia is not None
    other = Visitor(world)
    other.enter_as(Proof(bia.number, bia.nickname, "c", "password"))
    other.types(f"/join den {SECRET}")
    assert rules_of(world).admitted == (bia.number,)
    again = World(store=world.journal.log.store)
    back = Visitor(again)
    back.enter_as(Proof(bia.number, bia.nickname, "c", "password"))
    assert back.types("/join den")[0] == "[SERVER]: You are alone in #den."


def test_a_guest_who_registers_keeps_the_invitation() -> None:
    world, ana, dora = locked()
    ana.types("/room join invited", "/invite Dora")
    dora.types("/register a long password")
    (rules,) = world.chat._state.rules
    assert rules.invited == (dora.session.author,)
    assert dora.session.author > 0
    assert "Ana" in dora.types("/join den")[0]


def test_where_the_default_room_is_closed_a_guest_comes_in_without_a_room() -> None:
    world = World()
    ana = account(world, "Ana")
    number = ana.session.author
    world.journal.submit((SetRole(0, "", "lobby", number, "Ana", "owner", 0),))
    world.journal.run()
    ana.types("/room join registered")
    gil = Visitor(world)
    shown = gil.types("Gil", "hello")
    assert shown[-1].startswith("[SERVER]: You are not in any room.")
    assert gil.types("/join lobby") == ["[SERVER]: You cannot join #lobby."]
    bot = Visitor(world, program=True)
    answers(bot, type="hello", nickname="bot", client="0f" * 16)
    assert bot.session.cursors == {}
