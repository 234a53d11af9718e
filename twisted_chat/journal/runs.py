"""Identifies a log, so that a client that comes back notices that the log was replaced. Pure.

A log has a random identity, and *runs*: a run lasts from the start of a server to its end, and has
a random token and the last entry before it. A client keeps one text with the identity and the
newest runs of the log when it was last connected, the newest run first.

When the client comes back, the newest of its runs that the log also has is common to both, until
that run ended for the client or in this log, whichever was earlier. The entries up to then are
those that the client saw. If the client saw more entries in a room, the log was replaced since, for
example by a backup: later entries have the same numbers but other contents. If the log has none of
the client's runs, no entry is known to be common.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Sequence
from itertools import islice, pairwise

#: Bytes of an identity and of a run's token.
IDENTITY_SIZE = 16
TOKEN_SIZE = 6

#: Characters of a token in base 64.
_TOKEN_LENGTH = 8

#: The most runs that a client keeps.
RUNS_TOLD = 16

#: The most runs that a log keeps: see :func:`superfluous`.
RUNS_KEPT = 1000


class Runs:
    """The runs of one log; the last of them is the present one."""

    def __init__(self, identity: bytes, runs: Sequence[tuple[bytes, int]]) -> None:
        """``runs``, oldest first: the token of each, and ``entry.id`` of the last entry before."""
        newest = [_text(*run) for run in islice(reversed(runs), RUNS_TOLD)]
        self._identity = identity.hex()
        #: The text that a client keeps.
        self.told = ".".join((self._identity, *newest))
        # The last entry of a run is the last entry before the next run.
        ends = [entry for _, entry in runs[1:]] + [math.inf]
        self._ends = {_text(*run): end for run, end in zip(runs, ends, strict=True)}

    def common(self, told: str) -> float:
        """``entry.id`` of the last entry that a client with the text ``told`` surely has in common.

        ``math.inf``: all entries, as the client was connected in the present run. 0: no entry.
        """
        identity, *runs = told.split(".", RUNS_TOLD)
        end_there = math.inf
        for run in runs if identity == self._identity else ():
            if run in self._ends:
                return min(end_there, self._ends[run])
            end_there = _entry(run)
        return 0


def superfluous(runs: Sequence[tuple[bytes, int]]) -> list[bytes]:
    """The tokens of those of ``runs`` (as in :class:`Runs`) that exceed :data:`RUNS_KEPT`.

    These are the oldest runs without an entry, as of a server that restarts again and again; then
    the oldest others.
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
