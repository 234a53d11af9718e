"""The numbers of authors."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from twisted_chat.core.author import SIZE, author_key, guest_number

keys = st.binary(min_size=SIZE, max_size=SIZE)


@given(keys, st.binary(min_size=32, max_size=32))
def test_a_guest_has_a_negative_number_that_a_database_can_store(key: bytes, secret: bytes) -> None:
    assert -(2**62) <= guest_number(key, secret) < 0


def test_the_number_depends_on_the_client_and_on_the_log() -> None:
    one, other = (author_key(bytes([byte]) * 16) for byte in (1, 2))
    logs = bytes(32), b"x" * 32
    numbers = [guest_number(key, secret) for key in (one, other) for secret in logs]
    assert len(set(numbers)) == 4
    assert guest_number(one, logs[0]) == numbers[0]


def test_the_number_of_a_client_never_changes() -> None:
    """It is in people's logs, and in the lists of whom they ignore."""
    assert guest_number(author_key(b"c" * 16), b"s" * 32) == -1858162535853670424
