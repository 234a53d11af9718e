"""A code to come back with outlives the server, also one that is killed."""

from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

import pytest
from msgspec import structs

from tests.support.accounts import device, make_account
from tests.support.fakes import Visitor, World, code_of
from tests.support.phones import phones
from tests.support.processes import PATIENCE, Server
from twisted_chat.core.account_desk import AccountDesk, Answer
from twisted_chat.core.accounts import PASSWORD, Credential
from twisted_chat.core.changes import Change, Keep
from twisted_chat.core.errors import Refusal
from twisted_chat.core.identities import hash_code
from twisted_chat.core.requests import Resume
from twisted_chat.journal.sqlite.store import MEMORY, Store


def killed(world: World) -> World:
    """Another server over the same log, of which the first knows nothing."""
    return World(store=world.journal.log.store)


def stopped(world: World) -> World:
    world.chat.stop(lambda: None)
    return killed(world)


def said(shown: list[str]) -> list[str]:
    """The texts of the lines that were said."""
    return [match[1] for line in shown if (match := re.search(r"\[Bia\]: (.*)", line))]


@pytest.mark.parametrize("end", [stopped, killed])
@pytest.mark.parametrize("left", [False, True])
def test_after_a_restart_the_code_brings_back_exactly_what_was_missed(
    end: object, left: bool
) -> None:
    world = World()
    ana, bia = world.enter("Ana", "Bia")
    ana.types("/join cinema", "/lang pt")
    bia.types("/join cinema", "seen in cinema", "/join lobby", "seen in lobby")
    ana.types("own")
    if left:
        ana.breaks_off()
        bia.types("missed")
    world.chat.keeper.look()
    again_world = stopped(world) if end is stopped else killed(world)
    (bia,) = again_world.enter("Bia")
    bia.types("also missed")
    again = Visitor(again_world)
    shown = again.types(f"/resume {code_of(ana)}")
    assert shown[0] == "[SERVIDOR]: Que bom que você voltou, Ana."
    assert said(shown) == ["missed", "also missed"] if left else ["also missed"]
    assert "own" not in " ".join(shown)
    assert again.session.current is not None
    assert again.session.current.name == "cinema"
    assert set(again.session.cursors) == {"cinema", "lobby"}
    assert code_of(again) != code_of(ana)


@pytest.mark.parametrize("end", [stopped, killed])
def test_after_a_restart_the_same_people_are_ignored(end: Callable[[World], World]) -> None:
    world = World()
    ana, bia, caio = world.enter("Ana", "Bia", "Caio")
    ana.types("/ignore Bia", "/ignore Caio", "/unignore Caio")
    bia.types("before", "/nick Bea")
    world.chat.keeper.look()
    world = end(world)
    again = Visitor(world)
    shown = again.types(f"/resume {code_of(ana)}")
    bia_again, caio_again = Visitor(world), Visitor(world)
    bia_again.types(f"/resume {code_of(bia)}", "psst", "/nick Bee")
    caio_again.types(f"/resume {code_of(caio)}", "oi")
    assert [*shown, *again.sees()][3:] == [
        "[SERVER]: /register PASSWORD makes the name Ana yours for good, if you like.",
        "[SERVER]: Caio joined the chat.",
        "[Caio]: oi",
    ]
    assert again.types("/ignore") == ["[SERVER]: You are ignoring: Bee."]
    for _ in range(31):  # everybody is looked at once
        world.chat.keeper.look()
    other = Visitor(end(world))
    other.types(f"/resume {code_of(again)}")
    assert other.types("/unignore Bee") == ["[SERVER]: You are no longer ignoring Bee."]


def test_what_had_not_arrived_when_the_server_stopped_is_shown() -> None:
    world = World()
    ana, bia = world.enter("Ana", "Bia")
    bia.types("seen", "lost 1", "lost 2")
    ana.connection.unread = 2
    again = Visitor(stopped(world))
    assert said(again.types(f"/resume {code_of(ana)}")) == ["lost 1", "lost 2"]


def test_an_old_code_does_not_come_back_with_the_server() -> None:
    world = World()
    (ana,) = world.enter("Ana")
    again = Visitor(world)
    again.types(f"/resume {code_of(ana)}".replace(code_of(ana), first := code_of(ana)))
    second = code_of(again)
    assert first != second
    other = stopped(world)
    visitor = Visitor(other)
    visitor.types(f"/resume {first}")
    assert visitor.connection.refusals() == ["unknown-code"]
    assert visitor.types(f"/resume {second}")[0] == "[SERVER]: Welcome back, Ana."
    third = stopped(other)
    visitor = Visitor(third)
    visitor.types(f"/resume {second}")
    assert visitor.connection.refusals() == ["unknown-code"]


def test_a_code_is_good_for_the_window_after_the_restart_and_then_forgotten() -> None:
    world = World()
    ana, bia = world.enter("Ana", "Bia")
    other = stopped(world)
    other.clock.advance(299)
    other.chat.keeper.look()
    assert Visitor(other).types(f"/resume {code_of(bia)}")[0] == "[SERVER]: Welcome back, Bia."
    other.clock.advance(2)
    late = Visitor(other)
    late.types(f"/resume {code_of(ana)}")
    assert late.connection.refusals() == ["unknown-code"]
    other.chat.keeper.look()
    assert [person.nickname for person in other.journal.people()] == ["Bia"]


def test_nothing_is_kept_of_those_who_said_goodbye_or_cannot_come_back_any_more() -> None:
    world = World()
    ana, bia = world.enter("Ana", "Bia")
    ana.types("sair")
    bia.breaks_off()
    world.chat.keeper.look()
    assert [person.nickname for person in world.journal.people()] == ["Bia"]
    world.clock.advance(301)
    world.chat.keeper.look()
    assert world.journal.people() == []


def test_if_the_name_is_somebody_else_s_after_the_restart_the_code_holds_on() -> None:
    world = World()
    (ana,) = world.enter("Ana")
    other = stopped(world)
    (thief,) = other.enter("Ana")
    again = Visitor(other)
    again.types(f"/resume {code_of(ana)}")
    assert again.connection.refusals() == ["name-taken"]
    thief.types("sair")
    assert again.types(f"/resume {code_of(ana)}")[0] == "[SERVER]: Welcome back, Ana."


def test_who_may_not_come_back_to_an_account_may_not_after_the_next_start_either() -> None:
    """A record from before a restart is deleted on disk, too."""
    world = World()
    ana, _ = world.enter("Ana", "Bia")
    kept = ana.session.kept()
    assert kept is not None
    world.journal.submit((Keep((structs.replace(kept, account=7),)),))
    world.journal.run()
    second = killed(world)
    second.chat.keeper.forget_account(7, ())
    second.chat.keeper.look()
    second.journal.run()
    assert second.chat.keeper.take(code_of(ana)) is None
    third = killed(second)
    assert third.chat.keeper.take(code_of(ana)) is None
    assert len(third.journal.people()) == 1  # the other person can come back


# -- accounts ---------------------------------------------------------------------------------


def with_token(*rooms: str) -> World:
    """A world with the account Ana, number 1, which has a token for these rooms."""
    world = World()
    got: list[Refusal | None] = []
    make_account(world, "Ana", Credential(PASSWORD, "password", "x"))
    world.chat.desk.set_credential(1, Credential("t", "token", "00", "ci", rooms), got.append)
    world.chat.desk.set_credential(1, Credential("c", "code", "01"), got.append)
    world.journal.run()
    assert got == [None, None]
    return world


@pytest.mark.parametrize("end", [stopped, killed])
def test_after_a_restart_a_limited_token_is_limited(end: Callable[[World], World]) -> None:
    world = with_token("ci")
    owner = device(world, credential=PASSWORD)
    owner.types("/join secret", "psst")
    bot = device(world, credential="t", rooms="ci")
    assert set(bot.session.cursors) == {"ci"}
    world = end(world)
    again = Visitor(world)
    again.types(f"/resume {code_of(bot)}")
    assert (again.session.author, set(again.session.cursors)) == (1, {"ci"})
    again.types("/join secret", "/password another password")
    again.types("/history secret")
    assert again.connection.refusals() == ["cannot-join", "token-limited", "no-such-room"]
    world.chat.desk.drop_credentials(1, ("t",), lambda _: None)
    world.journal.run()
    assert again.connection.closed


def test_after_a_restart_a_token_that_was_revoked_lets_nobody_in() -> None:
    """Also if the record of its person is still there, such as from another node."""
    world = with_token()
    bot = device(world, credential="t")
    account = world.chat.accounts.get(1)
    assert account is not None
    world.journal.store((structs.replace(account, credentials=()),), lambda _: None)
    world.journal.run()
    world = killed(world)
    again = Visitor(world)
    again.types(f"/resume {code_of(bot)}")
    assert again.connection.refusals() == ["unknown-code"]
    world.chat.look()
    assert world.journal.people() == []


def test_after_a_restart_whoever_came_in_with_a_code_or_a_password_comes_back() -> None:
    world = with_token()
    devices = [device(world, credential=id) for id in ("c", PASSWORD)]
    world = killed(world)
    for one in devices:
        again = Visitor(world)
        again.types(f"/resume {code_of(one)}")
        assert (again.session.author, again.connection.refusals()) == (1, [])
    got: list[Refusal | None] = []
    world.chat.desk.drop_credentials(1, (), got.append, everywhere=True)
    world.journal.run()
    assert world.journal.people() == []


@pytest.mark.parametrize(
    "change",
    [
        lambda desk, answer: desk.drop_credentials(1, ("t",), answer),
        lambda desk, answer: desk.drop_credentials(1, (), answer, everywhere=True),
        lambda desk, answer: desk.set_status(1, "disabled", answer),
        lambda desk, answer: desk.set_status(1, "closed", answer),
    ],
    ids=["revoked", "everywhere", "disabled", "closed"],
)
def test_when_the_end_of_a_login_is_answered_no_code_of_it_is_left(
    change: Callable[[AccountDesk, Answer], None],
) -> None:
    """Nor is anybody told before: the server could be killed between both."""
    world = with_token()
    before = device(world, credential="t")
    world = killed(world)
    here, away = device(world, credential="t"), device(world, credential="t")
    away.breaks_off()
    assert len(world.journal.people()) == 3
    left: list[object] = []
    here.sees()

    def answer(refusal: Refusal | None) -> None:
        left.extend([refusal, len(world.journal.people()), here.sees()])

    change(world.chat.desk, answer)
    world.journal.run()
    assert left == [None, 0, []]
    assert here.sees() != []
    assert here.connection.closed
    for one in (before, here, away):
        for each in (world, killed(world)):
            thief = Visitor(each)
            thief.types(f"/resume {code_of(one)}")
            assert thief.connection.refusals() == ["unknown-code"]


@pytest.mark.parametrize("restart", [False, True])
def test_whoever_was_coming_back_when_all_were_logged_out_is_not_let_in(restart: bool) -> None:
    """Nor afterwards: the code has ended."""
    world = with_token()
    ana = device(world, credential=PASSWORD)
    ana.breaks_off()
    if restart:
        world = killed(world)
    world.chat.desk.drop_credentials(1, (), lambda _: None, everywhere=True)
    thief = Visitor(world)
    thief.send(Resume(code_of(ana)))
    login = device(world, credential=PASSWORD)
    assert login.connection.refusals() == ["logged-out"]
    assert thief.connection.refusals() == ["logged-out"]
    assert thief.session.author == 0
    again = Visitor(world)
    again.types(f"/resume {code_of(ana)}")
    assert again.connection.refusals() == ["unknown-code"]
    assert world.journal.people() == []
    assert device(world, credential=PASSWORD).connection.refusals() == []


def test_whose_end_of_a_login_cannot_be_saved_is_told_so() -> None:
    world = with_token()
    ana, other = device(world, credential=PASSWORD), device(world, credential=PASSWORD)
    ana.sees()
    world.journal.broken = "database or disk is full"
    shown = ana.types("/unregister Ana")
    assert len(shown) == 2
    assert "could not be saved (database or disk is full)" in shown[0]
    assert shown[1].startswith("[SERVER]: Your account Ana is closed.")
    assert (ana.connection.closed, other.connection.closed) == (True, True)
    assert other.connection.refusals() == ["logged-out"]
    world.journal.broken = None
    world.chat.look()
    world.journal.run()
    assert world.journal.people() == []


def test_the_code_of_a_guest_is_deleted_when_the_guest_registers() -> None:
    world = World()
    (ana,) = world.enter("Ana")
    assert len(world.journal.people()) == 1
    left: list[int] = []
    world.chat.desk.make(
        ana.session.author,
        ana.session.nickname,
        (),
        lambda _: left.append(len(world.journal.people())),
    )
    world.journal.run()
    assert left == [0]


# -- what is written --------------------------------------------------------------------------


def test_a_little_is_looked_at_each_time_and_written_only_if_it_changed() -> None:
    world = World()
    people = world.enter(*(f"name{number}" for number in range(60)))
    for _ in range(60):
        world.chat.keeper.look()
    written: list[int] = []
    submit = world.journal.submit

    def counting(changes: Sequence[Change]) -> None:
        written.extend(len(change.people) for change in changes if isinstance(change, Keep))
        submit(changes)

    world.journal.submit = counting  # type: ignore[method-assign]
    for _ in range(60):
        world.chat.keeper.look()
    assert written == []
    people[0].types("oi")
    for _ in range(31):
        world.chat.keeper.look()
    assert max(written) <= 2
    assert sum(written) == 60


def test_a_program_comes_back_by_its_numbers() -> None:
    """And nothing of it is kept here."""
    world = World()
    ana, _ = world.enter("Ana", "Bia")
    ana.breaks_off()
    assert {person.nickname for person in world.journal.people()} == {"Ana", "Bia"}


def test_of_a_person_the_database_has_no_code() -> None:
    store = Store(MEMORY)
    world = World(store=store)
    (ana,) = world.enter("Ana")
    (row,) = store._connection.execute("SELECT * FROM person").fetchall()
    code = code_of(ana)
    assert world.chat.identities.hash(code) in row
    assert hash_code(code, b"") not in row  # whoever has the hash alone, cannot try codes
    assert code.replace("-", "") not in str(row)


def test_a_row_that_cannot_be_understood_is_left_out() -> None:
    store = Store(MEMORY)
    World(store=store).enter("Ana", "Bia")
    store._connection.execute("UPDATE person SET rooms = 'x' WHERE nickname = 'Ana'")
    assert [person.nickname for person in store.people()] == ["Bia"]


# -- with a process ---------------------------------------------------------------------------


def kept_in(folder: Path) -> list[object]:
    """The rows of those who can come back."""
    with closing(sqlite3.connect(folder / "chat.db")) as connection:
        return connection.execute("SELECT * FROM person").fetchall()


@pytest.mark.slow
@pytest.mark.parametrize("how", ["terminate", "kill"])
def test_the_code_holds_when_the_server_is_started_again(tmp_path: Path, how: str) -> None:
    with Server(tmp_path) as server, phones(2, server.port) as (ana, bia):
        ana.say("Ana")
        ana.hears("brings you back")
        (code,) = re.findall(r"/resume (\S+) brings", ana.text)
        bia.say("Bia")
        bia.say("seen")
        ana.hears("[Bia]: seen")
        if how == "kill":
            deadline = time.monotonic() + PATIENCE
            while len(kept_in(tmp_path)) < 2:  # it is written behind the commits
                assert time.monotonic() < deadline
                time.sleep(0.02)
            server.process.kill()
        else:
            server.process.terminate()
        server.process.wait()
    assert len(kept_in(tmp_path)) == 2
    with Server(tmp_path) as server, phones(2, server.port) as (bia, ana):
        bia.say("Bia")
        bia.hears("brings you back")
        bia.say("missed")
        ana.say(f"/resume {code}")
        ana.hears("[Bia]: missed")
        assert "Welcome back, Ana." in ana.text
        if how == "terminate":
            assert "seen" not in ana.text


@pytest.mark.slow
@pytest.mark.parametrize(
    ("line", "answer", "is_closed"),
    [
        ("/token revoke lost", "is revoked", False),
        ("/logout everywhere", "You are logged out", False),
        ("/unregister Ana", "is closed", True),
    ],
)
def test_what_was_answered_about_a_login_holds_when_the_server_is_killed_then(
    tmp_path: Path, line: str, answer: str, is_closed: bool
) -> None:
    login = "Ana:correct horse"
    with Server(tmp_path) as server, phones(2, server.port) as (ana, thief):
        ana.say("Ana\n/register correct horse\n/token new lost")
        ana.hears("is yours now")
        ana.hears("tchat_")
        ana.hears("\n")
        (token,) = re.findall(r"tchat_\w+", ana.text)
        thief.say(f"Ana:{token}")
        thief.hears("brings you back")
        (code,) = re.findall(r"/resume (\S+) brings", thief.text)
        deadline = time.monotonic() + PATIENCE
        while len(kept_in(tmp_path)) != 1:  # that of the guest is deleted
            assert time.monotonic() < deadline
            time.sleep(0.02)
        ana.say(line)
        ana.hears(answer)
        server.process.kill()
        server.process.wait()
    assert kept_in(tmp_path) == []
    with Server(tmp_path) as server, phones(2, server.port) as (ana, thief):
        thief.say(f"/resume {code}")
        thief.hears("is not a valid code")
        ana.say(login)
        ana.hears("That name cannot be used" if is_closed else "You are Ana")
