"""What people do and see, without bytes on a wire, threads or a reactor."""

from __future__ import annotations

import unicodedata
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.support.fakes import Visitor, World
from twisted_chat.core import catch_up
from twisted_chat.core.catch_up import CATCH_UP_SECONDS, FEED_SECONDS, PAGE
from twisted_chat.core.changes import Draft, announcement
from twisted_chat.core.commands import TABLE, Phase
from twisted_chat.core.errors import ControlCharacter, NameInvalid, Refusal, UnknownCommand
from twisted_chat.core.events import Entered, Entry, LinesSkipped, Replayed
from twisted_chat.core.ignoring import IGNORED_LIMIT
from twisted_chat.core.limits import Limits
from twisted_chat.core.names import ALWAYS_RESERVED, OLD_ROOM_LIMIT, Reserved
from twisted_chat.core.requests import ChooseName, Hello, Request, Say, Tell
from twisted_chat.core.room import COALESCE_SECONDS, LARGE, TAIL, Batch
from twisted_chat.core.session import Session
from twisted_chat.journal.sqlite.store import MEMORY, Store

ROOT = Path(__file__).parent.parent


def entries(visitor: Visitor) -> list[int]:
    """The numbers of the log's entries that a visitor was shown, live or replayed."""
    numbers = []
    for event in visitor.connection.events:
        if isinstance(event, Replayed):
            event = event.entry
        if isinstance(event, Entry):
            numbers.append(event.number)
    return numbers


# -- coming and going -------------------------------------------------------------------------


def test_the_paper() -> None:
    """Broadcast to everybody else, joins and leaves told, in the paper's words."""
    world = World(language="pt_BR")
    bernardo, rodrigo = world.enter("Bernardo", "Rodrigo")
    silvio = Visitor(world)
    silvio.types("Silvio")
    bernardo.types("Olá pessoal, me chamo Bernardo")
    assert silvio.sees() == ["[Bernardo]: Olá pessoal, me chamo Bernardo"]
    silvio.types("Até mais, vou me ausentar.", "sair")
    assert rodrigo.sees() == [
        "[SERVIDOR]: Silvio entrou no chat.",
        "[Bernardo]: Olá pessoal, me chamo Bernardo",
        "[Silvio]: Até mais, vou me ausentar.",
        "[SERVIDOR]: Silvio saiu do chat.",
    ]
    assert silvio.connection.closed


def test_a_speaker_does_not_get_their_own_line() -> None:
    world = World()
    ana, bia = world.enter("Ana", "Bia")
    assert ana.types("oi", "/me waves") == []
    assert bia.sees() == ["[Ana]: oi", "* Ana waves"]


@pytest.mark.parametrize("goodbye", ["sair", "/quit", "/sair", " sair ", "\x04"])
def test_leaving(goodbye: str) -> None:
    world = World()
    ana, bia = world.enter("Ana", "Bia")
    ana.types(goodbye)
    assert ana.connection.closed
    assert bia.sees() == ["[SERVER]: Ana left the chat."]


def test_a_connection_that_breaks_off_leaves_in_the_same_way() -> None:
    world = World()
    ana, bia = world.enter("Ana", "Bia")
    ana.breaks_off()
    assert bia.sees() == ["[SERVER]: Ana left the chat."]
    assert world.enter("Ana")  # the name is free again


def test_leaving_twice_is_told_once() -> None:
    world = World()
    ana, bia = world.enter("Ana", "Bia")
    ana.types("sair")
    ana.breaks_off()
    assert bia.sees() == ["[SERVER]: Ana left the chat."]


def test_what_is_said_at_once_keeps_its_order() -> None:
    """Coming, lines and leaving are told in that order: one order for all."""
    world = World()
    (bia,) = world.enter("Bia")
    ana = Visitor(world)
    ana.types("Ana")
    for line in ("one", "two", "sair"):
        ana.session.handle(_parse(line))
    world.journal.run()
    assert bia.sees() == [
        "[SERVER]: Ana joined the chat.",
        "[Ana]: one",
        "[Ana]: two",
        "[SERVER]: Ana left the chat.",
    ]
    assert ana.sees() == ["[SERVER]: Goodbye!"]


def test_nothing_is_shown_before_it_is_saved() -> None:
    world = World()
    ana, bia = world.enter("Ana", "Bia")
    ana.session.handle(_parse("oi"))
    assert bia.sees() == []
    world.journal.run()
    assert bia.sees() == ["[Ana]: oi"]


def test_whoever_leaves_before_choosing_a_name_is_not_told() -> None:
    world = World()
    (bia,) = world.enter("Bia")
    nobody = Visitor(world)
    nobody.types("sair")
    assert nobody.connection.closed
    assert bia.sees() == []


def test_no_request_is_answered_after_leaving() -> None:
    world = World()
    ana, bia = world.enter("Ana", "Bia")
    ana.types("sair", "late", "/join other")
    assert bia.sees() == ["[SERVER]: Ana left the chat."]


# -- names ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("Ana", "name-taken"),
        ("ANA", "name-taken"),
        ("Аnа", "name-mixes-scripts"),
        ("ana\u0332", "name-too-similar"),
        ("a b", "name-invalid"),
        ("  ", "name-missing"),
        ("x" * 33, "name-too-long"),
        ("Server", "name-reserved"),
    ],
)
def test_a_refused_name_is_asked_for_again(name: str, code: str) -> None:
    world = World()
    world.enter("Ana")
    bia = Visitor(world)
    bia.types(name)
    assert bia.connection.refusals() == [code]
    assert bia.types("Bia")[0].startswith("[SERVER]: You are Bia now.")


def test_two_who_want_one_name_at_once() -> None:
    """The second is refused even before the first one's arrival was told."""
    world = World()
    first, second = Visitor(world), Visitor(world)
    first.session.handle(_parse("Ana"))
    second.session.handle(_parse("ana"))
    world.journal.run()
    assert first.connection.refusals() == []
    assert second.connection.refusals() == ["name-taken"]


def test_renaming_is_told_once_to_each_and_frees_the_old_name() -> None:
    world = World()
    ana, bia = world.enter("Ana", "Bia")
    ana.types("/join cinema")
    bia.types("/join cinema")
    bia.sees()
    assert ana.types("/nick Carla") == ["[SERVER]: You are Carla now."]
    assert [line for line in bia.sees() if "Carla" in line] == ["[SERVER]: Ana is Carla now."]
    ana.types("oi")
    assert bia.sees() == ["[Carla]: oi"]
    assert world.enter("Ana")


def test_renaming_oneself_in_another_case() -> None:
    world = World()
    (ana,) = world.enter("ana")
    assert ana.types("/nick Ana") == ["[SERVER]: You are Ana now."]


@pytest.mark.parametrize("request_type", [t for t in TABLE.by_request if t is not Say])
def test_every_request_is_answered_in_every_state(request_type: type[Request]) -> None:
    """Before a name is chosen, most requests say so; none of them fails."""
    arguments = {"name": "Zoe", "nickname": "Zoe", "text": "t", "room": "r", "words": "w"}
    arguments |= {"language": "en", "code": "x", "role": "speaker", "label": "ci"}
    arguments |= {"password": "correct horse", "secret": "s"}
    fields: dict[str, Any] = {
        f: v for f, v in arguments.items() if f in request_type.__struct_fields__
    }
    if "on" in request_type.__struct_fields__:
        fields["on"] = True
    if "seq" in request_type.__struct_fields__:
        fields["seq"] = 1
    world = World()
    early = Visitor(world)
    early.ask(request_type(**fields))
    legal_early = Phase.CHOOSING in TABLE.by_request[request_type].phases
    assert ("name-first" in early.connection.refusals()) is not legal_early
    (later,) = world.enter("Ana")
    later.ask(request_type(**fields))
    # After Quit, nothing more is taken.
    assert later.connection.holds == 0 or later.connection.closed


# -- rooms ------------------------------------------------------------------------------------


def test_rooms_are_apart_and_the_other_one_is_prefixed() -> None:
    world = World()
    ana, bia, caio = world.enter("Ana", "Bia", "Caio")
    assert ana.types("/join cinema") == ["[SERVER]: You are alone in #cinema."]
    assert bia.types("/entrar #CINEMA") == ["[SERVER]: Also in #cinema: Ana."]
    assert ana.sees() == ["[SERVER]: Bia joined the room."]
    bia.types("/join lobby")
    ana.types("a film")
    assert bia.sees() == ["#cinema [Ana]: a film"]
    assert caio.sees() == []
    caio.types("hello lobby")
    assert bia.sees() == ["[Caio]: hello lobby"]
    assert ana.sees() == ["#lobby [Caio]: hello lobby"]


def test_leaving_a_room() -> None:
    world = World()
    ana, bia = world.enter("Ana", "Bia")
    ana.types("/join cinema")
    bia.types("/join cinema")
    ana.sees()
    assert bia.types("/leave") == ["[SERVER]: You left #cinema. What you type goes to #lobby."]
    assert ana.sees() == ["[SERVER]: Bia left the room."]
    assert bia.types("/leave lobby", "hello?", "/leave") == [
        "[SERVER]: You left #lobby.",
        "[SERVER]: You are not in any room. /join ROOM takes you to one; /rooms lists them.",
        "[SERVER]: You are not in any room. /join ROOM takes you to one; /rooms lists them.",
    ]
    bia.types("/leave nowhere")
    assert bia.connection.refusals()[-1] == "not-in-room"


def test_who_shares_two_rooms_is_told_of_a_leave_once() -> None:
    world = World()
    ana, bia = world.enter("Ana", "Bia")
    for visitor in (ana, bia):
        visitor.types("/join cinema")
    bia.sees()
    ana.types("sair")
    assert bia.sees() == ["#lobby [SERVER]: Ana left the chat."]


def test_joining_and_leaving_at_once() -> None:
    world = World()
    (ana,) = world.enter("Ana")
    for line in ("/join x", "/leave x", "/join x"):
        ana.session.handle(_parse(line))
    world.journal.run()
    assert ana.types("/who x") == ["[SERVER]: In #x (1): Ana."]


def test_a_room_exists_while_somebody_is_in_it_or_it_has_history() -> None:
    world = World()
    (ana,) = world.enter("Ana")
    ana.types("/join silent", "/join spoken", "words", "/leave spoken", "/leave silent")
    listed = "[SERVER]: Rooms, and the number of people in each ({} in all):"
    assert ana.types("/rooms") == [listed.format(1), "      1  #lobby"]
    both = ["      1  #lobby", "      0  #spoken"]
    assert ana.types("/rooms all") == [listed.format(2), *both]
    ana.types("/who silent")
    assert ana.connection.refusals() == ["no-such-room"]


def test_too_many_rooms() -> None:
    world = World()
    (ana,) = world.enter("Ana")
    ana.types(*(f"/join r{n}" for n in range(Limits().rooms)))
    assert ana.connection.refusals() == ["too-many-rooms"]


def test_lists_are_one_page_long() -> None:
    world = World()
    people = world.enter(*(f"u{n}" for n in range(PAGE + 5)))
    (line,) = people[0].types("/who")
    assert line.endswith("and 5 more.")
    for n, person in enumerate(people):
        person.types(f"/join r{n}")
    lines = people[0].types("/rooms")
    assert len(lines) == 1 + PAGE + 1
    assert lines[-1].strip() == "/rooms after r93 shows the next ones."
    assert len(people[0].types("/rooms after r93")) == 1 + 6


def test_topics() -> None:
    world = World()
    ana, bia = world.enter("Ana", "Bia")
    assert ana.types("/topic") == ["[SERVER]: #lobby has no topic. /topic TEXT sets one."]
    changed = ["[SERVER]: Ana changed the topic to: Films"]
    assert ana.types("/topic Films") == changed
    assert bia.sees() == changed
    assert bia.types("/assunto") == ["[SERVER]: Topic, set by Ana: Films"]
    caio = Visitor(world)
    assert "[SERVER]: Topic, set by Ana: Films" in caio.types("Caio")
    ana.types("/topic " + "x" * (Limits().topic + 1))
    assert ana.connection.refusals() == ["topic-too-long"]


# -- private messages -------------------------------------------------------------------------


def test_private_messages_go_to_the_two_people_only() -> None:
    world = World()
    ana, bia, caio = world.enter("Ana", "Bia", "Caio")
    assert ana.types("/msg bia psst") == ["[to Bia, in private]: psst"]
    assert bia.sees() == ["[Ana, in private]: psst"]
    assert bia.types("/reply what?") == ["[to Ana, in private]: what?"]
    assert ana.sees() == ["[Bia, in private]: what?"]
    assert caio.sees() == []
    assert caio.types("/history") == ["[SERVER]: There are no more messages in #lobby."]


def test_private_message_to_an_unknown_name() -> None:
    world = World()
    (ana,) = world.enter("Ana")
    ana.types("/msg Nobody hello", "/reply hello")
    assert ana.connection.refusals() == ["no-such-person", "nobody-to-answer"]


@pytest.mark.parametrize("taker", ["Ana", "ana"])
def test_a_reply_does_not_go_to_another_person_with_the_name(taker: str) -> None:
    world = World()
    ana, bia = world.enter("Ana", "Bia")
    ana.types("/msg Bia psst", "/quit")
    (other,) = world.enter(taker)
    bia.types("/reply a secret")
    assert bia.connection.refusals() == ["no-such-person"]
    assert other.sees() == []


def test_a_reply_goes_to_the_person_who_was_renamed() -> None:
    world = World()
    ana, bia = world.enter("Ana", "Bia")
    ana.types("/msg Bia psst", "/nick Ane")
    (other,) = world.enter("Ana")
    assert bia.types("/reply what?") == ["[to Ane, in private]: what?"]
    assert ana.sees()[-1] == "[Bia, in private]: what?"
    assert other.sees() == []


def test_a_private_message_does_not_overtake_a_line() -> None:
    world = World()
    ana, bia = world.enter("Ana", "Bia")
    ana.session.handle(_parse("first"))
    ana.session.handle(_parse("/msg Bia second"))
    world.journal.run()
    assert bia.sees() == ["[Ana]: first", "[Ana, in private]: second"]


def test_private_message_to_somebody_who_leaves_meanwhile() -> None:
    world = World()
    ana, bia = world.enter("Ana", "Bia")
    ana.session.handle(_parse("/msg Bia hello"))
    bia.breaks_off()
    assert ana.connection.refusals() == ["no-such-person"]


def test_a_name_that_is_no_other_one_is_told_to_nobody_else() -> None:
    world = World()
    ana, bia = world.enter("Ana", "Bia")
    assert ana.types("/nick Ana", "/nick  Ana ") == ["[SERVER]: You are Ana now."] * 2
    assert bia.sees() == []
    ana.types("/nick ANA")
    assert bia.sees() == ["[SERVER]: Ana is ANA now."]


def test_whoever_comes_again_is_shown_their_own_lines_too() -> None:
    world = World()
    ana, bia = world.enter("Ana", "Bia")
    ana.types("/join cinema", "one", "/me waves")
    bia.types("/join cinema", "two")
    ana.types("/leave cinema")
    seen = ana.types("/join cinema")
    assert [line.split(" ", 2)[2] for line in seen[2:]] == [
        "[Ana]: one",
        "* Ana waves",
        "[Bia]: two",
    ]
    assert ana.types("three") == []


@pytest.mark.parametrize("before", [" ", "\u00a0", "\u3000", "\u200b", "\ufeff", "\u2800", "\t "])
def test_nothing_unseen_makes_a_command_public(before: str) -> None:
    world = World()
    ana, bia, caio = world.enter("Ana", "Bia", "Caio")
    ana.types(f"{before}/msg Bia secret", f"{before}\uff0fmsg Bia secret")
    with pytest.raises(UnknownCommand):
        ana.types(f"{before}/mgs Bia secret")
    assert bia.sees() == ["[Ana, in private]: secret"] * 2
    assert caio.sees() == []


# -- names in all their cases -----------------------------------------------------------------


def test_a_room_is_one_room_in_all_its_cases() -> None:
    world = World()
    ana, bia = world.enter("Ana", "Bia")
    ana.types("/join İZMİR", "/join #STRASSE")
    bia.types("/join izmir", "/join straße", "/join ŞEHİR")
    ana.types("/join şehir")
    assert set(world.chat._rooms) == {"lobby", "izmir", "strasse", "şehir"}
    assert len({world.chat.reading.room(bia.session, name) for name in ("ŞEHIR", "Şehir")}) == 1
    ana.types("/leave Izmır")
    assert "izmir" not in ana.session.cursors


def test_a_room_from_before_is_found_by_all_its_names() -> None:
    store = Store(":memory:")
    old = "i\u0307zmi\u0307r"  # what İZMİR was folded to
    rooms = (old, "izmir", "straße", "z\u0300\u0301\u0302")
    store.commit([Draft(room, 1, "say", "Rui", "hello", 0, None) for room in rooms])
    world = World(store=store)
    (ana,) = world.enter("Ana")
    ana.types("/join İZMİR", f"/join {old}", "/join Strasse", "/join z\u0300\u0301\u0302")
    assert set(ana.session.cursors) == {"lobby", *rooms}
    ana.types("/leave STRASSE", "/leave IZMIR")
    assert set(ana.session.cursors) == {"lobby", old, rooms[3]}


def test_reserved_names_are_refused_and_who_has_one_keeps_it() -> None:
    world = World()
    (boss,) = world.enter("Boss")
    ana = Visitor(world)
    ana.types("admin", "Moderador", "Ana")
    ana.types("/nick SYSTEM", "/nick r00t")
    assert ana.connection.refusals() == ["name-reserved"] * 4
    world.chat.reserved = Reserved((*ALWAYS_RESERVED, "Boss"))
    boss.types("/nick BOSS")
    assert boss.session.name == "BOSS"
    boss.types("/nick Rui", "/nick Boss")
    assert boss.connection.refusals() == ["name-reserved"]
    ana.types("/nick Boss")
    assert ana.connection.refusals()[-1] == "name-reserved"


# -- ignoring ---------------------------------------------------------------------------------


def test_ignoring_hides_lines_actions_and_private_messages_only_here() -> None:
    world = World()
    ana, bia, caio = world.enter("Ana", "Bia", "Caio")
    bia.types("/ignore ana")
    ana.types("one", "/me two", "/nick ANA", "three", "/msg bia four")
    assert bia.sees() == []
    assert caio.sees() == ["[Ana]: one", "* Ana two", "[SERVER]: Ana is ANA now.", "[ANA]: three"]
    assert bia.types("/ignore") == ["[SERVER]: You are ignoring: ANA."]
    bia.types("/unignore Ana")
    ana.types("five")
    assert bia.sees() == ["[ANA]: five"]


def test_ignored_lines_are_left_out_of_a_replay_too() -> None:
    world = World()
    ana, bia, caio = world.enter("Ana", "Bia", "Caio")
    for visitor in (ana, caio):
        visitor.types("/join cinema", f"from {visitor.session.name}")
    bia.types("/ignore Ana")
    shown = bia.types("/join cinema")
    assert [line for line in shown if "from" in line] == ["2026-11-23 19:57 [Caio]: from Caio"]


def test_ignoring_nobody_oneself_and_too_many() -> None:
    world = World()
    ana, *_ = world.enter("Ana", *(f"u{n}" for n in range(IGNORED_LIMIT + 1)))
    ana.types("/ignore Nobody", "/ignore ana", "/unignore Bia")
    ana.types(*(f"/ignore u{n}" for n in range(IGNORED_LIMIT + 1)))
    assert ana.connection.refusals() == [
        "no-such-person",
        "not-yourself",
        "not-ignored",
        "too-many-ignored",
    ]


# -- history ----------------------------------------------------------------------------------


def test_history_is_replayed_on_joining_marked_and_dated() -> None:
    world = World(history_lines=2)
    (ana,) = world.enter("Ana")
    ana.types("one", "two", "three")
    bia = Visitor(world)
    assert bia.types("Bia") == [
        "[SERVER]: You are Bia now. /help shows the commands; /quit leaves.",
        f"[SERVER]: If the connection is lost, /resume {bia.session.code} brings you back.",
        "[SERVER]: Also in #lobby: Ana.",
        "[SERVER]: Said before you joined (times are UTC):",
        "2026-11-23 19:57 [Ana]: two",
        "2026-11-23 19:57 [Ana]: three",
    ]
    ana.types("four")
    assert bia.sees() == ["[Ana]: four"]


def test_what_is_said_while_somebody_joins_is_shown_exactly_once() -> None:
    """Before the join it is replayed, after it is live: no gap, no repeat."""
    world = World()
    (ana,) = world.enter("Ana")
    bia = Visitor(world)
    ana.session.handle(_parse("before"))
    bia.session.handle(_parse("Bia"))
    ana.session.handle(_parse("after"))
    world.journal.run()
    assert [line for line in bia.sees() if "[Ana]" in line] == [
        "2026-11-23 19:57 [Ana]: before",
        "[Ana]: after",
    ]


@pytest.mark.parametrize(
    "command", ["", "join ", "rooms ", "help ", "history ", "timestamps ", "nick ", "msg ", "lang "]
)
def test_no_command_normalizes_a_long_word(monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    """That takes time which grows with the square of its marks."""
    lengths = []
    normalize = unicodedata.normalize

    def note(form: Any, text: str) -> str:
        lengths.append(len(text))
        return normalize(form, text)

    world = World()
    (ana,) = world.enter("Ana")
    monkeypatch.setattr(unicodedata, "normalize", note)
    with suppress(Refusal):
        ana.types(f"/{command}" + "\u0301" * 1000 + "\u0316" * 1000)
    assert max(lengths, default=0) <= OLD_ROOM_LIMIT


@pytest.mark.parametrize("lines", [10, TAIL + 50], ids=["memory", "disk"])
def test_of_many_who_come_in_at_once_only_some_are_replayed_to_in_one_turn(
    monkeypatch: pytest.MonkeyPatch, lines: int
) -> None:
    """What each is shown is rendered for each, and may take long."""
    world = World(history_lines=1000)
    (ana,) = world.enter("Ana")
    ana.types(*map(str, range(1, lines + 1)))
    receive = Session.receive

    def receive_slowly(session: Session, batch: Batch) -> None:
        world.clock.advance(FEED_SECONDS / 2)
        receive(session, batch)

    visitors = [Visitor(world) for _ in range(10)]
    for number, visitor in enumerate(visitors):
        visitor.session.handle(ChooseName(f"u{number}"))
    monkeypatch.setattr(Session, "receive", receive_slowly)
    everything = list(range(1, lines + 1))
    turns = []
    while any(entries(visitor) != everything for visitor in visitors):
        before = [entries(visitor) for visitor in visitors]
        world.journal.turn()
        turns.append(sum(entries(v) != seen for v, seen in zip(visitors, before, strict=True)))
    assert max(turns) <= 4


def test_what_is_said_while_the_replay_is_read_from_disk_is_shown_exactly_once() -> None:
    store = Store(MEMORY)
    (ana,) = World(store=store).enter("Ana")
    ana.types(*(f"old {n}" for n in range(5)))
    world = World(store=store)  # a restart: nothing of the log is in memory
    (ana,) = world.enter("Ana")
    bia = Visitor(world)
    bia.session.handle(_parse("Bia"))
    world.journal.step()  # entered, and the read is under way
    ana.session.handle(_parse("new"))
    world.journal.step()  # published before the read comes back
    world.journal.run()
    assert entries(bia) == [1, 2, 3, 4, 5, 6]
    ana.types("newer")
    assert bia.sees()[-2:] == ["[Ana]: new", "[Ana]: newer"]


def test_history_survives_a_restart_with_topics_and_numbers() -> None:
    store = Store(MEMORY)
    (ana,) = World(store=store).enter("Ana")
    ana.types("one", "/topic T", "two")
    (bia,) = World(store=store).enter("Bia")
    assert bia.types("/topic", "three", "/history 2") == [
        "[SERVER]: Topic, set by Ana: T",
        "[SERVER]: History of #lobby (times are UTC):",
        "     3 2026-11-23 19:57 [Ana]: two",
        "     4 2026-11-23 19:57 [Bia]: three",
        "[SERVER]: /history lobby 2 before 3 shows earlier messages.",
    ]


def test_pages_of_history() -> None:
    world = World()
    (ana,) = world.enter("Ana")
    ana.types("one", "two", "three", "/join other")
    assert ana.types("/history lobby 1 before 3")[1] == "     2 2026-11-23 19:57 [Ana]: two"
    assert ana.types("/history lobby before 2")[1:] == ["     1 2026-11-23 19:57 [Ana]: one"]
    assert ana.types("/history lobby before 1") == [
        "[SERVER]: There are no more messages in #lobby."
    ]
    ana.types("/history nowhere")
    assert ana.connection.refusals() == ["no-such-room"]


def test_a_page_of_history_is_bounded() -> None:
    world = World()
    (ana,) = world.enter("Ana")
    ana.types(*("x" for _ in range(PAGE + 10)))
    assert len(ana.types("/history 1000000")) == PAGE + 2


def test_a_history_that_cannot_be_read_is_said_so() -> None:
    world = World()
    (ana,) = world.enter("Ana")
    world.journal.broken = "disk I/O error"
    assert ana.types("/history") == [
        "[SERVER]: The history cannot be read at the moment (disk I/O error)."
    ]
    assert ana.connection.holds == 0


# -- readers that fall behind ------------------------------------------------------------------


def test_a_slow_reader_waits_as_a_cursor_and_misses_nothing() -> None:
    """While it does not read, nothing is kept for it; then it gets every line, in order."""
    world = World()
    ana, bia, caio = world.enter("Ana", "Bia", "Caio")
    bia.connection.ready = False
    ana.types(*(str(n) for n in range(TAIL * 3)))
    assert entries(bia) == []
    assert len(caio.sees()) == TAIL * 3
    bia.connection.ready = True
    bia.session.on_ready()
    ana.types("last")  # said while the log is being read
    assert entries(bia) == list(range(1, TAIL * 3 + 2))
    ana.types("live")
    assert bia.sees()[-1] == "[Ana]: live"


def test_only_what_was_said_before_a_person_came_is_marked_as_old() -> None:
    """Also if they read it together with what was said since."""
    world = World()
    (ana,) = world.enter("Ana")
    ana.types("1", "2", "3")
    bia = Visitor(world)
    bia.connection.ready = False
    bia.types("Bia")
    ana.types("4", "5")
    bia.connection.ready = True
    bia.session.on_ready()
    shown = [e for e in bia.connection.events if isinstance(e, Replayed | Entry)]
    assert [isinstance(e, Replayed) for e in shown] == [True] * 3 + [False] * 2


def test_a_slow_reader_that_stops_again_goes_on_where_it_was() -> None:
    world = World()
    ana, bia = world.enter("Ana", "Bia")
    bia.connection.ready = False
    ana.types(*(str(n) for n in range(PAGE * 2)))
    for _ in range(6):
        bia.connection.ready = True
        bia.session.on_ready()
        bia.connection.ready = False
        world.journal.run()
        ana.types("more")
    bia.connection.ready = True
    bia.session.on_ready()
    world.journal.run()
    assert entries(bia) == list(range(1, PAGE * 2 + 7))


def test_a_reader_that_is_far_behind_is_told_what_it_skips(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(catch_up, "CATCH_UP_LIMIT", limit := 3000)
    world = World()
    ana, bia = world.enter("Ana", "Bia")
    bia.connection.ready = False
    total = limit + PAGE + 50
    for n in range(total):
        ana.session.handle(_parse(str(n)))
    world.journal.run()
    bia.connection.ready = True
    bia.session.on_ready()
    world.journal.run()
    (skipped,) = (e for e in bia.connection.events if isinstance(e, LinesSkipped))
    assert (skipped.first, skipped.last) == (1, total - limit)
    assert entries(bia) == list(range(skipped.last + 1, total + 1))


@pytest.mark.parametrize("more", [0, 1])
def test_a_reader_skips_nothing_up_to_the_limit_and_a_page(
    monkeypatch: pytest.MonkeyPatch, more: int
) -> None:
    """Of one line more, all above the limit: nobody is told that they skip a line or two."""
    monkeypatch.setattr(catch_up, "CATCH_UP_LIMIT", limit := TAIL)
    world = World()
    ana, bia = world.enter("Ana", "Bia")
    bia.connection.ready = False
    total = limit + PAGE + more
    ana.types(*(str(n) for n in range(total)))
    bia.connection.ready = True
    bia.session.on_ready()
    world.journal.run()
    skipped = [e for e in bia.connection.events if isinstance(e, LinesSkipped)]
    last = PAGE + 1 if more else 0
    assert [(e.first, e.last) for e in skipped] == [(1, last)] * more
    assert entries(bia) == list(range(last + 1, total + 1))


def test_the_document_says_how_far_back_a_reader_is_shown_all() -> None:
    text = (ROOT / "docs/reliability.rst").read_text(encoding="utf-8")
    assert f"A person gets up to {catch_up.CATCH_UP_LIMIT:,} of them" in " ".join(text.split())


def test_a_slow_readers_own_lines_are_not_shown_to_it_later() -> None:
    world = World()
    ana, bia = world.enter("Ana", "Bia")
    bia.connection.ready = False
    bia.types("mine")
    ana.types("hers")
    bia.connection.ready = True
    bia.session.on_ready()
    world.journal.run()
    assert bia.sees() == ["[Ana]: hers"]


def test_a_private_message_to_somebody_who_does_not_read_is_refused() -> None:
    world = World()
    ana, bia = world.enter("Ana", "Bia")
    bia.connection.ready = False
    ana.types("/msg Bia hello")
    assert ana.connection.refusals() == ["not-reading"]


# -- when the log cannot be written -------------------------------------------------------------


def test_a_failed_commit_is_told_to_its_senders_and_shown_to_nobody() -> None:
    world = World()
    ana, bia = world.enter("Ana", "Bia")
    world.journal.broken = "database or disk is full"
    assert ana.types("lost") == [
        "[SERVER]: This line was not saved and nobody saw it: lost (database or disk is full)"
    ]
    assert bia.sees() == []
    assert ana.types("/who") == ["[SERVER]: In #lobby (2): Ana, Bia."]
    world.journal.broken = None
    ana.types("again")
    assert bia.sees() == ["[Ana]: again"]
    assert entries(bia) == [1]


def test_a_full_queue_holds_the_sender() -> None:
    world = World()
    (ana,) = world.enter("Ana")
    world.journal.full = True
    ana.types("oi")
    assert ana.connection.holds == 1
    for release in world.journal.waiting:
        release()
    assert ana.connection.holds == 0


# -- the rest -----------------------------------------------------------------------------------


def test_each_reads_the_notices_in_their_own_language() -> None:
    world = World()
    ana, bia = world.enter("Ana", "Bia")
    assert bia.types("/lang pt") == ["[SERVIDOR]: Vou falar português com você."]
    ana.types("sair")
    assert bia.sees() == ["[SERVIDOR]: Ana saiu do chat."]
    bia.types("/idioma klingon")
    assert bia.connection.refusals() == ["no-such-language"]


@pytest.mark.parametrize("character", ["x", "é", "漢", "🙂"])
def test_a_lower_limit_of_a_text_is_in_bytes_too(character: str) -> None:
    world = World(limits=Limits(rate=None, text=240))
    ana, bia = world.enter("Ana", "Bia")
    longest = character * (240 // len(character.encode()))
    ana.types(longest, longest + "x", f"/msg Bia {longest}x")
    assert ana.connection.refusals() == ["line-too-long"] * 2
    assert bia.sees() == [f"[Ana]: {longest}"]


def test_timestamps() -> None:
    world = World()
    ana, bia = world.enter("Ana", "Bia")
    bia.types("/timestamps on")
    ana.types("oi")
    assert bia.sees() == ["19:57 [Ana]: oi"]
    bia.types("/horários desligado")
    ana.types("oi")
    assert bia.sees() == ["[Ana]: oi"]


def test_another_language_leaves_the_timestamps_as_they_are() -> None:
    world = World()
    ana, bia = world.enter("Ana", "Bia")
    bia.types("/timestamps on", "/lang pt", "/join cinema", "/join lobby")
    ana.types("oi")
    assert bia.sees()[-1] == "19:57 [Ana]: oi"
    bia.types("/horários desligado", "/idioma en")
    ana.types("oi")
    assert bia.sees() == ["[Ana]: oi"]


def test_the_message_of_the_day_comes_first() -> None:
    world = World(motd=["Be kind.", "\x1b[31mred"])
    assert Visitor(world).types("Ana")[:2] == ["Be kind.", "␛[31mred"]


def test_new_settings_hold_for_whoever_comes_next() -> None:
    world = World(history_lines=3)
    (ana,) = world.enter("Ana")
    ana.types("1", "2", "3", "4")
    bia, caio = Visitor(world), Visitor(world)
    bia.types("Bia")
    world.chat.configure(motd=("News",), history_lines=2, keep_days=7)
    assert caio.types("Caio")[0] == "News"
    assert (entries(bia), entries(caio)) == ([2, 3, 4], [3, 4])
    (entered,) = (e for e in caio.connection.events if isinstance(e, Entered))
    assert entered.keep_days == 7


def test_announcements() -> None:
    world = World()
    ana, bia = world.enter("Ana", "Bia")
    nameless = Visitor(world)
    bia.types("/join cinema")
    world.chat.announce(announcement("Tea at five."))
    world.chat.announce(announcement("Popcorn!", "cinema"))
    world.chat.announce(announcement("Nobody hears this.", "nowhere"))
    world.journal.run()
    assert ana.sees() == ["[SERVER]: Tea at five."]
    assert bia.sees()[-2:] == ["[SERVER]: Tea at five.", "[SERVER]: Popcorn!"]
    assert nameless.sees() == []
    with pytest.raises(ControlCharacter):
        announcement("\x1b[2J")
    with pytest.raises(NameInvalid):
        announcement("hello", "no room")


def test_what_is_said_is_given_to_the_operators_log_if_wanted() -> None:
    said: list[tuple[str, str]] = []
    world = World(said=lambda person, entry: said.append((person.address, entry.text)))
    (ana,) = world.enter("Ana")
    ana.types("oi", "/msg ana secret")
    assert said == [("(test)", "oi")]


def test_stopping_saves_tells_and_closes() -> None:
    world = World()
    ana, bia = world.enter("Ana", "Bia")
    ana.session.handle(_parse("last words"))
    stopped: list[bool] = []
    world.chat.stop(lambda: stopped.append(True))
    assert stopped == [True]
    goodbye = "[SERVER]: The server is shutting down. All messages are saved. Goodbye!"
    assert bia.sees() == ["[Ana]: last words", goodbye]
    assert ana.connection.closed
    assert bia.connection.closed


def test_whoever_was_told_of_an_unsaved_line_is_not_told_the_contrary_at_the_end() -> None:
    world = World()
    ana, bia = world.enter("Ana", "Bia")
    world.journal.broken = "disk full"
    ana.types("lost")
    world.journal.broken = None
    world.chat.stop(lambda: None)
    assert bia.sees() == ["[SERVER]: The server is shutting down. All messages are saved. Goodbye!"]
    assert ana.sees() == [
        "[SERVER]: The server is shutting down. All messages are saved, except your lines that "
        "were reported as not saved or not sent. Goodbye!"
    ]


def test_a_program_s_private_message_is_not_blank() -> None:
    world = World()
    (ana,) = world.enter("Ana")
    bot = Visitor(world, program=True)
    bot.ask(Hello("Bot"), Tell("Ana", " \t"))
    assert bot.connection.refusals() == ["bad-request"]
    assert ana.sees() == ["[SERVER]: Bot joined the chat."]


def test_a_log_in_memory_is_not_said_to_be_saved() -> None:
    world = World()
    world.journal.lasts = False
    (ana,) = world.enter("Ana")
    world.chat.stop(lambda: None)
    goodbye = "[SERVER]: The server is shutting down. Its messages are no longer kept. Goodbye!"
    assert ana.sees() == [goodbye]


def _parse(line: str) -> Request:
    from twisted_chat.dialects import text

    return text.parse(line.encode())


# -- coming and going in large rooms ------------------------------------------------------------


def hall(world: World) -> tuple[list[Visitor], Visitor]:
    """A room with so many people in it that who comes and goes is gathered; one who watches."""
    people = world.enter(*(f"p{n}" for n in range(LARGE + 1)))
    world.clock.advance(COALESCE_SECONDS)
    for person in people:
        person.sees()
    return people, people[0]


def test_in_a_large_room_arrivals_are_told_together() -> None:
    world = World()
    people, watcher = hall(world)
    *_, davi, eva = world.enter("Ana", "Bia", "Caio", "Davi", "Eva")
    assert watcher.sees() == []
    world.clock.advance(COALESCE_SECONDS)
    assert watcher.sees() == ["[SERVER]: Ana, Bia, Caio and 2 more joined the chat."]
    davi.breaks_off()
    eva.types("/join cinema", "/leave lobby")
    people[1].types("sair")
    world.clock.advance(COALESCE_SECONDS)
    assert watcher.sees() == [
        "[SERVER]: Davi, p1 left the chat.",
        "[SERVER]: Eva left the room.",
    ]


def test_somebody_alone_is_not_told_of_their_own_arrival() -> None:
    world = World()
    _, watcher = hall(world)
    (ana,) = world.enter("Ana")
    world.clock.advance(COALESCE_SECONDS)
    assert watcher.sees() == ["[SERVER]: Ana joined the chat."]
    assert ana.sees() == []


def test_nobody_speaks_or_is_renamed_before_it_is_told_that_they_came() -> None:
    world = World()
    people, watcher = hall(world)
    ana, bia = world.enter("Ana", "Bia")
    people[1].types("first")
    assert watcher.sees() == ["[p1]: first"]
    ana.types("oi")
    assert watcher.sees() == ["[SERVER]: Ana, Bia joined the chat.", "[Ana]: oi"]
    world.enter("Caio")
    bia.types("/nick Bela")
    assert watcher.sees() == []
    bia.types("oi")
    assert watcher.sees() == [
        "[SERVER]: Bia is Bela now.",
        "[SERVER]: Caio joined the chat.",
        "[Bela]: oi",
    ]
    world.clock.advance(COALESCE_SECONDS)
    assert watcher.sees() == []


def test_somebody_in_two_rooms_is_told_once() -> None:
    world = World()
    people, watcher = hall(world)
    leaver = people[1]
    watcher.types("/join cinema")
    leaver.types("/join cinema")
    world.clock.advance(COALESCE_SECONDS)
    watcher.sees()
    leaver.breaks_off()
    world.clock.advance(COALESCE_SECONDS)
    assert watcher.sees() == ["#lobby [SERVER]: p1 left the chat."]
    assert people[2].sees() == ["[SERVER]: p1 left the chat."]


def test_who_is_ignored_is_so_under_another_name_also_if_nobody_reads_of_it() -> None:
    world = World()
    ana, bia = world.enter("Ana", "Bia")
    ana.types("/ignore Bia")
    ana.connection.ready = False
    bia.types("/nick Bela")
    ana.connection.ready = True
    ana.session.on_ready()
    bia.types("secret")
    assert not any("secret" in line for line in ana.sees())


def test_a_step_with_a_defect_does_not_take_the_others_with_it() -> None:
    world = World()
    ana, bia = world.enter("Ana", "Bia")
    ana.session.handle(_parse("one"))
    world.chat.barrier(lambda: 1 / 0)  # type: ignore[arg-type]
    ana.session.handle(_parse("two"))
    world.journal.run()
    assert bia.sees() == ["[Ana]: one", "[Ana]: two"]


def test_a_large_room_does_not_run_away_from_most_of_its_readers() -> None:
    world = World()
    people, speaker = hall(world)
    for person in people[1:20]:
        person.connection.ready = False
    speaker.types("one", "two")  # the first finds out who does not read
    assert speaker.connection.holds == 1
    for person in people[1:20]:
        person.connection.ready = True
        person.session.on_ready()
        world.journal.run()
    assert speaker.connection.holds == 0


def test_nobody_waits_for_ever_for_readers_who_have_stopped() -> None:
    world = World()
    people, speaker = hall(world)
    for person in people[1:]:
        person.connection.ready = False
    speaker.types("one", "two")
    assert speaker.connection.holds == 1
    world.clock.advance(CATCH_UP_SECONDS)
    assert speaker.connection.holds == 0


def test_in_a_small_room_nobody_waits_for_others() -> None:
    world = World()
    ana, *others = world.enter("Ana", "Bia", "Caio", "Davi")
    for person in others:
        person.connection.ready = False
    ana.types("one", "two")
    assert ana.connection.holds == 0
