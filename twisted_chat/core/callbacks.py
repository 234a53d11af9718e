"""The callback that does nothing.

This module must not know anything of the program.
"""


def nothing(*arguments: object) -> None:
    """Do nothing, with any arguments: the callback of a caller that need not be told."""
