"""The log of a client: why it cannot be in the chat, for a program that nobody watches."""

from __future__ import annotations

from twisted.logger import Logger

from twisted_chat.core.characters import visible

CANNOT_START = "the client cannot start: {reason}"
NOT_LET_IN = "{nickname} is not let in: {reason} Trying again."
NO_CONNECTION = "no connection for {nickname}: {reason}"


class Complaints:
    """Logs each reason once, until the client was in the chat.

    :param is_program: whether the client is a program's; a person reads the reasons themselves.
    """

    _log = Logger()

    def __init__(self, *, is_program: bool) -> None:
        self._is_program = is_program
        self._last = ""

    def log(self, sentence: str, nickname: str | None, reason: str) -> None:
        """Log ``reason`` in ``sentence``, one of the constants of this module.

        The level is critical, because a program without a log shows nothing else.
        """
        if self._is_program and reason != self._last:
            self._last = reason
            self._log.critical(sentence, nickname=visible(nickname or ""), reason=reason)

    def end(self) -> None:
        """Log the same reason again if it comes back: the client is in the chat now."""
        self._last = ""
