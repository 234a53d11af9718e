"""``twisted-chat``: the command line of the bundled programs."""

from __future__ import annotations

import sys


def main() -> None:
    """Entry point."""
    sys.exit(0)
