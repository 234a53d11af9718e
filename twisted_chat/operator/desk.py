"""The desk that carries out an operator's requests: the running server, or else the database.

This module must not know what the requests do, nor what is printed.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from types import TracebackType

from twisted_chat.core.characters import visible
from twisted_chat.core.errors import CannotStart, DatabaseInUse
from twisted_chat.core.operator_requests import OperatorAnswer, OperatorRequest
from twisted_chat.i18n.language import N_
from twisted_chat.operator import offline
from twisted_chat.operator.connection import NoServer, ask
from twisted_chat.server.control_socket import path_of

#: How often, and after how many seconds, a server is tried again that has the database open and no
#: socket: it starts or stops at the moment.
TRIES = 20
INTERVAL = 0.25


class ServerWithoutSocket(CannotStart):
    code = "server-without-socket"
    template = N_(
        "process {process} has the database {path} open, but cannot be reached; if it is the "
        "server, its log says why"
    )


class Desk:
    """Asks the server of the database at ``path``; while none runs, the database is opened.

    It is a context manager, which closes the database.
    """

    def __init__(self, path: str, language: str) -> None:
        self._path = path
        self._language = language
        self._stack = ExitStack()
        self._opened: offline.Ask | None = None

    def ask(self, request: OperatorRequest) -> Sequence[OperatorAnswer]:
        """The answer to ``request``; its last element is a :class:`.Done`.

        :raises Refusal: it is refused.
        :raises CannotStart: neither a server nor the database can be asked.
        """
        if self._opened is None:
            for tries_left in reversed(range(TRIES)):
                try:
                    return ask(path_of(self._path), request, self._language)
                except NoServer:
                    if self._open(is_last_try=not tries_left):
                        break
                time.sleep(INTERVAL)
        assert self._opened is not None
        return self._opened(request)

    def _open(self, is_last_try: bool) -> bool:
        """Open the database; returns whether that was possible."""
        try:
            self._opened = self._stack.enter_context(offline.opened(self._path))
        except DatabaseInUse as error:
            if is_last_try:
                process, path = error.details["process"], visible(self._path)
                raise ServerWithoutSocket(path=path, process=process) from error
            return False
        return True

    def __enter__(self) -> Desk:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.close()
