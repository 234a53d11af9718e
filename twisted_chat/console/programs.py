"""Where the programs of this installation are, for hints that can be copied into a shell."""

from __future__ import annotations

import os
import shlex
import sys
from contextlib import suppress


def program(name: str) -> str:
    """How to call the program ``name`` that is installed beside this Python.

    The path is relative if it is below the current folder, such as ``.venv/bin/pip`` in a
    checkout.
    """
    folder = os.path.dirname(sys.executable)
    path = os.path.join(folder, name)
    if not os.access(path, os.X_OK):
        return f"{shlex.quote(sys.executable)} -m {name}" if name == "pip" else name
    with suppress(OSError):  # the current folder may be gone
        here = os.getcwd()
        if here != os.sep:
            path = path.removeprefix(here + os.sep)
    return shlex.quote(path)
