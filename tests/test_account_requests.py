"""What people do with their own account: password, devices, tokens, logging out, closing it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.login import PASSWORD, WRONG, Home
from twisted_chat.core.account_requests import CODE_MINUTES, LABEL_LIMIT, TOKEN_ROOMS_LIMIT
from twisted_chat.core.account_state import CODE_LIMIT, TOKEN_LIMIT
from twisted_chat.core.accounts import PASSWORD as ID
from twisted_chat.core.accounts import Credential
from twisted_chat.core.guesses import REGISTRATIONS
from twisted_chat.core.names import Reserved, nickname
from twisted_chat.core.passwords import NoPasswords
from twisted_chat.core.proofs import DirectoryAnswer
from twisted_chat.core.secrets import TOKEN_PREFIX, new_code

NEW = "another password"


@pytest.fixture
def home() -> Home:
    return Home()


def _program(home: Home, name: str = "Ana", **secret: Any) -> Any:
    """A program that has come in with a secret, by default its password."""
    client = home.program()
    answers = home.asks(client, "hello", nickname=name, **(secret or {"password": PASSWORD}))
    assert answers[0]["type"] == "welcome", answers
    return client


def _code(answers: list[dict[str, Any]]) -> str:
    (answer,) = answers
    assert answer["type"] == "error", answer
    return str(answer["code"])


# -- registering ------------------------------------------------------------------------------


def test_a_guest_registers_and_is_the_account_from_then_on(home: Home) -> None:
    client = home.house.enter("Ana")
    bia = home.house.enter("Bia")
    client.read()
    (line,) = home.types(client, f"/register {PASSWORD}")
    assert line.startswith("[SERVER]: The name Ana is yours now. Next time, choose it")
    account = home.account()
    assert account is not None
    assert client.protocol.session.author == account.number
    assert ("registered", "Ana") in home.audited
    assert bia.lines() == []  # nobody joined or left
    home.types(client, "oi")
    assert bia.lines() == ["[Ana]: oi"]
    credential = account.credential(ID)
    assert credential is not None
    assert credential.hash.startswith("$argon2id$")
    assert PASSWORD not in repr(account)


def test_whom_a_guest_ignores_the_account_ignores(home: Home) -> None:
    client, bia = home.house.enter("Ana"), home.house.enter("Bia")
    home.types(client, "/ignore Bia", f"/register {PASSWORD}")
    account = home.account()
    assert account is not None
    assert account.ignored == ((bia.protocol.session.author, "Bia"),)


def test_a_password_must_be_long_enough_and_not_too_long(home: Home) -> None:
    client = home.house.enter("Ana")
    assert home.types(client, "/register 1234567") == [
        "[SERVER]: That password is too short: it needs at least 8 characters."
    ]
    program = home.program()
    home.asks(program, "hello", nickname="Bot")
    assert _code(home.asks(program, "register", password="x" * 1025)) == "password-too-long"
    assert _code(home.asks(program, "register", password="a\x07" * 9)) == "control-character"
    assert home.account() is None


def test_who_has_an_account_registers_no_more(home: Home) -> None:
    home.registered()
    client = _program(home)
    assert _code(home.asks(client, "register", password=NEW)) == "has-account"


def test_the_operator_may_close_registration(home: Home) -> None:
    client = home.program()
    home.asks(client, "hello", nickname="Ana")
    for policy in ("invite", "off"):
        home.set(registration=policy, insecure_secrets=True)
        assert _code(home.asks(client, "register", password=PASSWORD)) == "registration-closed"
    assert home.account() is None


def test_a_flood_of_registrations_from_one_source_is_refused(home: Home) -> None:
    client = home.house.enter("Ana0")
    for number in range(REGISTRATIONS):
        client.send(f"/register {PASSWORD}\n/quit\n".encode())
        client = home.house.connect(client.transport.getPeer())
        client.send(f"Ana{number + 1}\n".encode())
        client.read()
    (line,) = home.types(client, f"/register {PASSWORD}")
    assert line.startswith("[SERVER]: Your address has registered 10 names within an hour")
    assert len(home.chat.accounts) == REGISTRATIONS


def test_a_full_queue_of_hashes_is_told(home: Home) -> None:
    home.chat.proofs.passwords = NoPasswords()
    client = home.program()
    home.asks(client, "hello", nickname="Ana")
    assert _code(home.asks(client, "register", password=PASSWORD)) == "too-busy"


def test_two_people_register_lookalikes(home: Home) -> None:
    """The second one is refused where the change has its place."""
    first, second = home.house.enter("Ana"), home.house.enter("Bia")
    home.types(first, f"/register {PASSWORD}")
    lookalike = home.house.connect()
    assert "is taken" in "".join(home.types(lookalike, "ANA")) or home.types(second, "/nick ANA")


# -- the password -----------------------------------------------------------------------------


def test_a_new_password_replaces_the_old_one(home: Home) -> None:
    home.registered()
    client = home.person()
    home.types(client, "Ana", PASSWORD)
    assert home.types(client, f"/senha {NEW}") == [
        "[SERVER]: Your new password is valid from now on."
    ]
    assert home.hello(password=PASSWORD)["code"] == "wrong-secret"
    assert home.hello(password=NEW)["type"] == "welcome"
    (answer,) = home.types(client, "/password short")
    assert "too short" in answer


@pytest.fixture(params=["device", "code", "resumed", "changed"])
def without_password(request: pytest.FixtureRequest, home: Home) -> Any:
    """A connection of Ana's that did not come in with the present password."""
    home.registered()
    first = _program(home)
    if request.param == "device":
        (made,) = home.asks(first, "token-new", label="phone", device=True)
        return _program(home, token=made["token"])
    if request.param == "code":
        (made,) = home.asks(first, "device-add")
        return _program(home, code=made["code"])
    if request.param == "resumed":
        client_id = {"client": "ab" * 16}
        _program(home, password=PASSWORD, **client_id)
        return _program(home, password=PASSWORD, **client_id)
    other = _program(home)
    assert home.asks(other, "password", password=PASSWORD, old=PASSWORD)[0]["type"] != "error"
    return first


def test_who_came_in_without_the_password_needs_it(home: Home, without_password: Any) -> None:
    client = without_password
    assert _code(home.asks(client, "password", password=NEW)) == "password-needed"
    assert _code(home.asks(client, "unregister", nickname="Ana")) == "password-needed"
    (wrong,) = home.asks(client, "password", password=NEW, old=WRONG)
    assert wrong["text"] == "That is not your present password. Nothing was changed."
    assert wrong["code"] == "wrong-secret"
    assert ("wrong-secret", "Ana") in home.audited
    (answer,) = home.asks(client, "password", password=NEW, old=PASSWORD)
    assert answer["type"] == "password-set"
    assert home.hello(password=NEW)["type"] == "welcome"
    (answer,) = home.asks(client, "password", password=PASSWORD)
    assert answer["type"] == "password-set", "it has given the password now"
    answers = home.asks(client, "unregister", nickname="Ana", password=PASSWORD)
    assert [answer["type"] for answer in answers] == ["unregistered"]


def test_the_present_password_cannot_be_guessed(home: Home, without_password: Any) -> None:
    home.asks(without_password, "unregister", nickname="Ana", password=WRONG)
    for _ in range(3):
        answers = home.asks(without_password, "password", password=NEW, old=WRONG)
    assert _code(answers) == "too-many-guesses"
    assert "another name" not in answers[0]["text"]
    answers = home.asks(without_password, "password", password=NEW, old=PASSWORD)
    assert _code(answers) == "too-many-guesses"


def test_an_account_without_a_password_needs_none(home: Home) -> None:
    home.registered()
    account = home.account()
    assert account is not None
    (made,) = home.asks(_program(home), "device-add")
    home.chat.desk.drop_credentials(account.number, (ID,), lambda refusal: None)
    home.house.world.journal.run()
    client = _program(home, code=made["code"])
    assert home.asks(client, "password", password=NEW)[0]["type"] == "password-set"


def test_a_new_password_ends_the_codes_of_other_connections(home: Home) -> None:
    home.registered()
    one, two, gone = home.person(), home.person(), home.person()
    for client in (one, two, gone):
        home.types(client, "Ana", PASSWORD)
    codes = [client.protocol.session.code for client in (one, two, gone)]
    gone.lose()
    home.types(one, f"/password {NEW}")
    assert [client.protocol.session.code for client in (one, two)] == [codes[0], ""]
    two.lose()
    for code in codes[1:]:
        (answer,) = home.types(home.person(), f"/resume {code}")
        assert "unknown or has expired" in answer
    one.lose()
    assert "Welcome back" in "".join(home.types(home.person(), f"/resume {codes[0]}"))


def test_a_guest_has_no_password(home: Home) -> None:
    client = home.house.enter("Bia")
    for line in (f"/password {NEW}", "/devices", "/device add", "/token new x", "/logout"):
        assert home.types(client, line) == ["[SERVER]: You have no account here."]


def test_the_password_of_a_directory_is_not_set_here(home: Home) -> None:
    class Directory:
        def ask(self, name: str, secret: str, reply: Any, **_: object) -> None:
            reply(DirectoryAnswer(secret == PASSWORD))

    home.chat.proofs.directory = Directory()
    client = home.program()
    (welcome, _) = home.asks(client, "hello", nickname="Ana", password=PASSWORD)
    assert welcome["account"] == 1  # the first login has made it
    assert _code(home.asks(client, "password", password=NEW)) == "password-elsewhere"


NO_PASSWORD_YET = (
    "[SERVER]: You have no password yet. /password PASSWORD sets it for the next time."
)


@pytest.mark.parametrize("has_directory", [False, True])
def test_whom_the_operator_gave_a_code_is_told_to_set_a_password(
    home: Home, has_directory: bool
) -> None:
    class Directory:
        def ask(self, name: str, secret: str, reply: Any, **_: object) -> None:
            reply(DirectoryAnswer(ok=False))

    home.chat.proofs.directory = Directory() if has_directory else None
    codes = [new_code(), new_code()]
    credentials = [Credential(code, "code", home.chat.desk.hash(code)) for code in codes]
    home.chat.desk.make(0, nickname("Ana"), credentials, lambda _: None)
    home.house.world.journal.run()
    client = home.person()
    assert NO_PASSWORD_YET in home.types(client, "Ana", codes[0])
    assert home.types(client, f"/password {PASSWORD}") == [
        "[SERVER]: Your new password is valid from now on."
    ]
    client = home.person()
    assert NO_PASSWORD_YET not in home.types(client, "Ana", codes[1])
    assert home.hello(password=PASSWORD)["type"] == "welcome"


def test_a_name_that_was_reserved_meanwhile_is_not_registered(home: Home) -> None:
    client = home.person()
    home.types(client, "Boss")
    home.chat.reserved = Reserved(("Boss",))
    (answer,) = home.types(client, f"/register {PASSWORD}")
    assert "reserved" in answer
    assert home.account("Boss") is None


# -- devices and tokens -----------------------------------------------------------------------


def test_devices_tokens_and_connections_are_listed(home: Home) -> None:
    home.registered()
    client = _program(home)
    home.asks(client, "token-new", label="ci", rooms=["lobby"])
    home.asks(client, "token-new", label="phone", device=True)
    home.asks(client, "device-add")
    other = _program(home)
    (listed,) = home.asks(client, "devices", id="d")
    for device in listed["devices"]:
        assert (device.pop("made") > 0) is (device["kind"] != "password")
    assert listed == {
        "type": "devices",
        "id": "d",
        "devices": [
            {"label": "ci", "kind": "token", "connections": 0, "this": False, "rooms": ["lobby"]},
            {"label": "phone", "kind": "device", "connections": 1, "this": True, "rooms": []},
            {"label": "", "kind": "code", "connections": 0, "this": False, "rooms": []},
            {"label": "", "kind": "password", "connections": 1, "this": False, "rooms": []},
        ],
    }
    (listed,) = home.asks(other, "devices")
    assert [device["this"] for device in listed["devices"]] == [False, False, False, True]


def test_a_token_lets_in_until_it_is_revoked(home: Home) -> None:
    home.registered()
    client = _program(home)
    (made,) = home.asks(client, "token-new", label="ci")
    token = made["token"]
    assert token.startswith(TOKEN_PREFIX)
    account = home.account()
    assert account is not None
    assert token not in repr(account)
    assert home.chat.desk.hash(token) in repr(account)
    bot = _program(home, token=token)
    (revoked,) = home.asks(client, "token-revoke", label="ci", id="r")
    assert revoked == {"type": "token-revoked", "id": "r", "label": "ci"}
    assert "logged-out" in bot.read().decode()
    assert bot.protocol._closing
    assert home.hello(token=token)["code"] == "wrong-secret"
    assert _code(home.asks(client, "token-revoke", label="ci")) == "no-such-token"


def test_who_revokes_the_own_device_is_told_so(home: Home) -> None:
    home.registered()
    client = _program(home)
    home.asks(client, "token-new", label="phone", device=True)
    answers = home.asks(client, "token-revoke", label="phone", id="r")
    assert answers == [{"type": "token-revoked", "id": "r", "label": "phone"}]
    assert client.protocol._closing


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"label": ""}, "label-invalid"),
        ({"label": "  "}, "label-invalid"),
        ({"label": "x" * (LABEL_LIMIT + 1)}, "label-invalid"),
        ({"label": "a\x07b"}, "control-character"),
        ({"label": "ci", "rooms": ["two words"]}, "name-invalid"),
        ({"label": "ci", "rooms": ["a\x07b"]}, "control-character"),
        ({"label": "ci", "rooms": ["lobby"] * (TOKEN_ROOMS_LIMIT + 1)}, "bad-request"),
    ],
)
def test_a_wrong_token_is_refused(home: Home, fields: dict[str, Any], code: str) -> None:
    home.registered()
    assert _code(home.asks(_program(home), "token-new", **fields)) == code


def test_an_account_has_few_tokens_and_codes(home: Home) -> None:
    home.registered()
    client = _program(home)
    for number in range(TOKEN_LIMIT):
        home.asks(client, "token-new", label=f"t{number}")
    assert _code(home.asks(client, "token-new", label="one more")) == "too-many-tokens"
    assert _code(home.asks(client, "token-new", label="t1")) == "token-exists"
    codes = [home.asks(client, "device-add")[0]["code"] for _ in range(CODE_LIMIT + 1)]
    assert home.hello(code=codes[0])["code"] == "wrong-secret"
    assert home.hello(code=codes[-1])["type"] == "welcome"


def test_a_code_is_valid_for_ten_minutes(home: Home) -> None:
    home.registered()
    (made,) = home.asks(_program(home), "device-add")
    account = home.account()
    assert account is not None
    (code,) = (one for one in account.credentials if one.kind == "code")
    assert code.expires - code.made == CODE_MINUTES * 60_000_000
    clock = home.chat.proofs._microseconds
    home.chat.proofs._microseconds = lambda: clock() + CODE_MINUTES * 60_000_000
    assert home.hello(code=made["code"])["code"] == "wrong-secret"


def test_who_came_in_with_a_code_is_listed_without_a_device(home: Home) -> None:
    home.registered()
    (made,) = home.asks(_program(home), "device-add")
    other = _program(home, code=made["code"])
    (listed,) = home.asks(other, "devices")
    (row,) = listed["devices"]
    assert (row["kind"], row["connections"], row["this"]) == ("password", 2, True)


# -- a token that is limited to rooms ---------------------------------------------------------


@pytest.fixture
def bot(home: Home) -> Any:
    """A program with a token that is limited to #ci, while Ana is in #secret and #ci too."""
    home.registered()
    client = _program(home)
    for room in ("ci", "secret"):
        home.asks(client, "join", room=room)
    home.asks(client, "say", room="secret", text="a secret word")
    (made,) = home.asks(client, "token-new", label="bot", rooms=["ci"])
    return _program(home, token=made["token"])


def test_a_limited_token_enters_its_rooms_only(home: Home, bot: Any) -> None:
    assert list(bot.protocol.session.cursors) == ["ci"]


@pytest.mark.parametrize(
    ("request_", "codes"),
    [
        ({"type": "join", "room": "secret"}, {"cannot-join", "no-such-room"}),
        ({"type": "join", "room": "new"}, {"cannot-join"}),
        ({"type": "say", "room": "secret", "text": "oi"}, {"not-in-room"}),
        ({"type": "say", "room": "lobby", "text": "oi"}, {"not-in-room"}),
        ({"type": "history", "room": "secret"}, {"no-such-room"}),
        ({"type": "who", "room": "secret"}, {"no-such-room"}),
        ({"type": "search", "words": "secret", "room": "secret"}, {"no-such-room"}),
        ({"type": "topic", "room": "secret"}, {"not-in-room"}),
        ({"type": "mark", "room": "secret", "seq": 1}, {"not-in-room"}),
        ({"type": "tell", "name": "Ana", "text": "oi"}, {"token-limited"}),
        ({"type": "nick", "name": "Bia"}, {"token-limited"}),
        ({"type": "room-set", "room": "ci", "join": "invited"}, {"token-limited"}),
        ({"type": "role", "room": "ci", "name": "Bia", "role": "owner"}, {"token-limited"}),
        ({"type": "invite", "room": "ci", "name": "Bia"}, {"token-limited"}),
        ({"type": "ignore", "name": "Bia"}, {"token-limited"}),
        ({"type": "unignore", "name": "Bia"}, {"token-limited"}),
        ({"type": "password", "password": NEW}, {"token-limited"}),
        ({"type": "devices"}, {"token-limited"}),
        ({"type": "device-add"}, {"token-limited"}),
        ({"type": "token-new", "label": "x"}, {"token-limited"}),
        ({"type": "token-revoke", "label": "bot"}, {"token-limited"}),
        ({"type": "logout", "everywhere": True}, {"token-limited"}),
        ({"type": "unregister", "nickname": "Ana"}, {"token-limited"}),
    ],
    ids=lambda value: value.get("type") if isinstance(value, dict) else "",
)
def test_a_limited_token_reaches_nothing_else(
    home: Home, bot: Any, request_: dict[str, Any], codes: set[str]
) -> None:
    fields = dict(request_)
    assert _code(home.asks(bot, fields.pop("type"), **fields)) in codes


def test_a_limited_token_finds_and_lists_nothing_else(home: Home, bot: Any) -> None:
    (found,) = home.asks(bot, "search", words="secret")
    assert found["entries"] == []
    (rooms,) = home.asks(bot, "rooms")
    assert [room["room"] for room in rooms["rooms"]] == ["ci"]
    (rooms,) = home.asks(bot, "rooms", all=True)
    assert [room["room"] for room in rooms["rooms"]] == ["ci"]


def test_a_limited_token_gets_no_private_message(home: Home, bot: Any) -> None:
    bia = home.house.enter("Bia")
    home.types(bia, "/msg Ana psst")
    assert "psst" not in bot.read().decode()


def test_a_limited_token_talks_in_its_room(home: Home, bot: Any) -> None:
    answers = home.asks(bot, "say", room="ci", text="green")
    assert [answer["type"] for answer in answers] == ["ack", "said"]


def test_a_token_without_limits_does_not_change_the_account(home: Home) -> None:
    home.registered()
    (made,) = home.asks(_program(home), "token-new", label="bot")
    bot = _program(home, token=made["token"])
    for type, fields in (
        ("password", {"password": NEW}),
        ("nick", {"name": "Bia"}),
        ("room-set", {"slow": 5}),
        ("role", {"name": "Ana", "role": "speaker"}),
        ("invite", {"name": "Ana"}),
        ("token-new", {"label": "x"}),
        ("device-add", {}),
        ("unregister", {"nickname": "Ana"}),
        ("logout", {"everywhere": True}),
    ):
        assert _code(home.asks(bot, type, **fields)) == "token-limited"
    assert home.asks(bot, "devices")[0]["type"] == "devices"


# -- leaving ----------------------------------------------------------------------------------


def test_logging_out_leaves_and_revokes_this_device(home: Home) -> None:
    home.registered()
    client, other = _program(home), _program(home)
    (made,) = home.asks(client, "token-new", label="phone", device=True)
    (answer,) = home.asks(client, "logout")
    assert answer["code"] == "logged-out"
    assert client.protocol._closing
    assert home.hello(token=made["token"])["code"] == "wrong-secret"
    home.asks(other, "logout")  # it came in with the password, which stays
    assert other.protocol._closing
    assert home.hello(password=PASSWORD)["type"] == "welcome"


def test_a_device_that_revokes_itself_is_told_so_and_audited(home: Home) -> None:
    home.registered()
    client = _program(home)
    home.asks(client, "token-new", label="phone", device=True)
    home.audited.clear()
    (answer,) = home.asks(client, "token-revoke", label="phone", id="r")
    assert (answer["type"], answer["id"]) == ("token-revoked", "r")
    assert client.protocol._closing
    assert home.audited == [("left", "Ana"), ("token-revoked", "Ana")]


def test_logging_out_everywhere_closes_all_and_keeps_the_tokens_of_bots(home: Home) -> None:
    home.registered()
    clients = [_program(home) for _ in range(3)]
    (bot,) = home.asks(clients[0], "token-new", label="bot")
    (phone,) = home.asks(clients[0], "token-new", label="phone", device=True)
    home.asks(clients[0], "device-add")
    home.asks(clients[0], "logout", everywhere=True)
    assert all(client.protocol._closing for client in clients)
    assert home.people == []
    assert home.hello(token=phone["token"])["code"] == "wrong-secret"
    assert home.hello(token=bot["token"])["type"] == "welcome"


def test_people_log_out_with_a_goodbye(home: Home) -> None:
    home.registered()
    client = home.person()
    home.types(client, "Ana", PASSWORD)
    assert home.types(client, "/desconectar") == ["[SERVER]: Goodbye!"]
    client = home.person()
    home.types(client, "Ana", PASSWORD)
    assert home.types(client, "/logout everywhere") == ["[SERVER]: You are logged out."]


def test_an_account_is_closed_for_ever(home: Home) -> None:
    home.registered()
    client, other = home.person(), _program(home)
    home.types(client, "Ana", PASSWORD)
    assert home.types(client, "/unregister Bia") == [
        "[SERVER]: To close your account for ever, type /unregister Ana"
    ]
    (line,) = home.types(client, "/unregister ana")
    assert line.startswith("[SERVER]: Your account Ana is closed.")
    assert client.protocol._closing
    assert "logged-out" in other.read().decode()
    assert home.people == []
    assert home.hello(password=PASSWORD)["code"] == "wrong-secret"
    guest = home.person()
    (answer,) = home.types(guest, "Ana")  # and nobody else gets the name
    assert "belongs to an account" in answer


def test_two_devices_close_the_account_at_once(home: Home) -> None:
    home.registered()
    devices = [_program(home), _program(home)]
    for device in devices:
        device.protocol.dataReceived(b'{"type":"unregister","nickname":"Ana","id":"u"}\n')
    home.house.world.journal.run()
    assert '"unregistered"' in devices[0].read().decode()
    assert all(device.protocol._closing for device in devices)
    account = home.account()
    assert account is not None
    assert account.status == "closed"


def test_two_devices_revoke_each_other_at_once(home: Home) -> None:
    home.registered()
    devices = [_program(home), _program(home)]
    for label, device in zip(("a", "b"), devices, strict=True):
        home.asks(device, "token-new", label=label, device=True)
    for label, device in zip(("b", "a"), devices, strict=True):
        device.protocol.dataReceived(f'{{"type":"token-revoke","label":"{label}"}}\n'.encode())
    home.house.world.journal.run()
    account = home.account()
    assert account is not None
    assert [one.id for one in account.credentials] == [ID]
    assert all(device.protocol._closing for device in devices)


def test_two_devices_rename_at_once(home: Home) -> None:
    home.registered()
    devices = [_program(home), _program(home)]
    for name, device in zip(("Bia", "Caio"), devices, strict=True):
        device.protocol.dataReceived(f'{{"type":"nick","name":"{name}"}}\n'.encode())
    home.house.world.journal.run()
    assert {device.protocol.session.name for device in devices} == {"Caio"}
    assert home.hello("Bia", password=PASSWORD)["nickname"] == "Caio"


# -- read marks -------------------------------------------------------------------------------


def test_what_was_read_is_told_to_the_other_devices(home: Home) -> None:
    home.registered()
    first, second = _program(home), _program(home)
    for number in range(3):
        home.asks(first, "say", text=f"line {number}")
    second.read()
    assert home.asks(first, "mark", room="lobby", seq=2) == []
    assert '{"type":"marked","room":"lobby","seq":2}' in second.read().decode()
    home.asks(first, "mark", room="lobby", seq=99)  # beyond the end
    account = home.account()
    assert account is not None
    assert account.read == {"lobby": 3}
    assert _code(home.asks(first, "mark", room="lobby", seq=-1)) == "bad-request"
    assert _code(home.asks(first, "mark", room="cinema", seq=1)) == "not-in-room"
    guest = home.program()
    home.asks(guest, "hello", nickname="Bia")
    assert _code(home.asks(guest, "mark", room="lobby", seq=1)) == "no-account"
