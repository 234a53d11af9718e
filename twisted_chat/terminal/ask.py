"""A question to the person at the terminal, before the conversation begins."""

from __future__ import annotations

import os
import sys
import threading
from typing import Any

from twisted.internet.defer import Deferred

#: Bytes of an answer that are read, at most.
_ANSWER = 1024

STDIN = 0


def ask(reactor: Any, question: str) -> Deferred[str]:
    """Ask a question; fires with the typed line, which is empty if the input has ended.

    :param reactor: provides IReactorFromThreads.
    :param question: the text to show before the answer.
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
