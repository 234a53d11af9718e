"""The options of the tests."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--kills", type=int, default=50, help="how often the slow kill loop kills the server"
    )
    parser.addoption("--seed", type=int, default=None, help="repeat a kill loop's random choices")
