"""The text dialect: lines in, lines out, and nothing in them that steers a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from tests.support.characters import hostile, is_safe
from tests.support.messages import EVENTS, REFUSALS, STYLES, TIME, entry, refused, structs
from twisted_chat.core import errors
from twisted_chat.core.commands import TABLE
from twisted_chat.core.errors import (
    ControlCharacter,
    HistoryUnavailable,
    NotSaved,
    NotUTF8,
    Refusal,
    UnknownCommandNear,
    WrongUsage,
)
from twisted_chat.core.events import (
    Acknowledged,
    Announced,
    Entered,
    EntriesRemoved,
    Event,
    Greeted,
    HistoryShown,
    Joined,
    Left,
    LinesSkipped,
    PeopleListed,
    Pong,
    ReceiptsSet,
    Refused,
    Renamed,
    Replaced,
    Replayed,
    ReplayStarts,
    RoomsListed,
    RoomSummary,
    SearchShown,
    Style,
    Told,
    Welcomed,
)
from twisted_chat.core.limits import TEXT_LIMIT
from twisted_chat.core.requests import Join, Quit, Request, Say, Tell
from twisted_chat.dialects import text
from twisted_chat.dialects.text import parse, parse_says
from twisted_chat.i18n.language import LANGUAGES

ENGLISH = Style("en")
PORTUGUESE = Style("pt_BR")


def welcomed(
    nickname: str = "Ana", motd: tuple[str, ...] = (), *, resumed: bool = False
) -> Welcomed:
    return Welcomed(nickname, motd, {"lobby": 7}, bytes(16), "bcdf-2345", resumed)


def entered(
    *people: str, count: int | None = None, topic: str = "", keep_days: float = 0
) -> Entered:
    count = len(people) if count is None else count
    return Entered("cinema", people, count, topic, 7, keep_days)


def render(events: Sequence[Event], style: Style) -> bytes:
    return text.render(events, style).data


def lines(*events: Event, style: Style = ENGLISH) -> list[str]:
    """``events`` as a terminal gets them, by lines."""
    data = render(events, style)
    assert data == b"" or data.endswith(b"\n")
    return data.decode("utf-8").split("\n")[:-1]


# -- in ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "request_"),
    [
        ("hello", Say("hello")),
        ("Olá, 李雷 🙂\tnaïve", Say("Olá, 李雷 🙂\tnaïve")),
        ("  indented", Say("  indented")),
        ("", Say("")),
        ("//help is a command", Say("/help is a command")),
        ("//", Say("/")),
        ("///x", Say("//x")),
        (" /join x", Join("x")),
        ("\t/join x", Join("x")),
        ("\u00a0\u200b\u2800/join x", Join("x")),
        ("\ufeff/join x", Join("x")),
        ("\uff0fjoin x", Join("x")),
        (" \u2215sair ", Quit()),
        (" //join x", Say("/join x")),
        ("\uff0f\uff0fx", Say("\uff0fx")),
        ("sair\u00a0\u200b", Quit()),
        ("1/2", Say("1/2")),
        ("sair", Quit()),
        ("  sair ", Quit()),
        ("vou sair", Say("vou sair")),
        ("sair agora", Say("sair agora")),
        ("sair.", Say("sair.")),
        ("//sair", Say("/sair")),
        ("/sair", Quit()),
        ("\x04", Quit()),
        ("/join cinema", Join("cinema")),
        ("/msg Ana oi", Tell("Ana", "oi")),
    ],
)
def test_a_line_makes_its_request(line: str, request_: Request) -> None:
    assert parse(line.encode()) == request_


@pytest.mark.parametrize(
    ("line", "position"),
    [
        (b"\xff", 1),
        (b"Ol\xe1", 3),
        ("Olá ".encode() + b"\xe1", 6),
        (b"\xc3", 1),
        (b"ok \xed\xa0\x80", 4),
        (b"\xc0\xaf", 1),
        (b"\xf4\x90\x80\x80", 1),
    ],
)
def test_what_is_not_utf8_is_refused_with_the_position_of_the_byte(
    line: bytes, position: int
) -> None:
    """Counted from 1, in bytes."""
    with pytest.raises(NotUTF8) as refused:
        parse(line)
    assert refused.value.details == {"position": position}


@pytest.mark.parametrize(
    "character",
    [*map(chr, (*range(9), *range(10, 32), 127, *range(128, 160))), "\u2028", "\u202e", "\u2066"],
)
def test_a_control_character_is_refused_by_its_number(character: str) -> None:
    for line in (f"a{character}b", f"/me a{character}", f"/{character}", f"{character} sair"):
        with pytest.raises(ControlCharacter) as refused:
            parse(line.encode())
        assert f"U+{ord(character):04X}" in str(refused.value)


def test_a_misspelt_command_and_a_wrong_one_are_refused() -> None:
    with pytest.raises(UnknownCommandNear):
        parse(b"/jion cinema")
    with pytest.raises(WrongUsage):
        parse(b"/join")


#: Lines that are commands more often than not.
command_lines = st.builds(
    "/{} {}".format,
    st.sampled_from([name for command in TABLE.typed for name in command.names]),
    st.one_of(
        st.text(),
        st.lists(st.sampled_from(["before", "on", "Ana", "5", "#x", "", "٣"])).map(" ".join),
    ),
).map(str.encode)


@given(
    st.one_of(
        st.binary(),
        st.text().map(str.encode),
        st.text().map(lambda text: f"/{text}".encode()),
        command_lines,
    )
)
@settings(max_examples=4 * settings().max_examples, deadline=None)
def test_any_bytes_are_a_request_or_refused(line: bytes) -> None:
    answer: Request | Refusal
    try:
        answer = parse(line)
    except Refusal as refusal:
        answer = refusal
    assert isinstance(answer, (Request, Refusal))
    if isinstance(answer, Refusal):
        for style in STYLES:
            assert is_safe(render([Refused(answer)], style))


# -- out: every event, whatever is in it ------------------------------------------------------


@pytest.mark.parametrize("cls", EVENTS, ids=[cls.__name__ for cls in EVENTS])
@given(st.data())
@settings(max_examples=25, deadline=None)
def test_every_event_is_lines_without_control_characters(
    cls: type[Event], data: st.DataObject
) -> None:
    """In each language and style, whatever the names, texts, topics and rooms hold."""
    event = data.draw(structs(cls))
    for style in STYLES:
        assert is_safe(render([event], style))


@pytest.mark.parametrize("cls", REFUSALS, ids=[cls.__name__ for cls in REFUSALS])
@given(st.data())
@settings(max_examples=10, deadline=None)
def test_every_refusal_is_one_line(cls: type[Refusal], data: st.DataObject) -> None:
    event = Refused(data.draw(refused(cls)))
    for style in STYLES:
        assert is_safe(render([event], style))
        assert len(lines(event, style=style)) == 1


@given(hostile, hostile, st.sampled_from(STYLES))
@settings(deadline=None)
def test_a_text_cannot_make_a_second_line(name: str, text: str, style: Style) -> None:
    events: list[Event] = [
        entry(text, nickname=name),
        entry(text, "act", nickname=name),
        entry(text, "topic", nickname=name),
        Replayed(entry(text, nickname=name)),
        Told(name, name, text, TIME),
        Told(name, name, text, TIME, own=True),
        Announced(text),
        Joined("cinema", name, True),
        Left("cinema", name, True),
        Renamed(name, name),
        Acknowledged((entry(text, room=name),)),
        EntriesRemoved(name, 7),
    ]
    further = 5 * text.count("\n")  # of messages: see test_many_lines
    assert len(lines(*events, style=style)) == len(events) + further
    motd = (text, text)
    assert len(lines(welcomed(name, motd), style=style)) == len(motd) + 2
    assert len(lines(SearchShown(text, (entry(text, nickname=name),), (text,)), style=style)) == 2


@given(st.lists(st.tuples(hostile, hostile, st.sampled_from(["say", "act"])), max_size=5))
@settings(deadline=None)
def test_events_are_the_same_bytes_together_and_apart(
    said: list[tuple[str, str, Literal["say", "act"]]],
) -> None:
    events = [entry(text, kind, nickname=name) for name, text, kind in said]
    for style in STYLES:
        assert render(events, style) == b"".join(render([event], style) for event in events)


def test_no_event_is_no_bytes() -> None:
    assert render([], ENGLISH) == b""


def test_several_events_are_in_order() -> None:
    assert lines(entry("one"), entry("two"), Joined("cinema", "Bia", True)) == [
        "[Ana]: one",
        "[Ana]: two",
        "[SERVER]: Bia joined the chat.",
    ]


def test_hostile_text_is_shown_as_visible_text() -> None:
    assert lines(entry("\x1b[2Jhi", nickname="A\x07")) == ["[A␇]: ␛[2Jhi"]


def test_braces_are_only_braces() -> None:
    """What people type is never taken for a template."""
    assert lines(entry("{name} {0} {")) == ["[Ana]: {name} {0} {"]
    assert lines(Announced("{name} {0} {")) == ["[SERVER]: {name} {0} {"]
    assert lines(Joined("cinema", "{old}", True)) == ["[SERVER]: {old} joined the chat."]


# -- out: to the letter -----------------------------------------------------------------------


def test_the_lines_of_the_paper() -> None:
    """In Portuguese, these are those of the paper."""
    events = (
        Greeted(),
        Joined("lobby", "Silvio", True),
        entry("Olá pessoal, me chamo Bernardo", nickname="Bernardo", room="lobby"),
        entry("Até mais, vou me ausentar.", nickname="Silvio", room="lobby"),
        Left("lobby", "Silvio", True),
    )
    assert lines(*events, style=PORTUGUESE) == [
        "Bem-vindo! Por favor, digite seu nome de usuário:",
        "[SERVIDOR]: Silvio entrou no chat.",
        "[Bernardo]: Olá pessoal, me chamo Bernardo",
        "[Silvio]: Até mais, vou me ausentar.",
        "[SERVIDOR]: Silvio saiu do chat.",
    ]


def test_the_same_lines_in_english() -> None:
    events = (Greeted(), Joined("lobby", "Silvio", True), Left("lobby", "Silvio", True))
    assert lines(*events) == [
        "Welcome! Please type your username:",
        "[SERVER]: Silvio joined the chat.",
        "[SERVER]: Silvio left the chat.",
    ]


def test_the_kinds_of_entries() -> None:
    assert lines(entry("waves", "act"), entry("Films", "topic")) == [
        "* Ana waves",
        "[SERVER]: Ana changed the topic to: Films",
    ]


@pytest.mark.parametrize("style", [Style(language, prefixed=True) for language in LANGUAGES])
def test_a_line_of_another_room_is_prefixed_with_it(style: Style) -> None:
    assert lines(entry("oi"), style=style) == ["#cinema [Ana]: oi"]
    assert lines(entry("waves", "act"), style=style) == ["#cinema * Ana waves"]


@pytest.mark.parametrize(
    "event",
    [
        entry("oi"),
        entry("waves", "act"),
        entry("Films", "topic"),
        Joined("cinema", "Ana", False),
        Joined("cinema", "Ana", True),
        Left("cinema", "Ana", False),
        Left("cinema", "Ana", True),
        Announced("Closing soon", "cinema"),
        ReplayStarts("cinema", False),
        ReplayStarts("cinema", True),
        EntriesRemoved("cinema", 7),
        Replayed(entry("oi")),
        LinesSkipped("cinema", 1, 10),
    ],
)
def test_what_a_room_shows_is_prefixed_in_another_room_and_only_there(event: Event) -> None:
    (here,), (elsewhere,) = lines(event), lines(event, style=Style("en", prefixed=True))
    assert not here.startswith("#")
    assert elsewhere == f"#cinema {here}"


def test_what_is_for_everybody_is_not_prefixed() -> None:
    events = (Announced("Closing soon"), Renamed("Ana", "Bia"))
    assert lines(*events, style=Style("en", prefixed=True)) == lines(*events)


@pytest.mark.parametrize("language", LANGUAGES)
def test_timestamps_are_hours_and_minutes_in_utc(language: str) -> None:
    """The prefix comes after the time."""
    assert lines(entry("oi"), style=Style(language, True)) == ["19:57 [Ana]: oi"]
    assert lines(entry("oi"), style=Style(language, True, True)) == ["19:57 #cinema [Ana]: oi"]
    (told,) = lines(Told("Ana", "Bia", "oi", TIME), style=Style(language, True))
    assert told.startswith("19:57 [Ana, ")


def test_what_was_said_before_has_its_date_in_any_style() -> None:
    for timestamps in (False, True):
        assert lines(Replayed(entry("oi")), style=Style("en", timestamps)) == [
            "2026-11-23 19:57 [Ana]: oi"
        ]


def test_private_messages() -> None:
    assert lines(Told("Ana", "Bia", "oi", TIME)) == ["[Ana, in private]: oi"]
    assert lines(Told("Ana", "Bia", "oi", TIME, own=True)) == ["[to Bia, in private]: oi"]


def test_entering_a_room_shows_who_is_there_and_the_topic() -> None:
    assert lines(entered("Ana", "Bia", topic="Films")) == [
        "[SERVER]: Also in #cinema: Ana, Bia.",
        "[SERVER]: Topic: Films",
    ]
    assert lines(entered()) == ["[SERVER]: You are alone in #cinema."]
    assert lines(entered("Ana", count=62)) == ["[SERVER]: Also in #cinema: Ana and 61 more."]


def test_entering_a_room_says_how_long_it_is_kept() -> None:
    for days, said in ((365, "365"), (0.5, "0.5"), (30.0, "30")):
        assert lines(entered(keep_days=days)) == [
            f"[SERVER]: You are alone in #cinema. Messages here are kept for {said} days."
        ]


def test_entering_a_room_says_that_a_log_in_memory_ends_with_the_server() -> None:
    room = "[SERVER]: You are alone in #cinema."
    until = "Messages here are kept until the server stops"
    kept = replace(entered(keep_days=365), until_stop=True)
    assert lines(kept) == [f"{room} {until}, for 365 days at most."]
    assert lines(replace(kept, keep_days=0)) == [f"{room} {until}."]


def test_coming_in_shows_the_message_of_the_day_and_how_to_come_back() -> None:
    assert lines(welcomed(motd=("Be kind.", ""))) == [
        "Be kind.",
        "",
        "[SERVER]: You are Ana now. /help shows the commands; /quit leaves.",
        "[SERVER]: If the connection is lost, /resume bcdf-2345 brings you back.",
    ]
    assert lines(welcomed(resumed=True)) == [
        "[SERVER]: Welcome back, Ana.",
        "[SERVER]: If the connection is lost, /resume bcdf-2345 brings you back.",
    ]


def test_what_follows_says_when_it_was_said() -> None:
    starts = [ReplayStarts("cinema", resumed) for resumed in (False, True)]
    assert lines(*starts) == [
        "[SERVER]: Said before you joined (times are UTC):",
        "[SERVER]: Said while you were away (times are UTC):",
    ]


def test_what_is_not_kept_any_more_is_told() -> None:
    assert lines(EntriesRemoved("cinema", 7)) == [
        "[SERVER]: The lines that you missed are no longer kept; the oldest line is number 7."
    ]


def test_each_receipt_is_a_line_with_its_number() -> None:
    assert lines(Acknowledged((entry("one"), entry("two", number=8, room="lobby")))) == [
        "[SERVER]: Saved as number 7 of #cinema.",
        "[SERVER]: Saved as number 8 of #lobby.",
    ]
    on, off = lines(ReceiptsSet(True)), lines(ReceiptsSet(False))
    assert len(on) == len(off) == 1
    assert on != off


def test_what_was_found_has_its_room_number_and_date() -> None:
    found = (entry("two films", number=42), entry("a film", "act", number=7, room="lobby"))
    assert lines(SearchShown("film", found, ("two films", "a film"))) == [
        "[SERVER]: Found, newest first (times are UTC):",
        "  #cinema 42 2026-11-23 19:57 [Ana]: two films",
        "  #lobby 7 2026-11-23 19:57 * Ana a film",
    ]
    assert lines(SearchShown("{film} \x1b", (), ())) == [
        "[SERVER]: Nothing was found for: {film} ␛"
    ]


def test_of_what_was_found_the_snippet_is_shown() -> None:
    (_, line) = lines(SearchShown("cafe", (entry("before " * 500),), ("…the Café…",)))
    assert line.endswith("[Ana]: …the Café…")


def test_whoever_came_back_is_told_on_the_older_connection() -> None:
    assert lines(Replaced()) == [
        "[SERVER]: You came back over another connection; this one is closed."
    ]


def test_a_ping_is_answered() -> None:
    assert len(lines(Pong("7"))) == 1


def test_lists_say_how_many_more_there_are() -> None:
    assert lines(PeopleListed("cinema", ("Ana", "Bia"), 5)) == [
        "[SERVER]: In #cinema (5): Ana, Bia and 3 more."
    ]
    rooms = (RoomSummary("lobby", 12, ""), RoomSummary("cinema", 3, "Films"))
    assert lines(RoomsListed(rooms, 7, more=True, after="cinema")) == [
        "[SERVER]: Rooms, and the number of people in each (7 in all):",
        "     12  #lobby",
        "      3  #cinema  Films",
        "  /rooms after cinema shows the next ones.",
    ]


def test_a_page_of_history_says_how_to_read_the_one_before() -> None:
    page = (entry("one", number=41), entry("two", number=42))
    assert lines(HistoryShown("cinema", page, 1)) == [
        "[SERVER]: History of #cinema (times are UTC):",
        "    41 2026-11-23 19:57 [Ana]: one",
        "    42 2026-11-23 19:57 [Ana]: two",
        "[SERVER]: /history cinema 2 before 41 shows earlier messages.",
    ]
    assert len(lines(HistoryShown("cinema", (entry("one", number=1),), 1))) == 2


def test_a_page_that_begins_with_the_oldest_line_kept_suggests_no_other() -> None:
    page = (entry("one", number=41),)
    assert len(lines(HistoryShown("cinema", page, 41))) == 2
    assert len(lines(HistoryShown("cinema", page, 40))) == 3


def commands_in(shown: Iterable[str]) -> list[str]:
    """The ``/history`` commands that a person reads in ``shown``."""
    found = []
    for line in shown:
        words = line.split()
        for place, word in enumerate(words):
            if word in ("/history", "/historico", "/histórico"):
                found.append(" ".join(words[place : place + 5]))
    return found


@pytest.mark.parametrize("style", [ENGLISH, PORTUGUESE])
@pytest.mark.parametrize(
    "event",
    [LinesSkipped("cinema", 1, 10), HistoryShown("cinema", (entry("x", number=11),), 1)],
    ids=["skipped", "history"],
)
def test_the_command_that_is_suggested_works(event: Event, style: Style) -> None:
    """It can be typed as it is shown, in each language."""
    (command,) = commands_in(lines(event, style=style))
    request = msgspec.structs.asdict(parse(command.encode()))
    assert (request["room"], request["before"]) == ("cinema", 11)


@pytest.mark.parametrize("cls", [NotSaved, HistoryUnavailable])
@pytest.mark.parametrize("reason", ["", "something new"])
def test_an_unknown_reason_is_shown_as_it_is(cls: type[errors.LogRefusal], reason: str) -> None:
    """Also an empty one, under which gettext keeps the catalogue's own header."""
    refusal = cls(text="oi", reason=reason)
    assert f"({reason})" in refusal.sentence("en")
    assert f"({reason})" in refusal.sentence("pt_BR")


def test_a_known_reason_is_translated() -> None:
    refusal = NotSaved(text="oi", reason="database or disk is full")
    assert "database or disk is full" in refusal.sentence("en")
    assert "database or disk is full" not in refusal.sentence("pt_BR")


# -- lines that were sent together --------------------------------------------------------------

LINES = st.one_of(
    st.sampled_from(
        [b"", b" ", b"oi", b"sair", b"sair ", b"sairemos", b"/help", b"//x", b"\xff", b"a\tb"]
    ),
    st.text().map(lambda said: said.encode("utf-8", "surrogatepass").replace(b"\n", b"")),
    st.sampled_from(
        [b"x" * TEXT_LIMIT, b"x" * (TEXT_LIMIT + 1), "ação".encode(), b"a\rb", b"\x1b"]
    ),
)


@given(st.lists(LINES, min_size=1, max_size=4))
def test_lines_at_once_are_what_each_is_alone(lines: list[bytes]) -> None:
    says = parse_says(lines)
    if says:
        assert says == [parse(line) for line in lines]
        assert all(len(line) <= TEXT_LIMIT and line.strip() for line in lines)


def test_usual_lines_are_taken_at_once() -> None:
    lines = ["oi", "tudo bem?", "olá", "会議", "a / b", "até sair"]
    assert parse_says([line.encode() for line in lines]) == [Say(line) for line in lines]
