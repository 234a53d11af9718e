"""Full-text search: how texts become tokens, queries and snippets.

What a word is, is decided here and not by SQLite, whose tables of Unicode differ with its
version: FTS5 is given tokens in ASCII, for texts and for queries alike. Case, width and
accents do not count. Chinese, Japanese and Korean are written without spaces, so each of
their characters is a token of its own, and a word of several is looked for as a phrase.
Pure functions.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from functools import lru_cache

#: Han, kana, Hangul and their extensions: scripts in which a word need not end at a space.
_UNSPACED = "\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff"
_TOKEN = re.compile(f"[{_UNSPACED}]|[^\\W_{_UNSPACED}]+")

#: The accents of Latin, Greek and Cyrillic, decomposed.
_ACCENTS = re.compile("[\u0300-\u036f]")

#: Characters before and after the first match in a snippet.
_BEFORE, _AFTER = 30, 60


def tokens(text: str) -> list[str]:
    """The words of ``text``, in ASCII: those of other scripts as the hexadecimal of their UTF-8."""
    if text.isascii():
        return _TOKEN.findall(text.lower())
    folded = _ACCENTS.sub("", unicodedata.normalize("NFKD", text).casefold())
    found = _TOKEN.findall(unicodedata.normalize("NFC", folded))
    return [token if token.isascii() else "u" + token.encode().hex() for token in found]


def segmented(text: str) -> str:
    """``text`` as it is indexed."""
    return " ".join(tokens(text))


def room_token(room: int) -> str:
    """The token that stands for the room with this id."""
    return f"r{room}"


def query(words: str, room: int | None) -> str | None:
    """The FTS5 query for entries that hold all of ``words``; None if there is no word in it."""
    phrases = [f'"{segmented(word)}"' for word in words.split() if tokens(word)]
    if not phrases:
        return None
    found = f"text : ({' AND '.join(phrases)})"
    return found if room is None else f"room : {room_token(room)} AND {found}"


def snippets(words: str) -> Callable[[str], str]:
    """A function that cuts a long text to what stands around the first of ``words`` in it."""
    wanted = [folded for word in words.split() if (folded := _folded(word))]

    def snippet(text: str) -> str:
        if len(text) <= _BEFORE + _AFTER:
            return text
        folded = _folded(text)
        found = [at for word in wanted if (at := folded.find(word)) >= 0]
        first = min(found, default=0)
        start, end = max(0, first - _BEFORE), min(len(text), first + _AFTER)
        return ("…" if start else "") + text[start:end] + ("…" if end < len(text) else "")

    return snippet


def _folded(text: str) -> str:
    """``text`` without case and accents, character by character."""
    return text.lower() if text.isascii() else "".join(map(_folded_character, text))


@lru_cache(maxsize=4096)
def _folded_character(character: str) -> str:
    return unicodedata.normalize("NFKD", character)[0].lower()[:1] or character
