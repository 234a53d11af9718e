"""What is sent can neither steer a terminal, nor pass for somebody else, nor be taken for anything
but text: rows 22 to 27, 43 and 44 of the table in ``docs/reliability.rst``. Each prints its figure.
"""

from __future__ import annotations

import json
import re
import socket
import threading
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.support.common_names import COMMON_NAMES
from tests.support.fakes import World
from tests.support.faults import Bot, Subject, connect, enter, read_until, show, stored
from tests.support.processes import PATIENCE, talk
from tests.support.protocol import Client, House
from tests.support.strace import parse, why_not
from twisted_chat import cli
from twisted_chat.core.changes import Draft
from twisted_chat.core.characters import find_unsafe
from twisted_chat.core.errors import Refusal
from twisted_chat.core.names import ALWAYS_RESERVED, Reserved, nickname
from twisted_chat.core.registry import Registry
from twisted_chat.core.unicode_tables import prototypes
from twisted_chat.journal.sqlite.store import Store

pytestmark = pytest.mark.slow

#: C0 but TAB and the ends of lines, DEL, C1, separators, and what changes the direction of text.
CONTROLS = [
    *(chr(n) for n in range(0x20) if chr(n) not in "\t\n\r"),
    *(chr(n) for n in range(0x7F, 0xA0)),
    *"\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069",
]

#: What terminals obey: clear the screen, a title, the clipboard, a link, a device's status.
SEQUENCES = [
    *("\x1b[2J", "\x1b]0;title\x07", "\x1b]52;c;cm0gLXJmIC8=\x07", "\x1b]8;;http://x\x1b\\x"),
    *("\x9b2J", "\x9d52;c;eA==\x9c", "\x1b[6n", "\x1bP$q\x1b\\", "\x1b[200~", "\x0e\x0f", "\x05"),
]

HOSTILE = [*CONTROLS, *SEQUENCES]


def dangerous(data: bytes, decoded: bool = True) -> list[str]:
    """The characters among what somebody was sent that must not reach a terminal.

    ``data`` is text whose lines end with LF or CR LF, or JSON Lines, which may be ``decoded``.
    """
    text = data.decode()  # or else it is not even UTF-8
    found = [c for c in text.replace("\r\n", "\n").replace("\n", "") if find_unsafe(c)]
    if decoded and text.startswith("{"):
        for line in text.splitlines():
            found += [c for string in strings(json.loads(line)) for c in string if find_unsafe(c)]
    return found


def strings(value: Any) -> Iterator[str]:
    """All texts in decoded JSON, but for ids."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield key
            if key != "id":  # which its author's program chose, for itself
                yield from strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from strings(item)


# -- rows 22 and 23: what steers a terminal -------------------------------------------------------


class Audience:
    """Somebody of each kind, who is shown what others do."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.plain = house.enter("Plain")
        self.telnet = house.connect()
        self.telnet.send(b"Telnet\r\n/timestamps on\r\n")
        self.program = house.connect()
        self.program.send(b'{"type":"hello","nickname":"Program"}\n')
        self.members = (self.plain, self.telnet, self.program)
        for member in self.members:
            member.send(
                b'{"type":"join","room":"cinema"}\n'
                if member is self.program
                else b"/join cinema\r\n"
                if member is self.telnet
                else b"/join cinema\n"
            )

    def sees(self) -> list[bytes]:
        """What each was sent since the last look."""
        return [member.read() for member in self.members]


def hostile_lines(text: str) -> list[bytes]:
    """Every way to say something that others are shown, in the text dialect."""
    lines = (
        *(f"a{text}b", f"/me a{text}b", f"/topic a{text}b", f"/nick a{text}b", f"/join a{text}b"),
        *(f"/msg Plain a{text}b", f"/msg Program a{text}b", f"/search a{text}b", f"/a{text}b"),
        *(f"/who a{text}b", f"/history a{text}b", f"/ignore a{text}b", f"/lang a{text}b"),
    )
    return [line.encode() + b"\n" for line in lines]


def hostile_requests(text: str) -> list[bytes]:
    """The same for a program, as JSON escapes what it likes."""
    requests: tuple[dict[str, Any], ...] = (
        {"type": "say", "text": f"a{text}b", "id": "1"},
        {"type": "say", "text": "a", "id": f"a{text}b"},
        {"type": "say", "text": f"a{text}b", "kind": "act", "id": "2"},
        {"type": "topic", "text": f"a{text}b"},
        {"type": "nick", "name": f"a{text}b"},
        {"type": "join", "room": f"a{text}b"},
        {"type": "tell", "name": "Plain", "text": f"a{text}b"},
        {"type": "tell", "name": f"a{text}b", "text": "a"},
        {"type": "search", "words": f"a{text}b"},
        {"type": f"a{text}b"},
        {"type": "language", "language": f"a{text}b"},
    )
    return [
        json.dumps(request, ensure_ascii=escaped).encode() + b"\n"
        for request in requests
        for escaped in (True, False)
    ]


def test_nothing_that_is_sent_steers_a_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Live and replayed, in texts, names, rooms, topics; also out of a log that has it already."""
    house = House()
    audience = Audience(house)
    tried = shown = 0
    found: list[str] = []

    def look(*others: Client, decoded: bool = True) -> None:
        nonlocal shown
        for data in (*audience.sees(), *(other.read() for other in others)):
            shown += len(data)
            found.extend(dangerous(data, decoded))

    person, program = house.connect(), house.connect()
    person.send(b"Person\n")
    program.send(b'{"type":"hello","nickname":"Hostile"}\n')
    for text in HOSTILE:
        newcomer = house.connect()
        newcomer.send(f"a{text}b\n".encode())  # as a nickname
        hello = {"type": "hello", "nickname": f"a{text}b", "resume": {f"a{text}b": 1}}
        newcomer_program = house.connect()
        newcomer_program.send(json.dumps(hello).encode() + b"\n")
        for line in hostile_lines(text):
            person.send(line)
        for line in hostile_requests(text):
            program.send(line)
        house.clock.advance(0)  # what is left for the next turns
        house.world.journal.run()
        tried += 2 + len(hostile_lines(text)) + len(hostile_requests(text))
        look(person, program, newcomer, newcomer_program)
        newcomer.lose()
        newcomer_program.lose()

    # A log in which all of that stands, as another program may have written it.
    store = Store(str(tmp_path / "chat.db"))
    store.commit(
        [
            Draft("lobby", n, kind, f"n{text}n", f"a {text}b", 0, f"i{text}")
            for n, text in enumerate(HOSTILE)
            for kind in ("say", "act", "topic")
        ]
    )
    house = House()
    house.world = World(store=store)
    house.factory.chat = house.world.chat
    audience = Audience(house)
    look(decoded=False)
    for client, lines in (
        (audience.plain, [b"/history 100\n", b"/search a\n", b"/rooms\n", b"/topic\n"]),
        (audience.program, [b'{"type":"history","room":"lobby","limit":100}\n']),
        (audience.program, [b'{"type":"search","words":"a"}\n', b'{"type":"rooms"}\n']),
    ):
        for line in lines:
            tried += 1
            client.send(line)
            house.clock.advance(0)
            house.world.journal.run()
            look(decoded=False)
    store.close()
    assert cli.main(["history", str(tmp_path / "chat.db"), "lobby"]) == 0
    printed = capsys.readouterr().out
    found += dangerous(printed.encode())
    shown += len(printed)
    show(
        capsys,
        22,
        f"{tried} lines with {len(HOSTILE)} controls and sequences, {shown} bytes shown to people "
        f"and programs: {len(found)} control characters but TAB and line ends",
    )
    assert found == []
    assert shown > 400_000


#: What is refused, and what the refusal names. (Of 10⁶ other lines, see ``test_fuzz.py``.)
REFUSED = {
    "bidi override": ("a\u202eb".encode(), "U+202E"),
    "bidi isolate": ("a\u2066b".encode(), "U+2066"),
    "bare CR": (b"a\rb", "U+000D"),
    "NUL": (b"a\0b", "U+0000"),
    "C1 in UTF-8": (b"a\xc2\x9bb", "U+009B"),
    "Latin-1": (b"ol\xe1", "not valid UTF-8"),
    "overlong": (b"a\xc0\xafb", "not valid UTF-8"),
    "surrogate": (b"a\xed\xa0\x80b", "not valid UTF-8"),
    "beyond Unicode": (b"a\xf4\x90\x80\x80b", "not valid UTF-8"),
    "half a character": (b"a\xe2\x82", "not valid UTF-8"),
}


def test_what_is_refused_is_refused_with_a_line_that_says_what(
    capsys: pytest.CaptureFixture[str],
) -> None:
    house = House()
    audience = Audience(house)
    ana = house.enter("Ana")
    audience.sees()
    for data, named in REFUSED.values():
        for prefix in (b"", b"/me ", b"/topic ", b"/msg Plain ", b"/join "):
            ana.send(prefix + data + b"\n")
            (line,) = ana.lines()
            assert named in line or b"join" in prefix, line
    relayed = b"".join(audience.sees())
    show(
        capsys,
        23,
        f"{len(REFUSED)} kinds of bad input in 5 places: each refused with a line that names it, "
        f"{len(relayed)} bytes relayed",
    )
    assert relayed == b""


# -- rows 24 and 25: names ------------------------------------------------------------------------

#: Names that are held.
HELD = ("Alice", "paypal", "Bernardo", "José", "Оля", "scope", "user1", "山田", "modern")

ZERO_WIDTH = "\u200b\u200c\u200d\u2060\ufeff\u00ad\u180e\u200e\u200f\u034f"
#: Marks that are drawn over a letter, or hardly to be seen.
OVERLAYS = "\u0335\u0336\u0337\u0338\u20d2\u20e5"


@cache
def drawn_alike(letter: str) -> list[str]:
    """The other characters, and texts of some, that Unicode's table has for ``letter``."""
    prototype = prototypes().get(letter, letter)
    alike = [other for other, like in prototypes().items() if like == prototype]
    return [other for other in (prototype, *alike) if other != letter]


def lookalikes(name: str) -> Iterator[str]:
    """Names that a person would take for ``name``."""
    yield from {name.upper(), name.lower(), name.title(), name.swapcase()}
    yield from {unicodedata.normalize(form, name) for form in ("NFC", "NFD", "NFKC", "NFKD")}
    full_width = "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in name)
    yield full_width
    for at in range(len(name) + 1):
        for mark in ZERO_WIDTH:
            yield name[:at] + mark + name[at:]
        if at:
            for mark in OVERLAYS:
                yield name[:at] + mark + name[at:]
    every = list(name)
    for at, letter in enumerate(name):
        for other in drawn_alike(letter):
            yield name[:at] + other + name[at + 1 :]
    for choice in range(8):  # whole words of lookalikes, of one script where there are some
        for script in ("CYRILLIC", "GREEK", "LATIN", "ARMENIAN", "FULLWIDTH"):
            others = [
                [o for o in drawn_alike(letter) if unicodedata.name(o[0], "").startswith(script)]
                for letter in every
            ]
            yield "".join(
                of[choice % len(of)] if of else letter
                for letter, of in zip(every, others, strict=True)
            )


def test_no_lookalike_of_a_held_name_passes(capsys: pytest.CaptureFixture[str]) -> None:
    tried: set[str] = set()
    passed = []
    codes: dict[str, int] = {}
    for held in HELD:
        for name in {*lookalikes(held)}:
            registry: Registry[object] = Registry()
            holder, other = object(), object()
            registry.add(holder)
            registry.add(other)
            registry.claim(holder, nickname(held))
            tried.add(name)
            try:
                registry.claim(other, nickname(name))
            except Refusal as refusal:
                codes[refusal.code] = codes.get(refusal.code, 0) + 1
            else:
                passed.append((held, name))
    reasons = ", ".join(f"{count} {code}" for code, count in sorted(codes.items()))
    show(
        capsys,
        24,
        f"{len(tried)} lookalikes of {len(HELD)} names: {len(passed)} passed ({reasons})",
    )
    assert passed == []
    assert len(tried) > 1000


#: What is drawn like a letter, or like two.
DRAWN_LIKE = {
    "w": ("vv", "ѵѵ"),
    "m": ("rn", "ᴍ"),
    "d": ("cl", "ᴅ", "đ", "ḍ", "ɖ"),
    "b": ("ʙ", "ḅ", "ƀ", "ɓ", "Ƅ"),
    "o": ("0", "O", "ø", "ᴏ", "ο", "о"),
    "O": ("0", "Ø"),
    "l": ("1", "I", "ł", "ӏ"),
    "I": ("1", "l"),
    "i": ("ı", "í", "1", "ɪ"),
    "r": ("ʀ", "ṛ"),
    "n": ("ɴ", "ñ", "ṇ"),
    "e": ("ᴇ", "é", "ẹ", "е"),
    "s": ("ꜱ", "ş"),
    "a": ("á", "ạ", "ɑ", "а"),
    "v": ("ᴠ", "ѵ", "ν"),
    "t": ("ᴛ", "ţ"),
    "k": ("ᴋ", "к"),
    "_": ("__",),
}

#: Common accents, and some that few fonts show well.
ACCENTS = "\u0300\u0301\u0302\u0303\u0304\u0306\u0307\u0308\u030a\u030c\u0323\u0327\u0328\u0331"


def drawn_like(name: str) -> Iterator[str]:
    """Names that are drawn like ``name``: one letter otherwise, or every one that can be."""
    for at, letter in enumerate(name):
        for other in DRAWN_LIKE.get(letter, ()):
            yield name[:at] + other + name[at + 1 :]
        for accent in ACCENTS:
            yield name[: at + 1] + accent + name[at + 1 :]
    yield "".join(letter + "".join(map(chr, range(0x300, 0x31F))) for letter in name)  # 31 marks
    for choice in range(6):
        yield "".join(
            DRAWN_LIKE[letter][choice % len(DRAWN_LIKE[letter])] if letter in DRAWN_LIKE else letter
            for letter in name
        )


def test_nothing_drawn_like_a_held_or_reserved_name_passes(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """And people with common names of many languages can be here together."""
    held = ("bob", "bernardo", "wanda", "modern", "clidow", "Lindomar", "kiwi_", "BOB", "TOM")
    reserved = Reserved((*ALWAYS_RESERVED, "diretoria"))
    tried: set[str] = set()
    passed = []
    for name in held:
        registry: Registry[object] = Registry()
        registry.add(holder := object())
        registry.add(other := object())
        registry.claim(holder, nickname(name))
        for like in {*lookalikes(name), *drawn_like(name)} - {name}:
            tried.add(like)
            try:
                registry.claim(other, nickname(like))
            except Refusal:
                continue
            registry.release(other)
            passed.append((name, like))
    imitated = (
        *ALWAYS_RESERVED,
        *map(str.upper, ALWAYS_RESERVED),
        *map(str.title, ALWAYS_RESERVED),
        "diretoria",
    )
    for name in imitated:
        punctuated = (f"{name}_", f".{name}", "-".join(name))
        for like in {*lookalikes(name), *drawn_like(name), *punctuated}:
            tried.add(like)
            try:
                reserved.check(nickname(like))
            except Refusal:
                continue
            passed.append((name, like))
    common: Registry[object] = Registry()
    apart = []
    for name in COMMON_NAMES:
        common.add(person := object())
        try:
            common.claim(person, nickname(name))
        except Refusal as refusal:
            apart.append(str(refusal))
    show(
        capsys,
        44,
        f"{len(tried)} names drawn like {len(held)} held ones and of "
        f"{len(ALWAYS_RESERVED) + 1} reserved ones: "
        f"{len(passed)} passed; of {len(COMMON_NAMES)} common names, {len(apart)} cannot be here "
        f"beside the others",
    )
    assert passed == []
    assert apart == []
    assert len(tried) > 10_000


# -- row 43: lines that are broken by the terminal ------------------------------------------------

#: What a terminal's line may begin with only where the server or somebody else speaks.
BEGINNINGS = re.compile(r"\s*(?:\[(?:SERVER|SERVIDOR|Bia)\]|\[[^\]]{1,60}\]\s*:)")

#: To bring what follows to the beginning of a terminal's line.
FILLERS = (
    "x",
    " ",
    "\u00a0",
    "\u3000",
    "\u2800",
    "\u3164",
    "\u2003",
    " \u200b",
    "\t",
    "blah ",
    "\u200b",
)

IMITATED = (
    "[SERVER]: stop",
    "[SERVIDOR]: x",
    "[SERVER] :x",
    "［SERVER］: x",
    "[Bia]: no",
    "[Bia, in private]: x",
)


def test_no_line_can_be_imitated_by_making_a_terminal_break_one(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """In a message, an action, a private message, a topic; on terminals of three widths."""
    world = World()
    ana, bia = world.enter("Ana", "Bia")
    tried = 0
    imitations = []
    for filler in FILLERS:
        for imitated in IMITATED:
            for columns in (40, 80, 132):
                for length in range(columns - 30, columns + 1):
                    text = (filler * columns)[:length] + imitated
                    said = ("{}", "/me {}", "/msg Bia {}", "/topic {}")[length % 4].format(text)
                    ana.types(f"x{said}" if said.startswith((" ", "\t")) else said)
                    tried += 1
                    for line in bia.sees():
                        pieces = [line[at : at + columns] for at in range(0, len(line), columns)]
                        imitations += [p for p in pieces[1:] if BEGINNINGS.match(p)]
    show(capsys, 43, f"{tried} texts, three widths: {len(imitations)} pass for another line")
    assert imitations == []
    assert tried > 5000


@pytest.mark.process
def test_of_a_hundred_who_claim_one_name_at_once_one_wins(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ten times, over connections. (``test_registry.py`` does it from 100 threads.)"""
    winners = []
    with Subject(tmp_path, "--rate=off") as server:  # which is that of all of them
        for turn in range(10):
            names = (f"Ian{turn}", f"lan{turn}", f"IAN{turn}")  # which are one name
            with ExitStack() as stack:
                people = [stack.enter_context(connect(server.port)) for _ in range(100)]
                for number, person in enumerate(people):
                    person.sendall(b"" if number % 2 else b"\xff\xf6")  # some have been greeted
                start = threading.Barrier(10)
                threads = [
                    threading.Thread(target=_claim, args=(start, people[n::10], names))
                    for n in range(10)
                ]
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join(PATIENCE)
                # Nobody has left yet: that would give the name back.
                answers = [_answer(person) for person in people]
            winners.append(sum(b"You are" in answer for answer in answers))
            assert sum(b"is taken" in a or b"too similar" in a for a in answers) == 99, answers
    show(capsys, 25, f"100 at once, ten times: winners {winners}")
    assert winners == [1] * 10


def _claim(start: threading.Barrier, people: list[socket.socket], names: Sequence[str]) -> None:
    start.wait()
    for number, person in enumerate(people):
        person.sendall(names[number % len(names)].encode() + b"\n")


def _answer(person: socket.socket) -> bytes:
    """All that somebody was told, up to the answer to a last question."""
    person.sendall(b"/lang klingon\n")
    return read_until(person, b"klingon")


# -- row 26: paths and SQL ------------------------------------------------------------------------

LITERAL = (
    *("../../x", "..", "/etc/passwd", "C:\\x", "a/b", "%2e%2e%2f", "~root", "$(touch x)", "`id`"),
    *("'; DROP TABLE entry; --", '"', "''", "a' OR '1'='1", "x\\", "NULL", "%s%n", "{0}", "{text}"),
    *("*", "?", "NEAR(", '"a" AND', "-1", "a:b", "^", "(", "rowid", "|", ">out", "& rm"),
)


@pytest.mark.process
def test_paths_and_sql_are_only_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """They come back as they were, are found, and open no file outside the server's folder."""
    home = tmp_path / "home"
    home.mkdir()
    trace = tmp_path / "trace"
    prefix = []
    if why_not() is None:
        prefix = ["strace", "-D", "-f", "-y", "-s", "300", "-o", str(trace), "-e", "signal=SIGTERM"]
        prefix += ["-e", "trace=open,openat,creat,mkdir,rename,unlink,execve"]
    with Subject(home, "--rate=off", prefix=prefix) as server:
        before = {path.name for path in home.iterdir()}
        with Bot(server.port, "Ana") as ana, closing(enter(server.port, "Bia")) as bia:
            for number, text in enumerate(LITERAL):
                assert ana.ask(type="say", room="lobby", text=text, id=f"{number}")["type"] == "ack"
                ana.ask(type="topic", room="lobby", text=text, id="topic")
                for request in ("join", "history", "who", "leave", "topic"):
                    ana.send({"type": request, "room": text})
                ana.send(
                    {"type": "nick", "name": text},
                    {"type": "nick", "name": "Ana"},
                    {"type": "tell", "name": text, "text": text},
                )
                assert ana.ask(type="search", words=text, id="s")["type"] in ("found", "error")
                line = f"/join {text}\n/history {text}\n/nick {text}\n/lang {text}\n/me {text}\n"
                bia.sendall(line.encode() + b"/who\n")
                read_until(bia, b"In #")
            entries = ana.ask(type="history", room="lobby", limit=100, id="h")["entries"]
            assert {entry["text"] for entry in entries} >= set(LITERAL[-10:])
        after = {path.name for path in home.iterdir()}
        server.stop()
    said = {text for _, _, text, id in stored(home / "chat.db") if id and id.isdigit()}
    outside: set[str] = set()
    if prefix:
        for call in parse(trace):
            if call.name == "execve" or " = -1 " in call.arguments:
                continue
            writes = call.name != "openat" or re.search(r"O_(WRONLY|RDWR|CREAT)", call.arguments)
            opened = re.search(r"= \d+<([^>]*)>", call.arguments) or re.search(
                r'"([^"]*)"', call.arguments
            )
            path = opened[1] if opened else "?"
            allowed = (str(home), "/dev/", "/proc/", str(Path(__file__).parent.parent))
            if writes and not path.startswith(allowed) and "__pycache__" not in path:
                outside.add(path)
    show(
        capsys,
        26,
        f"{len(LITERAL)} texts in 9 places: {len(said & set(LITERAL))} came back as they were, "
        f"{len(after - before)} new files in the folder, {len(outside)} opened outside"
        + ("" if prefix else " (not traced: no strace)"),
    )
    assert said == set(LITERAL)
    assert after == before
    assert outside == set()


# -- row 27: logs ---------------------------------------------------------------------------------


@pytest.mark.process
@pytest.mark.parametrize("format", ["text", "json"])
def test_one_event_is_one_line_and_no_secret_is_in_the_log(
    format: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    client = "00112233445566778899aabbccddeeff"
    fakes = ["a\nFAKE", "a\r\nFAKE", "a\x85FAKE", "a\u2028FAKE", "a\x0bFAKE", "a\x1b[2JFAKE"]
    with Subject(tmp_path, "--rate=off", "--log-messages", f"--log-format={format}") as server:
        with (
            Bot(server.port, "Ana", client=client) as ana,
            closing(enter(server.port, "Bia")) as bia,
        ):
            for number, fake in enumerate(fakes):
                ana.ask(type="nick", name=fake, id="n")
                ana.ask(type="say", text=fake, id=f"s{number}")
                ana.ask(type="join", room=fake, id="j")
                ana.ask(type=fake, id="x")
                bia.sendall(fake.encode() + b"\n")
            ana.ask(type="say", text="said aloud", id="aloud")
            ana.ask(type="tell", name="Bia", text="whispered-7531", id="t")
            bia.sendall(b"/msg Ana murmured-1357\n/who\n")
            read_until(bia, b"In #lobby")
        code = _resume_code(server.port)
        server.wait_for_log(r"\b0\b.*$")
        server.stop()
    log = server.raw_log()
    beginning = r"\{.*\}$" if format == "json" else r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\S* \["
    strange = [line for line in log.split("\n")[:-1] if not re.match(beginning, line)]
    secrets = [s for s in (client, code, "whispered-7531", "murmured-1357") if s in log]
    show(
        capsys,
        27,
        f"log format {format}: {log.count(chr(10))} lines, {len(strange)} that are not an event, "
        f"{len(secrets)} of 4 secrets in them",
    )
    assert strange == []
    assert secrets == []
    assert "said aloud" in log
    assert [c for c in log.replace("\n", "") if find_unsafe(c)] == []


def _resume_code(port: int) -> str:
    """The code that a person was told to come back with, and uses."""
    with closing(connect(port)) as person:
        person.sendall(b"Caio\n")
        found = re.search(rb"/resume (\S+) ", read_until(person, b"365 days.\n"))
    assert found
    talk(port, b"/resume " + found[1] + b"\n/resume wrong-code\n")
    return found[1].decode()
