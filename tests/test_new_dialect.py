"""A new dialect is one file: here are netstrings, and nothing else of the package knows them.

A netstring is a length in decimal, a colon, so many bytes and a comma: ``3:say,``. Requests and
events are netstrings of UTF-8: ``hello NAME``, ``say TEXT`` and ``ignore NAME`` in, a word and its
details out. (Format: https://cr.yp.to/proto/netstrings.txt)
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from itertools import accumulate

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from tests.support.protocol import Client, House
from twisted_chat.core.characters import find_unsafe
from twisted_chat.core.errors import BadRequest, ControlCharacter, NotUTF8
from twisted_chat.core.events import Acknowledged, Entry, Event, Goodbye, Greeted, Refused, Style
from twisted_chat.core.profile import PERSON
from twisted_chat.core.rendered import Rendered
from twisted_chat.core.requests import Hello, Ignore, Quit, Request, Say
from twisted_chat.dialects.base import Dialect
from twisted_chat.dialects.jsonl import JSONL
from twisted_chat.dialects.text import TEXT

# -- the dialect --------------------------------------------------------------------------------

_LENGTH = re.compile(rb"(\d{1,9}):")
_BEGINNING = re.compile(rb"\d{0,9}")


class Netstrings:
    """Splits bytes into the contents of netstrings; a :class:`twisted_chat.dialects.base.Splitter`.

    What is no netstring is one that is too long: the rest of the connection is skipped.
    """

    crlf = False

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.partial = b""
        self._skipped = 0

    def split(self, data: bytes) -> list[bytes]:
        data = self.partial + data
        strings = []
        while data:
            if self._skipped:
                self._skipped, data = max(0, self._skipped - len(data)), data[self._skipped :]
                continue
            found = _LENGTH.match(data)
            if found is None:
                if not _BEGINNING.fullmatch(data):
                    self._skipped = 10**12
                    strings.append(b"x" * (self.limit + 1))
                    continue
                break
            start, length = found.end(), int(found[1])
            if length > self.limit:
                self._skipped = start + length + 1
                strings.append(b"x" * (self.limit + 1))
                continue
            if len(data) <= start + length:
                break
            strings.append(data[start : start + length])
            data = data[start + length + 1 :]
        self.partial = data
        return strings

    def end(self) -> list[bytes]:
        self.partial = b""
        return []

    def count(self, data: bytes) -> int:
        return len(self.split(data))

    def erase_character(self) -> None: ...

    def erase_line(self) -> None: ...


def netstring(text: str) -> bytes:
    data = text.encode()
    return b"%d:%s," % (len(data), data)


def recognises(data: bytes) -> bool | None:
    return None if _BEGINNING.fullmatch(data) else bool(_LENGTH.match(data))


def parse(data: bytes) -> Request:
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise NotUTF8(position=error.start + 1) from None
    unsafe = find_unsafe(text)
    if unsafe is not None:
        raise ControlCharacter(character=ord(unsafe))
    word, _, rest = text.partition(" ")
    if word == "hello":
        return Hello(rest)
    if word == "say":
        return Say(rest)
    if word == "ignore":
        return Ignore(rest)
    if word == "quit":
        return Quit()
    raise BadRequest(reason="an unknown word")


def text_of(event: Event, style: Style) -> str:
    if isinstance(event, Entry):
        return f"said {event.nickname} {event.text}"
    if isinstance(event, Acknowledged):
        return "saved " + " ".join(str(entry.number) for entry in event.entries)
    if isinstance(event, Refused):
        return f"refused {event.refusal.sentence(style.language)}"
    return type(event).__name__.lower()


def render(events: Sequence[Event], style: Style) -> Rendered:
    def ends(data: bytes, events: Sequence[Event]) -> Sequence[int]:
        return list(accumulate(len(netstring(text_of(event, style))) for event in events))

    return Rendered(b"".join(netstring(text_of(e, style)) for e in events), events, ends)


NETSTRINGS = Dialect(
    name="netstrings",
    profile=structs.replace(PERSON, introduces_itself=True, receives_acknowledgements=True),
    recognises=recognises,
    new_splitter=Netstrings,
    parse=parse,
    render=render,
    line_limit=100,
    greeting=(Greeted(),),
)

# -- talking through it -------------------------------------------------------------------------


def house() -> House:
    house = House()
    house.factory.dialects = (NETSTRINGS, JSONL, TEXT)
    return house


def enter(house: House, name: str) -> Client:
    client = house.connect()
    client.send(netstring(f"hello {name}"))
    strings(client)
    return client


def strings(client: Client) -> list[str]:
    """What came since the last look: netstrings, and nothing between them."""
    data, found = client.read(), []
    while data:
        length = _LENGTH.match(data)
        assert length is not None, data
        end = length.end() + int(length[1])
        assert data[end : end + 1] == b",", data
        found.append(data[length.end() : end].decode())
        data = data[end + 1 :]
    return found


def test_three_dialects_in_one_room() -> None:
    there = house()
    ana, bot, net = there.enter("Ana"), there.connect(), enter(there, "Net")
    bot.send(b'{"type":"hello","nickname":"Bot"}\n')
    ana.read(), bot.read(), net.read()
    ana.send(b"oi\n")
    bot.send(b'{"type":"say","text":"beep, 3:x,","id":"m1"}\n')
    net.send(netstring("say olá, {3:x,}"))
    assert ana.lines() == ["[Bot]: beep, 3:x,", "[Net]: olá, {3:x,}"]
    assert strings(net) == ["said Ana oi", "said Bot beep, 3:x,", "saved 3"]
    said = [each for each in map(json.loads, bot.lines()) if each["type"] == "said"]
    assert [each["text"] for each in said] == ["oi", "beep, 3:x,", "olá, {3:x,}"]
    assert len({client.protocol._incoming.spoken for client in (ana, bot, net)}) == 3


def test_it_has_its_own_greeting_and_no_other() -> None:
    there = house()
    net = there.connect()
    net.send(netstring("hello Net"))
    there.clock.advance(1)
    assert strings(net)[:3] == ["greeted", "welcomed", "entered"]


def test_of_a_batch_it_is_shown_what_is_neither_its_own_nor_ignored() -> None:
    """The bytes are cut where it says that events end."""
    there = house()
    ana, bia, net = there.enter("Ana"), there.enter("Bia"), enter(there, "Net")
    net.send(netstring("ignore Bia"))
    bia.read(), net.read()
    for client, data in ((ana, b"1,\n"), (bia, b"2,\n"), (net, netstring("say 3,")), (ana, b"4\n")):
        client.protocol.dataReceived(data)
    there.world.journal.run()  # one group, and so one batch
    assert strings(net) == ["saved 3", "said Ana 1,", "said Ana 4"]
    assert bia.lines() == ["[Ana]: 1,", "[Net]: 3,", "[Ana]: 4"]


def test_it_has_its_own_limit_of_a_line_and_refuses_a_longer_one_once() -> None:
    there = house()
    net = enter(there, "Net")
    for text in ("say " + "x" * 96, "say " + "x" * 97, "say after"):
        for byte in netstring(text):
            net.send(bytes((byte,)))
    shown = strings(net)
    assert [each.split()[0] for each in shown] == ["saved", "refused", "saved"]
    assert "100" in shown[1]


def test_telnet_commands_are_bytes_like_any_other() -> None:
    there = house()
    net = enter(there, "Net")
    net.send(b"5:say \xff,6:say \xff\xf6,")  # IAC AYT
    assert [each.split()[0] for each in strings(net)] == ["refused", "refused"]


@pytest.mark.parametrize("name", ["1", "12", "12ana", "99:"])
def test_a_person_whose_name_begins_with_a_digit_is_a_person(name: str) -> None:
    """Where the first bytes decide late, nothing of them is lost; 99: is a netstring, and short."""
    there = house()
    person = there.connect()
    for byte in name.encode():
        person.send(bytes((byte,)))
    there.clock.advance(1)
    person.send(b"\n")
    spoken = person.protocol._incoming.spoken
    if name == "99:":
        assert spoken is NETSTRINGS
    else:
        assert spoken is TEXT
        assert [line for line in person.lines() if f"{name} now" in line]


def test_bytes_that_never_decide_are_of_the_last_dialect() -> None:
    there = house()
    ana, person = there.enter("Ana"), there.connect()
    person.send(b"12")
    assert person.read() == b""
    person.half_close()
    assert [line.split(":")[1] for line in ana.lines()] == [
        " 12 joined the chat.",
        " 12 left the chat.",
    ]


def test_a_key_of_telnet_decides_for_a_person() -> None:
    there = house()
    person = there.connect()
    person.send(b"12\xff\xf7")  # IAC EC
    person.send(b"3\n")
    assert [line for line in person.lines() if "13 now" in line]


def test_a_request_that_waits_is_counted_when_it_is_dropped() -> None:
    there = house()
    net = enter(there, "Net")
    net.protocol.hold()
    net.send(netstring("say 1") + netstring("say 2"))
    net.protocol.close()
    assert strings(net) == ["notsent"]


@given(st.lists(st.integers(1, 40), max_size=30))
@settings(max_examples=40, deadline=None)
def test_however_the_bytes_are_cut_the_same_is_said(cuts: list[int]) -> None:
    data = b"".join(map(netstring, ("hello Net", "say a,b", "nonsense", "say 12:x", "quit")))
    there = house()
    ana, net = there.enter("Ana"), there.connect()
    ana.read()
    for size in [*cuts, len(data)]:
        net.send(data[:size])
        data = data[size:]
    assert ana.lines()[1:3] == ["[Net]: a,b", "[Net]: 12:x"]
    assert strings(net)[-1] == Goodbye.__name__.lower()
