"""Valid nicknames and room names, and the keys on which two names collide.

Pure functions. The rules:

* PRECIS ``UsernameCaseMapped`` (RFC 8265) folds case and width and rejects spaces, symbols,
  zero-width and bidirectional control characters;
* one script a name, in the sense of Unicode UTS 39 section 5.1 (Han goes with the other
  scripts of Chinese, Japanese and Korean);
* two nicknames collide when one could be taken for the other: their skeletons
  (UTS 39 section 4), folded or as written, are the same.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from functools import cache, lru_cache

from confusable_homoglyphs import categories, confusables
from precis_i18n import get_profile

from twisted_chat.errors import (
    NameInvalid,
    NameMissing,
    NameMixesScripts,
    NameReserved,
    NameTooLong,
    Refusal,
)

#: Lengths in characters.
NICKNAME_LIMIT = 32
ROOM_LIMIT = 64

#: What the server calls itself when it speaks, in each language.
RESERVED = ("SERVER", "SERVIDOR")

_PUNCTUATION = "_-.'"
_NO_PUNCTUATION = str.maketrans("", "", _PUNCTUATION)
_CASE_MAPPED = get_profile("UsernameCaseMapped:ToLower")
_CASE_PRESERVED = get_profile("UsernameCasePreserved")
_LEFT_TO_RIGHT_MARK = "\u200e"

# UTS 39, section 5.1: the scripts that are written together.
_WRITTEN_TOGETHER = (
    frozenset({"HAN", "HIRAGANA", "KATAKANA"}),
    frozenset({"HAN", "BOPOMOFO"}),
    frozenset({"HAN", "HANGUL"}),
)
_SCRIPTLESS = frozenset({"COMMON", "INHERITED"})


@dataclass(frozen=True, slots=True)
class Nickname:
    """A valid nickname.

    ``text`` is how it is shown, ``folded`` how it is looked up, and two nicknames with a
    common element in ``keys`` cannot be told apart by the eye.
    """

    text: str
    folded: str
    keys: frozenset[str]


#: The script of a character, by its name; looked up once for most of them.
_script = lru_cache(maxsize=4096)(categories.alias)


@lru_cache(maxsize=4096)
def nickname(text: str) -> Nickname:
    """The nickname that ``text`` spells.

    :raises Refusal: one of the ``Name…`` classes, which says what is wrong with it.
    """
    text = unicodedata.normalize("NFC", text.strip())
    folded = _fold(text, NICKNAME_LIMIT)
    try:
        text = _CASE_PRESERVED.enforce(text)
    except UnicodeEncodeError as error:  # such as U+03F4, of which only the small letter is allowed
        raise NameInvalid() from error
    scripts = {_script(character) for character in text} - _SCRIPTLESS
    if len(scripts) > 1 and not any(scripts <= together for together in _WRITTEN_TOGETHER):
        raise NameMixesScripts(scripts=", ".join(sorted(script.title() for script in scripts)))
    keys = _collision_keys(text, folded)
    if {key.translate(_NO_PUNCTUATION) for key in keys} & _reserved_keys():
        raise NameReserved(name=text)
    return Nickname(text, folded, keys)


def folded(text: str) -> str:
    """The form by which the nickname ``text`` is looked up; ``text`` itself if it is not one."""
    try:
        return nickname(text).folded
    except Refusal:
        return text


@lru_cache(maxsize=4096)
def room_name(text: str) -> str:
    """The room that ``text`` names, with or without a leading ``#``: folded, without it.

    :raises Refusal: one of the ``Name…`` classes, which says what is wrong with it.
    """
    return _fold(unicodedata.normalize("NFC", text.strip()).removeprefix("#"), ROOM_LIMIT)


def skeleton(text: str) -> str:
    """What ``text`` looks like: equal for two texts that the eye confuses (UTS 39, section 4)."""
    prototypes = _prototypes()
    decomposed = unicodedata.normalize("NFD", text)
    return unicodedata.normalize("NFD", "".join(prototypes.get(c, c) for c in decomposed))


def _fold(text: str, limit: int) -> str:
    if not text:
        raise NameMissing()
    if len(text) > limit:
        raise NameTooLong(limit=limit)
    try:
        folded: str = _CASE_MAPPED.enforce(text)
    except UnicodeEncodeError as error:
        raise NameInvalid() from error
    for character in folded:
        if unicodedata.category(character)[0] not in "LMN" and character not in _PUNCTUATION:
            raise NameInvalid()
    if len(folded) > limit:
        raise NameTooLong(limit=limit)
    if folded[0] != "_" and unicodedata.category(folded[0])[0] not in "LN":
        raise NameInvalid()
    return folded


def _collision_keys(text: str, folded: str) -> frozenset[str]:
    # The skeleton of the folded form catches "Alice" and "ALICE", that of the form as written
    # catches "Alice" and "AIice" (capital i). A mark that composes with no letter is left out:
    # it is easily overlooked.
    return frozenset(
        "".join(
            character
            for character in unicodedata.normalize("NFC", skeleton(form)).lower()
            if _script(character) != "INHERITED"
        )
        for form in (_without_loose_marks(text), _without_loose_marks(folded))
    )


def _without_loose_marks(text: str) -> str:
    composed = unicodedata.normalize("NFC", text)
    return "".join(c for c in composed if _script(c) != "INHERITED")


@cache
def _reserved_keys() -> frozenset[str]:
    return frozenset().union(*(_collision_keys(name, name.lower()) for name in RESERVED))


@cache
def _prototypes() -> dict[str, str]:
    """The prototype of each confusable character.

    The library lists, for each character, those that look like it; in Unicode's own table
    every confusable has exactly one prototype, so the lists are stars and their centre is
    the prototype: the longest text of the star or, between equals, the one with most rays.
    """
    neighbours = {
        _plain(key): {_plain(other["c"]) for other in others}
        for key, others in confusables.confusables_data.items()
    }
    prototypes = {}
    for character, others in neighbours.items():
        if len(character) != 1:
            continue
        centre = max(
            (*others, character),
            key=lambda text: (len(text), len(neighbours.get(text, ())), text),
        )
        if centre != character:
            prototypes[character] = centre
    # A prototype of several characters is itself written in prototypes.
    return {
        character: "".join(prototypes.get(c, c) for c in centre) if len(centre) > 1 else centre
        for character, centre in prototypes.items()
    }


def _plain(text: str) -> str:
    return text.replace(_LEFT_TO_RIGHT_MARK, "")


_prototypes()  # read now, on start: later it would hold up whoever logs in first
