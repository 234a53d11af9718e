"""System calls as strace writes them."""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple


class Call(NamedTuple):
    """One system call: the lines of the trace at which it began and had ended."""

    name: str
    arguments: str
    began: int
    ended: int


@functools.cache
def why_not() -> str | None:
    """Why system calls cannot be traced here, if so."""
    if shutil.which("strace") is None:
        return "there is no strace"
    trial = subprocess.run(["strace", "-o", os.devnull, "true"], capture_output=True, text=True)
    return None if trial.returncode == 0 else f"strace is not permitted: {trial.stderr.strip()}"


def parse(output: Path) -> list[Call]:
    """The calls in the file that ``strace -f`` wrote, in the order in which they began."""
    calls = []
    unfinished: dict[str, tuple[int, str]] = {}
    # The kill may have cut off the last line in the middle of a character.
    for at, line in enumerate(output.read_text("utf-8", "replace").splitlines()):
        process, _, text = line.partition(" ")
        text = text.strip()
        began = at
        if text.endswith("<unfinished ...>"):
            unfinished[process] = at, text.removesuffix("<unfinished ...>")
            continue
        resumed = re.match(r"<\.\.\. \w+ resumed>", text)
        if resumed:
            began, beginning = unfinished.pop(process)
            text = beginning + text[resumed.end() :]
        call = re.match(r"(\w+)\((.*)", text)
        if call:
            calls.append(Call(call[1], call[2], began, at))
    return sorted(calls, key=lambda call: call.began)
