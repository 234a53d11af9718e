"""What a person types and is shown, against the real server in memory; without a terminal."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.support.terminal import Person
from twisted_chat.client import MemoryState
from twisted_chat.client.ignored import SHORT_NAME, IgnoredPeople
from twisted_chat.core.events import Ignoring
from twisted_chat.core.ignoring import IGNORED_LIMIT
from twisted_chat.core.names import nickname
from twisted_chat.terminal.conversation import (
    LEFT,
    NO_CONNECTION,
    SOMETHING_REFUSED,
)
from twisted_chat.terminal.rooms import HELD
from twisted_chat.testing import ChatServer


@pytest.fixture
def server() -> ChatServer:
    return ChatServer()


@pytest.fixture
def ana(server: ChatServer) -> Person:
    person = Person(server)
    person.screen.take()
    return person


# -- coming in --------------------------------------------------------------------------------


def test_coming_in(server: ChatServer) -> None:
    server.say("lobby", "Bia", "before")
    ana = Person(server)
    shown = ana.screen.take()
    assert shown[0] == "[SERVER]: You are Ana now. /help shows the commands; /quit leaves."
    assert shown[1].startswith("[SERVER]: Also in #lobby: Bia.")
    assert shown[2:] == ["[Said before you joined:]", "[Bia]: before"]
    assert (ana.talk.nickname, ana.talk.room, ana.talk.connection) == ("Ana", "lobby", "online")
    tab = ana.talk.tabs["lobby"]
    assert (tab.people, tab.count) == (["Bia"], 2)


def test_a_name_is_asked_for_until_one_is_good(server: ChatServer) -> None:
    server.enter("Bia")
    ana = Person(server, None)
    assert ana.talk.prompt == "Welcome! Please type your username:"
    assert ana.types("Bia") == ["[SERVER]: The name Bia is taken. Please choose another."]
    assert ana.talk.prompt is not None
    assert ana.types("Ana")[0].startswith("[SERVER]: You are Ana now.")
    assert ana.talk.prompt is None


def test_a_script_whose_name_is_refused_ends(server: ChatServer) -> None:
    """Its first line is not taken for a name."""
    server.enter("Bia")
    bot = Person(server, "Bia", interactive=False)
    bot.wait(1)
    assert bot.statuses == [SOMETHING_REFUSED]
    assert bot.talk.prompt is None
    assert bot.types("oi") == []


def test_no_server(server: ChatServer) -> None:
    server.kill()
    ana = Person(server)
    ana.wait(1)
    assert ana.statuses == [NO_CONNECTION]
    assert ana.talk.failure == "connection refused"


def test_what_is_new_since_the_last_time_is_marked(server: ChatServer) -> None:
    state = MemoryState()
    ana = Person(server, state=state)
    server.say("lobby", "Bia", "old")
    ana.types("sair")
    ana.wait(10)
    for text in ("one", "two"):
        server.say("lobby", "Bia", text)
    again = Person(server, state=state)
    shown = [(line.kind, line.text) for line in again.screen.lines if line.room == "lobby"]
    assert shown[-4:] == [
        ("said", "[Bia]: old"),
        ("mark", "new"),
        ("said", "[Bia]: one"),
        ("said", "[Bia]: two"),
    ]


def test_more_than_is_shown_can_be_new(server: ChatServer) -> None:
    state = MemoryState()
    ana = Person(server, state=state)
    server.say("lobby", "Bia", "old")
    ana.types("sair")
    ana.wait(10)
    for number in range(8):
        server.say("lobby", "Bia", f"line {number}")
    again = Person(server, state=state)
    shown = again.screen.take()
    assert "new, and 3 earlier ones; /more shows them" in shown
    assert [text for text in shown if text.startswith("[Bia]")] == [
        f"[Bia]: line {number}" for number in range(3, 8)
    ]
    assert any("[Bia]: line 2" in text for text in again.types("/more"))


# -- talking ----------------------------------------------------------------------------------


def test_one_s_own_lines_are_shown_in_the_room_s_order(server: ChatServer, ana: Person) -> None:
    assert ana.types("oi", "/me waves") == ["[Ana]: oi", "* Ana waves"]
    assert [line.text for line in server.log("lobby")] == ["oi", "waves"]


def test_a_terminal_that_echoes_shows_them_once(server: ChatServer) -> None:
    ana = Person(server, echoes=True)
    assert ana.types("oi") == []
    assert [line.text for line in server.log("lobby")] == ["oi"]


def test_what_waits_is_told_and_sent_later(server: ChatServer, ana: Person) -> None:
    server.kill()
    ana.wait(0)
    assert ana.screen.take() == ["[Connection lost: the connection broke. Trying again…]"]
    (told,) = ana.types("one", "two")
    assert told.startswith("[Not connected: your lines are kept")
    assert (list(ana.talk.waiting), ana.talk.connection) == (["one", "two"], "offline")
    server.start()
    ana.wait(60)
    assert ana.screen.take() == ["[Connected again.]", "[Ana]: one", "[Ana]: two"]
    assert list(ana.talk.waiting) == []
    assert [line.text for line in server.log("lobby")] == ["one", "two"]


def test_what_waits_is_dropped(server: ChatServer, ana: Person) -> None:
    assert ana.types("/cancel") == ["[SERVER]: None of your lines is waiting to be sent."]
    server.kill()
    ana.types("one", "two")
    assert ana.types("/cancel") == ["[SERVER]: Your lines that were not sent: 2."]
    assert list(ana.talk.waiting) == []
    server.start()
    ana.wait(60)
    assert ana.screen.take() == ["[Connected again.]"]
    server.commits_at_once = False
    assert ana.types("three", "/cancel") == ["[Lines already sent, which may still appear: 1.]"]


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ("/foo", "[SERVER]: There is no command /foo. /help lists the commands."),
        ("/join", "[SERVER]: Usage: /join ROOM"),
        ("x" * 5000, "[SERVER]: That line was too long and was not sent: the limit is 4096 bytes."),
        ("a\x1b[2J", "[SERVER]: That line was not sent: it contains the character U+001B"),
        ("/msg Bia oi", "[SERVER]: There is nobody here called Bia. /who shows who is here."),
        ("/reply oi", "[SERVER]: Nobody has sent you a private message yet."),
        ("/unignore Bia", "[SERVER]: You are not ignoring Bia."),
        ("/leave cinema", "[SERVER]: You are not in #cinema."),
        ("/who nowhere", "[SERVER]: There is no room #nowhere."),
        ("/lang xx", "[SERVER]: The language xx is not available. Available: en, pt_BR."),
        ("/resume abcd-efgh", "[The client reconnects by itself;"),
        ("/more", "[There is nothing more to show.]"),
    ],
)
def test_what_cannot_be_done_is_told(ana: Person, typed: str, told: str) -> None:
    shown = ana.types(typed)
    assert shown[0].startswith(told)
    assert list(ana.talk.waiting) == []


def test_what_was_refused_is_shown_again(server: ChatServer, ana: Person) -> None:
    """So that it can be said to somebody else."""
    shown = ana.types("/msg Bia where are you?")
    assert shown[1:] == ["[SERVER]: Not sent: where are you?"]


def test_private_messages(server: ChatServer, ana: Person) -> None:
    bia = Person(server, "Bia")
    ana.screen.take()
    assert ana.types("/msg Bia psst") == ["[to Bia, in private]: psst"]
    assert bia.screen.take()[-1] == "[Ana, in private]: psst"
    assert bia.screen.alerts == 1
    assert bia.types("/reply yes?") == ["[to Ana, in private]: yes?"]
    (line,) = ana.screen.lines
    assert (line.text, line.kind, line.mentions) == ("[Bia, in private]: yes?", "private", True)


def test_a_private_message_is_kept_for_an_account(server: ChatServer, ana: Person) -> None:
    server._running().chat.desk.make(0, nickname("Eva"), (), lambda refusal: None)
    server.settle()
    ana.screen.take()
    shown = ana.types("/msg Eva psst")
    assert shown == ["[to Eva, in private]: psst", "[SERVER]: Kept for Eva, who is away."]
    assert list(ana.talk.waiting) == []


def test_one_s_name_rings(server: ChatServer, ana: Person) -> None:
    server.say("lobby", "Bia", "Anabel is not Ana")
    server.say("lobby", "Bia", "Anabel is somebody else")
    said = [line for line in ana.screen.lines if line.kind == "said"]
    assert [line.mentions for line in said] == [True, False]
    assert ana.screen.alerts == 1


def test_ignoring_lasts_and_follows(server: ChatServer) -> None:
    """Over a reconnection, a new name, and the next start; and it can be taken back."""
    state = MemoryState()
    ana = Person(server, state=state)
    bia = server.enter("Bia")
    ana.types("/ignore Bia")
    server.cut("Ana")
    ana.wait(5)
    bia.rename("Bea")
    server.settle()
    ana.screen.take()
    bia.say("do you see me?", "lobby")
    server.settle()
    assert ana.screen.take() == []
    ana.types("sair")
    ana.wait(10)
    again = Person(server, state=state)
    again.screen.take()
    bia.say("and now?", "lobby")
    server.settle()
    assert again.screen.take() == []
    assert again.types("/ignore") == ["[SERVER]: You are ignoring: Bea."]
    again.types("/unignore bea")
    bia.say("at last", "lobby")
    server.settle()
    assert again.screen.take() == ["[Bea]: at last"]


def test_somebody_else_with_the_name_of_an_ignored_person_is_not_ignored(
    server: ChatServer,
) -> None:
    """Also after the server has forgotten who one is, and under another name."""
    state = MemoryState()
    ana = Person(server, state=state)
    troll = server.enter("Troll")
    ana.types("/ignore Troll")
    ana.types("sair")
    ana.wait(20)
    troll.rename("Elf")
    server.settle()
    again = Person(server, state=state)
    again.screen.take()
    troll.say("boo", "lobby")
    troll.tell("Ana", "boo")
    other = server.enter("Rui")
    other.rename("Troll")
    other.say("hello", "lobby")
    server.settle()
    assert again.screen.take()[-1] == "[Troll]: hello"
    assert again.types("/ignore") == ["[SERVER]: You are ignoring: Elf."]


def test_the_names_of_people_who_are_ignored_are_whole(server: ChatServer) -> None:
    """Also after both the client and the server have begun anew, and where they are not there."""
    state = MemoryState()
    name = "Bartholomew-the-Third"
    server.enter(name)
    Person(server, state=state).types(f"/ignore {name}", "sair")
    server.leave(name)
    server.kill()
    server.start()
    again = Person(server, state=state)
    assert again.types("/ignore") == [f"[SERVER]: You are ignoring: {name}."]
    again.types(f"/unignore {name}")
    assert again.types("/ignore") == ["[SERVER]: You are not ignoring anybody."]


def test_the_names_of_very_many_people_are_told_in_part() -> None:
    """Or else they would not fit into a line."""
    ignored = IgnoredPeople()
    for number in range(IGNORED_LIMIT):
        ignored.change(Ignoring("ñ" * 32, on=True, person=str(-1 - number)))
    told = ignored.told() or {}
    assert len(told) == IGNORED_LIMIT
    assert set(told.values()) == {"ñ" * SHORT_NAME}


# -- rooms ------------------------------------------------------------------------------------


def test_other_rooms_wait_and_count(server: ChatServer, ana: Person) -> None:
    ana.types("/join cinema")
    assert ana.talk.room == "cinema"
    server.say("lobby", "Bia", "one")
    server.say("lobby", "Bia", "Ana, two")
    assert ana.screen.take() == []
    lobby = ana.talk.tabs["lobby"]
    assert (lobby.unread, lobby.mentioned) == (2, True)
    ana.talk.switch_to_news()
    assert ana.screen.take() == ["#lobby", "[Bia]: one", "[Bia]: Ana, two"]
    assert (ana.talk.room, lobby.unread, lobby.mentioned) == ("lobby", 0, False)
    ana.talk.switch_by(1)
    assert ana.talk.room == "cinema"
    ana.talk.switch_by(1)
    assert ana.talk.room == "lobby"


def test_a_plain_terminal_shows_all_rooms_at_once(server: ChatServer) -> None:
    ana = Person(server, hold=False)
    ana.types("/join cinema")
    server.say("lobby", "Bia", "one")
    assert ana.screen.take()[-1] == "#lobby [Bia]: one"


def test_what_waits_in_other_rooms_is_bounded(server: ChatServer, ana: Person) -> None:
    ana.types("/join cinema")
    for number in range(HELD + 5):
        server.say("lobby", "Bia", str(number))
    ana.talk.switch("lobby")
    shown = ana.screen.take()
    assert "not shown here: 5; /history shows them" in shown
    assert shown[-1] == f"[Bia]: {HELD + 4}"
    assert len(shown) == HELD + 2


def test_joining_a_room_that_one_is_in_goes_there(ana: Person) -> None:
    ana.types("/join cinema")
    assert ana.types("/join Lobby") == ["#lobby", "[SERVER]: You are alone in #lobby."]
    assert ana.talk.room == "lobby"


def test_leaving_a_room(ana: Person) -> None:
    ana.types("/join cinema")
    assert ana.types("/leave") == ["[SERVER]: You left #cinema. What you type goes to #lobby."]
    assert ana.talk.room == "lobby"
    ana.types("/leave")
    assert ana.types("/topic") == [
        "[SERVER]: You are not in any room. /join ROOM takes you to one; /rooms lists them."
    ]


def test_live_lines_come_after_the_backlog(server: ChatServer) -> None:
    """Although they come before it was read."""
    for number in range(3):
        server.say("cinema", "Bia", f"old {number}")
    ana = Person(server)
    ana.screen.take()
    ana.talk.typed("/join cinema")
    server.say("cinema", "Bia", "new")
    ana.wait(1)
    said = [text for text in ana.screen.take() if text.startswith("[Bia]")]
    assert said == ["[Bia]: old 0", "[Bia]: old 1", "[Bia]: old 2", "[Bia]: new"]


def test_people_are_known_for_completion(server: ChatServer, ana: Person) -> None:
    server.enter("Bia")
    caio = server.enter("Caio")
    server.say("lobby", "Caio", "oi")
    assert ana.talk.tabs["lobby"].people == ["Caio", "Bia"]
    caio.rename("Kai")
    server.settle()
    server.leave("Bia")
    tab = ana.talk.tabs["lobby"]
    assert (tab.people, tab.count) == (["Kai"], 2)


# -- asking -----------------------------------------------------------------------------------


def test_history_by_pages(server: ChatServer, ana: Person) -> None:
    for number in range(1, 8):
        server.say("lobby", "Bia", f"line {number}")
    shown = ana.types("/history 3")
    assert [text[-1] for text in shown if "[Bia]" in text] == ["5", "6", "7"]
    assert [text[-1] for text in ana.types("/more") if "[Bia]" in text] == ["2", "3", "4"]
    assert [text[-1] for text in ana.types("/mais") if "[Bia]" in text] == ["1"]
    assert ana.types("/more") == ["[There is nothing more to show.]"]


def test_search_by_pages(server: ChatServer, ana: Person) -> None:
    for number in range(1, 13):
        server.say("lobby", "Bia", f"word {number}")
    ana.wait(5)
    shown = ana.types("/search word")
    assert len([text for text in shown if "word" in text]) == 10
    assert shown[-1] == "[/more shows more results.]"
    assert [text.split()[-1] for text in ana.types("/more") if "#lobby" in text] == ["2", "1"]


def test_the_rules_of_the_room_in_view_are_shown_and_set(server: ChatServer, ana: Person) -> None:
    """The server's current room for this client may be another one."""
    ana.types("/join cinema")
    ana.talk.switch("lobby")
    assert ana.types("/room")[0] == "[SERVER]: The rules of #lobby:"
    no_owner = "[SERVER]: #{} has no owner. The operator of this server can appoint one."
    assert ana.types("/room slow 5") == [no_owner.format("lobby")]
    assert ana.types("/room #cinema hidden on") == [no_owner.format("cinema")]
    server.enter("Bia")
    ana.screen.take()
    assert ana.types("/invite Bia") == ana.types("/role Bia none") == [no_owner.format("lobby")]


def test_a_topic_is_kept_in_view(server: ChatServer, ana: Person) -> None:
    ana.types("/topic Films")
    assert ana.talk.tabs["lobby"].topic == "Films"


def test_receipts_and_times_and_language(ana: Person) -> None:
    ana.types("/receipts on")
    assert "[SERVER]: Saved as number 1 of #lobby." in ana.types("oi")
    ana.types("/timestamps on")
    assert ana.talk.timestamps
    assert ana.types("/lang pt") != []
    assert ana.types("/foo") == ["[SERVIDOR]: O comando /foo não existe. /ajuda lista os comandos."]


def test_help_tells_the_client_s_own_commands_too(ana: Person) -> None:
    shown = ana.types("/help")
    assert any("/join ROOM" in text for text in shown)
    assert any("/more" in text for text in shown)
    assert any("Alt-A" in text for text in shown)
    assert ana.types("/help More") == [
        "  /more  Show the next page of the history or of the search results.",
        "  Names: /more, /mais",
    ]


# -- leaving ----------------------------------------------------------------------------------


def test_leaving_waits_for_what_was_typed_last(server: ChatServer, ana: Person) -> None:
    ana.types("last words", "sair")
    ana.wait(10)
    assert ana.statuses == [LEFT]
    assert [line.text for line in server.log("lobby")] == ["last words"]
    assert server.people == ()


def test_leaving_while_away_says_what_is_lost(server: ChatServer, ana: Person) -> None:
    server.kill()
    ana.wait(0)
    ana.types("one")
    ana.talk.leave()
    ana.wait(10)
    assert ana.statuses == [NO_CONNECTION]
    assert ana.screen.take()[-1].startswith("[Lines neither sent nor kept: 1.")


def test_a_script_ends_when_all_is_answered(server: ChatServer) -> None:
    bot = Person(server, "Bot", interactive=False)
    bot.talk.typed("oi")
    bot.talk.finish(30)
    bot.wait(1)
    bot.wait(3)
    assert bot.statuses == [LEFT]
    assert [line.text for line in server.log("lobby")] == ["oi"]


def test_a_script_is_told_that_something_was_refused(server: ChatServer) -> None:
    bot = Person(server, "Bot", interactive=False)
    bot.types("/foo")
    bot.talk.finish(30)
    bot.wait(3)
    assert bot.statuses == [SOMETHING_REFUSED]


def test_a_script_does_not_wait_for_ever(server: ChatServer) -> None:
    bot = Person(server, "Bot", interactive=False)
    server.kill()
    bot.talk.typed("oi")
    bot.talk.finish(30)
    for _ in range(40):
        bot.wait(1)
    assert bot.statuses == [NO_CONNECTION]


def test_who_comes_in_from_somewhere_else_ends_this(server: ChatServer) -> None:
    state = MemoryState("0" * 32)
    ana = Person(server, state=state)
    Person(server, state=MemoryState("0" * 32))
    ana.wait(1)
    assert "[you connected from somewhere else with the same name]" in ana.screen.take()
    assert ana.statuses == [NO_CONNECTION]


# -- in order ---------------------------------------------------------------------------------


def test_what_is_typed_behind_a_move_is_for_where_one_is_then(
    server: ChatServer, ana: Person
) -> None:
    """Also before the server has answered, and while there is no server."""
    ana.types("/join cinema", "for cinema", "/leave", "for the lobby")
    server.kill()
    ana.wait(0)
    ana.types("/join kitchen", "for the kitchen")
    server.start()
    ana.wait(60)
    said = {room: [e.text for e in server.log(room)] for room in ("lobby", "cinema", "kitchen")}
    assert said == {
        "lobby": ["for the lobby"],
        "cinema": ["for cinema"],
        "kitchen": ["for the kitchen"],
    }


def test_going_back_before_one_has_arrived(server: ChatServer, ana: Person) -> None:
    ana.types("/join cinema")
    ana.types("/join kitchen", "/join lobby", "oi")
    assert ana.talk.room == "lobby"
    assert [entry.text for entry in server.log("lobby")] == ["oi"]


def test_whoever_is_in_no_room_can_still_go_to_one(server: ChatServer, ana: Person) -> None:
    ana.types("/leave")
    assert ana.types("oi")[0].startswith("[SERVER]: You are not in any room.")
    ready: list[None] = []
    ana.talk.ready().addCallback(ready.append)
    assert ready == [None], "a script goes on"
    ana.types("/join cinema", "oi")
    assert [entry.text for entry in server.log("cinema")] == ["oi"]


def test_a_script_waits_for_where_it_goes(server: ChatServer, ana: Person) -> None:
    server.commits_at_once = False
    ready: list[None] = []
    ana.talk.typed("/join cinema")
    ana.talk.ready().addCallback(ready.append)
    ana.wait(0)
    assert ready == []
    server.commits_at_once = True
    server.commit()
    ana.wait(1)
    assert ready == [None]


def test_ignored_people_are_not_in_the_history_either(server: ChatServer) -> None:
    state = MemoryState()
    ana = Person(server, state=state)
    server.say("lobby", "Troll", "bad words")
    server.say("lobby", "Bia", "good words")
    ana.types("/ignore Troll")
    for shown in (ana.types("/history"), ana.types("/search words")):
        assert any("good words" in text for text in shown)
        assert not any("bad words" in text for text in shown)
    ana.types("sair")
    ana.wait(10)
    assert "[Troll]: bad words" not in Person(server, state=state).screen.take()


def test_a_name_that_is_taken_when_one_comes_back_is_tried_again(
    server: ChatServer, ana: Person
) -> None:
    """Nobody is asked: what is half typed must not become a name. Another name can be chosen."""
    server.kill()
    ana.wait(0)
    server.start()
    server.enter("Ana")
    ana.wait(20)
    assert ana.talk.prompt is None
    assert any("The name Ana is taken" in text for text in ana.screen.take())
    ana.types("/nick Anna")
    ana.wait(60)
    assert (ana.talk.nickname, ana.talk.connection) == ("Anna", "online")


def test_leaving_twice_waits_for_nothing(server: ChatServer, ana: Person) -> None:
    server.commits_at_once = False
    ana.types("oi")
    ana.talk.leave()
    ana.talk.leave()
    ana.wait(2.5)
    assert ana.statuses == [NO_CONNECTION]


def test_the_number_of_people_is_right_in_a_large_room(server: ChatServer, ana: Person) -> None:
    names = [f"guest{number}" for number in range(60)]
    for name in names:
        server.enter(name)
    ana.wait(2)
    assert ana.talk.tabs["lobby"].count == 61
    for name in names:
        server.leave(name)
    ana.wait(2)
    assert (ana.talk.tabs["lobby"].count, ana.talk.tabs["lobby"].people) == (1, [])


# -- what is pasted ----------------------------------------------------------------------------


def test_pasted_lines_are_said_as_they_are_in_their_order(server: ChatServer, ana: Person) -> None:
    block = ["/usr/bin/env", "sair", "  indented", "//x", "/quit", "."]
    ana.talk.pasted(block)
    ana.wait(1)
    assert [entry.text for entry in server.log("lobby")] == block
    assert ana.statuses == []


def test_a_pasted_line_that_cannot_be_said_is_shown_and_the_others_are_said(
    server: ChatServer, ana: Person
) -> None:
    ana.screen.take()
    ana.talk.pasted(["one", "x" * 5000, "two"])
    ana.wait(1)
    assert [entry.text for entry in server.log("lobby")] == ["one", "two"]
    shown = ana.screen.take()
    assert any(line.startswith("[SERVER]: Not sent: xxx") for line in shown)


# -- dates and times ---------------------------------------------------------------------------


@pytest.fixture
def sao_paulo(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Three hours west of Greenwich, where the kit's first day is still the old year."""
    monkeypatch.setenv("TZ", "<-03>3")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("sao_paulo")
def test_the_date_is_told_where_it_changes_where_the_person_is(server: ChatServer) -> None:
    server.say("lobby", "Bia", "old")
    ana = Person(server, dates=True)
    assert ana.screen.take()[-3:] == ["[Said before you joined:]", "2025-12-31", "[Bia]: old"]
    ana.wait(2 * 3600)
    server.say("lobby", "Bia", "late")
    ana.wait(3600)
    server.say("lobby", "Bia", "new")
    server.say("lobby", "Bia", "newer")
    assert ana.screen.take() == ["[Bia]: late", "2026-01-01", "[Bia]: new", "[Bia]: newer"]


@pytest.mark.usefixtures("sao_paulo")
def test_one_zone_everywhere(server: ChatServer, ana: Person) -> None:
    server.say("lobby", "Bia", "oi")
    shown = ana.types("/history", "/search oi", "/timestamps on", "/help timestamps")
    assert not any("UTC" in line for line in shown)
    assert sum("local time" in line for line in shown) == 4
    assert sum("2025-12-31 21:00" in line for line in shown) == 2


# -- what is unread ----------------------------------------------------------------------------


def test_what_was_not_read_is_still_unread_the_next_time(server: ChatServer) -> None:
    state = MemoryState()
    ana = Person(server, state=state)
    ana.types("/join cinema")
    server.say("cinema", "Bia", "read")
    server.say("lobby", "Bia", "Ana, first")
    server.say("lobby", "Bia", "second")
    assert ana.talk.tabs["lobby"].unread == 2
    ana.types("/quit")
    server.say("lobby", "Bia", "third")
    server.say("cinema", "Bia", "fourth")
    again = Person(server, state=state)
    again.wait(1)
    first = again.talk.tabs[again.talk.room or ""]
    other = next(tab for tab in again.talk.tabs.values() if tab is not first)
    assert (first.name, other.name) == ("lobby", "cinema")
    assert (other.unread, other.mentioned) == (1, False)
    again.types("/quit")
    once_more = Person(server, state=state)
    assert once_more.talk.tabs["cinema"].unread == 1
    assert once_more.talk.tabs["lobby"].unread == 0


def test_more_than_is_loaded_is_counted_too(server: ChatServer) -> None:
    state = MemoryState()
    ana = Person(server, state=state)
    ana.types("/join cinema", "/quit")
    for number in range(9):
        server.say("cinema", "Bia", str(number))
    again = Person(server, state=state)
    assert again.talk.tabs["cinema"].unread == 9
    shown = again.types()
    again.talk.switch("cinema")
    shown = again.screen.take()
    assert "new, and 4 earlier ones; /more shows them" in shown
    assert again.types("/more")[1:5] == [
        f"{number + 1:>6} 2026-01-01 00:00 [Bia]: {number}" for number in range(4)
    ]


# -- what is said of what was done -------------------------------------------------------------


def test_more_says_how_it_is_used_and_is_suggested(ana: Person) -> None:
    assert ana.types("/more x") == ["[SERVER]: Usage: /more"]
    assert "Did you mean /more?" in ana.types("/mor")[0]
    assert "Did you mean /join?" in ana.types("/joi")[0]
    assert ana.types("/MORE") == ["[There is nothing more to show.]"]


def test_more_after_a_search_that_is_over_shows_no_older_history(
    server: ChatServer, ana: Person
) -> None:
    for number in range(30):
        server.say("lobby", "Bia", f"word {number}")
    ana.types("/history 5", "/search 29")
    assert ana.types("/more") == ["[There is nothing more to show.]"]
    ana.types("/search word", "/history 100")
    assert ana.types("/more") == ["[There is nothing more to show.]"]


def test_a_topic_that_is_refused_was_not_said(ana: Person) -> None:
    shown = ana.types("/topic " + "x" * 500)
    assert shown[-1] == f"[SERVER]: Topic not changed: {'x' * 500}"
    assert not any("Not sent" in line for line in shown)
