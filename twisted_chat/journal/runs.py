"""Which log this is, and what a client saw of it: how a client is told that a log was replaced.

A log has an identity, random, and *runs*: one from each start of a server to its end, with a
random token and the last entry that there was before it. A client keeps one text with the
identity, and the runs as the log had them when it spoke to it, the newest first.

The newest of these that the log knows is a run which both have in common, up to its end there or
here, whichever came first: what there was by then is what the client saw too. Where the client
saw more in a room, the log was replaced since, by a backup that was put back for example: what
came later has the same numbers, and is something else. Where the log knows none of the runs,
nothing is known to be common. Pure.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Sequence
from itertools import islice, pairwise

#: Bytes of an identity and of a run's token.
IDENTITY_SIZE = 16
TOKEN_SIZE = 6

#: Characters of a token, in base 64.
_TOKEN_LENGTH = 8

#: Runs that a client keeps.
RUNS_TOLD = 16

#: Runs that a log keeps: see :func:`superfluous`.
RUNS_KEPT = 1000


class Runs:
    """The runs of one log, the last one of which is the present one."""

    def __init__(self, identity: bytes, runs: Sequence[tuple[bytes, int]]) -> None:
        """``runs``: of each, oldest first, its token and ``entry.id`` of the last entry before."""
        newest = [_text(*run) for run in islice(reversed(runs), RUNS_TOLD)]
        self._identity = identity.hex()
        #: What a client is to keep.
        self.told = ".".join((self._identity, *newest))
        # The last entry that there was at the end of a run is the last one before the next.
        ends = [entry for _, entry in runs[1:]] + [math.inf]
        self._ends = {_text(*run): end for run, end in zip(runs, ends, strict=True)}

    def common(self, told: str) -> float:
        """``entry.id`` of the last entry that is surely the same for a client that kept ``told``.

        ``math.inf``: all of them, as it spoke to the present run. 0: none of them.
        """
        identity, *runs = told.split(".", RUNS_TOLD)
        end_there = math.inf
        for run in runs if identity == self._identity else ():
            if run in self._ends:
                return min(end_there, self._ends[run])
            end_there = _entry(run)
        return 0


def superfluous(runs: Sequence[tuple[bytes, int]]) -> list[bytes]:
    """Tokens of ``runs`` to be forgotten: of more than :data:`RUNS_KEPT`, first the oldest ones in
    which nothing was said, as where a server starts again and again; then the oldest.
    """
    excess = len(runs) - RUNS_KEPT
    if excess <= 0:
        return []
    silent = [token for (token, entry), (_, next_entry) in pairwise(runs) if entry == next_entry]
    forgotten = silent[:excess]
    others = (token for token, _ in runs if token not in set(silent))
    return forgotten + list(islice(others, excess - len(forgotten)))


def _text(token: bytes, entry: int) -> str:
    return f"{base64.urlsafe_b64encode(token).decode()}{entry:x}"


def _entry(run: str) -> int:
    try:
        return max(0, int(run[_TOKEN_LENGTH:], 16))
    except ValueError:
        return 0
