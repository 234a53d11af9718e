"""Tokens, codes and passwords: how they are made and compared."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from precis_i18n import get_profile

from twisted_chat.core.account_errors import PasswordTooLong, PasswordTooShort
from twisted_chat.core.author import author_key
from twisted_chat.core.characters import stripped
from twisted_chat.core.codes import ALPHABET, GROUP, GROUPS
from twisted_chat.core.identities import hash_code
from twisted_chat.core.secrets import (
    PASSWORD_BYTES,
    TOKEN_PREFIX,
    TOKEN_SIZE,
    checked_password,
    is_token,
    new_code,
    new_id,
    new_token,
    normalized,
    secret_hash,
)

KEY = b"k" * 32


def test_a_token_is_recognisable_and_has_128_random_bits() -> None:
    token = new_token()
    letters = token.removeprefix(TOKEN_PREFIX)
    assert token.startswith(TOKEN_PREFIX)
    assert set(letters) <= set(ALPHABET)
    assert len(ALPHABET) ** len(letters) >= 2**128
    assert len(letters) == TOKEN_SIZE


def test_a_code_has_90_random_bits() -> None:
    letters = new_code().replace("-", "")
    assert set(letters) <= set(ALPHABET)
    assert len(letters) == GROUPS * GROUP
    assert len(ALPHABET) ** len(letters) >= 2**90


def test_no_two_are_the_same() -> None:
    made = [make() for make in (new_token, new_code, new_id) for _ in range(1000)]
    assert len(set(made)) == len(made)


def test_a_code_is_the_same_in_capitals_and_without_hyphens() -> None:
    code = new_code()
    assert secret_hash(code.upper().replace("-", ""), KEY) == secret_hash(code, KEY)
    assert secret_hash(f" {code.replace('-', ' ')} ", KEY) == secret_hash(code, KEY)
    assert secret_hash(new_code(), KEY) != secret_hash(code, KEY)


def test_the_hash_of_a_secret_is_no_other_hash_of_it() -> None:
    code = new_code()
    assert len(secret_hash(code, KEY)) == 64
    assert hash_code(code, KEY).hex() != secret_hash(code, KEY)
    assert author_key(code.encode()).hex() not in secret_hash(code, KEY)


@given(st.text(st.characters(codec=None)))
def test_any_text_has_a_hash(text: str) -> None:
    assert len(secret_hash(text, KEY)) == 64


@pytest.mark.parametrize(
    "text",
    ["correct horse", "senha-açaí", "пароль-да", "パスワードです!", "👩‍👩‍👧 nós três", "x" * 1024],
)
def test_a_password_can_be_any_text(text: str) -> None:
    assert checked_password(text) == unicodedata.normalize("NFC", text)


def test_a_password_is_the_same_in_every_normal_form_and_with_every_space() -> None:
    assert normalized("senha açaí") == normalized(unicodedata.normalize("NFD", "senha açaí"))
    assert normalized("uma senha") == normalized("uma\u2003senha")
    assert normalized("nós\u3000👩‍👩‍👧") == "nós 👩‍👩‍👧"  # which OpaqueString would refuse
    assert normalized("Senha123") != normalized("senha123")


@given(st.text())
def test_a_password_is_normalized_as_precis_does_wherever_precis_accepts_it(text: str) -> None:
    try:
        expected = get_profile("OpaqueString").enforce(text)
    except UnicodeEncodeError:
        assert normalized(text) is not None
    else:
        assert normalized(text) == stripped(expected)


@pytest.mark.parametrize("outer", [" ", "\t", "\u3000", "  \u2003", "\ufe0f"])
def test_blanks_around_a_password_do_not_matter(outer: str) -> None:
    assert normalized(f"{outer}correct horse{outer}") == "correct horse"
    with pytest.raises(PasswordTooShort):
        checked_password(outer * 8)


def test_the_form_of_a_token() -> None:
    token = new_token()
    for text in (token, token.upper(), f" {token}\n"):
        assert is_token(text)
    for text in (token[:-1], token + "b", "tchat_", new_code(), "correct horse", ""):
        assert not is_token(text)


def test_a_password_that_was_normalized_stays_the_same() -> None:
    once = normalized("e\u0301\u2003👩‍👩‍👧")
    assert once is not None
    assert normalized(once) == once


@pytest.mark.parametrize("text", ["", "1234567", "e\u0301" * 7])
def test_a_short_password_is_refused(text: str) -> None:
    with pytest.raises(PasswordTooShort) as raised:
        checked_password(text)
    assert not text or text not in str(raised.value)


@pytest.mark.parametrize(
    "text", ["x" * (PASSWORD_BYTES + 1), "é" * 513, "\ud800" * 400, "\U0001d15e" * 256]
)
def test_a_long_password_is_refused(text: str) -> None:
    """The last one grows to three times its length in NFC."""
    with pytest.raises(PasswordTooLong) as raised:
        checked_password(text)
    assert text not in repr(raised.value)
