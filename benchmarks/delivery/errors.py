"""Why something cannot be measured: one line for whoever asked, in English as all of the bench."""

from __future__ import annotations


class CannotMeasure(Exception):
    """It cannot be done; the text says why."""


class NotInstalled(CannotMeasure):
    """A server is not there to be measured."""

    def __init__(self, server: str, program: str) -> None:
        super().__init__(f"{server} is left out: {program} is not there")
