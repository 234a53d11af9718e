"""Pages of history and of search results; ``/more`` shows the next one.

This module must not know how requests are sent.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from twisted_chat.core.events import Entry, HistoryShown, SearchShown
from twisted_chat.core.limits import SEARCH_DEFAULT
from twisted_chat.core.requests import ReadHistory, Request
from twisted_chat.i18n.language import N_
from twisted_chat.terminal.display import Display

NO_MORE = N_("There is nothing more to show.")
MORE_FOUND = N_("/more shows more results.")


class Pages:
    """The last shown history or search."""

    def __init__(self, display: Display, ask: Callable[[Request], None]) -> None:
        self._display = display
        self._ask = ask
        #: Shows the next page; None if there is none.
        self.next: Callable[[], None] | None = None

    def more(self) -> None:
        """Show the next page."""
        next, self.next = self.next, None
        if next is None:
            self._display.notice(NO_MORE)
        else:
            next()

    def show_history(self, event: HistoryShown) -> None:
        """Show a page of a room's log; the next page is older."""
        self._display.show(event)
        first = event.entries[0].number if event.entries else event.first
        before = event.before or (first if first > event.first else 0)
        self.next = None
        if before:
            count = len(event.entries) or None
            self.next = lambda: self._ask(ReadHistory(event.room, count, before))

    def show_found(self, event: SearchShown) -> None:
        """Show the first page of search results; the event has the results of all pages."""
        found = list(zip(event.entries, event.snippets, strict=True))
        self._display.show(_found(event.words, found[:SEARCH_DEFAULT]))
        rest = found[SEARCH_DEFAULT:]
        self.next = None
        if rest:
            self._display.notice(MORE_FOUND)
            self.next = lambda: self.show_found(_found(event.words, rest))


def _found(words: str, found: Sequence[tuple[Entry, str]]) -> SearchShown:
    """Search results made of pairs of an entry and its snippet."""
    return SearchShown(words, tuple(entry for entry, _ in found), tuple(cut for _, cut in found))
