"""A person with an account at the client, and a program with a token; the server is in memory."""

from __future__ import annotations

import re
from typing import Any

import pytest
from twisted.internet.defer import Deferred, fail

from tests.support.terminal import Person
from twisted_chat.client import ChatClient, Entry, Marked, MemoryState, RequestRefused, TokenMade
from twisted_chat.client.secret import Secret, typed_secret
from twisted_chat.core.events import Event, Welcomed
from twisted_chat.core.proofs import Policy
from twisted_chat.core.secrets import new_code, new_token
from twisted_chat.terminal.config import CannotRemember
from twisted_chat.terminal.conversation import LEFT, SOMETHING_REFUSED
from twisted_chat.terminal.marks import INTERVAL, Marks
from twisted_chat.terminal.tokens import MemoryTokens
from twisted_chat.testing import ChatServer

PASSWORD = "correct horse"
QUESTION = "Ana has an account. Password, or an empty line for another name:"
WRONG = "[SERVER]: That password or code is not right."


@pytest.fixture
def server() -> ChatServer:
    """A server on which the name Ana belongs to an account, whose person is not there."""
    server = ChatServer()
    ana = server.enter("Ana")
    ana.register(PASSWORD)
    server.settle()
    assert ana.account == 1
    ana.stopService()
    server.settle()
    server.clock.advance(60)
    return server


def token_for(server: ChatServer, label: str = "bot", *rooms: str) -> str:
    """A new token of Ana's."""
    client = ChatClient(server.clock, server.endpoint(), "Ana", password=PASSWORD)
    client.startService()
    server.settle()
    made: list[TokenMade] = []
    client.new_token(label, rooms).addCallback(made.append)
    server.settle()
    client.stopService()
    server.settle()
    return made[0].token


def arrive(server: ChatServer, tokens: MemoryTokens | None = None, **options: Any) -> Person:
    return Person(server, "Ana", tokens=tokens, label="laptop", **options)


# -- the library ------------------------------------------------------------------------------


def test_a_program_comes_in_with_its_token_as_often_as_the_connection_breaks(
    server: ChatServer,
) -> None:
    client = ChatClient(server.clock, server.endpoint(), "Ana", token=token_for(server))
    client.startService()
    server.settle()
    assert (client.is_in, client.account) == (True, 1)
    server.cut()
    assert (client.is_in, client.account) == (False, 0)
    server.clock.advance(60)
    assert (client.is_in, client.account) == (True, 1)


def test_its_entries_have_the_number_of_the_account(server: ChatServer) -> None:
    client = ChatClient(server.clock, server.endpoint(), "Ana", token=token_for(server))
    heard: list[Event] = []
    server.enter("Bia").listen(heard.append)
    client.startService()
    server.settle()
    client.say("oi")
    server.settle()
    server.say("lobby", "Caio", "oi")
    assert [event.author for event in heard if isinstance(event, Entry)] == [1, 0]


def test_a_program_with_a_wrong_token_ends_at_once(server: ChatServer) -> None:
    """To try again would only count as guessing."""
    client = ChatClient(server.clock, server.endpoint(), "Ana", token=new_token())
    client.startService()
    server.settle()
    server.clock.advance(60)
    assert not client.running
    assert isinstance(client.failure, RequestRefused)
    assert client.failure.code == "wrong-secret"


def test_a_program_whose_token_is_revoked_ends(server: ChatServer) -> None:
    client = ChatClient(server.clock, server.endpoint(), "Ana", token=token_for(server))
    client.startService()
    server.settle()
    owner = ChatClient(
        server.clock, server.endpoint(), "Ana", password=PASSWORD, state=MemoryState()
    )
    owner.startService()
    server.settle()
    owner.revoke_token("bot")
    server.settle()
    server.clock.advance(60)
    assert isinstance(client.failure, RequestRefused)
    assert client.failure.code == "logged-out"
    assert owner.is_in


def test_a_program_can_log_out(server: ChatServer) -> None:
    token = token_for(server)
    client = ChatClient(server.clock, server.endpoint(), "Ana", password=PASSWORD)
    client.startService()
    server.settle()
    client.log_out(everywhere=True)
    server.settle()
    server.clock.advance(60)
    assert not client.running
    assert "Ana" not in server.people
    again = ChatClient(server.clock, server.endpoint(), "Ana", token=token)
    again.startService()
    server.settle()
    assert again.is_in, "the tokens of programs stay"


def test_the_rooms_that_were_joined_elsewhere_are_not_left_on_coming_back(
    server: ChatServer,
) -> None:
    token = token_for(server)
    one = ChatClient(server.clock, server.endpoint(), "Ana", token=token)
    two = ChatClient(server.clock, server.endpoint(), "Ana", token=token)
    for client in (one, two):
        client.startService()
        server.settle()
    server.accepts_connections = False
    connection = one._connection
    assert connection is not None
    connection.close()
    server.settle()
    two.join("cinema")
    server.settle()
    server.accepts_connections = True
    server.clock.advance(60)
    assert set(one.rooms) == set(two.rooms) == {"lobby", "cinema"}


def test_a_secret_is_not_shown_by_accident() -> None:
    assert PASSWORD not in repr(Secret("password", PASSWORD))


@pytest.mark.parametrize(
    ("typed", "kind"),
    [
        (PASSWORD, "password"),
        (new_token(), "token"),
        (f" {new_token()} ", "token"),
        (new_code(), "code"),
        (new_code().upper(), "code"),
        (f" {new_code()} ", "code"),
        (new_code().replace("-", ""), "code"),
        (new_code().replace("-", " "), "code"),
        ("cs7p-gps5 9m66 3gqx-z87w", "code"),
        ("cs7 pgps 59m66 3gqx z87w", "code"),
        (new_code()[:-1], "password"),
        (new_code() + "z", "password"),
        ("aeio-gps5-9m66-3gqx-z87w", "password"),
    ],
    ids=range(13),
)
def test_a_typed_secret_is_known_by_its_form(typed: str, kind: str) -> None:
    assert typed_secret(typed).kind == kind


# -- coming in with a password ----------------------------------------------------------------


def test_the_password_is_asked_for_once_and_a_token_kept(server: ChatServer) -> None:
    tokens = MemoryTokens()
    ana = arrive(server, tokens)
    assert (ana.talk.prompt, ana.talk.hides) == (QUESTION, True)
    assert ana.screen.take() == []
    shown = ana.types(PASSWORD)
    assert shown[0] == "[SERVER]: You are Ana now. /help shows the commands; /quit leaves."
    assert (ana.talk.prompt, ana.talk.hides) == (None, False)
    assert not any("tchat_" in line for line in shown)
    (token,) = tokens.tokens.values()
    assert ana.client.secret == Secret("token", token), "the password is forgotten"
    server.cut()
    ana.wait(60)
    assert ana.client.is_in
    ana.talk.leave()
    ana.wait(60)
    again = arrive(server, tokens)
    assert again.talk.prompt == QUESTION, "the token is found by who makes the client"
    again.client.stopService()
    token_holder = ChatClient(server.clock, server.endpoint(), "Ana", token=token)
    token_holder.startService()
    server.settle()
    assert token_holder.is_in


def test_a_wrong_password_can_be_typed_again(server: ChatServer) -> None:
    ana = arrive(server)
    assert ana.types("wrong horse") == [WRONG]
    assert ana.talk.prompt == QUESTION
    assert ana.types(PASSWORD)[0].startswith("[SERVER]: You are Ana now.")


def test_after_too_many_wrong_passwords_the_question_stays(server: ChatServer) -> None:
    """To send the same password again and again would only make it wait longer."""
    ana = arrive(server)
    for number in range(3):
        assert ana.types(f"wrong horse {number}") == [WRONG]
    (line,) = ana.types(PASSWORD)
    assert "Too many wrong passwords" in line
    ana.screen.take()
    ana.wait(70)
    assert ana.talk.prompt == QUESTION
    assert not any("Too many" in row for row in ana.screen.take())
    assert ana.types(PASSWORD)[0].startswith("[SERVER]: You are Ana now.")


def test_an_empty_line_asks_for_another_name(server: ChatServer) -> None:
    ana = arrive(server)
    assert ana.types("") == []
    assert ana.talk.prompt == "Welcome! Please type your username:"
    assert not ana.talk.hides
    assert ana.types("Bia")[0].startswith("[SERVER]: You are Bia now.")


def test_a_name_that_is_typed_may_have_an_account(server: ChatServer) -> None:
    ana = Person(server, None)
    assert ana.types("ana") == []
    assert ana.talk.prompt == QUESTION.replace("Ana", "ana")
    assert ana.types(PASSWORD)[0].startswith("[SERVER]: You are Ana now.")


def test_the_token_of_a_name_that_is_typed_is_found(server: ChatServer) -> None:
    tokens = MemoryTokens()
    tokens.keep("Ana", token_for(server))
    ana = Person(server, None, tokens=tokens)
    assert ana.types("Ana")[0].startswith("[SERVER]: You are Ana now.")


def test_a_command_is_a_password_too(server: ChatServer) -> None:
    ana = arrive(server)
    assert ana.types("/quit") == [WRONG]
    assert ana.talk.connection != "offline"


def test_a_lookalike_is_refused_without_asking(server: ChatServer) -> None:
    """No password of anybody helps with that name."""
    ana = Person(server, "Αna")  # with a Greek capital alpha
    assert not ana.talk.hides
    assert ana.talk.prompt is not None


def test_a_token_that_is_no_longer_valid_is_forgotten(server: ChatServer) -> None:
    tokens = MemoryTokens()
    token = new_token()
    tokens.keep("Ana", token)
    ana = Person(server, None, tokens=tokens)
    assert ana.types("Ana") == ["[The token that this client kept for Ana is no longer valid.]"]
    assert ana.talk.prompt == QUESTION
    assert tokens.tokens == {}
    ana.types(PASSWORD)
    assert tokens.tokens.keys() == {"ana"}


def test_a_code_of_another_device_lets_in_and_a_token_is_kept(server: ChatServer) -> None:
    first = arrive(server)
    first.types(PASSWORD)
    code = first.types("/device add")[0].split(": ")[-1]
    tokens = MemoryTokens()
    second = arrive(server, tokens)
    assert second.types(code)[0].startswith("[SERVER]: You are Ana now.")
    assert tokens.tokens.keys() == {"ana"}
    rows = second.types("/devices")
    assert [row.split()[0] for row in rows[1:]] == ["laptop", rows[2].split()[0]]
    assert re.fullmatch("laptop-[0-9a-f]{4}", rows[2].split()[0])
    assert first.client.is_in


def test_a_code_can_be_typed_without_its_hyphens(server: ChatServer) -> None:
    first = arrive(server)
    first.types(PASSWORD)
    code = re.search(r"[a-z0-9]{4}(?:-[a-z0-9]{4}){4}", "\n".join(first.types("/device add")))
    assert code is not None
    second = Person(server, "Ana", tokens=MemoryTokens(), label="phone")
    second.types(code[0].replace("-", " "))
    assert second.client.account == 1


def test_a_password_that_looks_like_a_code_is_tried_as_a_password(server: ChatServer) -> None:
    password = "bcdfghjkmnpqrstvwxz2"
    bia = Person(server, "Bia")
    bia.types("/register", password, f" {password} ")
    assert bia.client.account == 2
    bia.talk.leave()
    bia.wait(60)
    again = Person(server, "Bia")
    assert again.types(password)[0].startswith("[SERVER]: You are Bia now.")


def test_a_token_that_cannot_be_stored_is_told(server: ChatServer) -> None:
    class FullDisk(MemoryTokens):
        def keep(self, name: str, token: str) -> Deferred[None]:
            return fail(CannotRemember(path="x.token", reason="full"))

    ana = arrive(server, FullDisk())
    shown = ana.types(PASSWORD)
    assert any("You will be asked for your password the next time" in row for row in shown)


def test_the_login_deadline_does_not_end_the_question(server: ChatServer) -> None:
    ana = arrive(server)
    ana.wait(300)
    assert ana.talk.prompt == QUESTION
    ana.screen.take()
    ana.talk.typed(PASSWORD)
    ana.wait(60)
    assert ana.client.is_in


def test_no_password_is_asked_for_where_others_could_read_it(server: ChatServer) -> None:
    life = server._life
    assert life is not None
    life.chat.proofs.policy = Policy()
    ana = arrive(server)
    (line,) = ana.screen.take()
    assert "This connection is not encrypted" in line
    assert ana.talk.prompt == "Welcome! Please type your username:"


def test_leaving_while_the_password_is_asked_for(server: ChatServer) -> None:
    ana = arrive(server)
    ana.talk.leave()
    ana.wait(10)
    assert ana.statuses == [LEFT]
    assert not ana.talk.hides


def test_nobody_is_asked_between_pipes(server: ChatServer) -> None:
    bot = arrive(server, interactive=False)
    bot.wait(1)
    assert bot.statuses == [SOMETHING_REFUSED]
    (line,) = bot.screen.take()
    assert "its password or a token is needed to come in" in line


# -- in the chat ------------------------------------------------------------------------------


def test_registering_without_showing_the_password(server: ChatServer) -> None:
    tokens = MemoryTokens()
    bia = Person(server, "Bia", tokens=tokens, label="laptop")
    assert bia.types("/register") == []
    assert (bia.talk.prompt, bia.talk.hides) == (
        "The new password, or an empty line to leave it:",
        True,
    )
    bia.types(PASSWORD)
    assert (bia.talk.prompt, bia.talk.hides) == ("The same password again:", True)
    shown = bia.types(PASSWORD)
    assert shown[0].startswith("[SERVER]: The name Bia is yours now.")
    assert bia.talk.prompt is None
    assert tokens.tokens.keys() == {"bia"}


@pytest.fixture
def with_token(server: ChatServer) -> Person:
    """Ana, who has come back with the token in place of her password."""
    ana = arrive(server)
    ana.types(PASSWORD)
    server.cut()
    ana.wait(60)
    assert ana.client.is_in
    ana.screen.take()
    return ana


@pytest.mark.parametrize("lines", [("/password new horse",), ("/password", *["new horse"] * 2)])
def test_the_present_password_is_asked_for_where_it_is_needed(
    server: ChatServer, with_token: Person, lines: tuple[str, ...]
) -> None:
    ana = with_token
    assert ana.types(*lines) == []
    assert (ana.talk.prompt, ana.talk.hides) == (
        "Your present password, or an empty line to leave everything as it is:",
        True,
    )
    assert ana.types("wrong horse") == [
        "[SERVER]: That is not your present password. Nothing was changed."
    ]
    assert ana.talk.hides, "or the next password would be said"
    assert ana.types(PASSWORD) == ["[SERVER]: Your new password is valid from now on."]
    assert not ana.talk.hides


def test_closing_the_account_can_be_taken_back(server: ChatServer, with_token: Person) -> None:
    ana = with_token
    assert ana.types("/unregister Ana") == []
    assert ana.types("") == []
    assert ana.types("oi") == ["[Ana]: oi"]
    ana.types("/unregister Ana")
    assert "closed" in "".join(ana.types(PASSWORD))
    assert "Ana" not in server.people


def test_two_different_passwords_change_nothing(server: ChatServer) -> None:
    bia = Person(server, "Bia")
    bia.types("/register", PASSWORD)
    assert bia.types("wrong horse") == [
        "[SERVER]: The two passwords are different. Nothing was changed."
    ]
    assert bia.client.account == 0
    assert bia.talk.hides, "or the next password would be said"
    bia.types(PASSWORD, PASSWORD)
    assert bia.client.account == 2


@pytest.mark.parametrize("lines", [("/register short",), ("/register", "short", "short")])
def test_another_password_is_asked_for_after_one_that_is_too_short(
    server: ChatServer, lines: tuple[str, ...]
) -> None:
    bia = Person(server, "Bia")
    (line,) = bia.types(*lines)
    assert line.startswith("[SERVER]: That password is too short")
    assert bia.talk.hides
    bia.types(PASSWORD, PASSWORD)
    assert bia.client.account == 2


def test_the_present_password_is_asked_for_until_it_is_right(
    server: ChatServer, with_token: Person
) -> None:
    ana = with_token
    ana.types("/password new horse")
    for _ in range(3):
        ana.types("wrong horse")
    (line,) = ana.types("wrong horse")
    assert "Too many wrong passwords" in line
    assert ana.talk.hides
    assert ana.types("") == []
    assert ana.types("oi") == ["[Ana]: oi"]


def test_the_new_password_can_be_taken_back(server: ChatServer) -> None:
    ana = arrive(server)
    ana.types(PASSWORD)
    ana.types("/password")
    assert ana.talk.hides
    assert ana.types("") == []
    assert ana.types("oi") == ["[Ana]: oi"]


@pytest.mark.parametrize("answers", [(), (PASSWORD,)])
def test_a_question_for_a_new_password_outlives_the_connection(
    server: ChatServer, answers: tuple[str, ...]
) -> None:
    """Otherwise the password would go to everybody in the room."""
    dan, bia = Person(server, "Dan"), Person(server, "Bia", label="laptop")
    bia.types("/register", *answers)
    server.cut("Bia")
    bia.wait(15)
    assert bia.client.is_in
    assert bia.talk.hides
    dan.screen.take()
    bia.types(PASSWORD)
    dan.wait(1)
    assert dan.screen.take() == []
    if not answers:
        bia.types(PASSWORD)
    assert bia.client.account == 2


@pytest.mark.parametrize("asks_for_name", [True, False])
def test_an_answer_to_a_question_that_is_over_is_not_said(
    server: ChatServer, asks_for_name: bool
) -> None:
    dan, bia = Person(server, "Dan"), Person(server, "Bia", label="laptop")
    bia.talk._login.question = "secret"
    if asks_for_name:
        bia.talk._asks_for_name = True
    else:
        bia.talk._login.welcomed(Welcomed("Bia", (), {}, bytes(16), "", False))
    dan.screen.take()
    assert bia.types(PASSWORD) == [
        "[SERVER]: That line was not sent: it answers a question that is over."
    ]
    dan.wait(1)
    assert dan.screen.take() == []
    bia.talk._asks_for_name = False
    assert bia.types("oi") == ["[Bia]: oi"]


def test_the_token_follows_the_name(server: ChatServer) -> None:
    tokens = MemoryTokens()
    ana = arrive(server, tokens)
    ana.types(PASSWORD)
    ana.types("/nick Anna")
    assert set(tokens.tokens) == {"ana", "anna"}


@pytest.mark.parametrize("line", ["/logout", "/logout everywhere", "/unregister Ana"])
def test_logging_out_ends_the_client_and_forgets_the_token(server: ChatServer, line: str) -> None:
    tokens = MemoryTokens()
    ana = arrive(server, tokens)
    ana.types(PASSWORD)
    ana.types(line)
    ana.wait(60)
    assert ana.statuses == [LEFT]
    assert tokens.tokens == {}


def test_a_person_without_an_account_gets_no_token(server: ChatServer) -> None:
    tokens = MemoryTokens()
    bia = Person(server, "Bia", tokens=tokens)
    bia.types("/nick Caio", "oi")
    assert tokens.tokens == {}


# -- what was read ----------------------------------------------------------------------------


def test_what_one_client_has_shown_is_not_new_at_the_other(server: ChatServer) -> None:
    laptop = arrive(server)
    laptop.types(PASSWORD, "/join cinema", "/join news")
    phone = arrive(server)
    phone.types(PASSWORD, "/join cinema", "/join news")
    laptop.talk.switch("news")
    phone.talk.switch("news")
    server.say("cinema", "Bia", "hello Ana")
    laptop.wait(1)
    assert [one.talk.tabs["cinema"].unread for one in (laptop, phone)] == [1, 1]
    assert laptop.talk.tabs["cinema"].mentioned
    phone.talk.switch("cinema")
    phone.wait(INTERVAL + 1)
    assert laptop.talk.tabs["cinema"].unread == 0
    assert not laptop.talk.tabs["cinema"].mentioned
    laptop.screen.take()
    laptop.talk.switch("cinema")
    assert "[Bia]: hello Ana" in laptop.screen.take(), "it is still shown"


def test_own_lines_of_another_client_are_not_unread(server: ChatServer) -> None:
    laptop, phone = arrive(server), arrive(server)
    for one in (laptop, phone):
        one.types(PASSWORD, "/join cinema", "/join news")
    phone.talk.switch("cinema")
    phone.types("oi")
    assert laptop.talk.tabs["cinema"].unread == 0


class Told:
    """Marks whose server is a list."""

    def __init__(self) -> None:
        from twisted.internet.task import Clock

        self.clock = Clock()
        self.told: list[tuple[str, int]] = []
        self.marks = Marks(self.clock, lambda room, number: self.told.append((room, number)))


def test_many_lines_are_one_mark() -> None:
    one = Told()
    for number in range(1, 100):
        one.marks.read("lobby", number)
    one.marks.read("cinema", 7)
    assert one.told == []
    one.clock.advance(INTERVAL)
    assert one.told == [("lobby", 99), ("cinema", 7)]
    one.marks.read("lobby", 99)
    one.clock.advance(INTERVAL)
    assert len(one.told) == 2


def test_what_was_read_elsewhere_is_not_told_again() -> None:
    one = Told()
    one.marks.read("lobby", 5)
    one.marks.read_elsewhere("lobby", 9)
    one.clock.advance(INTERVAL)
    one.marks.read("lobby", 8)
    one.clock.advance(INTERVAL)
    assert one.told == []
    one.marks.replaced("lobby")
    one.marks.read("lobby", 1)
    one.marks.end()
    assert one.told == [("lobby", 1)]
    assert one.clock.getDelayedCalls() == []


def test_a_guest_marks_nothing(server: ChatServer) -> None:
    bia = Person(server, "Bia")
    server.say("lobby", "Caio", "oi")
    bia.wait(INTERVAL + 1)
    assert not any(isinstance(event, Marked) for event in [bia.client])
    assert not any("no account" in line for line in bia.screen.take())
