"""The commands of the text dialect: both languages, with and without accents."""

from __future__ import annotations

import pytest

from twisted_chat.core import commands as commands_module
from twisted_chat.core.commands import TABLE, Argument, Command, Form, Table
from twisted_chat.core.errors import Refusal, UnknownCommand, UnknownCommandNear, WrongUsage
from twisted_chat.core.events import Style
from twisted_chat.core.requests import (
    ChooseName,
    Help,
    Ignore,
    Join,
    Leave,
    ListPeople,
    ListRooms,
    Quit,
    ReadHistory,
    Reply,
    Request,
    Resume,
    Say,
    Search,
    SetLanguage,
    SetReceipts,
    SetTimestamps,
    Tell,
    Topic,
    Unignore,
)
from twisted_chat.dialects.commands import WrongCommandUsage, parse
from twisted_chat.dialects.wording import help_lines
from twisted_chat.i18n.language import LANGUAGES
from twisted_chat.terminal.completion import Known, complete
from twisted_chat.terminal.view import Tab


@pytest.mark.parametrize(
    ("line", "request_"),
    [
        ("/join cinema", Join("cinema")),
        ("/join #cinema", Join("#cinema")),
        ("/entrar cinema", Join("cinema")),
        ("/JOIN Cinema", Join("Cinema")),
        ("/join   cinema  ", Join("cinema")),
        ("/leave", Leave()),
        ("/leave cinema", Leave("cinema")),
        ("/deixar cinema", Leave("cinema")),
        ("/rooms", ListRooms()),
        ("/salas", ListRooms()),
        ("/rooms all", ListRooms(all=True)),
        ("/rooms fil", ListRooms("fil")),
        ("/rooms all fil after films", ListRooms("fil", "films", True)),
        ("/salas todas depois films", ListRooms("", "films", True)),
        ("/topic -", Topic("")),
        ("/who", ListPeople()),
        ("/quem cinema", ListPeople("cinema")),
        ("/topic", Topic()),
        ("/topic Films, old  ones", Topic("Films, old  ones")),
        ("/assunto Filmes", Topic("Filmes")),
        ("/tópico Filmes", Topic("Filmes")),
        ("/TÓPICO Filmes", Topic("Filmes")),
        ("/topico Filmes", Topic("Filmes")),
        ("/to\u0301pico Filmes", Topic("Filmes")),
        ("/msg Ana hello there", Tell("Ana", "hello there")),
        ("/msg   Ana   hello  there ", Tell("Ana", "hello  there")),
        ("/privado Ana oi", Tell("Ana", "oi")),
        ("/mensagem Ana oi", Tell("Ana", "oi")),
        ("/reply yes", Reply("yes")),
        ("/responder sim, claro", Reply("sim, claro")),
        ("/nick Ana", ChooseName("Ana")),
        ("/apelido Ana", ChooseName("Ana")),
        ("/me waves", Say("waves", kind="act")),
        ("/eu aceno", Say("aceno", kind="act")),
        ("/me // waves", Say("// waves", kind="act")),
        ("/ignore", Ignore()),
        ("/ignorar Ana", Ignore("Ana")),
        ("/unignore Ana", Unignore("Ana")),
        ("/desbloquear Ana", Unignore("Ana")),
        ("/designorar Ana", Unignore("Ana")),
        ("/bloquear Ana", Ignore("Ana")),
        ("/history", ReadHistory()),
        ("/history 50", ReadHistory(limit=50)),
        ("/history cinema", ReadHistory("cinema")),
        ("/history cinema 50", ReadHistory("cinema", 50)),
        ("/history before 900", ReadHistory(before=900)),
        ("/history 50 before 900", ReadHistory(limit=50, before=900)),
        ("/history cinema 50 before 900", ReadHistory("cinema", 50, 900)),
        ("/history cinema before 900", ReadHistory("cinema", before=900)),
        ("/histórico cinema 50 antes 900", ReadHistory("cinema", 50, 900)),
        ("/historico 50 ANTES 900", ReadHistory(limit=50, before=900)),
        ("/history 999999999999999999", ReadHistory(limit=999_999_999_999_999_999)),
        ("/search films", Search("films")),
        ("/search old  films ", Search("old  films")),
        ("/search #cinema old films", Search("old films", "#cinema")),
        ("/search films #cinema", Search("films #cinema")),
        ("/buscar café", Search("café")),
        ('/search "a OR b" -c (d)', Search('"a OR b" -c (d)')),
        ("/receipts on", SetReceipts(True)),
        ("/receipts off", SetReceipts(False)),
        ("/recibos ligar", SetReceipts(True)),
        ("/recibos não", SetReceipts(False)),
        ("/resume bcdf-2345", Resume("bcdf-2345")),
        ("/retomar bcdf-2345", Resume("bcdf-2345")),
        ("/lang", SetLanguage()),
        ("/lang pt_BR", SetLanguage("pt_BR")),
        ("/idioma en", SetLanguage("en")),
        ("/timestamps on", SetTimestamps(True)),
        ("/timestamps OFF", SetTimestamps(False)),
        ("/horários ligar", SetTimestamps(True)),
        ("/horarios sim", SetTimestamps(True)),
        ("/horarios não", SetTimestamps(False)),
        ("/horarios nao", SetTimestamps(False)),
        ("/horarios desligado", SetTimestamps(False)),
        ("/help", Help()),
        ("/help join", Help("join")),
        ("/ajuda /entrar", Help("/entrar")),
        ("/quit", Quit()),
        ("/sair", Quit()),
        ("/SAIR", Quit()),
    ],
)
def test_a_command_makes_its_request(line: str, request_: Request) -> None:
    assert parse(line) == request_


@pytest.mark.parametrize(
    "line",
    [
        "/join",
        "/leave two words",
        "/rooms two words",
        "/who two words",
        "/msg",
        "/msg Ana",
        "/msg Ana   ",
        "/reply",
        "/reply   ",
        "/nick",
        "/nick two words",
        "/me",
        "/ignore two words",
        "/unignore",
        "/history 0",
        "/history cinema 50 900",
        "/history before",
        "/history before then",
        "/history 50 before",
        "/history cinema 50 before 900 more",
        "/history 5 1234567890123456789 x",
        "/history 5 before -1",
        "/history 5 before 1234567890123456789",
        "/history 5 before ٣",
        "/search",
        "/search   ",
        "/search #cinema",
        "/receipts",
        "/receipts maybe",
        "/resume",
        "/resume two words",
        "/lang two words",
        "/timestamps",
        "/timestamps maybe",
        "/help two words",
        "/quit now",
    ],
)
def test_wrong_arguments_are_answered_with_the_usage(line: str) -> None:
    command = TABLE.find(line.split()[0])
    with pytest.raises(WrongCommandUsage) as refused:
        parse(line)
    assert refused.value.command is command
    assert refused.value.code == "wrong-usage"
    assert command.usage("en") in refused.value.sentence("en")
    assert command.usage("pt_BR") in refused.value.sentence("pt_BR")


def test_the_usage_names_the_command_in_the_language_of_who_is_told() -> None:
    with pytest.raises(WrongCommandUsage) as refused:
        parse("/join")
    assert refused.value.sentence("en") == "Usage: /join ROOM [PASSWORD]"
    assert refused.value.sentence("pt_BR").endswith("/entrar SALA [SENHA]")


@pytest.mark.parametrize(
    ("line", "nearest"),
    [("/jion x", "/join"), ("/roms", "/rooms"), ("/ajudar", "/ajuda"), ("/Histórco", "/historico")],
)
def test_a_misspelt_command_gets_the_nearest_one(line: str, nearest: str) -> None:
    with pytest.raises(UnknownCommandNear) as refused:
        parse(line)
    assert refused.value.details["nearest"] == nearest
    assert str(refused.value).endswith(f"Did you mean {nearest}?")


@pytest.mark.parametrize("line", ["/", "/ ", "/xyzzy", "/qwfpgj 1 2", "/42", "/🙂", "/ join x"])
def test_an_unknown_command_without_a_near_one(line: str) -> None:
    with pytest.raises(UnknownCommand) as refused:
        parse(line)
    assert type(refused.value) is UnknownCommand
    assert "/help" in str(refused.value)


def test_a_very_long_command_is_refused_and_no_more() -> None:
    with pytest.raises(Refusal):
        parse("/" + "join" * 1000)


def test_each_name_belongs_to_one_command() -> None:
    names = [name for command in TABLE.typed for name in command.names]
    assert len(names) == len(set(names))
    for command in TABLE.typed:
        for name in command.names:
            assert TABLE.find(name) is TABLE.find(f"/{name}") is TABLE.find(name.upper()) is command


def test_each_command_has_a_name_a_usage_and_help_in_each_language() -> None:
    for command in TABLE.typed:
        assert len(command.names) >= len(LANGUAGES)
        assert command.help
        assert f"{command.usage('en')} ".startswith(f"/{command.names[0]} ")
        assert f"{command.usage('pt_BR')} ".startswith(f"/{command.names[1]} ")


def test_a_tab_separates_words_like_a_space() -> None:
    """A tab is let through in a line, so it may stand after a command too."""
    assert parse("/join\tcinema") == Join("cinema")
    assert parse("/msg\tAna\thello") == Tell("Ana", "hello")


# -- names of two words -----------------------------------------------------------------------


class Wave(Tell, frozen=True):
    """A request that the program does not have."""


class Wink(Quit, frozen=True):
    """Another one."""


TWO_WORDS = Table(
    (
        *TABLE.rows,
        Command(
            request=Wave,
            names=("lamp light", "lampada acender"),
            form=Form.NAME_AND_TEXT,
            first=Argument.PERSON,
            arguments="NAME TEXT",
            help="Light a lamp.",
        ),
        Command(request=Wink, names=("lamp break", "lampada quebrar"), help="Break a lamp."),
    )
)


@pytest.mark.parametrize(
    "line", ["/lamp light Ana oi", "/LAMP  Light Ana oi", "/lâmpada acender Ana oi"]
)
def test_a_name_can_have_two_words(line: str) -> None:
    assert parse(line, TWO_WORDS) == Wave("Ana", "oi")
    assert parse("/lamp break", TWO_WORDS) == Wink()


@pytest.mark.parametrize("line", ["/lamp", "/lamp Ana oi", "/lamp ligth Ana", "/lamplight Ana oi"])
def test_half_a_name_of_two_words_is_no_command(line: str) -> None:
    with pytest.raises(UnknownCommandNear, match="/lamp light"):
        parse(line, TWO_WORDS)


def test_the_usage_of_a_name_of_two_words() -> None:
    with pytest.raises(WrongUsage, match="/lamp light NAME TEXT"):
        parse("/lamp light Ana", TWO_WORDS)


def test_both_words_are_completed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands_module, "TABLE", TWO_WORDS)
    known = Known({"lobby": Tab("lobby", people=["Bia"])}, "lobby", "Ana", "en")
    assert complete("/lam", known).candidates == ["/lamp light ", "/lamp break"]
    assert complete("/lamp b", known).candidates == ["break"]
    assert complete("/lamp light b", known).candidates == ["Bia "]
    assert complete("/lamp x", known).candidates == []
    assert complete("/lamp x y", known).candidates == []


@pytest.mark.parametrize("name", ["lamp", "/lamp", "LÂMPADA"])
def test_the_help_of_a_first_word_shows_both(name: str) -> None:
    lines = help_lines(name, Style("en"), TWO_WORDS)
    assert lines == [
        "  /lamp light NAME TEXT  Light a lamp.",
        "  /lamp break            Break a lamp.",
        "  Names: /lamp light, /lampada acender, /lamp break, /lampada quebrar",
    ]
