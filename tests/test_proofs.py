"""Which secret lets a client into which account, and what wrong ones cost."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from itertools import count
from typing import Any

import pytest
from msgspec import structs
from twisted.internet.task import Clock

from twisted_chat.core.account_errors import (
    AccountDisabled,
    DirectoryFailed,
    NameOwned,
    RegistrationByInvitation,
    RegistrationClosed,
    SecretNeedsTLS,
    TooBusyForSecrets,
    TooManyAccounts,
    TooManyWrongSecrets,
    WrongSecret,
)
from twisted_chat.core.accounts import PASSWORD, Accounts, Credential
from twisted_chat.core.errors import Refusal
from twisted_chat.core.guesses import FIRST_WAIT, FREE, HOUR, REGISTRATIONS
from twisted_chat.core.limits import Limits
from twisted_chat.core.names import Nickname, nickname
from twisted_chat.core.passwords import always
from twisted_chat.core.proofs import ANY_KIND, Claim, DirectoryAnswer, Kind, Policy, Proof, Proofs
from twisted_chat.core.secrets import new_code, new_token, secret_hash
from twisted_chat.core.sources import Source, Sources
from twisted_chat.server.passwords import CHEAP, Argon2Passwords

NOW = 1_795_463_820_000_000
MINUTE = 60_000_000
KEY = b"k" * 32

RIGHT, WRONG = "correct horse", "wrong horse battery"

_hosts = count(1)


def _at_once(function: Callable[..., object], *arguments: object) -> None:
    function(*arguments)


class CountedPasswords(Argon2Passwords):
    """Cheap ones, which note against what was verified."""

    def __init__(self) -> None:
        super().__init__(_at_once, CHEAP, threads=0)
        self.verified: list[str] = []

    def verify(self, encoded: str, password: str, *arguments: Any, **more: Any) -> None:
        self.verified.append(encoded)
        super().verify(encoded, password, *arguments, **more)


class FakeDirectory:
    """One that knows some people."""

    def __init__(self) -> None:
        self.people: dict[tuple[str, str], DirectoryAnswer | Refusal] = {}
        self.asked: list[str] = []

    def ask(
        self,
        name: str,
        secret: str,
        reply: Callable[[DirectoryAnswer | Refusal], None],
        *,
        source: Hashable,
        check: Callable[[], Refusal | None],
    ) -> None:
        refusal = check()
        if refusal is None:
            self.asked.append(name)
        reply(refusal or self.people.get((name, secret), DirectoryAnswer(False)))


class Gate:
    """Proofs over a few accounts."""

    def __init__(self) -> None:
        self.accounts = Accounts()
        self.clock = Clock()
        self.microseconds = NOW
        self.passwords = CountedPasswords()
        self.sources = Sources(Limits, self.clock)
        self.proofs = Proofs(self.accounts, self, self.clock.seconds, lambda: self.microseconds)
        self.proofs.passwords = self.passwords
        self.home = self.source()

    def hash(self, secret: str) -> str:
        return secret_hash(secret, KEY)

    def make(
        self,
        person: int,
        nickname: Nickname,
        credentials: Sequence[Credential],
        answer: Callable[[Refusal | None], None],
        *,
        directory: str = "",
    ) -> None:
        assert person == 0
        try:
            self.accounts.add(nickname, credentials, NOW, directory)
        except Refusal as refusal:
            answer(refusal)
        else:
            answer(None)

    def source(self, host: str | None = None) -> Source:
        return self.sources.open(host or f"198.51.100.{next(_hosts)}").source

    def register(self, name: str, password: str | None = RIGHT, **secrets: str) -> int:
        """An account with a password, and with tokens and codes by their ids."""
        hashes: list[str | Refusal] = []
        credentials = []
        if password is not None:
            self.passwords.hash(password, hashes.append)
            assert isinstance(hashes[0], str)
            credentials.append(Credential(PASSWORD, "password", hashes[0]))
        for id, secret in secrets.items():
            kind: Any = id.rstrip("0123456789")
            expires = NOW + 10 * MINUTE if kind == "code" else 0
            credentials.append(Credential(id, kind, self.hash(secret), expires=expires))
        return self.accounts.add(nickname(name), credentials, NOW).number

    def prove(
        self,
        name: str,
        secret: str,
        source: Source | None = None,
        kinds: frozenset[Kind] = ANY_KIND,
        is_wanted: bool = True,
    ) -> Proof | Refusal:
        source = source or self.home
        answers: list[Proof | Refusal] = []
        claim = Claim(nickname(name), secret, kinds, source, source.key, lambda: is_wanted)
        self.proofs.prove(claim, answers.append)
        (answer,) = answers
        return answer


@pytest.fixture
def gate() -> Gate:
    return Gate()


def _is_wrong(answer: Proof | Refusal) -> bool:
    return type(answer) is WrongSecret


def test_a_password_proves_the_account(gate: Gate) -> None:
    ana = gate.register("Ana")
    assert gate.prove("Ana", RIGHT) == Proof(ana, nickname("Ana"), PASSWORD, "password")
    assert gate.prove("ANA", RIGHT) == Proof(ana, nickname("Ana"), PASSWORD, "password")
    assert _is_wrong(gate.prove("Ana", WRONG))
    assert _is_wrong(gate.prove("Ana", ""))


def test_a_token_and_a_code_prove_their_own_account_alone(gate: Gate) -> None:
    token, code = new_token(), new_code()
    ana = gate.register("Ana", token=token, code=code)
    gate.register("Bia")
    for secret, kind in ((token, "token"), (code, "code")):
        assert gate.prove("Ana", secret) == Proof(ana, nickname("Ana"), kind, kind)
    assert gate.prove("Ana", code.upper().replace("-", "")) == gate.prove("Ana", code)
    assert _is_wrong(gate.prove("Bia", token))
    assert _is_wrong(gate.prove("Caio", code))


def test_a_secret_is_what_the_client_says_that_it_is(gate: Gate) -> None:
    token, code, device = new_token(), new_code(), new_token()
    gate.register("Ana", token=token, code=code, device=device)
    for kind, secrets in (("password", [RIGHT]), ("token", [token, device]), ("code", [code])):
        for secret in (RIGHT, token, code, device):
            gate.clock.advance(2 * HOUR)
            answer = gate.prove("Ana", secret, kinds=frozenset({kind}))  # type: ignore[arg-type]
            assert isinstance(answer, Proof) == (secret in secrets)


def test_a_code_ends_after_its_time(gate: Gate) -> None:
    code = new_code()
    gate.register("Ana", code=code)
    gate.microseconds += 10 * MINUTE - 1
    assert isinstance(gate.prove("Ana", code), Proof)
    gate.microseconds += 1
    assert _is_wrong(gate.prove("Ana", code))


def test_a_fingerprint_or_the_hash_of_a_password_is_no_secret(gate: Gate) -> None:
    number = gate.register("Ana")
    account = gate.accounts.get(number)
    assert account is not None
    certificate = Credential("cert", "certificate", gate.hash("fingerprint"))
    gate.accounts.put(structs.replace(account, credentials=(*account.credentials, certificate)))
    assert _is_wrong(gate.prove("Ana", "fingerprint"))
    assert _is_wrong(gate.prove("Ana", account.password))


def test_a_token_is_limited_to_its_rooms(gate: Gate) -> None:
    token = new_token()
    number = gate.register("Ana")
    account = gate.accounts.get(number)
    assert account is not None
    limited = Credential("t", "token", gate.hash(token), rooms=("ci", "ops"))
    gate.accounts.put(structs.replace(account, credentials=(limited,)))
    answer = gate.prove("Ana", token)
    assert isinstance(answer, Proof)
    assert answer.rooms == {"ci", "ops"}


def test_a_former_name_leads_to_the_account_and_a_lookalike_does_not(gate: Gate) -> None:
    ana = gate.register("Ana")
    account = gate.accounts.get(ana)
    assert account is not None
    gate.accounts.put(gate.accounts.renamed(account, nickname("Anabela")))
    assert gate.prove("Ana", RIGHT) == Proof(ana, nickname("Anabela"), PASSWORD, "password")
    gate.register("mary")
    assert gate.proofs.asks_for_secret(nickname("mary"))
    assert not gate.proofs.asks_for_secret(nickname("rnary"))
    assert _is_wrong(gate.prove("rnary", RIGHT))


def test_an_account_that_is_disabled_or_closed(gate: Gate) -> None:
    ana = gate.register("Ana")
    account = gate.accounts.get(ana)
    assert account is not None
    gate.accounts.put(structs.replace(account, status="disabled"))
    assert isinstance(gate.prove("Ana", RIGHT), AccountDisabled)
    assert _is_wrong(gate.prove("Ana", WRONG))  # who does not know the password is not told
    gate.accounts.put(structs.replace(account, status="closed"))
    assert _is_wrong(gate.prove("Ana", RIGHT))
    assert not gate.proofs.asks_for_secret(nickname("Ana"))


# -- the same time for every name -------------------------------------------------------------


@pytest.mark.parametrize(
    "secret", [WRONG, new_token(), new_code()], ids=["password", "token", "code"]
)
def test_every_wrong_secret_is_hashed_once_whatever_the_name(gate: Gate, secret: str) -> None:
    gate.register("Ana", token=new_token())
    gate.register("Invited", None)
    for name, encoded in (("Ana", True), ("Nobody", False), ("Invited", False)):
        gate.passwords.verified.clear()
        assert _is_wrong(gate.prove(name, secret, gate.source()))
        assert [bool(one) for one in gate.passwords.verified] == [encoded]


def test_a_password_of_another_name_is_not_told_apart(gate: Gate) -> None:
    gate.register("Ana")
    gate.register("Bia", "another password")
    answers = [gate.prove(name, RIGHT, gate.source()) for name in ("Bia", "Nobody")]
    assert [repr(answer) for answer in answers] == ["WrongSecret({})", "WrongSecret({})"]


def test_a_very_long_secret_is_wrong_for_every_name(gate: Gate) -> None:
    gate.register("Ana")
    assert _is_wrong(gate.prove("Ana", "x" * 5000))
    assert _is_wrong(gate.prove("Nobody", "x" * 5000))
    assert gate.passwords.verified == []


# -- wrong secrets ----------------------------------------------------------------------------


@pytest.mark.parametrize("kinds", [ANY_KIND, frozenset({"token"}), frozenset({"code"})])
def test_a_source_has_three_wrong_secrets_a_minute(gate: Gate, kinds: frozenset[Kind]) -> None:
    gate.register("Ana", code=new_code())
    for name in ("Ana", "Bia", "Caio"):
        assert _is_wrong(gate.prove(name, WRONG, kinds=kinds))
    gate.passwords.verified.clear()
    held = gate.prove("Ana", RIGHT, kinds=kinds)
    assert isinstance(held, TooManyWrongSecrets)
    assert held.details == {"seconds": FIRST_WAIT}
    assert gate.passwords.verified == []
    gate.clock.advance(FIRST_WAIT)
    assert _is_wrong(gate.prove("Dora", WRONG, kinds=kinds))
    held = gate.prove("Ana", RIGHT, kinds=kinds)
    assert held.details == {"seconds": 2 * FIRST_WAIT}  # type: ignore[union-attr]


@pytest.mark.parametrize("name", ["Ana", "Nobody"])
def test_a_name_has_three_wrong_passwords_a_minute_from_all_sources(gate: Gate, name: str) -> None:
    gate.register("Ana")
    for _ in range(FREE):
        assert _is_wrong(gate.prove(name, WRONG, gate.source()))
    assert isinstance(gate.prove(name, RIGHT, gate.source()), TooManyWrongSecrets)
    assert _is_wrong(gate.prove("Another", WRONG, gate.source()))


class SlowPasswords(CountedPasswords):
    """All that are verified at a time wait for :meth:`finish`."""

    def __init__(self) -> None:
        super().__init__()
        self._waiting: list[Callable[[], None]] = []

    def verify(self, encoded: str, password: str, reply: Any, **more: Any) -> None:
        refusal = more["check"]()
        if refusal is not None:
            reply(refusal)
        else:
            right = self._is_right(encoded, password)
            self._waiting.append(lambda: reply(right))

    def finish(self) -> None:
        waiting, self._waiting = self._waiting, []
        for reply in waiting:
            reply()


def test_many_sources_at_once_have_three_wrong_passwords_for_an_account(gate: Gate) -> None:
    gate.register("Ana")
    gate.proofs.passwords = slow = SlowPasswords()
    answers: list[Proof | Refusal] = []
    for _ in range(10):
        source = gate.source()
        claim = Claim(nickname("Ana"), WRONG, ANY_KIND, source, source.key, lambda: True)
        gate.proofs.prove(claim, answers.append)
    slow.finish()
    assert [_is_wrong(answer) for answer in answers].count(True) == FREE
    assert sum(isinstance(answer, TooManyWrongSecrets) for answer in answers) == 7
    assert not gate.proofs._being_checked


def test_a_password_that_was_changed_meanwhile_is_wrong(gate: Gate) -> None:
    number = gate.register("Ana")
    gate.proofs.passwords = slow = SlowPasswords()
    answers: list[Proof | Refusal] = []
    claim = Claim(nickname("Ana"), RIGHT, ANY_KIND, gate.home, None, lambda: True)
    gate.proofs.prove(claim, answers.append)
    account = gate.accounts.get(number)
    assert account is not None
    changed = Credential(PASSWORD, "password", "another hash")
    gate.accounts.put(structs.replace(account, credentials=(changed,)))
    slow.finish()
    assert [_is_wrong(answer) for answer in answers] == [True]


def test_an_account_that_is_disabled_meanwhile_lets_nobody_in(gate: Gate) -> None:
    number = gate.register("Ana")
    gate.proofs.passwords = slow = SlowPasswords()
    answers: list[Proof | Refusal] = []
    claim = Claim(nickname("Ana"), RIGHT, ANY_KIND, gate.home, None, lambda: True)
    gate.proofs.prove(claim, answers.append)
    account = gate.accounts.get(number)
    assert account is not None
    gate.accounts.put(structs.replace(account, status="disabled"))
    slow.finish()
    assert isinstance(answers[0], AccountDisabled)


def test_nobody_locks_the_owner_out(gate: Gate) -> None:
    """Where they have come in before, with a token or with a code."""
    token, code = new_token(), new_code()
    gate.register("Ana", token=token, code=code)
    assert isinstance(gate.prove("Ana", RIGHT, gate.home), Proof)
    for _ in range(20):
        gate.prove("Ana", WRONG, gate.source())
        gate.clock.advance(1)
    elsewhere = gate.source()
    assert isinstance(gate.prove("Ana", RIGHT, elsewhere), TooManyWrongSecrets)
    assert isinstance(gate.prove("Ana", RIGHT, gate.home), Proof)
    assert isinstance(gate.prove("Ana", token, elsewhere), Proof)
    assert isinstance(gate.prove("Ana", code, gate.source()), Proof)
    gate.clock.advance(HOUR)
    assert isinstance(gate.prove("Ana", RIGHT, gate.source()), Proof)


def test_wrong_tokens_do_not_hold_up_an_account(gate: Gate) -> None:
    gate.register("Ana")
    for _ in range(20):
        gate.prove("Ana", new_token(), gate.source(), frozenset({"token"}))
    assert isinstance(gate.prove("Ana", RIGHT, gate.source()), Proof)


def test_right_secrets_between_wrong_ones_make_no_difference(gate: Gate) -> None:
    gate.register("Ana")
    gate.register("Mallory", "my own password")
    for _ in range(FREE):
        assert isinstance(gate.prove("Mallory", "my own password"), Proof)
        assert _is_wrong(gate.prove("Ana", WRONG))
    assert isinstance(gate.prove("Ana", RIGHT), TooManyWrongSecrets)


@pytest.mark.parametrize("kinds", [ANY_KIND, frozenset({"token"}), frozenset({"password"})])
@pytest.mark.parametrize("secret", [new_token(), "", "   "], ids=["token", "empty", "blank"])
def test_what_guesses_nothing_is_not_counted(
    gate: Gate, kinds: frozenset[Kind], secret: str
) -> None:
    """Such as a bot whose token was revoked, which tries for ever."""
    gate.register("Ana")
    for _ in range(20):
        assert _is_wrong(gate.prove("Ana", secret, kinds=kinds))
    assert isinstance(gate.prove("Ana", RIGHT), Proof)


def test_a_source_that_has_come_in_waits_for_its_own_guesses_at_this_account_alone(
    gate: Gate,
) -> None:
    gate.register("Ana")
    assert isinstance(gate.prove("Ana", RIGHT), Proof)
    for _ in range(FREE):
        assert _is_wrong(gate.prove("Bot", WRONG))
    assert isinstance(gate.prove("Bia", WRONG), TooManyWrongSecrets)
    assert isinstance(gate.prove("Ana", RIGHT), Proof)
    for _ in range(FREE):
        assert _is_wrong(gate.prove("Ana", WRONG))
    assert isinstance(gate.prove("Ana", RIGHT), TooManyWrongSecrets)


def test_a_trusted_source_does_not_wait(gate: Gate) -> None:
    from ipaddress import ip_network

    gate.sources.trusted = (ip_network("203.0.113.0/24"),)
    school = gate.source("203.0.113.7")
    gate.register("Ana")
    for number in range(20):
        assert _is_wrong(gate.prove(f"pupil{number}", WRONG, school))
    assert isinstance(gate.prove("Ana", RIGHT, school), Proof)
    for _ in range(FREE):
        gate.prove("Bia", WRONG, school)
    assert isinstance(gate.prove("Bia", WRONG, school), TooManyWrongSecrets)


def test_a_client_that_is_gone_costs_no_hash(gate: Gate) -> None:
    gate.register("Ana")
    hashed: list[bool] = []
    original = gate.passwords._is_right
    gate.passwords._is_right = lambda *a: hashed.append(True) or original(*a)  # type: ignore[method-assign, func-returns-value]
    assert _is_wrong(gate.prove("Ana", WRONG, is_wanted=False))
    assert hashed == []
    for _ in range(FREE):
        assert _is_wrong(gate.prove("Ana", WRONG))  # and is not counted


def test_a_full_queue_is_told_and_not_counted(gate: Gate) -> None:
    gate.register("Ana")
    gate.proofs.passwords = type("Full", (), {"verify": _full})()
    for _ in range(5):
        assert isinstance(gate.prove("Ana", RIGHT), TooBusyForSecrets)


def _full(self: object, encoded: str, password: str, reply: Any, **more: object) -> None:
    reply(TooBusyForSecrets())


def test_no_secret_is_in_a_claim_or_a_refusal(gate: Gate) -> None:
    claim = Claim(nickname("Ana"), RIGHT, ANY_KIND, gate.home, None, lambda: True)
    assert RIGHT not in repr(claim)
    assert RIGHT not in f"{claim} {claim!r} {[claim]}"
    for name in ("Ana", "Bia"):
        assert WRONG not in repr(gate.prove(name, WRONG))


# -- what the operator allows -----------------------------------------------------------------


def test_secrets_travel_over_secure_connections_only(gate: Gate) -> None:
    gate.proofs.check_secure(True)
    with pytest.raises(SecretNeedsTLS):
        gate.proofs.check_secure(False)
    gate.proofs.policy = Policy(insecure_secrets=True)
    gate.proofs.check_secure(False)


def test_registration_is_open_by_invitation_or_closed(gate: Gate) -> None:
    gate.proofs.check_registration(gate.home)
    gate.proofs.policy = Policy(registration="invite")
    with pytest.raises(RegistrationByInvitation):
        gate.proofs.check_registration(gate.home)
    gate.proofs.policy = Policy(registration="off")
    with pytest.raises(RegistrationClosed):
        gate.proofs.check_registration(gate.home)


def test_a_source_registers_few_names_within_an_hour(gate: Gate) -> None:
    for _ in range(REGISTRATIONS):
        gate.proofs.check_registration(gate.home)
        gate.clock.advance(60)
    with pytest.raises(TooManyAccounts) as raised:
        gate.proofs.check_registration(gate.home)
    assert raised.value.details == {"limit": REGISTRATIONS, "minutes": 50}
    gate.proofs.check_registration(gate.source())
    gate.clock.advance(HOUR - REGISTRATIONS * 60)
    gate.proofs.check_registration(gate.home)


def test_who_is_asked_for_a_secret(gate: Gate) -> None:
    gate.register("Ana")
    assert gate.proofs.asks_for_secret(nickname("Ana"))
    assert not gate.proofs.asks_for_secret(nickname("Bia"))
    gate.proofs.policy = Policy(guests=False)
    assert not gate.proofs.asks_for_secret(nickname("Bia"))  # they cannot come in anyway
    gate.proofs.directory = FakeDirectory()
    assert gate.proofs.asks_for_secret(nickname("Bia"))
    gate.proofs.policy = Policy()
    assert not gate.proofs.asks_for_secret(nickname("Bia"))


# -- a directory ------------------------------------------------------------------------------


@pytest.fixture
def directory(gate: Gate) -> FakeDirectory:
    gate.proofs.directory = directory = FakeDirectory()
    directory.people["Ana", "x"] = DirectoryAnswer(True)
    return directory


def test_the_first_login_makes_the_account(gate: Gate, directory: FakeDirectory) -> None:
    assert _is_wrong(gate.prove("Ana", WRONG))
    assert len(gate.accounts) == 0
    first = gate.prove("Ana", "x")
    assert first == Proof(1, nickname("Ana"), "", "directory")
    assert gate.prove("ana", "x") != first  # the directory's names are its own
    assert gate.prove("Ana", "x") == first
    assert len(gate.accounts) == 1
    account = gate.accounts.get(1)
    assert account is not None
    assert account.credentials == ()


def test_the_directory_may_know_another_nickname(gate: Gate, directory: FakeDirectory) -> None:
    directory.people["ana.souza", "x"] = DirectoryAnswer(True, "Ana")
    answer = gate.prove("ana.souza", "x")
    assert answer == Proof(1, nickname("Ana"), "", "directory")
    directory.people["bia.souza", "x"] = DirectoryAnswer(True, "not a name!")
    assert isinstance(gate.prove("bia.souza", "x"), DirectoryFailed)


def test_who_has_a_password_here_is_not_in_the_directory(
    gate: Gate, directory: FakeDirectory
) -> None:
    gate.register("Ana")
    assert _is_wrong(gate.prove("Ana", "x"))
    assert directory.asked == []
    assert isinstance(gate.prove("Ana", RIGHT), Proof)
    directory.people["ana.souza", "x"] = DirectoryAnswer(True, "Ana")
    assert isinstance(gate.prove("ana.souza", "x"), NameOwned)


def test_nobody_of_the_directory_gets_into_an_account_that_it_has_not_made(
    gate: Gate, directory: FakeDirectory
) -> None:
    """One that an operator invited, or whose person has renamed it to another one's name."""
    gate.register("Bia", None, code=new_code())
    directory.people["Bia", "x"] = DirectoryAnswer(True)
    assert _is_wrong(gate.prove("Bia", "x"))
    assert directory.asked == []
    directory.people["bia.souza", "x"] = DirectoryAnswer(True, "Bia")
    assert isinstance(gate.prove("bia.souza", "x", gate.source()), NameOwned)

    assert isinstance(gate.prove("Ana", "x"), Proof)
    account = gate.accounts.named(nickname("Ana"))
    assert account is not None
    gate.accounts.put(gate.accounts.renamed(account, nickname("Caio")))
    directory.people["Caio", "y"] = DirectoryAnswer(True)
    assert isinstance(gate.prove("Caio", "y"), NameOwned)
    answer = gate.prove("Ana", "x")
    assert isinstance(answer, Proof)
    assert answer.nickname.text == "Caio"


def test_the_directory_is_not_asked_for_tokens(gate: Gate, directory: FakeDirectory) -> None:
    token = new_token()
    gate.register("Bot", None, token=token)
    assert isinstance(gate.prove("Bot", token), Proof)
    assert _is_wrong(gate.prove("Bot", WRONG, kinds=frozenset({"token"})))
    assert directory.asked == []


def test_wrong_secrets_of_the_directory_count(gate: Gate, directory: FakeDirectory) -> None:
    for _ in range(FREE):
        assert _is_wrong(gate.prove("Ana", WRONG))
    asked = len(directory.asked)
    assert isinstance(gate.prove("Ana", "x"), TooManyWrongSecrets)
    assert len(directory.asked) == asked


def test_a_directory_that_fails_is_told_and_not_counted(
    gate: Gate, directory: FakeDirectory
) -> None:
    directory.people["Ana", "x"] = DirectoryFailed()
    for _ in range(5):
        assert isinstance(gate.prove("Ana", "x"), DirectoryFailed)


def test_a_disabled_account_of_the_directory_stays_out(
    gate: Gate, directory: FakeDirectory
) -> None:
    gate.prove("Ana", "x")
    account = gate.accounts.get(1)
    assert account is not None
    gate.accounts.put(structs.replace(account, status="disabled"))
    assert isinstance(gate.prove("Ana", "x"), AccountDisabled)
    gate.accounts.put(structs.replace(account, status="closed"))
    assert isinstance(gate.prove("Ana", "x"), NameOwned)


def test_a_refusal_when_the_account_is_made(gate: Gate, directory: FakeDirectory) -> None:
    gate.register("mary")
    directory.people["rnary", "x"] = DirectoryAnswer(True)  # a lookalike of mary
    assert isinstance(gate.prove("rnary", "x"), NameOwned)


def test_always_checks_nothing() -> None:
    assert always() is None
