"""Commands in messages and documents can be copied into a shell: they have their path."""

from __future__ import annotations

import re
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from textwrap import dedent

import pytest

from tests.support.processes import Server
from tests.support.reactors import Reactor
from twisted_chat.console.programs import program
from twisted_chat.journal.sqlite.upgrade import APPLICATION_ID, schema_scripts
from twisted_chat.server.service import ChatService, StartupFailure
from twisted_chat.server.settings import load
from twisted_chat.server.tap import Options

ROOT = Path(__file__).parent.parent

#: A command with something behind its name, without the folder that it is in. (A program's name
#: alone is a name.)
WITHOUT_PATH = re.compile(
    r"(?<![\w./'-])(?:twisted-chat "
    r"(?:verify|history|export|backup|reindex|send|tail|connect|bench) "
    r"|pip install |twistd (?=-))(?=[\w./'\"#-])"
)


def test_commands_in_the_documents_have_their_path() -> None:
    for path in (ROOT / "README.rst", *(ROOT / "docs").glob("*.rst")):
        text = path.read_text(encoding="utf-8")
        literals = re.findall(r"``[^`]+``", text) + re.findall(r"(?m)^ +\S.*$", text)
        wrong = [literal for literal in literals if WITHOUT_PATH.match(literal.strip("` "))]
        assert wrong == [], path.name


def test_commands_in_messages_have_their_path() -> None:
    """Their path is known when they are shown, so it is one of the braces."""
    catalogue = ROOT / "twisted_chat/i18n/locale/pt_BR/LC_MESSAGES/twisted_chat.po"
    for line in catalogue.read_text(encoding="utf-8").splitlines():
        assert not WITHOUT_PATH.search(line), line


def test_a_program_is_named_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "a b" / ".venv" / "bin"
    folder.mkdir(parents=True)
    for name in ("python", "pip"):
        (folder / name).touch(0o755)
    monkeypatch.setattr(sys, "executable", str(folder / "python"))
    monkeypatch.chdir(tmp_path / "a b")
    assert program("pip") == ".venv/bin/pip"
    monkeypatch.chdir("/")
    assert program("pip") == f"'{folder}/pip'"
    (folder / "pip").unlink()
    assert program("pip") == f"'{folder}/python' -m pip"


def test_the_service_for_the_internet_understands_its_options(tmp_path: Path) -> None:
    """The drop-in that is shipped, with the settings that ``docs/security.rst`` recommends."""
    document = (ROOT / "docs/security.rst").read_text(encoding="utf-8")
    block = re.search(r"chat\.toml``(?s:.*?)::\n\n((?: {7}.*\n)+)", document)
    assert block is not None
    config = tmp_path / "chat.toml"
    config.write_text(dedent(block[1]).replace("/etc/twisted-chat", str(tmp_path)))
    (tmp_path / "motd.txt").write_text("Be kind.\n")
    drop_in = (ROOT / "contrib/systemd/internet.conf").read_text(encoding="utf-8")
    command = drop_in.replace("\\\n", " ").rpartition("ExecStart=")[2].split()
    command[command.index("--config") + 1] = str(config)
    options = Options()
    options.parseOptions(command[command.index("chat") + 1 :])
    tls = options.settings.listen[1]
    assert tls.startswith("ssl:50001:")
    assert options.settings.audit_log
    assert "interface=127.0.0.1" in options.settings.metrics
    # pyOpenSSL could make nothing that it needs, and each connection would fail.
    assert "\nMemoryDenyWriteExecute=no\n" in drop_in
    credentials = set(re.findall(r"LoadCredential=(\S+):/", drop_in))
    assert set(re.findall(r"\$\{CREDENTIALS_DIRECTORY\}/([\w.]+)", tls)) == credentials


@pytest.mark.parametrize("name", ["garbage", "missing"])
def test_a_certificate_that_cannot_be_used_is_said_in_one_line(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], name: str
) -> None:
    pytest.importorskip("OpenSSL")
    (tmp_path / "garbage").write_text("no certificate\n")
    endpoint = f"ssl:0:interface=127.0.0.1:privateKey={tmp_path}/{name}"
    service = ChatService(Reactor(), load({"listen": endpoint}, None))
    with pytest.raises(StartupFailure) as failure:
        service.privilegedStartService()
    assert str(failure.value).startswith(f"cannot listen on {endpoint}: ")
    assert "Errno" not in str(failure.value)
    assert capfd.readouterr().err.count("\n") == 1


@pytest.mark.process
def test_an_upgrade_of_the_database_is_logged(tmp_path: Path) -> None:
    """From which version to which, and where the copy of the old one is."""
    database = tmp_path / "chat.db"
    scripts = schema_scripts()
    with closing(sqlite3.connect(database)) as connection:
        connection.executescript(scripts[0])
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute("PRAGMA user_version = 1")
        connection.commit()
    with Server(tmp_path) as server:
        log = "\n".join(server.log())
        server.stop()
    assert f"chat.db is upgraded from version 1 to {len(scripts)}" in log
    assert "chat.db.backup-1" in log
    assert (tmp_path / "chat.db.backup-1").exists()
