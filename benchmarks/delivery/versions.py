"""Which version of each other server is measured: its program is asked."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable

from benchmarks.delivery.errors import NotInstalled
from benchmarks.delivery.servers import Kind, find_program

#: Seconds for a program to tell its version.
_TIMEOUT = 5.0

#: Numbers with dots between them.
_VERSION = re.compile(r"\d+(?:\.\d+)+")

#: What stands for the version of a program that tells none.
UNKNOWN = "of an unknown version"


def of(kinds: Iterable[Kind]) -> dict[str, str]:
    """The version of each of ``kinds`` that is installed, by the name of its program.

    The baselines have none: they are of this checkout.
    """
    found = {}
    for kind in kinds:
        if kind.program:
            try:
                found[kind.program] = _told(find_program(kind.name, kind.program))
            except NotInstalled:
                continue  # which is said when it would be measured
    return found


def _told(path: str) -> str:
    try:
        done = subprocess.run(
            [path, "--version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_TIMEOUT,
        )
    except (OSError, subprocess.TimeoutExpired):
        return UNKNOWN
    match = _VERSION.search(done.stdout) or _VERSION.search(done.stderr)
    return match[0] if match else UNKNOWN
