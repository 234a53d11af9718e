"""Coverage-guided fuzzing of what the server reads, with atheris: a script, not a test.

``python -m tests.support.fuzz_atheris text|json|telnet [-runs=100000] [libFuzzer's options]``; it
ends with status 77 and a finding's bytes in a file ``crash-…`` as soon as something fails.
Needs ``pip install atheris``.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from typing import Any

atheris: Any
try:
    atheris = importlib.import_module("atheris")
except ImportError:
    atheris = None

KINDS = ("text", "json", "telnet")


def main(arguments: Sequence[str]) -> int:
    """Fuzz until the runs are over; returns the exit status if it could not begin."""
    if atheris is None:
        print("atheris is not installed: pip install atheris", file=sys.stderr)
        return 2
    if len(arguments) < 2 or arguments[1] not in KINDS:
        print(
            f"usage: python -m tests.support.fuzz_atheris {'|'.join(KINDS)} [-runs=N]",
            file=sys.stderr,
        )
        return 2
    with atheris.instrument_imports(include=["twisted_chat"]):
        from tests.support.fuzzing import Defects, Generator, Target
    kind = arguments[1]
    generator = Generator(0)
    target = Target(kind)
    defects = Defects()
    defects.__enter__()

    def try_one(data: bytes) -> None:
        target.throw(data + b"\n", 1 + data.count(b"\n"))
        if defects.found or target.dangers:
            raise RuntimeError((defects.found + target.dangers)[0])

    def mutate(data: bytes, limit: int, seed: int) -> bytes:
        """A line of our own now and then, to begin with; else what libFuzzer makes."""
        if seed % 5 == 0:
            line: bytes = getattr(generator, kind)()
            return (data + line)[-limit:]
        changed: bytes = atheris.Mutate(data, limit)
        return changed

    atheris.Setup([arguments[0], *arguments[2:]], try_one, custom_mutator=mutate)
    atheris.Fuzz()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
