"""The options of the tests."""

from __future__ import annotations

import gc
import signal

import pytest
from hypothesis import settings

# Asserts there tell the values that they compared, as those in test modules do.
pytest.register_assert_rewrite("tests.support")

#: The same examples in each run, so that a failure is one of the change at hand. CI runs the tests
#: a second time, with --hypothesis-seed and a number that it prints, and with four times as many.
REPEATABLE = "repeatable"
settings.register_profile(REPEATABLE, derandomize=True, max_examples=25)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--kills", type=int, default=50, help="how often the slow kill loop kills the server"
    )
    parser.addoption("--seed", type=int, default=None, help="repeat a kill loop's random choices")


def pytest_configure(config: pytest.Config) -> None:
    # A shell starts what runs in the background with SIGINT ignored, and so would be its children.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if config.getoption("--hypothesis-seed") is None and not config.getoption(
        "--hypothesis-profile"
    ):
        settings.load_profile(REPEATABLE)


def pytest_collection_finish() -> None:
    """The tests themselves are no garbage: to look through them again and again takes long."""
    gc.collect()
    gc.freeze()
