"""The person's configuration: where it is, what is said of a mistake, what is left alone."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from twisted_chat.client.address import Address
from twisted_chat.core.errors import CannotStart
from twisted_chat.terminal import config as module
from twisted_chat.terminal.config import (
    CannotRemember,
    Config,
    ConfigUnreadable,
    NoHome,
    UnknownKey,
    WrongValue,
    config_path,
    read,
    remember_name,
    state_path,
)
from twisted_chat.terminal.run import Security, find_place

HOME = {"HOME": "/home/ana"}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "twisted-chat" / "client.toml"


def write(path: Path, text: str) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(text.encode())


def refusal(path: Path) -> CannotStart:
    """What is said of the file at ``path``: always one line, and which file it is about."""
    with pytest.raises(CannotStart) as refused:
        read(path)
    for language in ("en", "pt_BR"):
        sentence = refused.value.sentence(language)
        assert str(path) in sentence
        assert sentence.isprintable()
    return refused.value


# -- where ------------------------------------------------------------------------------------


def test_without_variables_both_are_below_home() -> None:
    assert config_path(HOME) == Path("/home/ana/.config/twisted-chat/client.toml")
    assert state_path(HOME, "chat.example", 50000, "Ana") == Path(
        "/home/ana/.local/state/twisted-chat/chat.example_50000/Ana.db"
    )


def test_the_variables_of_the_specification_win() -> None:
    environ = {**HOME, "XDG_CONFIG_HOME": "/etc/ana", "XDG_STATE_HOME": "/var/ana"}
    assert config_path(environ) == Path("/etc/ana/twisted-chat/client.toml")
    assert state_path(environ, "h", 1, "Ana") == Path("/var/ana/twisted-chat/h_1/Ana.db")


@pytest.mark.parametrize("value", ["", "relative/folder", "~/config"])
def test_variables_that_are_not_absolute_are_ignored(value: str) -> None:
    environ = {**HOME, "XDG_CONFIG_HOME": value, "XDG_STATE_HOME": value}
    assert config_path(environ) == config_path(HOME)
    assert state_path(environ, "h", 1, "Ana") == state_path(HOME, "h", 1, "Ana")


def test_a_relative_home_is_refused() -> None:
    with pytest.raises(NoHome):
        config_path({"HOME": "here"})


HOSTILE = (
    "",
    ".",
    "..",
    ".hidden",
    "../../etc/passwd",
    "/",
    "a/b",
    "a\0b",
    "a\nb",
    "a_b",
    "a%2Fb",
    "a+b",
    "José",
    "Jose\u0301",
    "é" * 200,
    "é" * 201,
    "x" * 5000,
    "%" * 100,
    "\ud800",
)


@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
def test_names_become_safe_names_of_files(text: str) -> None:
    path = state_path(HOME, text, 50000, text)
    assert path.parent.parent == Path("/home/ana/.local/state/twisted-chat")
    assert os.path.normpath(path) == str(path)
    for part in (path.parent.name, path.name):
        assert part.isascii()
        assert part.isprintable()
        assert part[0] != "."
        assert len(part) + len("-journal.lock") < 255


def test_no_two_names_share_a_file() -> None:
    assert len({state_path(HOME, "h", 1, text) for text in HOSTILE}) == len(HOSTILE)
    assert len({state_path(HOME, text, 1, "Ana") for text in HOSTILE}) == len(HOSTILE)
    assert state_path(HOME, "h_1", 2, "Ana") != state_path(HOME, "h", 12, "Ana")


def test_a_cut_name_is_none_that_could_be_given() -> None:
    """Whoever chooses a cut name as a nickname does not get another one's file."""
    long = state_path(HOME, "h", 1, "x" * 5000)
    assert state_path(HOME, "h", 1, long.stem) != long


def test_a_host_is_the_same_in_capitals() -> None:
    assert state_path(HOME, "Chat.Example", 1, "a") == state_path(HOME, "chat.example", 1, "a")
    assert state_path(HOME, "h", 1, "Ana") != state_path(HOME, "h", 1, "ana")


# -- reading ----------------------------------------------------------------------------------


def test_without_a_file_all_is_default(path: Path) -> None:
    assert read(path) == Config()
    assert not path.parent.exists(), "reading makes nothing"


def test_an_empty_file_is_default(path: Path) -> None:
    write(path, "")
    assert read(path) == Config()


def test_everything_can_be_set(path: Path) -> None:
    write(
        path,
        """
        nickname = "Zoé"  # me
        server = "[::1]:50001"
        bell = false
        timestamps = false
        background = "light"
        """,
    )
    assert read(path) == Config(
        nickname="Zoé", server="[::1]:50001", bell=False, timestamps=False, background="light"
    )


def test_every_setting_says_what_is_expected() -> None:
    assert module._EXPECTED.keys() == set(Config.__struct_fields__)


@pytest.mark.parametrize(
    "line",
    [
        "nickname = 7",
        'nickname = ""',
        'nickname = "a\\u001Bb"',
        'server = "host:99999"',
        'server = ""',
        "server = 50000",
        'bell = "no"',
        "bell = 1",
        "timestamps = 2026-11-23",
        'background = "blue"',
        "background = [1]",
        "[bell]\nloud = true",
    ],
)
def test_a_wrong_value_is_told_with_its_key(path: Path, line: str) -> None:
    write(path, line)
    key = line.split()[0].strip("[]")
    refused = refusal(path)
    assert isinstance(refused, WrongValue)
    assert f"the value of {key} " in str(refused)
    assert str(refused).endswith(f"expected: {module._EXPECTED[key]}")


def test_an_unknown_key_is_told_with_those_there_are(path: Path) -> None:
    write(path, 'bell = true\nnick = "Ana"')
    refused = refusal(path)
    assert isinstance(refused, UnknownKey)
    assert "nick;" in str(refused)
    assert "nickname, nicknames, server, ca, bell" in str(refused)


def test_a_key_cannot_disturb_the_terminal(path: Path) -> None:
    write(path, '"\\u001B[2J\\n" = 1')
    assert isinstance(refusal(path), UnknownKey)


@pytest.mark.parametrize(
    "text",
    [
        "nickname",
        "bell = maybe",
        "a = 1\na = 2",
        'nickname = "a\nb"',
        "x = \x1b",
        '"\\u001B" = 1\n"\\u001B" = 2',
    ],
)
def test_what_is_not_toml_is_told(path: Path, text: str) -> None:
    write(path, text)
    assert isinstance(refusal(path), ConfigUnreadable)


def test_what_is_not_utf8_is_told(path: Path) -> None:
    write(path, "")
    path.write_bytes(b'nickname = "\xff"')
    assert isinstance(refusal(path), ConfigUnreadable)


def test_what_cannot_be_read_is_told(path: Path) -> None:
    path.mkdir(parents=True)
    assert isinstance(refusal(path), ConfigUnreadable)


# -- remembering ------------------------------------------------------------------------------


def test_what_is_remembered_is_read(path: Path) -> None:
    remember_name(path, "chat.example:50001", 'Zoé "Z" \\')
    assert read(path) == Config(nicknames={"chat.example:50001": 'Zoé "Z" \\'})


def test_the_file_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "new" / "twisted-chat" / "client.toml"
    remember_name(path, "h:1", "Ana")
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert path.parent.parent.stat().st_mode & 0o777 == 0o700
    assert list(path.parent.iterdir()) == [path]


def test_what_the_person_wrote_stays(path: Path) -> None:
    before = (
        '# mine\nbell   =  false # quiet\n\n[nicknames] # ours\n"h:1" = "Ana" # me\n# the end\n'
    )
    write(path, before)
    remember_name(path, "h:1", "Zoé")
    assert path.read_text() == before.replace("Ana", "Zoé")
    assert read(path) == Config(nicknames={"h:1": "Zoé"}, bell=False)


@pytest.mark.parametrize("before", ["bell = false", "# only this", "bell = false\r\n# x\r\n"])
def test_a_setting_is_added_on_a_line_of_its_own(path: Path, before: str) -> None:
    write(path, before)
    remember_name(path, "h:1", "Ana")
    assert path.read_bytes().startswith(before.encode())
    assert read(path).nicknames == {"h:1": "Ana"}


def test_a_linked_file_stays_a_link(path: Path, tmp_path: Path) -> None:
    """People keep such files elsewhere, under version control."""
    real = tmp_path / "dotfiles.toml"
    real.write_text("bell = false\n")
    real.chmod(0o644)
    path.parent.mkdir()
    path.symlink_to(real)
    remember_name(path, "h:1", "Ana")
    assert path.is_symlink()
    assert read(real) == Config(nicknames={"h:1": "Ana"}, bell=False)
    assert real.stat().st_mode & 0o777 == 0o644


def test_a_broken_file_is_not_overwritten(path: Path) -> None:
    write(path, "bell = maybe")
    with pytest.raises(CannotRemember) as refused:
        remember_name(path, "h:1", "Ana")
    assert str(path) in str(refused.value)
    assert path.read_text() == "bell = maybe"


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CannotRemember) as refused:
        remember_name(tmp_path / "file" / "client.toml", "h:1", "Ana")
    for language in ("en", "pt_BR"):
        assert refused.value.sentence(language).isprintable()


def test_an_interrupted_write_leaves_the_old_file(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(path, "bell = false")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(CannotRemember, match="No space left on device"):
        remember_name(path, "h:1", "Ana")
    assert path.read_text() == "bell = false"
    assert list(path.parent.iterdir()) == [path]


def test_a_mark_at_the_beginning_of_the_file_is_no_part_of_it(tmp_path: Path) -> None:
    path = tmp_path / "client.toml"
    path.write_bytes(b'\xef\xbb\xbfserver = "example.org"  # mine\r\n')
    assert read(path).server == "example.org"
    remember_name(path, "h:1", "Ana")
    assert read(path) == Config(server="example.org", nicknames={"h:1": "Ana"})
    assert b"# mine\r\n" in path.read_bytes()


def test_a_name_is_remembered_for_one_server(tmp_path: Path) -> None:
    path = tmp_path / "client.toml"
    path.write_text('nickname = "A"  # mine\n')
    remember_name(path, "example.org:50000", "Ana")
    remember_name(path, "[::1]:1", "Bia")
    configured = read(path)
    assert configured.nicknames == {"example.org:50000": "Ana", "[::1]:1": "Bia"}
    assert "# mine" in path.read_text()
    environ = {"HOME": str(tmp_path)}

    def name(host: str, port: int, given: str | None = None) -> tuple[str | None, bool]:
        place = find_place(Address(host, port), Security(), given, configured, environ)
        return place.nickname, place.is_own

    assert name("EXAMPLE.org", 50000) == ("Ana", True)
    assert name("::1", 1, "Bia") == ("Bia", True)
    assert name("::1", 1, "A") == ("A", False)
    assert name("::1", 2) == ("A", True)


@pytest.mark.parametrize("value", ['""', "3", '"a\\u001bb"'])
def test_a_wrong_name_of_a_server_is_told(value: str, path: Path) -> None:
    write(path, f'[nicknames]\n"a:1" = {value}')
    assert "nicknames" in str(refusal(path))
