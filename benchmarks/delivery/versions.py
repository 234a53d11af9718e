"""The versions of the other servers, as their programs report them."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable

from benchmarks.delivery.errors import NotInstalled
from benchmarks.delivery.servers import Kind, find_program

#: Seconds that a program has to print its version.
_TIMEOUT = 5.0

#: Numbers with dots between them.
_VERSION = re.compile(r"\d+(?:\.\d+)+")

#: Stands for the version of a program that prints none.
UNKNOWN = "of an unknown version"


def of(kinds: Iterable[Kind]) -> dict[str, str]:
    """The version of each installed server of ``kinds``, by the name of its program.

    The baselines have no version of their own: they belong to this checkout.
    """
    found = {}
    for kind in kinds:
        if kind.program:
            try:
                found[kind.program] = _told(find_program(kind.name, kind.program))
            except NotInstalled:
                continue  # reported when it should be measured
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
