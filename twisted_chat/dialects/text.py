"""The text dialect: for people on telnet, netcat or the bundled client.

How events are worded is in :mod:`twisted_chat.dialects.wording`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import accumulate

from twisted_chat.core import commands
from twisted_chat.core.characters import find_unsafe
from twisted_chat.core.errors import ControlCharacter, NotUTF8
from twisted_chat.core.events import Entry, Event, Greeted, Style
from twisted_chat.core.limits import TEXT_LIMIT
from twisted_chat.core.profile import PERSON
from twisted_chat.core.rendered import Rendered
from twisted_chat.core.requests import Cancel, Quit, Request, Say
from twisted_chat.dialects import lines as typed
from twisted_chat.dialects.base import Dialect, line_ends
from twisted_chat.dialects.commands import parse as parse_command
from twisted_chat.dialects.display import BLANKS_AND_INVISIBLE, is_plain, stripped
from twisted_chat.dialects.wording import RENDERERS

#: Alone on a line, this leaves the chat: as in the paper.
LEAVE = "sair"

#: A command begins with one of these: the slash, and what looks like it or is typed for it.
SLASHES = "/\uff0f\u2044\u2215\u29f8"

#: How a line begins that is empty, or may be something else than what is said.
_UNUSUAL = frozenset({"", *SLASHES, *BLANKS_AND_INVISIBLE})

#: Bytes of a line that can be a command without arguments.
COMMAND_LIMIT = 32

#: How lines are dropped that wait.
_CANCEL = frozenset(f"/{name}".encode() for name in commands.TABLE.by_request[Cancel].names)

#: What telnet sends for Ctrl-D.
END_OF_TRANSMISSION = typed.END_OF_TRANSMISSION.decode()


# -- in ---------------------------------------------------------------------------------------


def decode(line: bytes) -> str:
    """``line`` as text.

    :raises NotUTF8: it is not UTF-8.
    """
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise NotUTF8(position=error.start + 1) from None


def parse(line: bytes, table: commands.Table | None = None) -> Request:
    """The request that ``line``, without its end, makes.

    :param table: the commands there are; by default those of the server.
    :raises Refusal: it is not UTF-8, holds a control character, or is a command that is not
        understood.
    """
    text = decode(line)
    if text == END_OF_TRANSMISSION:
        return Quit()
    unsafe = find_unsafe(text)
    if unsafe is not None:
        raise ControlCharacter(character=ord(unsafe))
    # What cannot be seen before a command must not make it public.
    seen = text if text[:1].isalnum() and text[-1:].isalnum() else stripped(text)
    if seen[:1] and seen[0] in SLASHES:
        if seen[1:2] and seen[1] in SLASHES:
            return Say(seen[1:])
        return parse_command(f"/{seen[1:]}", table)
    if seen == LEAVE:
        return Quit()
    return Say(text)


def parse_says(lines: Sequence[bytes]) -> list[Say]:
    """``lines`` that were sent together, if nothing is unusual about any of them; or else nothing.

    It is what :func:`parse` makes of each, faster.
    """
    data = b"\n".join(lines)
    if len(data) > TEXT_LIMIT and max(map(len, lines)) > TEXT_LIMIT:
        return []
    try:
        decoded = data.decode("utf-8")
    except UnicodeDecodeError:
        return []
    texts = decoded.split("\n")
    beginnings = {text[:1] for text in texts}
    if beginnings & _UNUSUAL or not "".join(texts).isprintable():
        return []
    if LEAVE[0] in beginnings and any(text.startswith(LEAVE) for text in texts):
        return []
    return list(map(Say, texts))


def find_cancels(lines: Sequence[bytes]) -> Sequence[int]:
    """The indexes of the lines that ask to drop what waits in front of them."""
    data = b"\n".join(lines)
    # One byte is found much faster than two: this is asked of all lines.
    if b"/" not in data or not (b"/c" in data or b"/C" in data):
        return ()
    return [at for at, line in enumerate(lines) if _is_cancel(line)]


def _is_cancel(line: bytes) -> bool:
    words = line[:COMMAND_LIMIT].split()
    return len(words) == 1 and len(line) <= COMMAND_LIMIT and words[0].lower() in _CANCEL


def _is_typed(data: bytes) -> bool:
    """Whatever is typed is text."""
    return True


# -- out --------------------------------------------------------------------------------------


def render(events: Sequence[Event], style: Style) -> Rendered:
    """``events`` as lines, an event in one or several."""
    pieces: list[str] = []
    end = "\r\n" if style.crlf else "\n"
    plain = not (style.timestamps or style.prefixed)
    one_line_each = True
    for event in events:
        if plain and type(event) is Entry and event.kind == "say":
            # Nearly all there is: what its renderer makes of it, faster.
            nickname, text = event.nickname, event.text
            if nickname.isprintable() and is_plain(text):
                pieces.append(f"[{nickname}]: {text}{end}")
                continue
        found = RENDERERS[type(event)](event, style)
        one_line_each = one_line_each and len(found) == 1
        pieces.extend([f"{line}{end}" for line in found])
    data = "".join(pieces).encode("utf-8")
    return Rendered(data, events, line_ends if one_line_each else partial(_ends, style=style))


def _ends(data: bytes, events: Sequence[Event], style: Style) -> list[int]:
    return list(accumulate(len(render([event], style).data) for event in events))


TEXT = Dialect(
    name="text",
    profile=PERSON,
    recognises=_is_typed,
    new_splitter=typed.TypedLineSplitter,
    parse=parse,
    parse_says=parse_says,
    find_cancels=find_cancels,
    render=render,
    filters_telnet=True,
    greeting=(Greeted(),),
)
