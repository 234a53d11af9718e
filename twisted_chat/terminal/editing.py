"""The line that the person is typing, in prompt_toolkit: completion, display, editing keys.

A cluster (:mod:`.clusters`) is shown, erased and passed over as one character. This module must not
know the rest of the terminal.
"""

from __future__ import annotations

from bisect import bisect_left

from prompt_toolkit.buffer import Buffer
from prompt_toolkit.completion import CompleteEvent, Completer
from prompt_toolkit.completion import Completion as Offer
from prompt_toolkit.document import Document
from prompt_toolkit.filters import Condition, has_focus
from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.formatted_text.utils import fragment_list_to_text
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.layout.processors import Processor, Transformation, TransformationInput
from prompt_toolkit.layout.utils import explode_text_fragments

from twisted_chat.core.characters import visible
from twisted_chat.terminal.clusters import after, before, clusters, simple
from twisted_chat.terminal.completion import Known, complete
from twisted_chat.terminal.view import Talk


def known(talk: Talk) -> Known:
    """The names in the conversation that can be completed."""
    return Known(talk.tabs, talk.room, talk.nickname, talk.language)


class TabKey(Completer):
    """Offers the candidates of :mod:`twisted_chat.terminal.completion`."""

    def __init__(self, talk: Talk) -> None:
        self._talk = talk

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> list[Offer]:
        found = complete(document.current_line_before_cursor, known(self._talk))
        return [Offer(text, -found.length, display=text.strip(" :")) for text in found.candidates]


class Simplified(Processor):
    """Shows the typed line in a form that has the cursor in the same column on all terminals."""

    def apply_transformation(self, transformation_input: TransformationInput) -> Transformation:
        fragments = transformation_input.fragments
        if fragment_list_to_text(fragments).isascii():
            return Transformation(fragments)
        exploded = explode_text_fragments(fragments)
        shown: StyleAndTextTuples = []
        places: list[int] = []  # the index at which each code point is shown
        at = 0
        for cluster in clusters(fragment_list_to_text(exploded)):
            text = simple(cluster)
            start = sum(len(fragment[1]) for fragment in shown)
            shown.append((exploded[at][0], text))
            places += [start + min(step, len(text)) for step in range(len(cluster))]
            at += len(cluster)
        places.append(sum(len(fragment[1]) for fragment in shown))

        def display(source: int) -> int:
            return places[min(source, len(places) - 1)] + max(0, source - len(places) + 1)

        def source(display: int) -> int:
            return bisect_left(places, display)

        return Transformation(shown, display, source)


def make_visible(buffer: Buffer) -> None:
    """Replace control characters in pasted or quoted text with visible ones; line breaks stay."""
    text = "\n".join(visible(line) for line in buffer.text.split("\n"))
    if text != buffer.text:
        buffer.document = Document(text, buffer.cursor_position)


def add_character_keys(keys: KeyBindings, buffer: Buffer) -> None:
    """Add the keys that erase or pass over a character of ``buffer`` while it has the focus."""

    def erase_before(event: KeyPressEvent) -> None:
        for _ in range(event.arg):
            buffer.delete_before_cursor(before(buffer.text, buffer.cursor_position))

    def erase_after(event: KeyPressEvent) -> None:
        for _ in range(event.arg):
            buffer.delete(after(buffer.text, buffer.cursor_position))

    def go_left(event: KeyPressEvent) -> None:
        buffer.cursor_position -= before(buffer.text, buffer.cursor_position)

    def go_right(event: KeyPressEvent) -> None:
        buffer.cursor_position += after(buffer.text, buffer.cursor_position)

    editing = has_focus(buffer)
    keys.add("backspace", filter=editing)(erase_before)
    keys.add("delete", filter=editing)(erase_after)
    keys.add("c-d", filter=editing & Condition(lambda: bool(buffer.text)))(erase_after)
    for key in ("left", "c-b"):
        keys.add(key, filter=editing)(go_left)
    for key in ("right", "c-f"):
        keys.add(key, filter=editing)(go_right)
