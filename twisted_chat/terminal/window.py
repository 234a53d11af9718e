"""The terminal of a person: a prompt at the bottom, and lines that appear above it.

:class:`Window` is a :class:`twisted_chat.terminal.view.View`. It runs on asyncio's loop, which
Twisted's asyncio reactor shares, and writes to the terminal's own scrollback. This module must not
know the network, the meaning of lines, or where history and drafts are stored.
"""

from __future__ import annotations

import asyncio
import math
import os
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from prompt_toolkit.application import Application
from prompt_toolkit.application.current import set_app
from prompt_toolkit.buffer import Buffer
from prompt_toolkit.document import Document
from prompt_toolkit.filters import Condition, has_completions, has_focus, is_searching
from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.history import InMemoryHistory
from prompt_toolkit.input import Input
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.keys import Keys
from prompt_toolkit.layout import (
    BufferControl,
    ConditionalContainer,
    Dimension,
    FormattedTextControl,
    HSplit,
    Layout,
)
from prompt_toolkit.layout import Window as Pane
from prompt_toolkit.layout.processors import (
    BeforeInput,
    ConditionalProcessor,
    HighlightIncrementalSearchProcessor,
    HighlightSelectionProcessor,
    PasswordProcessor,
)
from prompt_toolkit.output import ColorDepth, Output
from prompt_toolkit.output.vt100 import Vt100_Output
from prompt_toolkit.styles import Style
from prompt_toolkit.utils import suspend_to_background_supported
from prompt_toolkit.widgets import CompletionsToolbar, SearchToolbar
from twisted.logger import Logger
from twisted.python.failure import Failure

from twisted_chat.core.callbacks import nothing
from twisted_chat.core.characters import visible
from twisted_chat.i18n.language import N_, catalogue
from twisted_chat.terminal.bar import GAP, bar, prompt, waiting
from twisted_chat.terminal.clusters import simplified
from twisted_chat.terminal.colours import Look, clip, paint
from twisted_chat.terminal.commands import as_typed, has_secret
from twisted_chat.terminal.completion import complete
from twisted_chat.terminal.drawn import Drawn, drawn
from twisted_chat.terminal.editing import (
    Simplified,
    TabKey,
    add_character_keys,
    known,
    make_visible,
)
from twisted_chat.terminal.view import Line, Talk
from twisted_chat.terminal.wrapping import ROW_END, hanging, rows, wrap

#: Seconds during which lines are collected, to be written together.
GATHERING = 0.03

#: Lines written in one turn of the loop, at most; keys are handled between two turns.
PIECE = 200

#: Lines that wait to be written, at which the window is no longer ready.
QUEUE_LIMIT = 1000

#: The number of last lines that are kept to be drawn again.
KEPT = 200

#: Seconds between two bells, at least; and seconds in which a second Ctrl-C leaves.
BELL_INTERVAL = 2.0
LEAVING_TIME = 2.0

#: Rows of the unfinished line, at most.
INPUT_ROWS = 6

HOW_TO_LEAVE = N_("Press Ctrl-C again to leave. Your line is kept.")
PASTED = N_("Pasted lines: {count}. Enter sends them as they are, Esc or Ctrl-C discards them.")
DISCARDED = N_("The pasted lines were discarded.")
SEARCH = N_("Search: ")

_STYLE = Style.from_dict(
    {
        "bar": "reverse",
        "bar.news": "bold",
        "bar.alarm": "bold underline",
        "prompt": "bold",
        "waiting": "dim",
        "search-toolbar": "reverse",
        "completion-toolbar": "noinherit reverse",
        "completion-toolbar.completion.current": "noinherit noreverse bold",
    }
)

_DEPTHS = {0: ColorDepth.DEPTH_1_BIT, 16: ColorDepth.DEPTH_4_BIT, 256: ColorDepth.DEPTH_8_BIT}


# -- the terminal -----------------------------------------------------------------------------


class _Terminal(Vt100_Output):
    """The terminal of standard output."""

    @property
    def responds_to_cpr(self) -> bool:
        return False  # the cursor's place is not needed, and answers would mix with the keys

    def erase_down(self) -> None:
        # An erasure from the first column of the first row looks like a new screen to tmux, which
        # would put prompt and bar into its history. So the first column is erased separately.
        self.write_raw("\x1b[C\x1b[J\x1b[D\x1b[K")


# -- the window -------------------------------------------------------------------------------


class Window:
    """A person's terminal, from :meth:`run` to :meth:`close`. Used on the loop's thread."""

    _log = Logger()

    def __init__(
        self,
        talk: Talk,
        *,
        look: Look,
        history: Sequence[str] = (),
        remember: Callable[[str], None] = nothing,
        draft: str = "",
        keep_draft: Callable[[str], None] = nothing,
        bell: bool = True,
        output: Output | None = None,
        input: Input | None = None,
    ) -> None:
        """
        :param talk: the conversation.
        :param look: the abilities of the terminal.
        :param history: the lines typed before, oldest first.
        :param remember: called with each new line of the history.
        :param draft: the unfinished line of the last time.
        :param keep_draft: called with the unfinished line, which may be empty, when it changes and
            when the person leaves.
        :param bell: whether :meth:`alert` rings the bell.
        :param output: the terminal to write to; None for that of standard output.
        :param input: the terminal to read keys from; None for that of standard input.
        """
        self._talk = talk
        self._look = look
        self._remember = remember
        self._keep_draft = keep_draft
        self._bell = bell
        self._last_bell = -math.inf
        self._queue: deque[Line] = deque()
        self._kept: deque[Line] = deque(maxlen=KEPT)
        self._when_ready: list[Callable[[], None]] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._flushing: asyncio.Handle | None = None
        self._tick: asyncio.Handle | None = None
        self._leaving = False
        self._closed = False
        self._over = False
        self._leave_again_until = -math.inf
        #: Whether the edited text was pasted as several lines, so that none of them is a command;
        #: and the text before the paste.
        self._is_pasted = "\n" in draft
        self._before_paste = Document()
        self._discarded_until = -math.inf
        #: Whether the typed line is a secret, and the line that was put aside meanwhile.
        self._hides = False
        self._aside = Document()
        self._history = InMemoryHistory(list(history))
        self._completer = TabKey(talk)
        self._output = output or _Terminal.from_pty(sys.stdout, os.environ.get("TERM"))
        self._drawn = Drawn(self._columns(), (), 0)
        self._buffer = Buffer(
            document=Document(draft),
            history=self._history,
            completer=self._completer,
            multiline=False,
        )
        self._app: Application[None] = Application(
            layout=self._layout(),
            key_bindings=self._keys(),
            style=_STYLE,
            include_default_pygments_style=False,
            color_depth=_DEPTHS[look.colours],
            erase_when_done=True,
            output=self._output,
            input=input,
        )
        self._app.ttimeoutlen = 0.1
        self._app.timeoutlen = 0.3  # Esc alone, or Alt with another key
        self._app.before_render += lambda _: self._after_resize()
        self._app.after_render += lambda _: self._note_what_is_drawn()

    # -- for the conversation -----------------------------------------------------------------

    def show(self, lines: Sequence[Line]) -> None:
        self._queue.extend(lines)
        if self._over:
            self._drain()
        elif self._loop is not None and self._flushing is None:
            self._flushing = self._loop.call_later(GATHERING, self._flush)

    def refresh(self) -> None:
        if self._talk.hides is not self._hides:
            self._hides = self._talk.hides
            self._exchange()
        self._app.invalidate()
        if self._talk.connection == "offline" and self._loop is not None and self._tick is None:
            self._tick = self._loop.call_later(1.0, self._count_down)

    def _exchange(self) -> None:
        """Put the typed line aside while a secret is typed, and put it back afterwards."""
        aside, self._aside = self._aside, Document()
        if self._hides:
            self._aside = self._buffer.document
        self._buffer.reset(document=aside)
        self._is_pasted = "\n" in aside.text

    def _count_down(self) -> None:
        """Update the seconds until the next attempt to connect, which the bar shows."""
        self._tick = None
        self.refresh()

    def alert(self) -> None:
        now = time.monotonic()
        if self._bell and now - self._last_bell >= BELL_INTERVAL:
            self._last_bell = now
            self._output.bell()

    @property
    def ready(self) -> bool:
        """Whether the window keeps up with its lines; if not, the caller should pause."""
        return len(self._queue) < QUEUE_LIMIT

    def when_ready(self, callback: Callable[[], None]) -> None:
        """Call ``callback`` once the window is ready: at once, if it is now."""
        if self.ready:
            callback()
        else:
            self._when_ready.append(callback)

    async def run(self) -> None:
        """Show the prompt until :meth:`close`, or until the terminal is gone.

        For Twisted: ``Deferred.fromFuture(asyncio.ensure_future(window.run()))``. Errors in the
        loop go to the log, and not to the screen.
        """
        loop = self._loop = asyncio.get_running_loop()
        previous = loop.get_exception_handler()
        loop.set_exception_handler(self._failed)
        try:
            if not self._closed:
                await self._app.run_async(
                    self._started, set_exception_handler=False, handle_sigint=False
                )
        except (EOFError, OSError):  # the terminal is gone
            self.leave()
        finally:
            self._over = True
            for handle in (self._flushing, self._tick):
                if handle is not None:
                    handle.cancel()
            self._drain()
            loop.set_exception_handler(previous)

    def leave(self) -> None:
        """Leave the chat; a second call does not wait for unsaved messages."""
        if not self._leaving:
            self._leaving = True
            self._save_draft()
        self._talk.leave()

    def _save_draft(self) -> None:
        if self._hides or self._talk.hides:
            return
        if self._talk.prompt is None:
            self._keep_draft("" if has_secret(self._buffer.text) else self._buffer.text)

    def close(self) -> None:
        """Let :meth:`run` erase the prompt, write the remaining lines, and end."""
        self._closed = True
        if self._app.is_running and not self._app.is_done:
            self._app.exit()

    # -- writing ------------------------------------------------------------------------------

    def _started(self) -> None:
        if self._queue:
            self.show(())

    def _flush(self) -> None:
        """Write the next piece above the prompt."""
        assert self._loop is not None
        self._flushing = None
        self._erase()
        self._write_piece()
        self._render()
        if self._queue:
            self._flushing = self._loop.call_soon(self._flush)
        if len(self._queue) <= QUEUE_LIMIT // 2:
            callbacks, self._when_ready = self._when_ready, []
            for callback in callbacks:
                callback()

    def _write_piece(self) -> None:
        piece = [self._queue.popleft() for _ in range(min(PIECE, len(self._queue)))]
        self._kept.extend(piece)
        self._output.write_raw("".join(f"{self._paint(line)}\r\n" for line in piece))

    def _drain(self) -> None:
        """Write all remaining lines, below the earlier ones."""
        while self._queue:
            self._write_piece()
            try:
                self._output.flush()
            except OSError:  # the terminal is gone
                self._queue.clear()

    def _erase(self) -> None:
        self._app.renderer.erase()
        self._after_resize()

    def _render(self) -> None:
        # Rendered in this turn of the loop, so that the prompt does not blink.
        if self._app.is_running and not self._app.is_done:
            with set_app(self._app):
                self._app.renderer.render(self._app, self._app.layout)
            self._note_what_is_drawn()

    def _note_what_is_drawn(self) -> None:
        screen = self._app.renderer.last_rendered_screen
        if screen is not None:
            cursor = screen.get_cursor_position(self._app.layout.current_window)
            self._drawn = drawn(screen, cursor, self._columns())

    def _after_resize(self) -> None:
        """Erase the rows that the terminal has added, of which prompt_toolkit does not know."""
        rows = self._drawn.rows_more(self._columns()) if self._look.reflows else 0
        self._drawn = Drawn(self._columns(), (), 0)
        if rows:
            self._output.cursor_up(rows)
            self._output.erase_down()

    def _draw_again(self) -> None:
        """Draw the whole screen again, from its first row, without scrolling."""
        size = self._output.get_size()
        screen = self._app.renderer.last_rendered_screen
        room = size.rows - (screen.height if screen else 1)
        lines: list[str] = []
        for line in reversed(self._kept):
            painted = self._paint(line)
            room -= rows(painted, size.columns)
            if room < 0:
                break
            lines.append(painted)
        self._erase()
        self._output.cursor_goto(1, 1)
        for text in reversed(lines):
            for row in text.split(ROW_END):
                self._output.write_raw(row)
                self._output.erase_end_of_line()
                self._output.write_raw(ROW_END)
        self._output.erase_down()
        self._render()

    def _paint(self, line: Line) -> str:
        columns, timestamps = self._columns(), self._talk.timestamps
        painted = paint(line, self._look, columns, timestamps=timestamps)
        if line.kind == "mark":
            return painted
        clock = len("HH:MM ") if timestamps and line.time is not None else 0
        return wrap(painted, columns, clock + hanging(visible(line.text), columns))

    def _failed(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if isinstance(error, BaseException):
            self._log.failure("{message}", failure=Failure(error), message=context["message"])
        else:
            self._log.error("{message}", message=context["message"])

    # -- the layout ---------------------------------------------------------------------------

    def _layout(self) -> Layout:
        search = SearchToolbar(
            Buffer(on_text_changed=make_visible),
            forward_search_prompt=lambda: self._translate(SEARCH),
            backward_search_prompt=lambda: self._translate(SEARCH),
            ignore_case=True,
        )
        self._buffer.on_text_changed += self._edited
        make_visible(self._buffer)
        typed = Pane(
            BufferControl(
                self._buffer,
                [
                    HighlightIncrementalSearchProcessor(),
                    HighlightSelectionProcessor(),
                    Simplified(),
                    ConditionalProcessor(PasswordProcessor(), Condition(lambda: self._hides)),
                    BeforeInput(self._prompt),
                ],
                include_default_input_processors=False,
                search_buffer_control=search.control,
                preview_search=True,
            ),
            height=Dimension(min=1, max=INPUT_ROWS),
            wrap_lines=True,
            dont_extend_height=True,
        )
        waits = Pane(FormattedTextControl(self._waiting), dont_extend_height=True)
        bottom = Pane(FormattedTextControl(self._bar), height=1, style="class:bar")
        return Layout(
            HSplit(
                [
                    ConditionalContainer(waits, Condition(lambda: bool(self._talk.waiting))),
                    typed,
                    search,
                    CompletionsToolbar(),
                    ConditionalContainer(bottom, ~is_searching & ~has_completions),
                ],
                window_too_small=Pane(),
            ),
            typed,
        )

    def _columns(self) -> int:
        return self._output.get_size().columns

    def _translate(self, text: str) -> str:
        return catalogue(self._talk.language).gettext(text)

    def _prompt(self) -> StyleAndTextTuples:
        return [("class:prompt", simplified(prompt(self._talk, self._columns())))]

    def _waiting(self) -> StyleAndTextTuples:
        rows = waiting(self._talk, self._columns())
        return [("class:waiting", simplified("\n".join(rows)))]

    def _bar(self) -> StyleAndTextTuples:
        columns = self._columns() - 1
        message = self._message()
        if message:
            return [("class:bar.alarm", clip(message, columns))]
        fragments: StyleAndTextTuples = []
        for part in bar(self._talk, columns):
            fragments.extend([("", GAP)] if fragments else [])
            fragments.append((part.style, simplified(part.text)))
        return fragments

    def _message(self) -> str | None:
        """The message that takes the place of the bar at the moment; None if there is none."""
        if time.monotonic() < self._leave_again_until:
            return self._translate(HOW_TO_LEAVE)
        if time.monotonic() < self._discarded_until:
            return self._translate(DISCARDED)
        if not self._is_pasted:
            return None
        return self._translate(PASTED).format(count=len(self._lines()))

    # -- the keys -----------------------------------------------------------------------------

    def _keys(self) -> KeyBindings:
        keys = KeyBindings()
        editing = has_focus(self._buffer)
        nothing_typed = Condition(lambda: not self._buffer.text)

        keys.add("enter", filter=editing)(self._enter)
        keys.add("tab", filter=editing)(self._tab)
        add_character_keys(keys, self._buffer)
        keys.add(Keys.BracketedPaste, filter=editing)(self._paste)
        keys.add("c-c", filter=editing)(self._interrupt)
        pasted = Condition(lambda: self._is_pasted)
        keys.add("escape", filter=editing & pasted)(lambda _: self._discard())
        keys.add("c-d", filter=editing & nothing_typed)(lambda _: self.leave())
        keys.add("c-l")(lambda _: self._draw_again())
        keys.add("c-z", filter=Condition(suspend_to_background_supported))(
            lambda event: event.app.suspend_to_background()
        )
        keys.add("escape", "left")(lambda _: self._talk.switch_by(-1))
        keys.add("escape", "right")(lambda _: self._talk.switch_by(1))
        keys.add("escape", "a")(lambda _: self._talk.switch_to_news())
        for digit in "123456789":
            keys.add("escape", digit)(self._switch)
        return keys

    def _switch(self, event: KeyPressEvent) -> None:
        place = int(event.key_sequence[-1].key) - 1
        rooms = list(self._talk.tabs)
        if place < len(rooms):
            self._talk.switch(rooms[place])

    def _lines(self) -> list[str]:
        """The lines of the edited text that are not blank; there are several after a paste."""
        return [line for line in self._buffer.text.split("\n") if line.strip()]

    def _enter(self, event: KeyPressEvent) -> None:
        lines = self._lines()
        if self._is_pasted and lines:
            self._say_pasted(lines)
            return
        if not lines and self._talk.prompt is not None:
            lines = [""]  # the answer to the prompt may be empty
        self._buffer.reset()
        for line in lines:
            if self._talk.prompt is None and not has_secret(line):
                self._add_to_history(line)
            self._talk.typed(line)

    def _say_pasted(self, lines: list[str]) -> None:
        if self._talk.prompt is not None:  # the first line answers the prompt; the others stay
            answer, *others = lines
            self._buffer.document = Document("\n".join(others))
            self._talk.typed(answer)
            return
        self._buffer.reset()
        self._is_pasted = False
        self._before_paste = Document()
        for line in lines:
            again = as_typed(line)
            if again is not None:
                self._add_to_history(again)
        self._talk.pasted(lines)

    def _add_to_history(self, line: str) -> None:
        if self._history.get_strings()[-1:] != [line]:
            self._history.append_string(line)
            self._remember(line)

    def _tab(self, event: KeyPressEvent) -> None:
        buffer = self._buffer
        if self._hides:
            return
        if buffer.complete_state:
            buffer.complete_next()
            return
        found = complete(buffer.document.current_line_before_cursor, known(self._talk))
        # Inserted at once, because the next typed character must stand behind it.
        if len(found.common) > found.length or len(found.candidates) == 1:
            buffer.delete_before_cursor(found.length)
            buffer.insert_text(found.common)
        if len(found.candidates) > 1:
            buffer.start_completion()

    def _paste(self, event: KeyPressEvent) -> None:
        text = event.data.replace("\r\n", "\n").replace("\r", "\n").rstrip("\n")
        if "\n" in text and not self._is_pasted:
            self._before_paste = self._buffer.document
            self._is_pasted = True
        self._buffer.insert_text(text)

    def _discard(self) -> None:
        """Discard the pasted lines, and restore the text before the paste."""
        self._is_pasted = False
        self._buffer.document = self._before_paste
        self._before_paste = Document()
        self._discarded_until = time.monotonic() + LEAVING_TIME
        self._app.invalidate()

    def _edited(self, buffer: Buffer) -> None:
        self._leave_again_until = self._discarded_until = -math.inf
        if not buffer.text:
            self._is_pasted = False
            self._before_paste = Document()
        make_visible(buffer)
        self._save_draft()

    def _interrupt(self, event: KeyPressEvent) -> None:
        now = time.monotonic()
        if self._is_pasted:
            self._discard()
        elif not self._buffer.text or now < self._leave_again_until:
            self.leave()
        else:
            self._leave_again_until = now + LEAVING_TIME
            self._app.invalidate()
