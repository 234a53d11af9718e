"""Keys of texts: two texts that a reader may take for each other have a key in common.

Pure functions over :mod:`.unicode_tables`. This module must not know who has which name, nor which
names are allowed.

The base is the skeleton of Unicode UTS 39, section 4. For names in a chat, it is extended:

* Marks on letters are left out (a reader sees ``ḅob`` as ``bob``). The vowel signs of the scripts
  of India, Thailand and others and the voicing marks of Japanese stay: their readers see them as
  letters.
* Small capitals (``ʙᴏʙ``) and Latin letters with a stroke or a hook become the plain letter.
* ``vv`` becomes ``w``, ``cl`` becomes ``d`` (``rn`` is ``m`` in Unicode's own table).
* The digit 1 counts as the letter i, too (in Unicode's table it is l, and 0 is O).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from functools import cache
from itertools import chain

from twisted_chat.core.unicode_tables import prototypes, script

#: The scripts whose marks are left out. Marks of the Unicode script "Inherited" are accents; those
#: of the other three are points that most texts are written without.
_OVERLOOKED = frozenset({"INHERITED", "ARABIC", "HEBREW", "SYRIAC"})

#: The Japanese voicing marks, which turn a kana into another syllable.
_VOICING = "\u3099\u309a"

#: The Unicode names of Latin letters that differ from a plain one by a stroke, a hook or the size.
_VARIANT = re.compile(
    r"LATIN (?:SMALL|CAPITAL) LETTER (?:DOTLESS |LONG |SCRIPT )?([A-Z])(?: WITH (?!SMALL ).*)?$"
)
_SMALL_CAPITAL = re.compile("LATIN LETTER SMALL CAPITAL ([A-Z])$")

_REPEATED = re.compile(r"([_.'-])\1+")

#: The code points among which there are Latin letters beyond ASCII.
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
    """The skeleton of ``text`` by Unicode's rules alone (UTS 39, section 4), in NFD."""
    like = prototypes()
    decomposed = unicodedata.normalize("NFD", text)
    return unicodedata.normalize("NFD", "".join(like.get(c, c) for c in decomposed))


def keys(written: str, folded: str) -> frozenset[str]:
    """The keys of a name: two names look alike if they have a key in common.

    The key of the folded form matches "Alice" with "ALICE", the key of the written form matches
    "Alice" with "AIice" (capital i). ``cl`` looks like ``d`` in small letters only, so "Clara" and
    "Dara" have no key in common.

    :param written: the name as it is shown.
    :param folded: the name without differences of case.
    """
    shape = _shape(written)
    shapes = {shape, shape.replace("cl", "d")}
    if folded != written:
        shapes.add(_shape(folded))
    if "1" in written:
        shapes.add(_shape(written.replace("1", "i")))
    return frozenset(map(_unified, shapes))


@cache
def letters() -> dict[int, str]:
    """A table for :meth:`str.translate`: each lookalike character with the text that it looks like.

    A translation takes about a microsecond, but is less exact than :func:`keys`.
    """
    return {ord(character): like for character, like in {**_variants(), **prototypes()}.items()}


def _shape(text: str) -> str:
    """The skeleton of ``text``, without overlooked marks and with plain letters for variants."""
    return _bare(skeleton(_bare(text, _small_capitals())), _variants())


def _unified(shape: str) -> str:
    """``shape`` in lower case and NFC; repeated punctuation becomes one character, as ``__`` is
    seen as a long ``_``.
    """
    shape = _shape(shape.lower()).lower().replace("vv", "w")
    return unicodedata.normalize("NFC", _REPEATED.sub(r"\1", shape))


def _bare(text: str, variants: Mapping[str, str]) -> str:
    """``text`` without the marks that readers overlook, and with plain letters for ``variants``."""
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
    """The plain letter for each small capital; some Cyrillic and Coptic letters look like one."""
    found = dict(zip("вкмнтⲃⲉⲏⲕⲙⲛⲣⲧⲩⲭ", "bkmhtbehkmnptyx", strict=True))
    for character in map(chr, chain.from_iterable(_LATIN)):
        if match := _SMALL_CAPITAL.match(unicodedata.name(character, "")):
            found[character] = match[1].lower()
    return found


@cache
def _variants() -> dict[str, str]:
    """The plain Latin letter for each variant that Unicode's table leaves unchanged."""
    found = {**_small_capitals(), "\u0138": "k", "\u0185": "b", "\u0251": "a"}  # kra, six, alpha
    for character in map(chr, chain.from_iterable(_LATIN)):
        if match := _VARIANT.match(unicodedata.name(character, "")):
            is_capital = unicodedata.category(character) == "Lu"
            found[character] = match[1] if is_capital else match[1].lower()
    return found


def _read_now() -> None:
    """Fill the caches on import; later, that would delay the first login."""
    prototypes()
    script("a")
    _variants()


_read_now()
