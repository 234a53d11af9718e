"""Opens the state of a client once, for all that ask for it.

This module must not know what the state contains.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet import defer
from twisted.internet.defer import Deferred, succeed
from twisted.python.failure import Failure

from twisted_chat.client.state import Kept, State


class Opening:
    """The opening of one state.

    :param state: the state.
    :param restore: called with what was kept, before anybody gets it.
    :param failed: called with the reason if the state cannot be opened.
    """

    def __init__(
        self,
        state: State,
        restore: Callable[[Kept], Kept],
        failed: Callable[[Failure], None],
    ) -> None:
        self._state = state
        self._restore = restore
        self._failed = failed
        #: The contents of the state; None before it is open.
        self.kept: Kept | None = None
        self._failure: Failure | None = None
        self._opening: Deferred[None] | None = None
        self._waiting: list[Deferred[Kept]] = []

    def open(self) -> Deferred[Kept]:
        """Open the state; fires with what was kept.

        Errback: :class:`~twisted_chat.core.errors.CannotStart`.
        """
        if self.kept is not None:
            return succeed(self.kept)
        if self._failure is not None:
            return defer.fail(self._failure)
        waiting: Deferred[Kept] = Deferred()
        self._waiting.append(waiting)
        if self._opening is None:
            opening: Deferred[Kept] = defer.maybeDeferred(self._state.open)
            self._opening = opening.addCallback(self._restore).addBoth(self._opened)
        return waiting

    def _opened(self, result: Kept | Failure) -> None:
        if isinstance(result, Failure):
            self._failure = result
            self._failed(result)
        else:
            self.kept = result
        waiting, self._waiting = self._waiting, []
        for one in waiting:
            one.callback(result)
