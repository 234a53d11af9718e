"""What a text looks like: equal for two texts that the eye confuses.

Pure functions over :mod:`.unicode_tables`. It knows no names and no rules for them.

The base is the skeleton of Unicode UTS 39, section 4. Added to it, for names in a chat:

* marks on letters are left out (``ḅob`` is seen as ``bob``), but not the vowel signs of the
  scripts of India, Thailand and others, nor the voicing marks of Japanese: those are letters
  to their readers;
* small capitals (``ʙᴏʙ``), and Latin letters with a stroke or a hook, are the letter itself;
* ``vv`` is ``w``, ``cl`` is ``d`` (``rn`` is ``m`` in Unicode's own table);
* the digit 1 is also the letter i (in Unicode's table it is l, and 0 is O).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from functools import cache
from itertools import chain

from twisted_chat.core.unicode_tables import prototypes, script

#: Marks of these scripts are points that most texts leave out; those that Unicode counts to no
#: script in particular ("inherited") are accents.
_OVERLOOKED = frozenset({"INHERITED", "ARABIC", "HEBREW", "SYRIAC"})

#: The marks that make another syllable of a kana.
_VOICING = "\u3099\u309a"

#: Latin letters that are drawn as another one, but for a stroke, a hook, or their size.
_VARIANT = re.compile(
    r"LATIN (?:SMALL|CAPITAL) LETTER (?:DOTLESS |LONG |SCRIPT )?([A-Z])(?: WITH (?!SMALL ).*)?$"
)
_SMALL_CAPITAL = re.compile("LATIN LETTER SMALL CAPITAL ([A-Z])$")

_REPEATED = re.compile(r"([_.'-])\1+")

#: Where Latin letters beyond ASCII are.
_LATIN = (
    range(0x80, 0x370),
    range(0x1D00, 0x1E00),
    range(0x2C60, 0x2C80),
    range(0xA720, 0xA800),
    range(0xAB30, 0xAB70),
    range(0x10780, 0x107C0),
    range(0x1DF00, 0x1E000),
)


def skeleton(text: str) -> str:
    """What ``text`` looks like, by Unicode alone (UTS 39, section 4)."""
    like = prototypes()
    decomposed = unicodedata.normalize("NFD", text)
    return unicodedata.normalize("NFD", "".join(like.get(c, c) for c in decomposed))


def keys(written: str, folded: str) -> frozenset[str]:
    """The keys of a name: two names look alike if they have one in common.

    ``written`` is the name as it is shown, ``folded`` without its case. The key of the folded
    form catches "Alice" and "ALICE", that of the form as written "Alice" and "AIice" (capital i).
    As ``cl`` looks like ``d`` in small letters only, Clara and Dara stay two names.
    """
    shape = _shape(written)
    shapes = [shape, shape.replace("cl", "d"), _shape(folded)]
    if "1" in written:
        shapes.append(_shape(written.replace("1", "i")))
    return frozenset(map(_unified, shapes))


@cache
def letters() -> dict[int, str]:
    """What each character looks like, of those that look like another; for :meth:`str.translate`.

    It is less exact than :func:`keys`, and costs a microsecond.
    """
    return {ord(character): like for character, like in {**_variants(), **prototypes()}.items()}


def _shape(text: str) -> str:
    """The skeleton without marks and variants."""
    return _bare(skeleton(_bare(text, _small_capitals())), _variants())


def _unified(shape: str) -> str:
    """A shape without its case; the line that several _ make has no length."""
    shape = _shape(shape.lower()).lower().replace("vv", "w")
    return unicodedata.normalize("NFC", _REPEATED.sub(r"\1", shape))


def _bare(text: str, variants: Mapping[str, str]) -> str:
    """``text`` without the marks that are overlooked, and with a plain letter for ``variants``."""
    kept: list[str] = []
    for character in unicodedata.normalize("NFD", text):
        if unicodedata.category(character) in ("Mn", "Me"):
            if character in _VOICING:
                if not kept or script(kept[-1]) not in ("HIRAGANA", "KATAKANA"):
                    continue
            elif script(character) in _OVERLOOKED:
                continue
        kept.append(variants.get(character, character))
    return "".join(kept)


@cache
def _small_capitals() -> dict[str, str]:
    """The letter that each small capital is; Cyrillic and Coptic small letters look like some."""
    found = dict(zip("вкмнтⲃⲉⲏⲕⲙⲛⲣⲧⲩⲭ", "bkmhtbehkmnptyx", strict=True))
    for character in map(chr, chain.from_iterable(_LATIN)):
        if match := _SMALL_CAPITAL.match(unicodedata.name(character, "")):
            found[character] = match[1].lower()
    return found


@cache
def _variants() -> dict[str, str]:
    """The Latin letter that each is seen as of those that Unicode's table leaves as they are."""
    found = {**_small_capitals(), "\u0138": "k", "\u0185": "b", "\u0251": "a"}  # kra, six, alpha
    for character in map(chr, chain.from_iterable(_LATIN)):
        if match := _VARIANT.match(unicodedata.name(character, "")):
            is_capital = unicodedata.category(character) == "Lu"
            found[character] = match[1] if is_capital else match[1].lower()
    return found


def _read_now() -> None:
    """On start: later it would delay the first login."""
    prototypes()
    script("a")
    _variants()


_read_now()
