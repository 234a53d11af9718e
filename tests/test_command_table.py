"""The one table of requests: what is in a row holds in every place that uses it."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.fakes import Visitor, World
from tests.support.protocol import HELLO, House
from twisted_chat.core import commands
from twisted_chat.core.commands import CHATTING, TABLE, Argument, Command, Form, Phase, Table
from twisted_chat.core.errors import UnknownCommand
from twisted_chat.core.events import HelpShown, Style
from twisted_chat.core.flood import Rate
from twisted_chat.core.requests import Request, Say
from twisted_chat.core.session import Session
from twisted_chat.dialects import jsonl, text
from twisted_chat.terminal.commands import parse as parse_in_client
from twisted_chat.terminal.commands import table as client_table
from twisted_chat.terminal.completion import Known, complete
from twisted_chat.terminal.view import Tab

ROOT = Path(__file__).parent.parent

#: What begins with a slash in the documents and is no command: pages over HTTP.
PAGES = {"/healthz", "/metrics", "/readyz"}


class Wave(Request, frozen=True):
    """A request that the program does not have."""

    name: str


WAVE = Command(
    request=Wave,
    handler="_are_you_there",
    phases=CHATTING,
    cost=3,
    names=("wave", "acenar"),
    form=Form.WORD,
    first=Argument.PERSON,
    arguments="NAME",
    help="Wave at somebody.",
)


@pytest.fixture
def _wave(monkeypatch: pytest.MonkeyPatch) -> None:
    """The table has a row more."""
    monkeypatch.setattr(commands, "TABLE", Table((*TABLE.rows, WAVE)))


def requests(kind: type[Request] = Request) -> set[type[Request]]:
    """The classes of all requests of the server."""
    found = {below for direct in kind.__subclasses__() for below in requests(direct)}
    is_ours = kind.__module__ == Say.__module__ and kind is not Request
    return found | ({kind} if is_ours else set())


def literals(document: str) -> list[str]:
    """What a document has in double backquotes and begins with a slash and a word."""
    found = re.findall(r"``(/[a-z]+(?: [^`]*)?)``", document)
    return [literal for literal in found if literal not in PAGES]


# -- the rows ---------------------------------------------------------------------------------


def test_every_request_has_one_row() -> None:
    assert [row.request for row in TABLE.rows] == list(TABLE.by_request)
    assert TABLE.by_request.keys() == requests()


@pytest.mark.parametrize("row", TABLE.rows, ids=lambda row: str(row.request.__name__))
def test_a_row_is_whole(row: Command) -> None:
    assert callable(getattr(Session, row.handler))
    assert row.phases
    assert Phase.CLOSED not in row.phases
    assert row.cost >= 1
    assert bool(row.names) is bool(row.help)
    assert bool(row.arguments) is (row.form is not Form.NOTHING)
    assert (row.first is Argument.SWITCH) is (row.form is Form.SWITCH)


def test_each_name_in_json_belongs_to_one_request() -> None:
    names = [row.json for row in TABLE.rows if row.json]
    assert sorted(names) == sorted(set(names)) == sorted(jsonl.REQUESTS)


# -- a new row is enough ----------------------------------------------------------------------


def test_without_its_row_there_is_no_such_command() -> None:
    with pytest.raises(UnknownCommand):
        text.parse(b"/wave Bia")


@pytest.mark.usefixtures("_wave")
@pytest.mark.parametrize("line", [b"/wave Bia", b"/ACENAR Bia"])
def test_a_new_row_is_parsed_by_the_server_and_by_the_client(line: bytes) -> None:
    assert text.parse(line) == parse_in_client(line) == Wave("Bia")


@pytest.mark.usefixtures("_wave")
@pytest.mark.parametrize(("language", "usage"), [("en", "/wave NAME"), ("pt_BR", "/acenar NOME")])
def test_a_new_row_is_in_the_help(language: str, usage: str) -> None:
    for command in (None, "wave", "acenar"):
        shown = text.render([HelpShown(command)], Style(language)).data.decode()
        assert [line for line in shown.splitlines() if line.startswith(f"  {usage}  ")]
        assert "Wave at somebody." in shown


@pytest.mark.usefixtures("_wave")
def test_a_new_row_is_completed_by_the_client() -> None:
    known = Known({"lobby": Tab("lobby", people=["Bia"])}, "lobby", "Ana", "en")
    assert complete("/wa", known).candidates == ["/wave "]
    assert complete("/wave b", known).candidates == ["Bia "]
    assert complete("/ace", known._replace(language="pt_BR")).candidates == ["/acenar "]


@pytest.mark.usefixtures("_wave")
def test_the_method_of_a_new_row_answers_in_the_states_that_it_permits() -> None:
    world = World()
    (ana,) = world.enter("Ana")
    assert ana.types("/wave Bia") == ["[SERVER]: Yes, I am here."]
    nobody = Visitor(world)
    nobody.ask(Wave("Bia"))
    assert nobody.connection.refusals() == ["name-first"]


# -- cost -------------------------------------------------------------------------------------


@pytest.mark.parametrize("together", [False, True])
@pytest.mark.parametrize(("cost", "expected"), [(1, 6), (2, 3), (5, 2)])
def test_a_request_takes_as_many_tokens_as_its_row_says(
    monkeypatch: pytest.MonkeyPatch, cost: int, expected: int, together: bool
) -> None:
    """Of ten lines by somebody who has six tokens left, whether they come together or not."""
    rows = [replace(row, cost=cost) if row.request is Say else row for row in TABLE.rows]
    monkeypatch.setattr(commands, "TABLE", Table(rows))
    house = House(rate=Rate(7, 0.001))
    ana = house.connect()
    ana.send(HELLO)
    say = b'{"type":"say","text":"oi"}\n'
    for lines in [10 * say] if together else 10 * [say]:
        ana.send(lines)
    assert len([line for line in ana.lines() if '"type":"said"' in line]) == expected


# -- documents --------------------------------------------------------------------------------


def test_the_readme_shows_each_command_as_the_table_has_it() -> None:
    shown = set(literals((ROOT / "README.rst").read_text(encoding="utf-8")))
    assert {row.usage("en") for row in TABLE.typed} - shown == set()


@pytest.mark.parametrize(
    "document", ["README.rst", "CHANGELOG.rst", *sorted(p.name for p in ROOT.glob("docs/*.rst"))]
)
def test_no_document_names_a_command_that_is_not_in_the_table(document: str) -> None:
    path = ROOT / document if (ROOT / document).exists() else ROOT / "docs" / document
    table = client_table()
    for literal in literals(path.read_text(encoding="utf-8")):
        assert table.find_all(literal.split()[0])


@pytest.mark.parametrize("language", ["en", "pt_BR"])
def test_every_command_is_in_the_help_once(language: str) -> None:
    shown = text.render([HelpShown(None)], Style(language)).data.decode().splitlines()
    for row in TABLE.typed:
        usage = row.usage(language)
        assert len([line for line in shown if line.startswith((f"  {usage}  ",))]) == 1
