"""``python -m benchmarks``: measures how much a server delivers, how soon, and at what cost."""

import sys

from benchmarks.delivery import command

if __name__ == "__main__":
    sys.exit(command.main())
