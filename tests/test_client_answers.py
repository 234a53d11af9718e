"""The client answers a line as the server answers it on netcat: the same, in the same words."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress

import pytest

from tests.support.terminal import Netcat, Person
from twisted_chat.core.commands import TABLE
from twisted_chat.core.errors import Refusal
from twisted_chat.core.events import Told
from twisted_chat.core.requests import Resume
from twisted_chat.i18n.language import LANGUAGES, catalogue
from twisted_chat.terminal.display import NO_TOPIC, NOT_SAID
from twisted_chat.testing import ChatServer

pytestmark = pytest.mark.usefixtures("utc")

#: Lines to type, one after the other; the answers to the last one are compared.
LINES: tuple[tuple[str, ...], ...] = tuple(
    lines if isinstance(lines, tuple) else (lines,)
    for lines in (
        # rooms
        *("/join", "/join #", "/join a b", "/join a!b", "/join " + "x" * 70),
        *("/join lobby", "/join ＬＯＢＢＹ", ("/join games", "/join #Lobby")),
        *("/leave", "/leave lobby", "/leave cinema", "/leave nowhere", "/leave #", "/leave a!b"),
        *(("/leave", "/leave"), ("/join games", "/leave lobby")),
        ("/join games", "/join kitchen", "/leave games"),
        ("/join games", "/join kitchen", "/join lobby", "/leave"),
        *(("/leave", "oi"), ("/leave", "/who"), ("/leave", "/topic"), ("/leave", "/history")),
        *("/rooms", "/rooms all", "/rooms fil", "/rooms zzz", "/rooms after cinema", "/rooms a b"),
        *("/who", "/who cinema", "/who nowhere", "/who #", "/who a!b", "/who a b"),
        *("/topic", "/topic Films", "/topic -", ("/topic Films", "/topic")),
        *(("/topic Films", "/topic Films"), ("/topic Films", "/topic -")),
        *("/topic " + "x" * 391, "/topic " + "é" * 391),
        # their rules
        *("/room", "/room #cinema", "/room #nowhere", "/room slow 5", "/room #a!b", "/room x"),
        *("/role Bia speaker", "/role Bia none cinema", "/role Nobody owner", "/role Bia king"),
        *("/role", "/invite", "/invite Bia", "/invite Bia nowhere", "/invite a!b"),
        # people
        *("/msg", "/msg Bia", "/msg Bia psst", "/msg Ｂｉａ psst", "/msg BIA psst"),
        *("/msg Nobody psst", "/msg a!b psst", "/msg Ana psst", "/reply", "/reply oi"),
        *("/nick", "/nick a b", "/nick a!b", "/nick Bia", "/nick Ｂｉａ", "/nick SERVER"),
        *("/nick Anna", "/nick Ana", "/nick ANA", "/nick " + "x" * 33, "/me"),
        *("/ignore", "/ignore Bia", "/ignore Ｂｉａ", "/ignore bia", "/ignore Nobody"),
        *("/ignore Ana", "/ignore a b", "/ignore a!b", "/ignore " + "x" * 100),
        *(("/ignore Bia", "/ignore Ｂｉａ"), ("/ignore Ｂｉａ", "/ignore")),
        ("/ignore Caio", "/ignore Bia", "/ignore"),
        *("/unignore", "/unignore Bia", "/unignore Nobody", ("/ignore Bia", "/unignore ＢＩＡ")),
        ("/ignore Bia", "/unignore bia", "/ignore"),
        # accounts; without a password, the client asks for one that nobody sees
        *("/register short", "/register correct horse", "/devices x"),
        *("/password correct horse", "/devices", "/device", "/device add", "/device x"),
        *("/token", "/token new", "/token new bot", "/token new bot lobby", "/token revoke bot"),
        *("/token x", "/logout", "/logout everywhere", "/logout x", "/unregister"),
        "/unregister Ana",
        *(("/register correct horse", "/password short"), ("/register correct horse", "/token x")),
        ("/register correct horse", "/register correct horse"),
        ("/register correct horse", "/token revoke nothing"),
        ("/register correct horse", "/unregister Bia"),
        ("/register correct horse", "/nick Anna"),
        # what was said
        *("/history", "/history 3", "/history 3 before 5", "/history cinema", "/history 500"),
        *("/history nowhere", "/history 0", "/history -1", "/history x y", "/history 2 before 1"),
        *("/history a!b", "/history #", "/Histórico 2", ("/ignore Bia", "/history 3")),
        *("/search zzz", "/search ?", "/search", "/search #", "/search #lobby"),
        *("/search film", "/search #cinema film", "/search #nowhere film", "/search #a!b x"),
        *("/search " + "a " * 17, "/search " + "x" * 257, ("/ignore Caio", "/search film")),
        # preferences
        *("/lang", "/lang pt", "/lang PT", "/lang pt-br", "/lang pt_BR.UTF-8", "/lang EN_us"),
        *("/lang xx", "/lang a b", "/lang " + "x" * 100, ("/lang pt", "/lang")),
        *(("/lang pt", "/foo"), ("/lang pt", "/nick Bia"), ("/lang en", "/ignore Nobody")),
        *("/timestamps", "/timestamps on", "/timestamps Não", "/timestamps x"),
        *("/receipts", "/receipts on", "/receipts desligar", "/receipts x"),
        # the rest
        *("/cancel", "/cancel x", "/limits", "/limits x", "/quit x"),
        *("/help join", "/help /join", "/help JOIN", "/help foo", "/help a b", "/help horários"),
        *("/foo", "/joi", "/", "/ join", " /who", "／who", "a\x1b[2J", "  "),
    )
)

#: What the client shows in addition, besides the room that one goes to: the text that was refused,
#: to be said in another way.
ADDED = {
    language: tuple(
        f"[{translate('SERVER')}]: {translate(sentence).format(text='')}"
        for sentence in (NOT_SAID, NO_TOPIC)
    )
    for language in LANGUAGES
    for translate in (catalogue(language).gettext,)
}

#: The client's times are local, and say so.
LOCAL = {
    "(in your local time)": "(times are UTC)",
    "(your local time)": "(UTC)",
    "(no seu horário local)": "(horários em UTC)",
    "(o seu horário local)": "(UTC)",
    "mostrará seu horário": "mostrará o seu horário",
}


@pytest.fixture
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture(scope="module", params=["en", pytest.param("pt_BR", marks=pytest.mark.slow)])
def language(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def populated(language: str) -> ChatServer:
    """A server on which others have talked."""
    server = ChatServer(language=language)
    for number in range(1, 31):
        server.say("lobby", "Bia", f"line {number}")
    server.say("cinema", "Caio", "which film?")
    server.clock.advance(100)
    return server


def at_netcat(lines: tuple[str, ...], language: str) -> list[str]:
    ana = Netcat(populated(language))
    for line in lines[:-1]:
        ana.types(line)
    return ana.types(lines[-1])


def at_client(lines: tuple[str, ...], language: str) -> list[str]:
    ana = Person(populated(language), language=language)
    ana.wait(2)
    for line in lines[:-1]:
        ana.types(line)
    ana.screen.take()
    ana.talk.typed(lines[-1])
    ana.wait(1)
    shown = [line.text for line in ana.screen.lines if line.kind != "mark"]
    shown = [text for text in shown if not text.startswith(ADDED[language])]
    for local, utc in LOCAL.items():
        shown = [text.replace(local, utc) for text in shown]
    return shown


def test_every_command_is_compared() -> None:
    compared = set()
    for *_, line in LINES:
        with suppress(Refusal):
            compared.add(TABLE.find(line.split(" ", 1)[0]).request)
        with suppress(Refusal):
            compared.add(TABLE.find(" ".join(line.split(" ", 2)[:2])).request)
    missing = {row.request for row in TABLE.typed} - compared
    assert missing == {Resume}, "the client reconnects by itself, and says so"


@pytest.mark.parametrize("lines", LINES, ids=lambda lines: " ".join(lines)[:40])
def test_a_line_has_the_same_answer(lines: tuple[str, ...], language: str) -> None:
    assert at_client(lines, language) == at_netcat(lines, language)


@pytest.mark.parametrize(
    "line",
    [
        *("", " ", "a b", "a!b", "Bia", "Ｂｉａ", "//x", "x" * 33, "a\x1b[2J", "/nick Bia"),
        *("/nick", "/foo", "/who", "/msg Bia oi", "/leave", "/me Bia", "/ignore", "/reply x"),
        *("/receipts on", "/history", "/search x", "/topic", "/rooms", "/join lobby"),
        *("/lang pt", "/lang xx", "/lang", "/timestamps on", "/help join", "/help foo", "/cancel"),
    ],
)
def test_a_line_has_the_same_answer_before_there_is_a_name(line: str, language: str) -> None:
    netcat = Netcat(populated(language), None)
    netcat.take()
    client = Person(populated(language), None, language=language)
    shown = client.types(line)
    assert client.talk.prompt is not None, "a name is still wanted"
    for local, utc in LOCAL.items():
        shown = [text.replace(local, utc) for text in shown]
    assert shown == netcat.types(line)


# -- who is meant by /reply -------------------------------------------------------------------


def reply(language: str, at_client: bool, *happens: str) -> tuple[list[str], list[str]]:
    """What Ana is shown when she replies to Bia after something has happened, and who got it."""
    server = populated(language)
    ana = Person(server, language=language) if at_client else Netcat(server)
    ana.wait(2)
    bia = server.enter("Bia")
    got: list[str] = []

    def listen(nickname: str) -> None:
        def told(event: object) -> None:
            if isinstance(event, Told) and not event.own:
                got.append(f"{nickname}: {event.text}")

        server.enter(nickname).listen(told)

    listen("Bia")
    bia.tell("Ana", "psst")
    server.settle()
    for what in happens:
        if what == "renamed":
            bia.rename("Bea")
        elif what == "left":
            server.leave("Bia")
        else:
            listen("Rui")
            server.enter("Rui").rename("Bia")
        server.settle()
        ana.wait(2)
    return ana.types("/reply yes?"), got


@pytest.mark.parametrize(
    ("happens", "got"),
    [
        ((), ["Bia: yes?"]),
        (("renamed",), ["Bia: yes?"]),
        (("renamed", "taken"), ["Bia: yes?"]),
        (("left",), []),
        (("left", "taken"), []),
    ],
)
def test_reply_reaches_the_person_or_nobody(
    happens: tuple[str, ...], got: list[str], language: str
) -> None:
    """Not whoever has their name by now."""
    client, netcat = reply(language, True, *happens), reply(language, False, *happens)
    assert [text for text in client[0] if not text.startswith(ADDED[language])] == netcat[0]
    assert client[1] == netcat[1] == got
