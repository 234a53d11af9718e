"""The settings: where they come from, and what is said of a wrong one."""

from __future__ import annotations

import re
import shutil
from ipaddress import ip_network
from pathlib import Path

import pytest

from twisted_chat.core.errors import (
    CannotStart,
    FileNotUTF8,
    FileUnreadable,
    UnknownSetting,
    WrongSetting,
)
from twisted_chat.core.flood import Rate
from twisted_chat.core.limits import Limits
from twisted_chat.net.sockets import descriptor_limit
from twisted_chat.server import setting_values
from twisted_chat.server.settings import DEFAULT_ENDPOINT, LIMITS, SETTINGS, Settings, load


@pytest.fixture(autouse=True)
def english(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test depends on the environment that it runs in."""
    for variable in ("LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(variable, raising=False)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return tmp_path / "chat.toml"


def test_the_readme_has_each_option_with_its_default() -> None:
    readme = (Path(__file__).parent.parent / "README.rst").read_text(encoding="utf-8")
    table = readme[readme.index("\nOptions\n") : readme.index("\nWhat is stored")]
    rows = dict(re.findall(r"(?ms)^``--([a-z-]+)(.*?)(?=^``--|^=====)", table))
    assert set(rows) == {setting.name for setting in SETTINGS}
    for setting in SETTINGS:
        if setting.default[:1].isdigit():
            told = " ".join(rows[setting.name].replace("`", "").split())
            assert re.search(rf"Default: {re.escape(setting.default)}[.,]", told), setting.name


def test_the_defaults() -> None:
    assert load({}, None) == Settings(
        listen=(DEFAULT_ENDPOINT,),
        greeting_delay=0.25,
        database="chat.db",
        durability="full",
        room="lobby",
        language="en",
        motd=(),
        history_lines=20,
        rate=Rate(20, 5),
        line_length=4096,
        nickname_length=32,
        room_length=64,
        topic_length=390,
        rooms_per_person=20,
        page_length=100,
        login_deadline=60,
        connections_per_address=16,
        rooms_per_hour=30,
        trusted_networks=(),
        reserved_names=(),
        registration="open",
        guests=True,
        auth_command=(),
        insecure_secrets=False,
        max_clients=descriptor_limit() - 32,
        max_waiting=1024 * 1024,
        write_timeout=60,
        keep=365,
        max_database=0,
        clock_confirmed=0,
        reconnect_grace=10,
        resume_window=300,
        metrics="",
        audit_log="",
        audit_keep=30,
        log_format="text",
        log_messages=False,
    )


def test_out_of_the_box_only_this_machine_is_served() -> None:
    assert "interface=127.0.0.1" in DEFAULT_ENDPOINT


def test_everything_can_be_set_in_the_file(config: Path, tmp_path: Path) -> None:
    motd = tmp_path / "motd.txt"
    motd.write_text("Olá!\n\nBe kind.\n", encoding="utf-8")
    config.write_text(
        f"""
        listen = ["tcp:1", "unix:/tmp/chat"]
        greeting-delay = 0.5
        database = ":memory:"
        durability = "normal"
        room = "#Praça"
        language = "pt_BR"
        motd = '{motd}'
        history-lines = 0
        rate = "2:0.5"
        line-length = 512
        nickname-length = 16
        room-length = 20
        topic-length = 100
        rooms-per-person = 5
        page-length = 50
        login-deadline = 7.5
        connections-per-address = 0
        rooms-per-hour = 7
        trusted-networks = ["192.0.2.0/24", "2001:db8::/48"]
        reserved-names = ["Boss,Chefe", "Professora"]
        registration = "invite"
        guests = "off"
        auth-command = "sh -c 'exit 1'"
        insecure-secrets = true
        max-clients = 40
        max-waiting = 0
        write-timeout = 0
        keep = 0.5
        max-database = "10G"
        clock-confirmed = "2027-01-31"
        reconnect-grace = 0
        resume-window = 86400
        metrics = "tcp:9150:interface=127.0.0.1"
        audit-log = "audit.jsonl"
        audit-keep = 7.5
        log-format = "json"
        log-messages = true
        """,
        encoding="utf-8",
    )
    assert load({}, str(config)) == Settings(
        listen=("tcp:1", "unix:/tmp/chat"),
        greeting_delay=0.5,
        database=":memory:",
        durability="normal",
        room="praça",
        language="pt_BR",
        motd=("Olá!", "", "Be kind."),
        history_lines=0,
        rate=Rate(2, 0.5),
        line_length=512,
        nickname_length=16,
        room_length=20,
        topic_length=100,
        rooms_per_person=5,
        page_length=50,
        login_deadline=7.5,
        connections_per_address=0,
        rooms_per_hour=7,
        trusted_networks=(ip_network("192.0.2.0/24"), ip_network("2001:db8::/48")),
        reserved_names=("Boss", "Chefe", "Professora"),
        registration="invite",
        guests=False,
        auth_command=(str(Path(shutil.which("sh") or "").absolute()), "-c", "exit 1"),
        insecure_secrets=True,
        max_clients=40,
        max_waiting=0,
        write_timeout=0,
        keep=0.5,
        max_database=10 * 2**30,
        clock_confirmed=1_801_439_999_000_000,
        reconnect_grace=0,
        resume_window=86400,
        metrics="tcp:9150:interface=127.0.0.1",
        audit_log="audit.jsonl",
        audit_keep=7.5,
        log_format="json",
        log_messages=True,
    )


def test_the_command_line_wins_over_the_file_and_the_file_over_the_defaults(config: Path) -> None:
    config.write_text('room = "cinema"\nhistory-lines = 5\n')
    loaded = load({"history-lines": "7"}, str(config))
    assert (loaded.room, loaded.history_lines, loaded.durability) == ("cinema", 7, "full")


@pytest.mark.parametrize(
    ("given", "listen"),
    [("tcp:1", ("tcp:1",)), (["tcp:1"], ("tcp:1",)), (["tcp:1", "tcp:2"], ("tcp:1", "tcp:2"))],
)
def test_one_can_listen_on_several_endpoints(
    given: str | list[str], listen: tuple[str, ...]
) -> None:
    assert load({"listen": given}, None).listen == listen


def test_one_endpoint_in_the_file_needs_no_brackets(config: Path) -> None:
    config.write_text('listen = "tcp:1"\n')
    assert load({}, str(config)).listen == ("tcp:1",)


def test_flood_control_can_be_off() -> None:
    assert load({"rate": "off"}, None).rate is None


def test_the_limits_by_default_are_the_same_wherever_they_stand() -> None:
    limits = load({"max-clients": "7"}, None).limits
    assert limits == Limits(max_clients=7)
    assert LIMITS.keys() == set(Limits.__struct_fields__)


def test_room_is_left_for_more_than_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(setting_values, "descriptor_limit", lambda: 100)
    assert load({}, None).max_clients == 68
    assert load({"max-clients": "68"}, None).max_clients == 68
    with pytest.raises(WrongSetting):
        load({"max-clients": "69"}, None)


def test_what_is_said_can_be_kept_for_ever() -> None:
    assert load({"keep": "0"}, None).keep == 0


def test_the_language_follows_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANG", "pt_BR.UTF-8")
    assert load({}, None).language == "pt_BR"
    assert load({"language": "en"}, None).language == "en"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("listen", ""),
        ("greeting-delay", "soon"),
        ("greeting-delay", "-1"),
        ("greeting-delay", "61"),
        ("greeting-delay", "nan"),
        ("greeting-delay", "inf"),
        ("database", ""),
        ("database", "a\0b"),
        ("durability", "FULL"),
        ("durability", ""),
        ("room", ""),
        ("room", "two words"),
        ("room", "🙂"),
        ("language", "de"),
        ("language", "pt"),
        ("history-lines", "-1"),
        ("history-lines", "1001"),
        ("history-lines", "many"),
        ("history-lines", "1.5"),
        ("rate", ""),
        ("rate", "20"),
        ("rate", "20:5:1"),
        ("rate", "0:5"),
        ("rate", "20:0"),
        ("rate", "20:0.0001"),
        ("rate", "20:-1"),
        ("rate", "nan:5"),
        ("rate", "inf:5"),
        ("rate", "20:inf"),
        ("rate", "20:nan"),
        ("line-length", "255"),
        ("line-length", "4097"),
        ("nickname-length", "0"),
        ("nickname-length", "33"),
        ("room-length", "65"),
        ("topic-length", "1001"),
        ("rooms-per-person", "0"),
        ("page-length", "101"),
        ("login-deadline", "-1"),
        ("rooms-per-hour", "10001"),
        ("trusted-networks", "192.0.2.1/24"),
        ("trusted-networks", "somewhere"),
        ("reserved-names", "the boss"),
        ("reserved-names", "boss,"),
        ("registration", "on"),
        ("guests", "maybe"),
        ("auth-command", "/nonexistent/check"),
        ("auth-command", "sh 'unfinished"),
        ("insecure-secrets", "yes"),
        ("trusted-networks", "192.0.2.0/24,"),
        ("connections-per-address", "-1"),
        ("connections-per-address", "many"),
        ("max-clients", "0"),
        ("max-clients", "all"),
        ("max-clients", "1000000000"),
        ("max-waiting", "1M"),
        ("write-timeout", "inf"),
        ("keep", ""),
        ("keep", "for ever"),
        ("keep", "-1"),
        ("keep", "1000001"),
        ("keep", "nan"),
        ("keep", "inf"),
        ("reconnect-grace", "soon"),
        ("reconnect-grace", "-0.1"),
        ("reconnect-grace", "inf"),
        ("resume-window", "5m"),
        ("resume-window", "-1"),
        ("resume-window", "nan"),
        ("audit-log", "a\0b"),
        ("audit-keep", "-1"),
        ("log-messages", "perhaps"),
        ("motd", "a\0b"),
    ],
)
def test_a_wrong_value_is_refused_and_names_the_option(name: str, value: str) -> None:
    with pytest.raises(WrongSetting) as refused:
        load({name: value}, None)
    assert str(refused.value).startswith(f"--{name}: ")


@pytest.mark.parametrize(
    "line",
    [
        "listen = []",
        'listen = ["tcp:1", ""]',
        'room = ["a", "b"]',
        "rate = 20",
        "log-messages = 1",
        "history-lines = 1.5",
        "greeting-delay = nan",
        "durability = true",
        "keep = true",
        "resume-window = inf",
        "database = ''",
        "rate = {burst = 20}",
    ],
)
def test_a_wrong_value_in_the_file_is_refused_and_names_the_option(config: Path, line: str) -> None:
    config.write_text(line + "\n")
    with pytest.raises(WrongSetting) as refused:
        load({}, str(config))
    assert str(refused.value).startswith(f"--{line.split()[0]}: ")


def test_an_unknown_key_is_refused_and_named(config: Path) -> None:
    config.write_text('rooom = "x"\n')
    with pytest.raises(UnknownSetting) as refused:
        load({}, str(config))
    assert str(refused.value) == f"{config}: there is no setting rooom"


def test_no_file(config: Path) -> None:
    with pytest.raises(FileUnreadable) as refused:
        load({}, str(config))
    assert str(refused.value) == f"--config: cannot read {config}: No such file or directory"


@pytest.mark.parametrize(
    "content", [b"room: lobby\n", b"room = \n", b"room = '\xe1'\n", b"room = 'a'\nroom = 'b'\n"]
)
def test_a_file_that_is_not_toml(config: Path, content: bytes) -> None:
    config.write_bytes(content)
    with pytest.raises(FileUnreadable) as refused:
        load({}, str(config))
    assert str(refused.value).startswith(f"--config: cannot read {config}: ")
    assert "\n" not in str(refused.value)


def test_a_directory_is_no_file(tmp_path: Path) -> None:
    for name, given, file in (
        ("config", {}, str(tmp_path)),
        ("motd", {"motd": str(tmp_path)}, None),
    ):
        with pytest.raises(FileUnreadable) as refused:
            load(given, file)
        assert str(refused.value) == f"--{name}: cannot read {tmp_path}: Is a directory"


def test_a_message_of_the_day_that_is_missing_or_not_utf8(tmp_path: Path) -> None:
    motd = tmp_path / "motd.txt"
    with pytest.raises(FileUnreadable, match=r"--motd: cannot read .*: No such file"):
        load({"motd": str(motd)}, None)
    motd.write_bytes(b"Oi\nOl\xe1\n")
    with pytest.raises(FileUnreadable, match=r"--motd: cannot read .*: line 2 is not UTF-8"):
        load({"motd": str(motd)}, None)


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_byte_order_mark_is_none_of_the_text(tmp_path: Path, end: str) -> None:
    """Windows' editors write one."""
    motd, config = tmp_path / "motd.txt", tmp_path / "chat.toml"
    motd.write_bytes(f"Olá{end}".encode("utf-8-sig"))
    config.write_bytes(f"room = 'praça'{end}motd = '{motd}'{end}".encode("utf-8-sig"))
    loaded = load({}, str(config))
    assert (loaded.room, loaded.motd) == ("praça", ("Olá",))


@pytest.mark.parametrize("content", ["room = 'praça'\n".encode("utf-16"), b"\n\nroom = '\xe1'\n"])
def test_where_a_file_is_not_utf8(config: Path, content: bytes) -> None:
    config.write_bytes(content)
    line = 3 if content.startswith(b"\n") else 1
    with pytest.raises(FileNotUTF8) as refused:
        load({}, str(config))
    assert str(refused.value) == f"--config: cannot read {config}: line {line} is not UTF-8"


def test_a_name_with_a_nul_byte_is_no_file() -> None:
    with pytest.raises(CannotStart):
        load({}, "a\0b")


def test_each_setting_has_help_and_a_valid_default() -> None:
    for setting in SETTINGS:
        assert setting.help.endswith(".")
        assert setting.expected
        setting.read(setting.default)
    assert {setting.field for setting in SETTINGS} == set(Settings.__struct_fields__)


def test_a_wrong_value_is_told_in_one_language() -> None:
    """What is expected is translated like the rest of the sentence."""
    with pytest.raises(WrongSetting) as refused:
        load({"greeting-delay": "soon"}, None)
    assert "a number of seconds" in refused.value.sentence("en")
    assert "a number of seconds" not in refused.value.sentence("pt_BR")
