"""What an operator can do with accounts, in memory: the rules, and that no secret gets out."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pytest
from msgspec import structs

from tests.support.fakes import NOON, Visitor, World
from twisted_chat.core.accounts import PASSWORD, Account, Credential
from twisted_chat.core.callbacks import nothing
from twisted_chat.core.errors import Refusal
from twisted_chat.core.names import nickname
from twisted_chat.core.operator import CODE_LIFETIME, Operator
from twisted_chat.core.operator_requests import (
    PAGE,
    AppointOwner,
    CreateAccount,
    DescribeAccount,
    DisableAccount,
    Done,
    EnableAccount,
    EraseAccount,
    GiveName,
    Invitation,
    InvitePerson,
    ListAccounts,
    MakeAnnouncement,
    OperatorAnswer,
    OperatorRequest,
    ResetAccount,
    ShownAccount,
)
from twisted_chat.operator.shown import as_line

Result = Sequence[OperatorAnswer] | Refusal


class Desk:
    """An operator of a chat in memory."""

    def __init__(self) -> None:
        self.world = World()
        self.notes: list[tuple[str, str]] = []
        note = self.notes
        self.operator = Operator(self.world.chat, lambda action, name: note.append((action, name)))

    def ask(self, request: OperatorRequest) -> Sequence[OperatorAnswer]:
        """The answer, which comes once.

        :raises Refusal: the request is refused.
        """
        results: list[Result] = []
        self.operator.handle(request, results.append)
        for _ in range(3):
            self.world.journal.run()
        (result,) = results
        if isinstance(result, Refusal):
            raise result
        return result

    def code(self, request: OperatorRequest) -> Invitation:
        (given, done) = self.ask(request)
        assert isinstance(given, Invitation)
        assert done == Done(given.name)
        return given

    def refused(self, request: OperatorRequest) -> str:
        """The code of the refusal."""
        with pytest.raises(Refusal) as raised:
            self.ask(request)
        return raised.value.code

    def account(self, name: str) -> Account:
        account = self.world.chat.accounts.named(nickname(name))
        assert account is not None
        return account

    def give(self, name: str, *credentials: Credential) -> None:
        """Give an account credentials, as a person does who is logged in."""
        for credential in credentials:
            self.world.chat.desk.set_credential(self.account(name).number, credential, nothing)
        self.world.journal.run()

    def kinds(self, name: str) -> list[str]:
        return sorted(credential.kind for credential in self.account(name).credentials)


@pytest.fixture
def desk() -> Desk:
    return Desk()


def matches(desk: Desk, given: Invitation) -> bool:
    """Whether the code lets in the person for whom it was made."""
    found = desk.world.chat.accounts.with_secret(desk.world.chat.desk.hash(given.code))
    return found is not None and found[0].nickname.text == given.name


PASSWORD_OF_ANA = Credential(PASSWORD, "password", "$argon2id$hash-of-a-password")
DEVICE = Credential("d1", "device", "hash-of-a-device", "phone")
TOKEN = Credential("t1", "token", "hash-of-a-token", "bot", ("lobby",))


def test_a_new_account_has_a_code_for_seven_days(desk: Desk) -> None:
    given = desk.code(CreateAccount("Ana"))
    assert given.is_new
    assert matches(desk, given)
    (credential,) = desk.account("ana").credentials
    assert credential.kind == "code"
    assert credential.expires == given.expires == credential.made + CODE_LIFETIME
    assert given.expires > NOON
    assert desk.notes == [("create", "Ana")]


def test_only_the_hash_of_a_code_is_stored_and_nothing_of_it_is_noted(desk: Desk) -> None:
    given = desk.code(CreateAccount("Ana"))
    stored = msgspec.json.encode(structs.asdict(desk.account("Ana")), enc_hook=sorted).decode()
    assert desk.world.chat.desk.hash(given.code) in stored
    for text in (given.code, given.code.replace("-", "")):
        assert text not in stored
        assert text not in repr(desk.notes)


def test_an_account_needs_a_free_and_valid_name(desk: Desk) -> None:
    desk.code(CreateAccount("Ana"))
    assert desk.refused(CreateAccount("ANA")) == "name-reserved"
    assert desk.refused(CreateAccount("Аna")) in ("name-mixes-scripts", "name-reserved")
    assert desk.refused(CreateAccount("a b")) == "name-invalid"
    assert desk.refused(CreateAccount("SERVER")) == "name-reserved"
    assert desk.refused(CreateAccount("x" * 40)) == "name-too-long"
    assert len(desk.world.chat.accounts) == 1
    assert len(desk.notes) == 1


def test_the_name_limit_of_the_server_holds_for_operators(desk: Desk) -> None:
    desk.world.chat.limits = structs.replace(desk.world.chat.limits, nickname=3)
    desk.code(CreateAccount("Ana"))
    assert desk.refused(CreateAccount("Anna")) == "name-too-long"
    assert desk.refused(InvitePerson("Anna")) == "name-too-long"
    assert desk.refused(GiveName("Ana", "Anna")) == "name-too-long"


def test_a_guest_with_the_name_of_a_new_account_leaves(desk: Desk) -> None:
    (ana,) = desk.world.enter("Ana")
    desk.code(CreateAccount("Ana"))
    assert ana.connection.refusals() == ["name-claimed"]
    assert ana.connection.closed


def test_an_invitation_makes_the_account_if_there_is_none(desk: Desk) -> None:
    first = desk.code(InvitePerson("Ana"))
    second = desk.code(InvitePerson("ana"))
    assert (first.is_new, second.is_new) == (True, False)
    assert second.name == "Ana"
    assert matches(desk, first)
    assert matches(desk, second)
    assert len(desk.world.chat.accounts) == 1
    assert desk.notes == [("create", "Ana"), ("invite", "Ana")]


def test_a_reset_drops_password_codes_and_devices_and_not_the_bots(desk: Desk) -> None:
    old = desk.code(CreateAccount("Ana"))
    desk.give("Ana", PASSWORD_OF_ANA, DEVICE, TOKEN)
    new = desk.code(ResetAccount("Ana"))
    assert desk.kinds("Ana") == ["code", "token"]
    assert new.tokens == 1
    assert matches(desk, new)
    assert desk.world.chat.accounts.with_secret(desk.world.chat.desk.hash(old.code)) is None
    new = desk.code(ResetAccount("Ana", tokens=True))
    assert desk.kinds("Ana") == ["code"]
    assert new.tokens == 0
    assert desk.notes[1:] == [("reset", "Ana")] * 2


def test_a_disabled_account_gets_no_code_before_it_is_enabled(desk: Desk) -> None:
    desk.code(CreateAccount("Ana"))
    assert desk.ask(DisableAccount("ana")) == (Done("Ana"),)
    assert desk.account("Ana").status == "disabled"
    assert desk.refused(InvitePerson("Ana")) == "account-is-disabled"
    assert desk.refused(ResetAccount("Ana")) == "account-is-disabled"
    assert desk.ask(EnableAccount("Ana")) == (Done("Ana"),)
    assert desk.account("Ana").status == "active"
    assert desk.code(InvitePerson("Ana"))


def test_a_renamed_account_keeps_its_old_name(desk: Desk) -> None:
    desk.code(CreateAccount("Ana"))
    desk.code(CreateAccount("Bia"))
    (guest,) = desk.world.enter("Carla")
    assert desk.refused(GiveName("Ana", "Bia")) == "name-reserved"
    assert desk.ask(GiveName("Ana", "Carla")) == (Done("Carla"),)
    assert guest.connection.refusals() == ["name-claimed"]
    assert desk.account("Carla").number == 1
    assert desk.refused(CreateAccount("Ana")) == "name-reserved"
    assert desk.refused(DisableAccount("Ana")) == "no-such-account"
    assert desk.notes[-1] == ("rename", "Ana Carla")


def test_a_name_can_change_its_case_and_come_back(desk: Desk) -> None:
    desk.code(CreateAccount("ana"))
    assert desk.ask(GiveName("ana", "Ana")) == (Done("Ana"),)
    assert desk.ask(GiveName("Ana", "Bia")) == (Done("Bia"),)
    assert desk.ask(GiveName("Bia", "ANA")) == (Done("ANA"),)
    shown = desk.ask(DescribeAccount("ana"))[0]
    assert isinstance(shown, ShownAccount)
    assert (shown.name, shown.former) == ("ANA", ("Bia",))


def test_an_account_of_the_directory_is_shown_as_such_until_it_is_erased(desk: Desk) -> None:
    desk.world.chat.desk.make(0, nickname("Ana"), (), lambda _: None, directory="ana.souza")
    desk.world.journal.run()
    for request, directory in ((ListAccounts(), "ana.souza"), (EraseAccount("Ana"), "")):
        desk.ask(request)
        shown = desk.ask(DescribeAccount("Ana"))[0]
        assert isinstance(shown, ShownAccount)
        assert shown.directory == directory
        has = as_line(shown, "en").partition("; ")[2]
        assert has == ("a password of the other system" if directory else "nothing to log in with")


def test_two_operators_cannot_make_one_name_twice(desk: Desk) -> None:
    results: list[Result] = []
    for name in ("Ana", "ANA", "ana"):
        desk.operator.handle(InvitePerson(name), results.append)
    for _ in range(3):
        desk.world.journal.run()
    assert len(desk.world.chat.accounts) == 1
    assert [isinstance(result, Refusal) for result in results].count(True) == 2


def test_a_connected_person_learns_of_a_rename_and_of_being_disabled(desk: Desk) -> None:
    code = desk.code(CreateAccount("Ana")).code
    ana = Visitor(desk.world)
    (bia,) = desk.world.enter("Bia")
    ana.types(f"Ana:{code}")
    bia.sees()
    desk.ask(GiveName("Ana", "Anna"))
    assert any("Anna" in line for line in ana.sees())
    assert any("Anna" in line for line in bia.sees())
    desk.ask(DisableAccount("Anna"))
    assert ana.connection.refusals() == ["account-disabled"]
    assert ana.connection.closed
    assert any("Anna" in line for line in bia.sees())


def test_erasing_deletes_what_is_personal_and_keeps_the_name(desk: Desk) -> None:
    desk.code(CreateAccount("Ana"))
    desk.give("Ana", PASSWORD_OF_ANA, DEVICE, TOKEN)
    number = desk.account("Ana").number
    desk.world.chat.desk.set_ignored(number, [(-7, "Bia")])
    desk.world.chat.desk.mark_read(number, "lobby", 3, 0)
    desk.world.journal.run()
    account = desk.account("Ana")
    assert account.ignored
    assert account.read
    assert desk.ask(EraseAccount("Ana")) == (Done("Ana"),)
    account = desk.account("Ana")
    assert account.status == "closed"
    assert (account.credentials, account.ignored, account.read) == ((), (), {})
    assert desk.refused(CreateAccount("Ana")) == "name-reserved"
    for request in (
        InvitePerson("Ana"),
        ResetAccount("Ana"),
        DisableAccount("Ana"),
        EnableAccount("Ana"),
        GiveName("Ana", "Bia"),
        EraseAccount("Ana"),
    ):
        assert desk.refused(request) == "no-such-account"
    ((shown, _),) = (desk.ask(DescribeAccount("Ana")),)
    assert isinstance(shown, ShownAccount)
    assert shown.status == "closed"


@pytest.mark.parametrize(
    "request_",
    [
        ResetAccount("Zoe"),
        DisableAccount("Zoe"),
        EnableAccount("Zoe"),
        GiveName("Zoe", "Bia"),
        EraseAccount("Zoe"),
        DescribeAccount("Zoe"),
    ],
)
def test_an_account_that_does_not_exist_is_told(desk: Desk, request_: OperatorRequest) -> None:
    assert desk.refused(request_) == "no-such-account"
    assert not desk.notes


def test_an_account_that_ends_meanwhile_is_told_as_missing(desk: Desk) -> None:
    """Two operators at once: the change of the second one comes too late."""
    desk.code(CreateAccount("Ana"))
    late: list[Result] = []
    desk.operator.handle(EraseAccount("Ana"), nothing)
    for request in (InvitePerson("Ana"), ResetAccount("Ana"), DisableAccount("Ana")):
        desk.operator.handle(request, late.append)
    for _ in range(3):
        desk.world.journal.run()
    assert desk.account("Ana").status == "closed"
    assert [str(result) for result in late] == ["There is no account called Ana."] * 3


def test_no_answer_has_a_hash(desk: Desk) -> None:
    desk.code(CreateAccount("Ana"))
    desk.give("Ana", PASSWORD_OF_ANA, DEVICE, TOKEN)
    answers = [*desk.ask(DescribeAccount("Ana")), *desk.ask(ListAccounts())]
    told = msgspec.json.encode(answers).decode()
    assert "phone" in told
    assert "bot" in told
    for credential in desk.account("Ana").credentials:
        assert credential.hash not in told


def test_a_description_has_all_that_is_personal_and_a_list_does_not(desk: Desk) -> None:
    desk.code(CreateAccount("Ana"))
    desk.ask(GiveName("Ana", "Anna"))
    number = desk.account("Anna").number
    desk.world.chat.desk.set_ignored(number, [(-7, "Bia")])
    desk.world.chat.desk.mark_read(number, "lobby", 3, 0)
    desk.world.journal.run()
    shown = desk.ask(DescribeAccount("Anna"))[0]
    listed = desk.ask(ListAccounts())[0]
    assert isinstance(shown, ShownAccount)
    assert (shown.former, shown.ignored, shown.read) == (("Ana",), ("Bia",), {"lobby": 3})
    assert listed == structs.replace(shown, ignored=(), read={})
    assert desk.notes[-1] == ("export", "Anna")


def test_a_list_comes_in_pages(desk: Desk) -> None:
    names = [f"n{number}" for number in range(PAGE + 5)]
    for name in names:
        desk.world.chat.desk.make(0, nickname(name), (), nothing)
    desk.world.journal.run()
    first = desk.ask(ListAccounts())
    assert len(first) == PAGE + 1
    assert first[-1] == Done(more=True)
    last = first[-2]
    assert isinstance(last, ShownAccount)
    rest = desk.ask(ListAccounts(last.number))
    assert rest[-1] == Done(more=False)
    listed = [answer.name for answer in (*first, *rest) if isinstance(answer, ShownAccount)]
    assert listed == names
    assert desk.ask(ListAccounts(10_000)) == (Done(),)


def test_the_operator_appoints_the_owner_of_a_room(desk: Desk) -> None:
    """Also of one that a guest has founded, and in the place of another owner, who is told."""
    bia, _ = desk.world.enter("Bia", "Carla")
    bia.types("/join zoo")
    desk.code(CreateAccount("Ana"))
    desk.code(CreateAccount("Dora"))
    bia.sees()
    assert desk.ask(AppointOwner("#Zoo", "ana")) == (Done("Ana"),)
    assert any("Ana" in line for line in bia.sees())
    assert desk.ask(AppointOwner("zoo", "Dora")) == (Done("Dora"),)
    rules = desk.world.chat.room_desk.rules(bia.session, "zoo")
    assert (rules.owner, rules.moderators) == (2, (1,))
    assert desk.notes[-2:] == [("owner", "Ana #zoo"), ("owner", "Dora #zoo")]


def test_the_default_room_and_one_with_rules_exist_for_the_operator(desk: Desk) -> None:
    """Also while they have neither people nor entries."""
    desk.code(CreateAccount("Ana"))
    assert desk.ask(AppointOwner("lobby", "Ana")) == (Done("Ana"),)
    (bia,) = desk.world.enter("Bia")
    bia.types("/join zoo")
    desk.code(CreateAccount("Dora"))
    desk.ask(AppointOwner("zoo", "Ana"))
    desk.ask(AppointOwner("zoo", "Dora"))  # Ana is a moderator now
    bia.types("/leave zoo")
    assert desk.ask(AppointOwner("zoo", "Ana")) == (Done("Ana"),)


def test_an_owner_needs_a_room_and_an_account(desk: Desk) -> None:
    desk.world.enter("Bia")
    desk.code(CreateAccount("Ana"))
    assert desk.refused(AppointOwner("zoo", "Ana")) == "no-such-room"
    assert desk.refused(AppointOwner("lobby", "Bia")) == "no-such-account"
    desk.ask(EraseAccount("Ana"))
    assert desk.refused(AppointOwner("lobby", "Ana")) == "no-such-account"


def test_an_announcement_is_shown_and_its_text_is_not_noted(desk: Desk) -> None:
    (ana,) = desk.world.enter("Ana")
    assert desk.ask(MakeAnnouncement("Good night.")) == (Done(),)
    assert ana.sees() == ["[SERVER]: Good night."]
    desk.ask(MakeAnnouncement("Here only.", "#Lobby"))
    assert ana.sees() == ["[SERVER]: Here only."]
    assert desk.notes == [("announce", ""), ("announce", "#lobby")]


def test_announcements_that_nobody_could_see_or_that_are_too_long_are_refused(desk: Desk) -> None:
    assert desk.refused(MakeAnnouncement("")) == "wrong-usage"
    assert desk.refused(MakeAnnouncement(" \t")) == "wrong-usage"
    assert desk.refused(MakeAnnouncement("x" * 5000)) == "line-too-long"
    assert desk.refused(MakeAnnouncement("a\nb")) == "control-character"
    assert desk.refused(MakeAnnouncement("oi", "zoo")) == "no-such-room"
