"""Errors of the benchmark. The text of each is one line for its user, in English."""

from __future__ import annotations


class CannotMeasure(Exception):
    """The measurement failed; the text says why."""


class NotInstalled(CannotMeasure):
    """A server is not installed."""

    def __init__(self, server: str, program: str) -> None:
        super().__init__(f"{server} is left out: {program} is not there")
