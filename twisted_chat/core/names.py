"""Valid nicknames and room names, the forms in which they are compared, and reserved ones.

Pure functions. The rules:

* PRECIS ``IdentifierClass`` (RFC 8264) and the direction rule of ``Username`` (RFC 8265) decide
  which characters are allowed: no spaces, symbols, invisible or bidirectional control characters;
  joiners and a few signs only inside words, where RFC 5892, appendix A, allows them.
* Characters that PRECIS rejects only because NFKC replaces them are allowed if the replacement
  consists of letters, marks and digits: น้ำ, ㅋㅋ, 1º.
* A letter has at most two marks, or a few more in the scripts that stack marks.
* A nickname is in one script, in the sense of Unicode UTS 39 section 5.1 (Han can be combined
  with the other scripts of Chinese, Japanese and Korean).
* Spellings that differ in case, width or normal form are the same name: see :func:`fold`.
* Two nicknames collide if one could be mistaken for the other: see :mod:`.lookalikes`.

The interpreter's Unicode tables (Unicode 14 to 16 in Python 3.11 to 3.14) decide which characters
exist: a character that was added to Unicode later is refused as unassigned.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import lru_cache

from precis_i18n import get_profile

from twisted_chat.core import lookalikes
from twisted_chat.core.characters import named
from twisted_chat.core.errors import (
    NameCharacter,
    NameDirection,
    NameMarks,
    NameMissing,
    NameMixesScripts,
    NameReserved,
    NameStart,
    NameTooLong,
    Refusal,
    RoomNameMissing,
)
from twisted_chat.core.lookalikes import skeleton
from twisted_chat.core.unicode_tables import script

__all__ = [
    "ALWAYS_RESERVED",
    "NICKNAME_LIMIT",
    "NOT_FOR_ANYBODY",
    "OLD_ROOM_LIMIT",
    "ROOM_LIMIT",
    "Nickname",
    "Reserved",
    "RoomNames",
    "fold",
    "folded",
    "nickname",
    "room_among",
    "room_key",
    "room_name",
    "skeleton",
]

#: Lengths in characters.
NICKNAME_LIMIT = 32
ROOM_LIMIT = 64

#: The longest text, in characters, that is looked up as the name of a room that an older version
#: created. A longer text is not normalized: that takes time quadratic in its number of marks.
OLD_ROOM_LIMIT = 4 * ROOM_LIMIT

#: The names under which the server speaks, one for each language.
RESERVED = ("SERVER", "SERVIDOR")

#: Names that nobody can take, whatever else the operator reserves.
ALWAYS_RESERVED = (
    *RESERVED,
    *("admin", "administrator", "administrador", "administradora"),
    *("mod", "moderator", "moderador", "moderadora"),
    *("oper", "operator", "operador", "operadora", "sysop", "root"),
    *("system", "sistema", "service", "serviço", "support", "suporte"),
    *("staff", "equipe", "owner", "security", "segurança"),
)

#: The most marks on one letter; below, the larger limits of scripts that stack points and accents,
#: vowel signs above and below, or medials. (UTS 39, section 5.4, has 4 for all scripts.)
MARKS = 2
_STACKING = {
    **dict.fromkeys(("HEBREW", "ARABIC", "DEVANAGARI", "BENGALI", "GURMUKHI", "GUJARATI"), 3),
    **dict.fromkeys(("KANNADA", "SINHALA", "KHMER"), 3),
    **dict.fromkeys(("MYANMAR", "TIBETAN"), 4),
}

_PUNCTUATION = "_-.'"
_NO_PUNCTUATION = str.maketrans("", "", _PUNCTUATION)

#: Digits that people write for letters, besides those that :mod:`.lookalikes` replaces.
_DIGITS = str.maketrans("34578", "eastb")

#: Characters that are allowed only inside words of some languages (RFC 5892, appendix A): ZWNJ and
#: ZWJ, the middle dots of Catalan and Japanese, signs of Greek and Hebrew, Tibetan's tsheg.
_JOINERS = "\u200c\u200d"
_IN_CONTEXT = frozenset(f"{_JOINERS}\u00b7\u30fb\u0375\u05f3\u05f4\u0f0b")
_NO_JOINERS = str.maketrans("", "", _JOINERS)

#: Kinds of compatibility decomposition: ``_STYLES`` change only a letter's width or style (it is
#: shown as the plain letter); ``_WRITINGS`` are characters in their own right (shown as typed).
_STYLES = frozenset(
    {"<wide>", "<narrow>", "<font>", "<initial>", "<medial>", "<final>", "<isolated>"}
)
_WRITINGS = frozenset({"<compat>", "<super>", "<sub>"})

#: Conjoining jamo, to which NFKC turns the letters of ㅋㅋ.
_JAMO = re.compile("[\u1100-\u115e\u1161-\u11ff]")
_ANY_SYLLABLE = "가"

_USERNAME = get_profile("UsernameCasePreserved")
_DOTTED = re.compile("i[\u0300-\u036f]+")

#: The middle dot of Catalan. RFC 5892, A.3, allows it between small letters only, but people also
#: write in capitals.
_PUNT_VOLAT = re.compile("(?<=[lL])\u00b7(?=[lL])")

# The scripts that can be combined in one nickname (UTS 39, section 5.1).
_WRITTEN_TOGETHER = (
    frozenset({"HAN", "HIRAGANA", "KATAKANA"}),
    frozenset({"HAN", "BOPOMOFO"}),
    frozenset({"HAN", "HANGUL"}),
)
_SCRIPTLESS = frozenset({"COMMON", "INHERITED"})


@dataclass(frozen=True, slots=True)
class Nickname:
    """A valid nickname.

    ``text`` is the form that is shown, ``folded`` the form by which it is looked up. Two nicknames
    look alike if their ``keys`` have a common element.
    """

    text: str
    folded: str
    keys: frozenset[str]


@lru_cache(maxsize=4096)
def nickname(text: str) -> Nickname:
    """The nickname that ``text`` spells.

    :raises Refusal: it is not a valid nickname; the ``Name…`` class tells why.
    """
    text = _spelled(text.strip(), NICKNAME_LIMIT)
    letters = unicodedata.normalize("NFKC", text)
    scripts = {script(letter) for letter in letters} - _SCRIPTLESS
    if len(scripts) > 1 and not any(scripts <= together for together in _WRITTEN_TOGETHER):
        raise NameMixesScripts(scripts=", ".join(sorted(name.title() for name in scripts)))
    folded = fold(text)
    name = Nickname(text, folded, lookalikes.keys(text, folded))
    SERVER.check(name)
    return name


def folded(text: str) -> str:
    """The form by which the nickname ``text`` is looked up; ``text`` itself if it is invalid."""
    try:
        return nickname(text).folded
    except Refusal:
        return text


def fold(text: str) -> str:
    """``text`` without differences of case, width, normal form and joiners.

    This is Unicode's NFKC_Casefold (UAX 31, R5), in which ß is ss and ς is σ. In addition, i with
    and without its dot are the same letter, as not every language distinguishes their capitals
    (İzmir, IZMIR, ızmır).
    """
    while True:
        again = unicodedata.normalize("NFKD", text).casefold().translate(_NO_JOINERS)
        again = unicodedata.normalize("NFD", again).replace("\u0131", "i")
        again = unicodedata.normalize("NFKC", _DOTTED.sub(_undotted, again))
        if again == text:
            return text
        text = again


def _undotted(found: re.Match[str]) -> str:
    return found.group().replace("\u0307", "")


# -- rooms ------------------------------------------------------------------------------------


@lru_cache(maxsize=4096)
def room_name(text: str) -> str:
    """The room name that ``text`` spells: in small letters, and without the leading ``#``, if any.

    Two names mean the same room if their :func:`room_key` is the same.

    :raises Refusal: it is not a valid name; the ``Name…`` class tells why.
    """
    text = text.strip().removeprefix("#")
    if not text:
        raise RoomNameMissing()
    text = _spelled(text, ROOM_LIMIT)
    small = unicodedata.normalize("NFD", text.lower())
    small = unicodedata.normalize("NFC", _DOTTED.sub(_undotted, small))
    if len(small) > ROOM_LIMIT:
        raise NameTooLong(limit=ROOM_LIMIT)
    return small


#: The form in which room names are compared.
room_key = lru_cache(maxsize=4096)(fold)


class RoomNames:
    """Finds the existing rooms by any spelling of their names.

    A room keeps the name under which it was created, and an older version may have folded names
    differently. If several rooms have the same key, each is found by its exact name. All other
    spellings find the first of them, or the one whose name is also valid under today's rules.
    """

    def __init__(self) -> None:
        self._names: set[str] = set()
        self._by_key: dict[str, str] = {}
        #: For the few keys that several rooms share: the rooms that are not in ``_by_key``.
        self._others: dict[str, list[str]] = {}

    def add(self, name: str) -> None:
        """Add the room ``name``, if it is new."""
        if name in self._names:
            return
        self._names.add(name)
        key = room_key(name)
        holder = self._by_key.setdefault(key, name)
        if holder != name:
            if _is_room_name(name) and not _is_room_name(holder):
                self._by_key[key], name = name, holder
            self._others.setdefault(key, []).append(name)

    def remove(self, name: str) -> None:
        """Remove the room ``name``."""
        self._names.discard(name)
        key = room_key(name)
        others = self._others.get(key, [])
        if name in others:
            others.remove(name)
        elif self._by_key.get(key) == name:
            del self._by_key[key]
            if others:
                self._by_key[key] = others.pop(0)
        if key in self._others and not others:
            del self._others[key]

    def find(self, text: str) -> str:
        """The name of the room that ``text`` means, or the name that a new room would get.

        :raises Refusal: there is no such room, and ``text`` is not a valid name.
        """
        exact = _exact(text)
        if exact in self._names:
            return exact
        try:
            name = room_name(text)
        except Refusal:
            old = self._by_key.get(fold(exact))
            if old is None:
                raise
            return old
        return name if name in self._names else self._by_key.get(room_key(name), name)


def room_among(text: str, rooms: Collection[str]) -> str:
    """As :meth:`RoomNames.find`, among a few ``rooms``.

    :raises Refusal: none of them is meant, and ``text`` is not a valid name.
    """
    exact = _exact(text)
    if exact in rooms:
        return exact
    try:
        name = room_name(text)
    except Refusal:
        old = _with_key(fold(exact), rooms)
        if old is None:
            raise
        return old
    return name if name in rooms else _with_key(room_key(name), rooms) or name


def _exact(text: str) -> str:
    """The name that an older version may have given a room for ``text``; "" if it is too long."""
    text = text.strip().removeprefix("#")
    return unicodedata.normalize("NFC", text) if len(text) <= OLD_ROOM_LIMIT else ""


def _with_key(key: str, rooms: Collection[str]) -> str | None:
    return next((room for room in rooms if room_key(room) == key), None)


def _is_room_name(name: str) -> bool:
    try:
        return room_name(name) == name
    except Refusal:
        return False


# -- reserved names ---------------------------------------------------------------------------


class Reserved:
    """Reserved nicknames. Nobody can take one of them, or a nickname that looks like one, in any
    case, with any punctuation, or with digits for letters.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._keys = frozenset(
            key
            for name in names
            for form in (name, name.lower(), name.upper(), name.title())
            for key in _bare_keys(lookalikes.keys(form, fold(form)))
        )

    def check(self, name: Nickname) -> None:
        """:raises NameReserved: ``name`` is one of them, or looks like one."""
        if not self._keys.isdisjoint(_bare_keys(name.keys)):
            raise NameReserved(name=name.text)


def _bare_keys(keys: Iterable[str]) -> frozenset[str]:
    return frozenset(key.translate(_NO_PUNCTUATION).translate(_DIGITS) for key in keys)


#: The names under which the server speaks, and the names that no server lets anybody take.
SERVER = Reserved(RESERVED)
NOT_FOR_ANYBODY = Reserved(ALWAYS_RESERVED)


# -- which characters -------------------------------------------------------------------------


def _spelled(text: str, limit: int) -> str:
    """The form of the name ``text`` that is shown.

    :raises Refusal: it is not a valid name.
    """
    if not text:
        raise NameMissing()
    if len(text) > 4 * limit:  # too long even if normalization makes it shorter
        raise NameTooLong(limit=limit)
    text = text.replace("\u2019", "'")  # O’Neil: the apostrophe that telephones type
    text = unicodedata.normalize("NFC", "".join(map(_unstyled, text)))
    if len(text) > limit:
        raise NameTooLong(limit=limit)
    for character in text:
        if not _may_be(character):
            raise NameCharacter(character=named(character))
    if text[0] != "_" and unicodedata.category(text[0])[0] not in "LN":
        raise NameStart(character=named(text[0]))
    _check_marks(text)
    _check_precis(text)
    return text


def _unstyled(character: str) -> str:
    """The plain letter, if ``character`` is the same letter in another width or style."""
    kind, *codes = unicodedata.decomposition(character).split() or [""]
    if kind in _STYLES:
        plain = "".join(_unstyled(chr(int(code, 16))) for code in codes)
        if all(map(_may_be, plain)):
            return plain
    return character


def _may_be(character: str) -> bool:
    """Whether ``character`` is a letter, a mark, a digit or allowed punctuation.

    PRECIS checks the whole name afterwards.
    """
    if character in _PUNCTUATION or character in _IN_CONTEXT:
        return True
    kind, *codes = unicodedata.decomposition(character).split() or [""]
    if kind.startswith("<") and kind not in _WRITINGS:
        return False
    parts = unicodedata.normalize("NFKC", character) if codes else character
    category = unicodedata.category(character)
    return (
        category[0] in "LMN"
        and category != "Me"
        and all(unicodedata.category(part)[0] in "LMN" for part in parts)
    )


def _check_marks(text: str) -> None:
    limit = MARKS
    marks: list[str] = []
    for character in unicodedata.normalize("NFC", unicodedata.normalize("NFKC", text)):
        category = unicodedata.category(character)
        if category == "Mn":
            marks.append(character)
            if len(marks) > limit or marks.count(character) > 1:
                raise NameMarks(character=named(character), limit=limit)
        elif category != "Mc":
            limit = _STACKING.get(script(character), MARKS)
            marks = []


def _check_precis(text: str) -> None:
    standing_in = _PUNT_VOLAT.sub("l", "".join(map(_stand_in, text)))
    try:
        _USERNAME.base.enforce(standing_in)
    except UnicodeEncodeError as error:
        raise NameCharacter(character=named(text[error.start])) from error
    try:
        _USERNAME.directionality_rule(standing_in)
    except UnicodeEncodeError as error:
        raise NameDirection() from error


def _stand_in(character: str) -> str:
    """The character that is shown to PRECIS instead of ``character``.

    It is another one if this module allows ``character``, but PRECIS does not.
    """
    if unicodedata.decomposition(character).startswith("<"):
        character = unicodedata.normalize("NFKC", character)[-1]
    elif unicodedata.category(character) == "Lt":
        character = character.lower()
    return _ANY_SYLLABLE if _JAMO.match(character) else character
