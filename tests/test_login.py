"""Proving who somebody is: people's text, programs' JSON, and what must let nobody in."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from twisted.internet.address import IPv4Address, UNIXAddress

from tests.support.accounts import device, make_account
from tests.support.fakes import Visitor, World, code_of
from tests.support.login import PASSWORD, WRONG, Home
from twisted_chat.core import account_state
from twisted_chat.core.callbacks import nothing
from twisted_chat.core.guesses import FIRST_WAIT, FREE
from twisted_chat.core.login import WRONG_SECRETS_LIMIT
from twisted_chat.core.names import nickname
from twisted_chat.core.proofs import Policy
from twisted_chat.core.requests import AreYouThere, Cancel, Interrupt
from twisted_chat.journal.sqlite.store import MEMORY, Store

CLIENT = "0f" * 16

ASKED = "Ana has an account. Password (visible while you type), or an empty line for another name:"
NOT_RIGHT = "[SERVER]: That password or code is not right."


@pytest.fixture
def home() -> Home:
    return Home()


# -- people -----------------------------------------------------------------------------------


def test_a_person_is_asked_for_the_password_of_an_account(home: Home) -> None:
    ana = home.registered()
    client = home.person()
    assert home.types(client, "Ana") == [ASKED]
    assert home.people == []
    lines = home.types(client, PASSWORD)
    assert home.people == ["Ana"]
    assert PASSWORD not in "\n".join(lines)
    assert client.protocol.session.author == ana.number
    assert home.audited[-2:] == [("named", "Ana"), ("logged-in", "Ana")]


def test_a_guest_is_asked_nothing(home: Home) -> None:
    home.registered()
    client = home.person()
    assert "[SERVER]: You are Bia now." in "\n".join(home.types(client, "Bia"))
    assert client.protocol.session.author < 0


@pytest.mark.parametrize("blank", ["", "   ", "\t"])
def test_an_empty_line_asks_for_another_name(home: Home, blank: str) -> None:
    home.registered()
    client = home.person()
    assert home.types(client, "Ana", blank) == [ASKED, "[SERVER]: Please type a name."]
    home.types(client, "Bia")
    assert home.people == ["Bia"]


def test_a_wrong_password_asks_for_the_password_again(home: Home) -> None:
    """Or else what is typed at the second try would be a nickname, which everybody sees."""
    home.registered()
    bia = home.house.enter("Bia")
    client = home.person()
    assert home.types(client, "Ana", WRONG) == [ASKED, NOT_RIGHT, ASKED]
    assert home.types(client, "hunter2hunter3") == [NOT_RIGHT, ASKED]
    assert bia.lines() == []
    home.types(client, PASSWORD)
    assert home.people == ["Bia", "Ana"]
    assert ("wrong-secret", "Ana") in home.audited


def test_a_wrong_password_in_one_line_asks_for_it_alone(home: Home) -> None:
    home.registered()
    client = home.person()
    assert home.types(client, f"Ana:{WRONG}") == [NOT_RIGHT, ASKED]
    home.types(client, PASSWORD)
    assert home.people == ["Ana"]


@pytest.mark.parametrize("key", [b"\xff\xf4", b"x" * 5000 + b"\n"])
def test_after_ctrl_c_or_a_line_that_is_too_long_the_password_is_asked_again(
    home: Home, key: bytes
) -> None:
    home.registered()
    client = home.person()
    home.types(client, "Ana")
    client.send(key)
    home.house.clock.advance(1.1)  # a telnet client has this time to say that it hides the line
    assert ASKED in client.read().decode("latin-1")
    client.send(b"hunter2hunter3\n")
    home.house.clock.advance(1.1)
    assert NOT_RIGHT in client.read().decode("latin-1")
    assert home.people == []
    client.send(b"\n")
    client.send(b"Bia\n")
    assert home.people == ["Bia"]


def test_after_a_refusal_to_let_somebody_in_the_password_is_asked_again(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.registered()
    monkeypatch.setattr(account_state, "DEVICE_LIMIT", 0)
    client = home.person()
    (_, refused, asked) = home.types(client, "Ana", PASSWORD)
    assert "connections, which is the limit" in refused
    assert asked == ASKED


def test_what_is_refused_after_the_password_is_asked_again(home: Home) -> None:
    account = home.registered()
    home.chat.desk.set_status(account.number, "disabled", lambda _: None)
    home.house.world.journal.run()
    client = home.person()
    (*_, refused, asked) = home.types(client, "Ana", PASSWORD)
    assert "is disabled" in refused
    assert asked == ASKED


@pytest.mark.parametrize(
    "secret",
    ["/help", "/quit and more", "//escaped", "sair12345", "tab\there now", "  spaces around  "],
)
def test_a_secret_is_no_command(home: Home, secret: str) -> None:
    home.registered(password="correct horse")
    account = home.registered("Bia", "another password")
    client = home.person()
    home.types(client, "Bia", "another password", f"/password {secret.strip():<8}x")
    home.let_go(client)
    client = home.person()
    home.types(client, "Bia", f"{secret.strip():<8}x")
    assert client.protocol.session.author == account.number


@pytest.mark.parametrize("secret", ["  with blanks around  ", "three hearts \u2764\ufe0f"])
def test_a_password_is_the_same_wherever_it_is_given(home: Home, secret: str) -> None:
    program = home.program()
    home.asks(program, "hello", nickname="Ana")
    home.asks(program, "register", password=secret)
    home.let_go(program)
    home.registered("Bia", secret)
    for name in ("Ana", "Bia"):
        assert home.hello(name, password=secret)["type"] == "welcome"
        for line in (secret, f"{name}:{secret.strip()}"):
            client = home.person()
            home.types(client, *([name] if line == secret else []), line)
            assert home.people == [name]
            home.let_go(client)


def test_what_is_not_utf_8_is_a_wrong_secret(home: Home) -> None:
    home.registered()
    client = home.person()
    client.send(b"Ana\n\xff\xfe\xfd secret\n")
    assert home.people == []
    home.house.clock.advance(1.1)
    assert ASKED in client.read().decode("latin-1")
    assert client.protocol.session.asks_secret


def test_a_line_that_is_too_long_is_no_secret(home: Home) -> None:
    home.registered()
    client = home.person()
    lines = home.types(client, "Ana", "x" * 5000)
    assert lines[-1] == ASKED
    assert "xxx" not in "".join(lines)
    home.types(client, PASSWORD)
    assert home.people == ["Ana"]


def test_scripts_send_name_and_secret_in_one_line(home: Home) -> None:
    ana = home.registered()
    client = home.person()
    home.types(client, f"Ana:{PASSWORD}", "oi")
    assert client.protocol.session.author == ana.number
    client = home.house.connect()
    client.send(f"Ana:{PASSWORD}\n/who\n".encode())  # at once, and first of all
    assert "[SERVER]: In #lobby (1): Ana." in client.lines()


def test_a_name_with_a_secret_that_is_sent_again_is_no_message(home: Home) -> None:
    home.registered()
    bia = home.house.enter("Bia")
    client = home.person()
    home.types(client, f"Ana:{PASSWORD}")
    bia.read()
    client.send(f"ana:{PASSWORD}\n".encode() * 2)  # only the first line can be a mistake
    assert bia.lines() == [f"[Ana]: ana:{PASSWORD}"]
    (refused, *_) = client.lines()
    assert refused == (
        "[SERVER]: You have come in already. That line was not sent, as it looks like your name and"
        " a secret."
    )


@pytest.mark.parametrize("line", ["oi", "Ana: oi", "Bia:oi", "http://example.org"])
def test_the_first_line_of_an_account_is_a_message(home: Home, line: str) -> None:
    home.registered()
    bia = home.house.enter("Bia")
    client = home.person()
    home.types(client, f"Ana:{PASSWORD}")
    bia.read()
    home.types(client, line)
    assert bia.lines() == [f"[Ana]: {line}"]


@pytest.mark.parametrize("line", ["Ana: ", "Ana: buy milk", "note: buy milk", "Nobody:secret"])
def test_what_is_no_name_with_a_secret_is_no_guess(home: Home, line: str) -> None:
    home.registered()
    client = home.person()
    for _ in range(2 * FREE):
        (answer,) = home.types(client, line)
        assert "That name cannot be used" in answer
        assert "milk" not in answer
    home.types(client, "Ana", PASSWORD)
    assert home.people == ["Ana"]


def test_tokens_and_codes_are_secrets_too(home: Home) -> None:
    home.registered()
    client = home.person()
    home.types(client, f"Ana:{PASSWORD}")
    (made, _) = home.types(client, "/token new laptop")
    token = made.rpartition(" ")[2]
    (shown, _) = home.types(client, "/device add")
    code = shown.rpartition(" ")[2]
    for secret in (token, code.upper().replace("-", "")):
        other = home.person()
        home.types(other, "Ana", secret)
        assert other.protocol.session.author == 1
    again = home.person()
    assert home.types(again, "Ana", code) == [ASKED, NOT_RIGHT, ASKED]  # it is valid once
    assert home.people == ["Ana"]


def test_a_line_behind_the_secret_is_a_message(home: Home) -> None:
    home.registered()
    bia = home.house.enter("Bia")
    home.types(home.person(), "Ana", PASSWORD, "oi")
    assert "[Ana]: oi" in bia.lines()
    client = home.house.connect()
    client.send(f"Ana\n{PASSWORD}\nagain\n".encode())
    assert "[Ana]: again" in bia.lines()


def test_keys_of_telnet_do_not_end_the_question(home: Home) -> None:
    home.registered()
    client = home.person()
    home.types(client, "Ana")
    client.send(b"\xff\xf6")  # are you there: no answer to the question
    assert client.protocol.session.asks_secret
    client.send(b"\xff\xf4")  # interrupt
    home.house.clock.advance(1.1)
    assert client.protocol.session.asks_secret
    home.types(client, "", "Bia")
    assert home.people == ["Bia"]


def test_requests_do_not_end_the_question() -> None:
    home = Home()
    home.registered()
    visitor = Visitor(home.house.world)
    visitor.types("Ana")
    for request in (AreYouThere(), Cancel(), Interrupt()):
        visitor.ask(request)
        assert visitor.session.asks_secret


def test_ctrl_d_and_the_end_of_the_input_leave(home: Home) -> None:
    home.registered()
    client = home.person()
    assert home.types(client, "Ana", "\x04")[-1] == "[SERVER]: Goodbye!"
    client = home.person()
    home.types(client, "Ana")
    client.half_close()
    assert home.people == []


def test_the_deadline_holds_while_a_secret_is_asked(home: Home) -> None:
    home.registered()
    client = home.person()
    home.types(client, "Ana")
    home.house.clock.advance(61)
    assert "You did not choose a name" in client.read().decode()


# -- programs ---------------------------------------------------------------------------------


def test_a_program_comes_in_with_a_password_a_token_or_a_code(home: Home) -> None:
    ana = home.registered()
    client = home.program()
    (welcome, _) = home.asks(client, "hello", nickname="ana", password=PASSWORD, client=CLIENT)
    assert (welcome["nickname"], welcome["account"]) == ("Ana", ana.number)
    (made,) = home.asks(client, "token-new", label="ci", id="t1")
    assert (made["type"], made["label"], made["rooms"], made["id"]) == ("token", "ci", [], "t1")
    (code,) = home.asks(client, "device-add")
    assert (code["type"], code["minutes"]) == ("code", 10)
    assert home.hello(token=made["token"])["account"] == ana.number
    assert home.hello(code=code["code"])["account"] == ana.number
    assert home.hello(code=code["code"])["code"] == "wrong-secret"


def test_a_program_without_a_secret_gets_no_name_of_an_account(home: Home) -> None:
    home.registered()
    answer = home.hello(id="h")
    assert (answer["code"], answer["id"], answer["account"]) == ("name-reserved", "h", True)
    assert "account" not in home.hello("Bia")


def test_errors_of_programs(home: Home) -> None:
    account = home.registered()
    for secret in ({"password": WRONG}, {"token": PASSWORD}, {"code": PASSWORD}):
        assert home.hello(**secret, id="x") | {"text": ""} == {
            "type": "error",
            "id": "x",
            "code": "wrong-secret",
            "text": "",
        }
    assert home.hello(password=PASSWORD, token="x")["code"] == "bad-request"
    home.chat.desk.set_status(account.number, "disabled", lambda _: None)
    home.house.world.journal.run()
    assert home.hello(password=PASSWORD)["code"] == "account-disabled"


def test_a_program_may_try_again(home: Home) -> None:
    home.registered()
    client = home.program()
    assert home.asks(client, "hello", nickname="Ana", password=WRONG)[0]["code"] == "wrong-secret"
    assert home.asks(client, "hello", nickname="Ana", password=PASSWORD)[0]["type"] == "welcome"


def test_what_an_account_says_has_its_number(home: Home) -> None:
    ana = home.registered()
    client = home.program()
    home.asks(client, "hello", nickname="Ana", password=PASSWORD)
    guest = home.program()
    home.asks(guest, "hello", nickname="Bia")
    said = [one for one in home.asks(client, "say", text="oi") if one["type"] == "said"]
    assert said[0]["account"] == ana.number
    said = [one for one in home.asks(guest, "say", text="oi") if one["type"] == "said"]
    assert "account" not in said[0]


def test_a_program_comes_back_to_its_account_within_the_grace_period(home: Home) -> None:
    home.registered()
    bia = home.house.enter("Bia")
    client = home.program()
    home.asks(client, "hello", nickname="Ana", password=PASSWORD, client=CLIENT)
    bia.read()
    client.lose()
    again = home.program()
    (welcome, *_) = home.asks(again, "hello", nickname="Ana", password=PASSWORD, client=CLIENT)
    assert welcome["resumed"]
    assert bia.lines() == []


def test_another_token_is_another_connection(home: Home) -> None:
    """A limited token must not go on in the rooms of a connection that is not limited."""
    home.registered()
    client = home.program()
    home.asks(client, "hello", nickname="Ana", password=PASSWORD, client=CLIENT)
    home.asks(client, "join", room="secret")
    home.asks(client, "join", room="ci")
    (made,) = home.asks(client, "token-new", label="ci", rooms=["ci"])
    other = home.program()
    (welcome, *_) = home.asks(other, "hello", nickname="Ana", token=made["token"], client=CLIENT)
    assert list(welcome["rooms"]) == ["ci"]
    assert not welcome["resumed"]
    assert list(other.protocol.session.cursors) == ["ci"]


# -- who must not come in ---------------------------------------------------------------------


def test_a_client_id_alone_lets_nobody_into_an_account(home: Home) -> None:
    """Neither while its program is there, nor in its grace period, nor after it registered."""
    home.registered()
    client = home.program()
    home.asks(client, "hello", nickname="Ana", password=PASSWORD, client=CLIENT)
    assert home.hello(client=CLIENT)["code"] == "name-reserved"
    assert home.hello(client=CLIENT, password=WRONG)["code"] == "wrong-secret"
    client.lose()
    assert home.hello(client=CLIENT)["code"] == "name-reserved"

    guest = home.program()
    home.asks(guest, "hello", nickname="Caio", client="1f" * 16)
    assert home.asks(guest, "register", password=PASSWORD)[0]["type"] == "registered"
    assert home.hello("Caio", client="1f" * 16)["code"] == "name-reserved"
    guest.lose()
    assert home.hello("Caio", client="1f" * 16)["code"] == "name-reserved"


def test_with_the_client_id_of_an_account_a_guest_is_one_more_guest(home: Home) -> None:
    home.registered()
    client = home.program()
    home.asks(client, "hello", nickname="Ana", password=PASSWORD, client=CLIENT)
    for lose in (lambda: None, client.lose):
        lose()
        guest = home.program()
        (welcome, *_) = home.asks(guest, "hello", nickname="Gus", client=CLIENT)
        assert (welcome["nickname"], welcome["resumed"]) == ("Gus", False)
        assert welcome["client"] != CLIENT
        home.asks(guest, "quit")
    again = home.program()
    (welcome, *_) = home.asks(again, "hello", nickname="Ana", password=PASSWORD, client=CLIENT)
    assert welcome["resumed"]


def test_a_code_is_valid_once_also_with_a_client_id(home: Home) -> None:
    """Nobody goes on in another connection with it, and the audit log has each login."""
    home.registered()
    client = home.program()
    home.asks(client, "hello", nickname="Ana", password=PASSWORD, client=CLIENT)
    for is_there in (True, False):
        code = home.asks(client, "device-add")[0]["code"]
        if not is_there:
            client.lose()
        hello = json.dumps({"type": "hello", "nickname": "Ana", "code": code, "client": CLIENT})
        others = [home.program() for _ in range(2)]
        home.audited.clear()
        for other in others:  # both before the first one is in
            other.protocol.dataReceived(hello.encode() + b"\n")
        home.house.world.journal.run()
        answers = [json.loads(other.lines()[0]) for other in others]
        assert [one.get("code", one["type"]) for one in answers] == ["welcome", "wrong-secret"]
        assert not answers[0]["resumed"]
        assert home.audited.count(("logged-in", "Ana")) == 1
        assert home.hello(code=code, client=CLIENT)["code"] == "wrong-secret"


@pytest.mark.parametrize("is_own", [False, True])
def test_a_token_that_ends_while_its_connection_goes_on_lets_nobody_in(
    home: Home, is_own: bool
) -> None:
    home.registered()
    client = home.program()
    home.asks(client, "hello", nickname="Ana", password=PASSWORD, client=CLIENT)
    (made,) = home.asks(client, "token-new", label="phone", device=is_own)
    thief = home.program()
    hello = {"type": "hello", "nickname": "Ana", "token": made["token"], "client": CLIENT}
    client.protocol.dataReceived(b'{"type":"token-revoke","label":"phone"}\n')
    thief.protocol.dataReceived(json.dumps(hello).encode() + b"\n")
    home.house.world.journal.run()
    assert [json.loads(line).get("code") for line in thief.lines()] == ["wrong-secret"]


def test_the_code_of_a_guest_lets_nobody_into_the_account(home: Home) -> None:
    client = home.person()
    shown = "\n".join(home.types(client, "Ana"))
    code = next(word.strip(".:") for word in shown.split() if word.count("-") == 4)
    home.types(client, f"/register {PASSWORD}")
    assert home.account() is not None
    for lose in (lambda: None, client.lose):
        lose()
        thief = home.person()
        home.types(thief, f"/resume {code}")
        assert thief.protocol.session.author <= 0


def test_a_name_that_is_registered_elsewhere_is_lost_to_its_guest(home: Home) -> None:
    guest = home.house.enter("Ana")
    home.chat.desk.make(0, nickname("Ana"), (), lambda _: None)
    home.house.world.journal.run()
    assert "The name Ana belongs to an account now" in guest.read().decode()
    assert home.people == []


def test_a_program_with_the_id_of_a_guest_is_another_person_with_a_secret(home: Home) -> None:
    home.registered()
    guest = home.program()
    home.asks(guest, "hello", nickname="Bia", client=CLIENT)
    client = home.program()
    (welcome, *_) = home.asks(client, "hello", nickname="Ana", password=PASSWORD, client=CLIENT)
    assert not welcome["resumed"]
    assert sorted(home.people) == ["Ana", "Bia"]


@pytest.mark.parametrize(
    "end",
    [
        lambda home: home.chat.desk.drop_credentials(1, (), lambda _: None, everywhere=True),
        lambda home: home.chat.desk.set_status(1, "disabled", lambda _: None),
        lambda home: home.chat.desk.set_status(1, "closed", lambda _: None),
    ],
)
def test_a_code_to_come_back_with_ends_with_the_devices(
    home: Home, end: Callable[[Home], None]
) -> None:
    home.registered()
    client = home.person()
    home.types(client, "Ana")
    shown = "\n".join(home.types(client, PASSWORD))
    code = next(word.strip(".:") for word in shown.split() if word.count("-") == 4)
    client.lose()
    end(home)
    home.house.world.journal.run()
    thief = home.person()
    assert "is not a valid code" in "".join(home.types(thief, f"/resume {code}"))
    assert home.people == []


@pytest.mark.parametrize("by_code", [False, True])
def test_a_code_to_come_back_with_leads_to_the_account(home: Home, by_code: bool) -> None:
    """Also if the person came in with a code, which was valid only once."""
    home.registered()
    client = home.person()
    home.types(client, "Ana")
    home.types(client, PASSWORD)
    if by_code:
        secret = home.types(client, "/device add")[0].rpartition(" ")[2]
        client.send(b"/quit\n")
        client = home.person()
        home.types(client, "Ana", secret)
    code = client.protocol.session.code
    client.lose()
    again = home.person()
    home.types(again, f"/resume {code}")
    assert again.protocol.session.author == 1


def test_the_code_of_an_account_is_not_taken_where_others_can_read_it() -> None:
    store = Store(MEMORY)
    world = World(store=store)
    make_account(world)
    ana = device(world)
    code = code_of(ana)
    ana.breaks_off()
    for restart in (False, True):
        if restart:
            world.chat.stop(nothing)
            world.journal.run()
            world = World(store=store)
        thief = Visitor(world)
        thief.connection.secure = False
        thief.types(f"/resume {code}")
        assert thief.connection.refusals() == ["insecure-connection"]
        assert thief.session.author <= 0
    again = Visitor(world)
    again.types(f"/resume {code}")
    assert again.session.author == 1


def test_a_secret_that_ends_while_it_is_checked_lets_nobody_in(home: Home) -> None:
    """The change that lets the person in looks at the credential again."""
    home.registered()
    client = home.program()
    home.asks(client, "hello", nickname="Ana", password=PASSWORD)
    (made,) = home.asks(client, "token-new", label="ci")
    other = home.program()
    hello = json.dumps({"type": "hello", "nickname": "Ana", "token": made["token"]})
    client.protocol.dataReceived(b'{"type":"token-revoke","label":"ci"}\n')
    other.protocol.dataReceived(hello.encode() + b"\n")  # the journal has not run yet
    home.house.world.journal.run()
    assert [json.loads(line).get("code") for line in other.lines()] == ["wrong-secret"]
    late = home.program()
    assert home.asks(late, "hello", nickname="Ana", token=made["token"])[0]["code"] == (
        "wrong-secret"
    )


# -- secure connections -----------------------------------------------------------------------


def test_no_secret_is_asked_for_or_taken_where_others_can_read_it(home: Home) -> None:
    home.registered()
    home.set()
    client = home.person()
    for line in ("Ana", f"Ana:{PASSWORD}"):
        (answer,) = home.types(client, line)
        assert "is not encrypted" in answer
        assert "Type another name, which everybody will see, and no password." in answer
    assert home.hello(password=PASSWORD)["code"] == "insecure-connection"
    assert home.hello()["code"] == "insecure-connection", "or a client would ask for the password"
    home.types(client, "Bia")
    for line in (f"/register {PASSWORD}",):
        (answer,) = home.types(client, line)
        assert "is not encrypted" in answer
    assert home.account("Bia") is None


@pytest.mark.parametrize(
    "peer", [IPv4Address("TCP", "127.0.0.1", 5), UNIXAddress(""), UNIXAddress("/x")]
)
def test_this_machine_is_secure(home: Home, peer: Any) -> None:
    home.registered()
    home.set()
    client = home.person(peer)
    assert client.protocol.secure
    home.types(client, "Ana", PASSWORD)
    assert home.people == ["Ana"]


def test_tls_is_secure(home: Home) -> None:
    client = home.person()
    assert not client.protocol.secure
    client.protocol.outlet.is_encrypted = True
    assert client.protocol.secure


# -- wrong secrets ----------------------------------------------------------------------------


def test_after_three_wrong_secrets_the_source_waits(home: Home) -> None:
    home.registered()
    peer = IPv4Address("TCP", "203.0.113.7", 1)
    client = home.person(peer)
    for _ in range(FREE):
        assert home.types(client, "", "Ana", WRONG)[-2:] == [NOT_RIGHT, ASKED]
    (answer, asked) = home.types(client, PASSWORD)
    assert answer == (
        "[SERVER]: Too many wrong passwords or codes were given. Try again in 60 seconds."
    )
    assert asked == ASKED
    another = home.person(IPv4Address("TCP", "203.0.113.7", 2))  # has no fresh allowance
    assert home.types(another, "Ana", PASSWORD)[-2:] == [answer, ASKED]
    assert ("refused-secret", "Ana") in home.audited
    home.house.world.clock.advance(FIRST_WAIT)
    home.types(another, PASSWORD)
    assert home.people == ["Ana"]


def test_a_client_that_guesses_is_disconnected(home: Home) -> None:
    home.registered()
    client = home.person()
    for _ in range(WRONG_SECRETS_LIMIT):
        home.types(client, "Ana", WRONG)
        home.house.world.clock.advance(4000)
    assert client.transport.disconnecting or client.protocol._closing


def test_many_guesses_at_once_are_three(home: Home) -> None:
    """They wait for their turn together, and the rest is not tried."""
    home.registered()
    home.chat.limits = home.chat.limits
    clients = [home.program(IPv4Address("TCP", "203.0.113.7", n)) for n in range(10)]
    line = json.dumps({"type": "hello", "nickname": "Ana", "password": WRONG}).encode() + b"\n"
    for client in clients:
        client.protocol.dataReceived(line)
    codes = [json.loads(client.lines()[0])["code"] for client in clients]
    assert codes.count("wrong-secret") == FREE
    assert codes.count("too-many-guesses") == 7


# -- guests -----------------------------------------------------------------------------------


def test_without_guests_only_accounts_come_in() -> None:
    home = Home()
    home.registered()
    home.set(guests=False, insecure_secrets=True)
    client = home.person()
    assert home.types(client, "Bia") == [
        "[SERVER]: Only people with an account can talk on this server."
    ]
    assert home.hello("Bia")["code"] == "no-guests"
    home.types(client, "Ana", PASSWORD)
    assert home.people == ["Ana"]
    assert home.hello(password=PASSWORD)["type"] == "welcome"


def test_without_guests_a_former_guest_does_not_come_back_after_a_restart() -> None:
    store = Store(MEMORY)
    world = World(store=store)
    (bia,) = world.enter("Bia")
    code = code_of(bia)
    world.chat.stop(nothing)
    world.journal.run()
    world = World(store=store)
    world.chat.proofs.policy = Policy(guests=False)
    again = Visitor(world)
    assert again.types(f"/resume {code}") == [
        "[SERVER]: Only people with an account can talk on this server."
    ]
    world.chat.proofs.policy = Policy()
    again.types(f"/resume {code}")
    assert again.session.name == "Bia"


# -- secrets are nowhere ----------------------------------------------------------------------


def test_no_secret_is_shown_logged_or_audited(home: Home, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    secrets = [PASSWORD, WRONG, "tchat_wrong", "my new password"]
    told: list[str] = []
    home.chat.audit = lambda *values, **details: told.append(repr((values, details)))
    home.house.factory.say = lambda *values, **details: told.append(  # type: ignore[method-assign]
        repr((values, details))
    )
    client = home.person()
    told += home.types(client, "Ana", f"/register {PASSWORD}", "/password my new password")
    told += home.types(client, "/password short", "/devices")
    home.let_go(client)
    client = home.person()
    told += home.types(client, "Ana", WRONG, f"Ana:{WRONG}", f"{WRONG}:{WRONG}")
    told += home.types(client, "Ana", "my new password", "/cancel")
    told += [repr(home.hello(password=WRONG)), repr(home.hello(token="tchat_wrong"))]
    told += [repr(home.hello(password="my new password", token="tchat_wrong"))]
    told += [record.getMessage() for record in caplog.records]
    told += [repr(home.account()), repr(client.protocol.session)]
    everything = "\n".join(told)
    assert "Ana" in everything
    for secret in secrets:
        assert secret not in everything


def test_no_secret_is_in_a_request_that_is_printed(home: Home) -> None:
    from twisted_chat.core.requests import GiveSecret, Hello, Register, SetPassword

    for request in (
        GiveSecret(PASSWORD),
        Register(PASSWORD),
        SetPassword(PASSWORD),
        Hello("Ana", client=CLIENT, password=PASSWORD),
        Hello("Ana", token=PASSWORD),
        Hello("Ana", code=PASSWORD),
    ):
        assert PASSWORD not in f"{request} {request!r}"
        assert CLIENT not in repr(request)
