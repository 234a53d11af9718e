"""A question to the person at the terminal, before there is a conversation."""

from __future__ import annotations

import os
import sys
import threading
from typing import Any

from twisted.internet.defer import Deferred

#: Bytes of an answer that are read; longer ones are none.
_ANSWER = 1024

STDIN = 0


def ask(reactor: Any, question: str) -> Deferred[str]:
    """Show ``question``, and fire with the line that is typed, or with nothing at its end.

    :param reactor: provides IReactorFromThreads.
    """
    answered: Deferred[str] = Deferred()

    def read() -> None:
        try:
            answer = os.read(STDIN, _ANSWER)
        except OSError:  # the terminal is gone
            answer = b""
        reactor.callFromThread(answered.callback, answer.decode("utf-8", "replace").strip())

    sys.stdout.write(f"{question} ")
    sys.stdout.flush()
    threading.Thread(target=read, daemon=True).start()
    return answered
