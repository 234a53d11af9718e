"""Runs a program that uses a client until its work ends, and prints why it failed.

This module must not know what the program does.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, NoReturn

from twisted.internet.defer import FirstError
from twisted.internet.task import react
from twisted.logger import (
    FilteringLogObserver,
    LogLevel,
    LogLevelFilterPredicate,
    globalLogBeginner,
    textFileLogObserver,
)

from twisted_chat.core.characters import visible
from twisted_chat.core.errors import Refusal
from twisted_chat.i18n.language import from_environment

#: The exit status of a program that failed.
FAILED = 1


def run_bot(
    main: Callable[..., Coroutine[Any, Any, object]],
    arguments: Sequence[Any] = (),
    reactor: Any = None,
) -> NoReturn:
    """Run ``main(reactor, *arguments)`` until it returns; exit with status 0, or 1 if it fails.

    A :class:`~twisted_chat.core.errors.Refusal` is printed in one line on standard error. Any other
    exception is a mistake in the program, and is printed with its traceback. Warnings of the log,
    such as that a nickname is taken, are printed there too.

    :param main: an asynchronous function, called with the reactor and ``arguments``.
    :param arguments: the further arguments of ``main``.
    :param reactor: the reactor to run; None for the installed one.
    """
    wanted = FilteringLogObserver(
        textFileLogObserver(sys.stderr), [LogLevelFilterPredicate(LogLevel.warn)]
    )
    globalLogBeginner.beginLoggingTo([wanted], redirectStandardIO=False)

    async def guarded(reactor: Any, *arguments: Any) -> None:
        try:
            try:
                await main(reactor, *arguments)
            except FirstError as error:  # wraps the first failure of gathered Deferreds
                error.subFailure.raiseException()
        except Refusal as refusal:
            name = visible(os.path.basename(sys.argv[0])) or "bot"
            print(f"{name}: {refusal.sentence(from_environment())}", file=sys.stderr)
            raise SystemExit(FAILED) from None

    react(guarded, arguments, reactor)
