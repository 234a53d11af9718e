"""Private messages for accounts whose person is away are kept until one connection has them."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence

import pytest

from tests.support.accounts import device, make_account
from tests.support.fakes import Visitor, World, code_of
from tests.support.nodes import Nodes
from twisted_chat.core import mailboxes, sources
from twisted_chat.core.errors import Refusal
from twisted_chat.core.events import MessageKept, Told
from twisted_chat.core.mail import PAGE
from twisted_chat.core.mailboxes import Mailboxes, StoredMessage, key_of, prefix_of
from twisted_chat.core.names import nickname
from twisted_chat.core.proofs import Proof
from twisted_chat.core.requests import Reply, Tell
from twisted_chat.core.sources import Sources

ANA = 1

#: What lets her in.
PROOF = Proof(ANA, nickname("Ana"), "", "")

KEPT = "[SERVER]: Kept for Ana, who is away."
SECRET = "the word is marmalade"


@pytest.fixture(autouse=True)
def _no_internal_error(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """A change that cannot be carried out is logged; and no text is in the server's log."""
    caplog.set_level(logging.DEBUG)
    yield
    records = caplog.get_records("call")
    assert [r.getMessage() for r in records if r.levelno >= logging.ERROR] == []
    assert [r.getMessage() for r in records if "marmalade" in r.getMessage()] == []


@pytest.fixture
def world() -> World:
    world = World()
    make_account(world)
    return world


def waits(world: World, account: int = ANA) -> list[str]:
    """The texts that the log has for ``account``."""
    found: list[Sequence[StoredMessage] | Refusal] = []
    world.chat.mail.read(account, found.append)
    world.journal.run()
    assert not isinstance(found[0], Refusal)
    return [message.text for message in found[0]]


def count(world: World, account: int = ANA) -> int:
    """The number of messages in the state."""
    return len(world.chat.mail._boxes.waiting(account))


def look(world: World, seconds: float = 1) -> None:
    """Time passes, and what comes of it."""
    world.clock.advance(seconds)
    world.journal.run()


def comes_in(world: World) -> tuple[Visitor, list[str]]:
    """One more connection of Ana, and the lines that it is shown."""
    visitor = Visitor(world)
    visitor.enter_as(PROOF)
    return visitor, visitor.sees()


def shown(visitor: Visitor) -> list[str]:
    """The texts of the kept messages that the visitor was shown."""
    return [e.text for e in visitor.connection.events if isinstance(e, Told) and e.kept]


def test_a_message_is_kept_and_shown_when_a_device_comes_in(world: World) -> None:
    (bia,) = world.enter("Bia")
    bia.types("said in the lobby")
    assert bia.types(f"/msg ana {SECRET}", "/msg ANA again") == [KEPT, KEPT]
    assert (waits(world), count(world)) == ([SECRET, "again"], 2)
    ana, lines = comes_in(world)
    assert lines[-5:] == [
        "[SERVER]: Said before you joined (times are UTC):",
        "2026-11-23 19:57 [Bia]: said in the lobby",
        "[SERVER]: Private messages kept while you were away: 2 (times are UTC).",
        f"2026-11-23 19:57 [Bia, in private]: {SECRET}",
        "2026-11-23 19:57 [Bia, in private]: again",
    ]
    look(world)
    assert (waits(world), count(world)) == ([], 0)
    assert ana.types("/reply got it") == ["[to Bia, in private]: got it"]
    ana.breaks_off()
    again = device(world)
    look(world)
    assert shown(again) == []


def test_in_portuguese() -> None:
    world = World(language="pt_BR")
    make_account(world)
    (bia,) = world.enter("Bia")
    assert bia.types("/msg Ana oi") == ["[SERVIDOR]: Guardada para Ana, que não está aqui agora."]
    _, lines = comes_in(world)
    assert lines[-2:] == [
        "[SERVIDOR]: Mensagens privadas guardadas enquanto você estava fora: 1 (horários em UTC).",
        "2026-11-23 19:57 [Bia, em particular]: oi",
    ]


def test_the_sender_is_told_once_it_is_on_disk(world: World) -> None:
    (bia,) = world.enter("Bia")
    bia.session.handle(Tell("Ana", "oi", id="t1"))
    world.journal.step()
    assert bia.connection.events[-1:] != [MessageKept("Ana", 0)]
    assert not [e for e in bia.connection.events if isinstance(e, MessageKept)]
    assert world.journal.log.store.record_keys(mailboxes.KIND) == []
    world.journal.run()
    (kept,) = [e for e in bia.connection.events if isinstance(e, MessageKept)]
    assert (kept.recipient, kept.id) == ("Ana", "t1")
    assert len(world.journal.log.store.record_keys(mailboxes.KIND)) == 1


def test_a_message_that_has_not_arrived_is_shown_again(world: World) -> None:
    (bia,) = world.enter("Bia")
    bia.types("/msg Ana oi")
    first = Visitor(world)
    first.connection.arrives = False
    first.enter_as(PROOF)
    assert shown(first) == ["oi"]
    look(world, 60)
    assert (waits(world), count(world)) == (["oi"], 1)
    first.breaks_off()
    look(world, 60)
    second = device(world)
    assert shown(second) == ["oi"]
    look(world)
    assert waits(world) == []


def test_after_the_server_was_killed_it_is_shown_again(world: World) -> None:
    (bia,) = world.enter("Bia")
    bia.types("/msg Ana one", "/msg Ana two")
    ana = device(world)
    assert shown(ana) == ["one", "two"]
    world.journal.end()  # before it is known whether they have arrived
    again = World(store=world.journal.log.store.copy())
    assert count(again) == 2
    ana = device(again)
    assert shown(ana) == ["one", "two"]
    look(again)
    assert again.journal.log.store.record_keys(mailboxes.KIND) == []
    last = World(store=again.journal.log.store.copy())
    assert shown(device(last)) == []


def test_two_devices_that_come_at_once_are_both_shown_all(world: World) -> None:
    (bia,) = world.enter("Bia")
    bia.types("/msg Ana oi")
    both = [Visitor(world), Visitor(world)]
    for visitor in both:
        visitor.session._enter_as(PROOF, {}, None, None)
    world.journal.run()
    look(world)
    assert [shown(visitor) for visitor in both] == [["oi"], ["oi"]]
    assert waits(world) == []


def test_a_device_that_does_not_read_gets_it_when_it_reads(world: World) -> None:
    (bia,) = world.enter("Bia")
    ana = device(world)
    ana.connection.ready = False
    assert bia.types("/msg Ana oi") == [KEPT]
    look(world, 60)
    assert shown(ana) == []
    ana.connection.ready = True
    look(world, 5)
    look(world)
    assert shown(ana) == ["oi"]
    assert waits(world) == []


def test_a_device_whose_host_has_vanished_gets_it_later_and_once(world: World) -> None:
    (bia,) = world.enter("Bia")
    ana = device(world)
    ana.connection.arrives = False
    assert bia.types("/msg Ana oi") == []
    for _ in range(15):
        look(world)
    assert bia.sees() == [KEPT]
    ana.breaks_off()
    again = device(world)
    assert shown(again) == ["oi"]


def test_it_is_shown_once_to_a_device_that_reads_late(world: World) -> None:
    (bia,) = world.enter("Bia")
    ana = device(world)
    ana.connection.ready = False
    bia.types("/msg Ana one", "/msg Ana two")
    ana.connection.ready = True
    look(world, 5)
    look(world, 5)
    assert shown(ana) == ["one", "two"]
    assert waits(world) == []
    assert world.chat.mail._deliveries == {}


def test_a_bot_with_a_limited_token_is_not_shown_the_person_s_messages(world: World) -> None:
    (bia,) = world.enter("Bia")
    bia.types("/msg Ana oi")
    bot = device(world, rooms="lobby")
    look(world)
    assert (shown(bot), waits(world)) == ([], ["oi"])
    assert shown(device(world)) == ["oi"]


def test_nothing_is_left_of_a_device_that_is_gone(world: World) -> None:
    (bia,) = world.enter("Bia")
    ana = device(world)
    ana.connection.ready = False
    bia.types("/msg Ana oi")
    ana.breaks_off()
    look(world, 5)
    assert world.chat.mail._deliveries == {}


def test_what_vanished_with_a_connection_is_shown_over_the_next(world: World) -> None:
    (bia,) = world.enter("Bia")
    bia.types("/msg Ana oi")
    first = Visitor(world)
    first.connection.arrives = False
    first.enter_as(PROOF)
    second = Visitor(world)
    second.types(f"/resume {code_of(first)}")
    assert (shown(first), shown(second)) == (["oi"], ["oi"])
    look(world)
    assert waits(world) == []


def test_what_is_kept_after_it_was_not_confirmed_is_not_shown_twice(world: World) -> None:
    (bia,) = world.enter("Bia")
    ana = device(world)
    ana.connection.arrives = False
    bia.types("/msg Ana oi")
    for _ in range(15):
        look(world)
    assert bia.sees() == [KEPT]
    ana.lose()
    again = Visitor(world)
    again.types(f"/resume {code_of(ana)}")
    look(world)
    texts = [event.text for event in again.connection.events if isinstance(event, Told)]
    assert texts == ["oi"]


def test_a_device_that_comes_while_another_one_confirms_is_shown_all(world: World) -> None:
    """Its read of the log is under way when the messages are dropped."""
    (bia,) = world.enter("Bia")
    bia.types("/msg Ana oi")
    device(world)
    second = Visitor(world)
    second.session._enter_as(PROOF, {}, None, None)
    world.journal.step()
    world.clock.advance(1)
    world.journal.step()
    world.journal.reads.reverse()
    look(world)
    assert shown(second) == ["oi"]
    assert waits(world) == []


def test_they_come_after_the_replay_also_if_that_is_slower(world: World) -> None:
    (bia,) = world.enter("Bia")
    bia.types("said in the lobby", "/msg Ana oi")
    world.journal.end()
    world = World(store=world.journal.log.store.copy())
    ana = Visitor(world)
    ana.session._enter_as(PROOF, {}, None, None)
    world.journal.step()
    assert len(world.journal.reads) > 1
    world.journal.reads.reverse()
    look(world, 0)
    look(world)
    assert [line[17:] for line in ana.sees()[-3:] if "SERVER" not in line] == [
        "[Bia]: said in the lobby",
        "[Bia, in private]: oi",
    ]


def test_a_message_is_deleted_later_if_the_log_cannot_be_written(world: World) -> None:
    (bia,) = world.enter("Bia")
    bia.types("/msg Ana oi")
    device(world)
    world.journal.broken = "database or disk is full"
    look(world)
    assert count(world) == 0
    world.journal.broken = None
    assert waits(world) == ["oi"]
    world.chat.look()
    assert waits(world) == []


def test_messages_for_a_closed_account_go_when_the_server_starts(world: World) -> None:
    """It was killed after the account was closed, and before they were deleted."""
    world.chat.desk.set_status(ANA, "closed", lambda refusal: None)
    world.journal.run()
    store = world.journal.log.store
    store.store([StoredMessage(ANA, 1, -1, 0, 130, "Bia", "oi", 1)])
    again = World(store=store.copy())
    assert (waits(again), count(again)) == ([], 0)


def test_an_account_that_is_disabled_first_gets_nothing(world: World) -> None:
    (bia,) = world.enter("Bia")
    world.chat.desk.set_status(ANA, "disabled", lambda refusal: None)
    bia.session.handle(Tell("Ana", "oi"))
    world.journal.run()
    assert bia.connection.refusals() == ["no-such-person"]
    assert count(world) == 0


def test_who_leaves_in_between_is_away(world: World) -> None:
    (bia,) = world.enter("Bia")
    ana = device(world)
    ana.lose()
    assert bia.types("/msg Ana oi") == ["[SERVER]: Ana left the chat.", KEPT]
    assert shown(device(world)) == ["oi"]


def test_a_guest_who_is_away_is_nobody(world: World) -> None:
    bia, caio = world.enter("Bia", "Caio")
    caio.breaks_off()
    bia.types("/msg Caio oi", "/msg Nobody oi")
    assert bia.connection.refusals() == ["no-such-person"] * 2


@pytest.mark.parametrize("status", ["disabled", "closed"])
def test_nothing_is_kept_for_an_account_that_lets_nobody_in(world: World, status: str) -> None:
    (bia,) = world.enter("Bia")
    bia.types("/msg Ana before")
    world.chat.desk.set_status(ANA, status, lambda refusal: None)  # type: ignore[arg-type]
    world.journal.run()
    bia.types("/msg Ana oi")
    assert bia.connection.refusals() == ["no-such-person"]
    assert waits(world) == (["before"] if status == "disabled" else [])
    assert count(world) == len(waits(world))


def test_an_ignored_sender_is_told_the_same_and_nothing_is_kept(world: World) -> None:
    (bia,) = world.enter("Bia")
    ana = device(world)
    ana.types("/ignore Bia")
    ana.breaks_off()
    assert bia.types(f"/msg Ana {SECRET}") == [KEPT]
    assert waits(world) == [""]
    rows = world.journal.log.store._connection.execute("SELECT data FROM record").fetchall()
    assert SECRET not in repr(rows)
    again, lines = comes_in(world)
    look(world)
    assert shown(again) == []
    assert "kept" not in "".join([*lines, *again.sees()])
    assert count(world) == 0


def test_who_is_ignored_meanwhile_is_not_shown(world: World) -> None:
    bia, caio = world.enter("Bia", "Caio")
    bia.types("/msg Ana oi")
    caio.types("/msg Ana hello")
    world.chat.desk.set_ignored(ANA, ((bia.session.author, "Bia"),))
    world.journal.run()
    assert shown(device(world)) == ["hello"]
    look(world)
    assert count(world) == 0


def test_a_reply_to_an_account_that_is_away_is_kept(world: World) -> None:
    (bia,) = world.enter("Bia")
    ana = device(world)
    ana.types("/msg Bia oi")
    ana.types("/nick Anita")
    ana.breaks_off()
    bia.sees()
    bia.ask(Reply("answer"))
    assert bia.sees() == ["[SERVER]: Kept for Anita, who is away."]
    assert waits(world) == ["answer"]


def test_the_other_devices_of_the_sender_are_told(world: World) -> None:
    make_account(world, "Bia")
    first, second = device(world, 2), device(world, 2)
    first.sees(), second.sees()
    assert first.types("/msg Ana oi") == [KEPT]
    assert second.sees() == [KEPT]


def test_many_are_shown_page_by_page_as_the_connection_takes_them(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mailboxes, "COUNT_SHARE", 500)
    (bia,) = world.enter("Bia")
    many = PAGE + 20
    for number in range(many):
        bia.types(f"/msg Ana {number}")
    ana = device(world)
    assert shown(ana) == [str(number) for number in range(PAGE)]
    ana.connection.ready = False
    look(world)
    assert len(shown(ana)) == PAGE
    ana.connection.ready = True
    look(world, 10)
    assert shown(ana) == [str(number) for number in range(many)]
    look(world)
    assert waits(world) == []


def test_they_expire_with_old_entries() -> None:
    world = World(keep_days=1)
    make_account(world)
    (bia,) = world.enter("Bia")
    bia.types("/msg Ana old")
    world.chat.remove_old()
    world.journal.run()
    assert waits(world) == ["old"]
    clock = world.chat._clock
    world.chat._clock = lambda: clock() + 2 * 86_400_000_000
    world.chat.remove_old()
    world.journal.run()
    assert (waits(world), count(world)) == ([], 0)


def test_a_full_mailbox_is_refused(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mailboxes, "COUNT_LIMIT", 3)
    bia, caio = world.enter("Bia", "Caio")
    for _ in range(2):
        bia.types("/msg Ana oi")
        caio.types("/msg Ana oi")
    assert bia.connection.refusals() == []
    assert caio.connection.refusals() == ["mailbox-full"]
    device(world).breaks_off()
    look(world)
    assert caio.types("/msg Ana oi") == [KEPT]


def test_one_sender_has_a_share_also_after_reconnecting(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mailboxes, "COUNT_SHARE", 2)
    source = Sources(lambda: world.chat.limits, world.clock).open("192.0.2.9").source
    for name in ("Bia", "Bela", "Beto"):
        guest = Visitor(world)
        guest.connection.source = source
        guest.types(name, "/msg Ana oi")
        refusals = guest.connection.refusals()
        guest.types("/quit")
    assert refusals == ["mailbox-full"]
    (caio,) = world.enter("Caio")
    assert caio.types("/msg Ana oi") == [KEPT]
    assert count(world) == 3


def test_a_share_is_limited_in_bytes_too(world: World) -> None:
    (bia,) = world.enter("Bia")
    for _ in range(20):
        bia.types("/msg Ana " + "x" * 4000)
    assert count(world) == mailboxes.SIZE_SHARE // (4000 + mailboxes.MESSAGE_BYTES)
    assert set(bia.connection.refusals()) == {"mailbox-full"}


def test_a_source_sends_a_hundred_an_hour(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mailboxes, "COUNT_SHARE", 10**6)
    first, second = Visitor(world), Visitor(world)
    second.connection.source = first.connection.source
    first.types("Bia")
    second.types("Caio")
    for number in range(int(sources.KEPT_MESSAGES.burst)):
        (first, second)[number % 2].types("/msg Ana oi")
    assert first.connection.refusals() == second.connection.refusals() == []
    second.types("/msg Ana oi")
    assert second.connection.refusals() == ["too-many-kept"]
    first.connection.source._sources.clock.advance(40)  # type: ignore[attr-defined]
    second.types("/msg Ana oi")
    assert second.connection.refusals() == ["too-many-kept"]


def test_an_account_sends_a_hundred_an_hour_from_wherever(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mailboxes, "COUNT_SHARE", 10**6)
    make_account(world, "Bia")
    first, second = device(world, 2), device(world, 2)
    for number in range(int(sources.KEPT_MESSAGES.burst) + 1):
        (first, second)[number % 2].types("/msg Ana oi")
    assert first.connection.refusals() == ["too-many-kept"]
    look(world, 40)
    assert first.types("/msg Ana oi") == [KEPT]


def test_a_trusted_network_is_exempt(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mailboxes, "COUNT_SHARE", 120)
    bia, caio = world.enter("Bia", "Caio")
    caio.connection.source = bia.connection.source
    bia.connection.source.trusted = True
    make_account(world, "Davi")
    davi = device(world, 2)
    davi.connection.source = bia.connection.source
    for _ in range(120):
        for visitor in (bia, caio, davi):
            visitor.types("/msg Ana oi")
    assert [v.connection.refusals() for v in (bia, caio, davi)] == [[], [], []]
    bia.types("/msg Ana oi")
    assert bia.connection.refusals() == ["mailbox-full"]  # the share of one author


def test_a_message_that_cannot_be_written_is_not_kept(world: World) -> None:
    (bia,) = world.enter("Bia")
    world.journal.broken = "database or disk is full"
    bia.types("/msg Ana oi")
    assert bia.connection.refusals() == ["not-kept"]
    world.journal.broken = None
    world.chat.look()
    world.journal.run()
    assert (waits(world), count(world)) == ([], 0)
    assert world.journal.log.store.record_keys(mailboxes.KIND) == []


def test_all_nodes_agree_and_the_node_of_the_device_shows_them() -> None:
    nodes = Nodes()
    nodes[0].chat.desk.make(0, nickname("Ana"), (), lambda refusal: None)
    nodes.settle()
    (bia,) = nodes.enter(0, "Bia")
    assert nodes.types(bia, "/msg Ana oi", "/msg Ana again") == [KEPT, KEPT]
    first, second = ([*world.chat.mail._boxes.waiting(ANA)] for world in nodes.worlds)
    assert first == second
    assert len(first) == 2
    ana = device(nodes[1])
    nodes.settle()
    assert shown(ana) == ["oi", "again"]
    nodes[1].clock.advance(1)
    nodes.settle()
    assert [count(world) for world in nodes.worlds] == [0, 0]


def test_who_leaves_another_node_in_between_is_away() -> None:
    nodes = Nodes()
    nodes[0].chat.desk.make(0, nickname("Ana"), (), lambda refusal: None)
    nodes.settle()
    (bia,) = nodes.enter(0, "Bia")
    ana = device(nodes[1])
    nodes.settle()
    bia.sees()
    ana.lose()
    bia.session.handle(Tell("Ana", "oi"))
    nodes.settle()
    assert bia.sees() == ["[SERVER]: Ana left the chat.", KEPT]


def test_a_message_to_a_node_that_disappears_is_kept() -> None:
    nodes = Nodes()
    nodes[0].chat.desk.make(0, nickname("Ana"), (), lambda refusal: None)
    nodes.settle()
    (bia,) = nodes.enter(0, "Bia")
    ana = device(nodes[1])
    nodes.settle()
    ana.connection.arrives = False
    bia.sees()
    bia.session.handle(Tell("Ana", "oi"))
    nodes.gone(1)
    assert bia.sees()[-1:] == [KEPT]
    again = device(nodes[0])
    nodes.settle()
    assert shown(again) == ["oi"]


def test_who_comes_back_before_the_loss_is_noticed_gets_it(world: World) -> None:
    (bia,) = world.enter("Bia")
    ana = device(world)
    ana.connection.ready = False
    assert bia.types("/msg Ana oi") == [KEPT]
    again = Visitor(world)
    again.types(f"/resume {code_of(ana)}")
    look(world)
    assert shown(again) == ["oi"]
    look(world)
    assert waits(world) == []


# -- the slots of messages ----------------------------------------------------------------------


def test_keys_have_all_that_is_known_and_keep_the_order() -> None:
    boxes, again = Mailboxes(), Mailboxes()
    for time in (5, 3, 10**16):
        boxes.add(7, -12, 34, 56, time, "Ana")
    boxes.add(70, 1, 0, 5, 1, "Bia")
    keys = [key_of(number, slot) for number in boxes.recipients() for slot in boxes.waiting(number)]
    assert again.learn([*keys, "damaged", "1.2"]) == 2
    assert list(again.waiting(7)) == list(boxes.waiting(7))
    assert [slot.number for slot in again.waiting(7)] == [5, 6, 10**16]
    assert sorted(keys) == keys
    assert [key for key in keys if key.startswith(prefix_of(7))] == keys[:3]
    assert (len(boxes), len(again)) == (4, 4)


def test_all_messages_together_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mailboxes, "TOTAL_LIMIT", 2)
    boxes = Mailboxes()
    boxes.add(1, -1, 0, 1, 1, "Ana")
    boxes.add(2, -2, 0, 1, 1, "Bia")
    with pytest.raises(Refusal):
        boxes.add(3, -3, 0, 1, 1, "Caio")
    boxes.take(1, [1, 99])
    boxes.add(3, -3, 0, 1, 1, "Caio")
