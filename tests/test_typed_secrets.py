"""Secrets that are typed at the client: not shown, not remembered; tokens in files of their own."""

from __future__ import annotations

import os
import pty
import stat
import termios
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.window import FakeTalk, Running, converse
from twisted_chat.client.address import Address
from twisted_chat.core.errors import Refusal
from twisted_chat.core.requests import Register, SetPassword
from twisted_chat.terminal.commands import TypePassword, has_secret, parse
from twisted_chat.terminal.config import (
    CannotRemember,
    ConfigUnreadable,
    NoToken,
    forget_token,
    keep_token,
    read_token,
    state_path,
    token_path,
)
from twisted_chat.terminal.run import given_token
from twisted_chat.terminal.tokens import TokenFiles, key_of
from twisted_chat.terminal.tty_echo import TtyEcho

SECRET = "correct horse"


# -- at the prompt ----------------------------------------------------------------------------


class AskingTalk(FakeTalk):
    """Asks for a password until it is typed."""

    def __init__(self) -> None:
        super().__init__()
        self.prompt, self.hides = "Password:", True

    def typed(self, line: str) -> None:
        super().typed(line)
        self.prompt, self.hides = None, False


def test_a_secret_is_shown_as_stars_and_remembered_nowhere() -> None:
    remembered: list[str] = []
    drafts: list[str] = []

    async def scenario(running: Running) -> None:
        running.window.refresh()
        running.press(SECRET)
        await running.until(lambda: "*" * len(SECRET) in running.output)
        running.press("\r")
        await running.until(lambda: running.talk.told == [SECRET])
        running.window.refresh()
        running.press("hello\r")
        await running.until(lambda: running.talk.told == [SECRET, "hello"])

    running = converse(scenario, AskingTalk(), remember=remembered.append, keep_draft=drafts.append)
    assert SECRET not in running.output
    assert remembered == ["hello"]
    assert not any(SECRET.startswith(draft) for draft in drafts if draft)


def test_a_secret_is_no_draft_until_the_window_has_noticed_that_the_question_is_over() -> None:
    drafts: list[str] = []

    async def scenario(running: Running) -> None:
        talk = running.talk
        running.window.refresh()
        running.press("corr")
        await running.until(lambda: "****" in running.output)
        talk.prompt, talk.hides = None, False
        running.press("e")
        await running.until(lambda: running.output.count("*") > 4)
        running.window.refresh()

    converse(scenario, AskingTalk(), keep_draft=drafts.append)
    assert not any(drafts)


def test_a_line_that_is_being_typed_is_put_aside_and_comes_back() -> None:
    """The question can come at any time, as after a lost connection."""

    async def scenario(running: Running) -> None:
        talk = running.talk
        running.press("half a line")
        await running.until(lambda: "half a line" in running.output)
        talk.prompt, talk.hides = "Password:", True
        running.window.refresh()
        running.press(f"{SECRET}\r")
        await running.until(lambda: talk.told == [SECRET])
        talk.prompt, talk.hides = None, False
        running.window.refresh()
        running.press(" and more\r")
        await running.until(lambda: talk.told == [SECRET, "half a line and more"])

    converse(scenario)


def test_the_draft_of_the_last_time_is_not_taken_for_the_secret() -> None:
    async def scenario(running: Running) -> None:
        running.window.refresh()
        running.press("\r")
        await running.until(lambda: running.talk.told == [""])

    converse(scenario, AskingTalk(), draft="see you at eight")


def test_tab_completes_nothing_in_a_secret() -> None:
    async def scenario(running: Running) -> None:
        running.window.refresh()
        running.press("al\t\r")
        await running.until(lambda: running.talk.told == ["al"])

    talk = AskingTalk()
    talk.tabs["lobby"].people = ["alice"]
    converse(scenario, talk)


@pytest.mark.parametrize("command", ["/register", "/registrar", "/password", "/senha", "//"])
def test_a_command_with_a_password_is_remembered_nowhere(command: str) -> None:
    remembered: list[str] = []
    drafts: list[str] = []
    line = f"{command} {SECRET}"

    async def scenario(running: Running) -> None:
        running.press(f"{line}\r")
        await running.until(lambda: running.talk.told == [line])

    converse(scenario, remember=remembered.append, keep_draft=drafts.append)
    is_text = command == "//"
    assert remembered == ([line] if is_text else [])
    assert any("corr" in draft for draft in drafts) == is_text


def test_which_lines_have_a_secret() -> None:
    assert has_secret("/register x")
    assert has_secret("/PASSWORD  x")
    assert has_secret("/join den x")
    assert not has_secret("/join den")
    assert has_secret("/room #den join password x")
    assert has_secret("/sala entrar SENHA x y")
    assert not has_secret("/room join password")
    assert not has_secret("/room speak all")
    assert has_secret("\uff0fregister x")
    assert not has_secret("/register")
    assert not has_secret("register x")
    assert not has_secret("/reg x")
    assert not has_secret("")


def test_without_the_password_it_is_asked_for() -> None:
    assert parse(b"/register") == TypePassword(Register)
    assert parse(b"/senha ") == TypePassword(SetPassword)
    assert parse(b"/register x y") == Register("x y")
    with pytest.raises(Refusal):
        parse(b"/join")


# -- without a prompt -------------------------------------------------------------------------


@pytest.fixture
def terminal() -> Iterator[int]:
    master, slave = pty.openpty()
    yield slave
    os.close(slave)
    os.close(master)


def echoes(terminal: int) -> bool:
    return bool(termios.tcgetattr(terminal)[3] & termios.ECHO)


def test_the_terminal_shows_nothing_until_the_line_has_come(terminal: int) -> None:
    echo = TtyEcho(terminal)
    before = termios.tcgetattr(terminal)
    echo.hide()
    echo.hide()
    assert not echoes(terminal)
    assert termios.tcgetattr(terminal)[3] & termios.ECHONL, "the end of the line is shown"
    echo.show()
    echo.show()
    assert termios.tcgetattr(terminal) == before


def test_what_is_no_terminal_is_left_alone(tmp_path: Path) -> None:
    with (tmp_path / "file").open("w") as file:
        echo = TtyEcho(file.fileno())
        echo.hide()
        echo.show()
    TtyEcho(-1).hide()


# -- files of tokens --------------------------------------------------------------------------

TOKEN = "tchat_bcdfghjkmnpqrstvwxz234567892bc"


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {"HOME": str(tmp_path)}


def test_a_token_is_in_a_file_that_only_its_owner_can_read(environ: dict[str, str]) -> None:
    path = token_path(environ, Address("Example.org", 50000, False), "ana")
    assert read_token(path) is None
    keep_token(path, TOKEN)
    assert read_token(path) == TOKEN
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.chmod(0o644)
    keep_token(path, TOKEN[::-1])
    assert read_token(path) == TOKEN[::-1]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    forget_token(path)
    forget_token(path)
    assert read_token(path) is None


def test_each_nickname_on_each_server_has_its_own(environ: dict[str, str]) -> None:
    files = TokenFiles(environ, Address("example.org", 50000, False))
    paths = {
        files.path("Ana"),
        files.path("Bia"),
        TokenFiles(environ, Address("example.org", 50000, True)).path("Ana"),
        TokenFiles(environ, Address("example.org", 50001, False)).path("Ana"),
        TokenFiles(environ, Address("example.net", 50000, False)).path("Ana"),
        state_path(environ, "example.org", 50000, "ana"),
        state_path(environ, "example.org", 50000, "ana.token"),
    }
    assert len(paths) == 7
    assert files.path("ANA") == files.path("ana")
    assert key_of("a b") == "a b"


@pytest.mark.parametrize("content", ["", "\n", "two words\n", "a/b\n"])
def test_what_is_no_token_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "x.token"
    path.write_text(content)
    with pytest.raises(NoToken):
        read_token(path)


def test_where_no_file_can_be_there_is_no_token() -> None:
    """Such as where the home directory is /dev/null."""
    assert read_token(Path("/dev/null/token")) is None


def test_a_token_that_cannot_be_read_or_kept(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigUnreadable):
        read_token(tmp_path)
    with pytest.raises(CannotRemember):
        keep_token(tmp_path / "file" / "x.token", TOKEN)


def test_the_file_of_the_command_line_comes_before_the_environment(tmp_path: Path) -> None:
    path = tmp_path / "x.token"
    path.write_text(f"{TOKEN}\n")
    environ = {"TWISTED_CHAT_TOKEN": "other"}
    assert given_token(str(path), environ) == TOKEN
    assert given_token(None, environ) == "other"
    assert given_token(None, {"TWISTED_CHAT_TOKEN": ""}) is None
    with pytest.raises(ConfigUnreadable):
        given_token(str(tmp_path / "none"), environ)
