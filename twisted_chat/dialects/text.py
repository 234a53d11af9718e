"""The text dialect, for people on telnet, netcat or the bundled client.

It must not know the wording of events, which is in :mod:`twisted_chat.dialects.wording`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import accumulate

from twisted_chat.core import commands
from twisted_chat.core.characters import find_unsafe, is_printable, stripped
from twisted_chat.core.errors import ControlCharacter, NotUTF8
from twisted_chat.core.events import Entry, Event, Greeted, Style
from twisted_chat.core.limits import TEXT_LIMIT
from twisted_chat.core.profile import PERSON
from twisted_chat.core.rendered import Rendered
from twisted_chat.core.requests import Cancel, GiveSecret, Quit, Request, Say
from twisted_chat.dialects import lines as typed
from twisted_chat.dialects.base import Dialect, line_ends
from twisted_chat.dialects.commands import parse as parse_command
from twisted_chat.dialects.display import BLANKS_AND_INVISIBLE, is_plain
from twisted_chat.dialects.wording import RENDERERS

#: Alone on a line, this word leaves the chat, as in the paper.
LEAVE = "sair"

#: A command begins with one of these: the slash, and characters that look like it or are typed for
#: it.
SLASHES = "/\uff0f\u2044\u2215\u29f8"

#: The first characters of lines that may not be plain messages; "" for the empty line.
_UNUSUAL = frozenset({"", *SLASHES, *BLANKS_AND_INVISIBLE})

#: The most bytes of a line with a command that has no arguments.
COMMAND_LIMIT = 32

#: The commands that drop the waiting lines.
_CANCEL = frozenset(f"/{name}".encode() for name in commands.TABLE.by_request[Cancel].names)

#: The character that telnet sends for Ctrl-D.
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
    """The request on ``line``.

    :param line: the line, without its line end.
    :param table: the commands; by default those of the server.
    :raises Refusal: it is not UTF-8, contains a control character, or is an unknown or wrong
        command.
    """
    text = decode(line)
    if text == END_OF_TRANSMISSION:
        return Quit()
    unsafe = find_unsafe(text)
    if unsafe is not None:
        raise ControlCharacter(character=ord(unsafe))
    # A command after invisible characters must not be sent to the room as a message.
    seen = text if text[:1].isalnum() and text[-1:].isalnum() else stripped(text)
    if seen[:1] and seen[0] in SLASHES:
        if seen[1:2] and seen[1] in SLASHES:
            return Say(seen[1:])
        return parse_command(f"/{seen[1:]}", table)
    if seen == LEAVE:
        return Quit()
    return Say(text)


def parse_secret(line: bytes) -> Request:
    """The request on ``line``, which is a secret: no command is recognised in it.

    Bytes that are not UTF-8 become something that is no right secret.
    """
    text = line.decode("utf-8", "surrogateescape")
    return Quit() if text == END_OF_TRANSMISSION else GiveSecret(text)


def parse_says(lines: Sequence[bytes]) -> list[Say]:
    """The requests on ``lines``, which arrived together; empty unless each is a plain message.

    The requests are those that :func:`parse` returns, but this is faster.
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
    if beginnings & _UNUSUAL or not is_printable("".join(texts)):
        return []
    if LEAVE[0] in beginnings and any(text.startswith(LEAVE) for text in texts):
        return []
    return list(map(Say, texts))


def find_cancels(lines: Sequence[bytes]) -> Sequence[int]:
    """The indexes of the lines that ask to drop the waiting lines before them."""
    data = b"\n".join(lines)
    # All lines are searched, and one byte is found much faster than two.
    if b"/" not in data or not (b"/c" in data or b"/C" in data):
        return ()
    return [at for at, line in enumerate(lines) if _is_cancel(line)]


def _is_cancel(line: bytes) -> bool:
    words = line[:COMMAND_LIMIT].split()
    return len(words) == 1 and len(line) <= COMMAND_LIMIT and words[0].lower() in _CANCEL


def _is_typed(data: bytes) -> bool:
    """Always: people type anything."""
    return True


# -- out --------------------------------------------------------------------------------------


def render(events: Sequence[Event], style: Style) -> Rendered:
    """``events`` as lines, one or several for each event."""
    end = "\r\n" if style.crlf else "\n"
    if not (style.timestamps or style.prefixed):
        # Nearly all events are plain messages: do what the renderer does, but faster.
        said = [
            f"[{event.nickname}]: {event.text}"
            for event in events
            if type(event) is Entry and event.kind == "say"
        ]
        if len(said) == len(events) and is_plain("".join(said), brackets=len(said)):
            said.append("")
            return Rendered(end.join(said).encode("utf-8"), events, line_ends)
    pieces: list[str] = []
    one_line_each = True
    for event in events:
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
    parse_secret=parse_secret,
    find_cancels=find_cancels,
    render=render,
    filters_telnet=True,
    greeting=(Greeted(),),
)
