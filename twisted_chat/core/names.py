"""Valid nicknames and room names, the forms in which they are compared, and reserved ones.

Pure functions. The rules:

* PRECIS ``IdentifierClass`` (RFC 8264) and the direction rule of ``Username`` (RFC 8265) say
  which characters there are: no spaces, symbols, invisible or bidirectional control characters;
  joiners and a few signs inside words where RFC 5892, appendix A, allows them;
* characters that PRECIS refuses only because Unicode writes them in another way too (NFKC) are
  allowed where that is made of letters, marks and digits: น้ำ, ㅋㅋ, 1º;
* at most two marks stand on a letter, and a few more where the script itself stacks them;
* one script a name, in the sense of Unicode UTS 39 section 5.1 (Han goes with the other
  scripts of Chinese, Japanese and Korean);
* a name is one name in all its cases, widths and normal forms: see :func:`fold`;
* two nicknames collide when one could be taken for the other: see :mod:`.lookalikes`.

Which characters there are is decided by the interpreter's tables (Unicode 14 to 16 in Python 3.11
to 3.14): a character that is younger than them is refused as unassigned.
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

#: Characters of a text that may be the name of a room that an older version made, or a part of one.
#: A longer one is not normalized, which takes time that grows with the square of its marks.
OLD_ROOM_LIMIT = 4 * ROOM_LIMIT

#: What the server calls itself when it speaks, in each language.
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

#: Marks that can stand on one letter, and on one of scripts that stack more of their own: points
#: and accents, vowel signs above and below, medials. (UTS 39, section 5.4, has 4 for all.)
MARKS = 2
_STACKING = {
    **dict.fromkeys(("HEBREW", "ARABIC", "DEVANAGARI", "BENGALI", "GURMUKHI", "GUJARATI"), 3),
    **dict.fromkeys(("KANNADA", "SINHALA", "KHMER"), 3),
    **dict.fromkeys(("MYANMAR", "TIBETAN"), 4),
}

_PUNCTUATION = "_-.'"
_NO_PUNCTUATION = str.maketrans("", "", _PUNCTUATION)

#: Digits that are written for letters, besides those that look like them.
_DIGITS = str.maketrans("34578", "eastb")

#: Inside words of some languages, where RFC 5892, appendix A, allows them: ZWNJ and ZWJ, the
#: middle dots of Catalan and Japanese, the signs of Greek and Hebrew, Tibetan's tsheg.
_JOINERS = "\u200c\u200d"
_IN_CONTEXT = frozenset(f"{_JOINERS}\u00b7\u30fb\u0375\u05f3\u05f4\u0f0b")
_NO_JOINERS = str.maketrans("", "", _JOINERS)

#: Kinds of compatibility decomposition that change nothing but a letter's width or style (shown
#: as the plain letter), and those that are a writing of its own (shown as typed).
_STYLES = frozenset(
    {"<wide>", "<narrow>", "<font>", "<initial>", "<medial>", "<final>", "<isolated>"}
)
_WRITINGS = frozenset({"<compat>", "<super>", "<sub>"})

#: Conjoining jamo, of which NFKC makes the letters of ㅋㅋ.
_JAMO = re.compile("[\u1100-\u115e\u1161-\u11ff]")
_ANY_SYLLABLE = "가"

_USERNAME = get_profile("UsernameCasePreserved")
_DOTTED = re.compile("i[\u0300-\u036f]+")

#: The middle dot of Catalan; RFC 5892, A.3, has it between small letters only, but people also
#: write in capitals.
_PUNT_VOLAT = re.compile("(?<=[lL])\u00b7(?=[lL])")

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


@lru_cache(maxsize=4096)
def nickname(text: str) -> Nickname:
    """The nickname that ``text`` spells.

    :raises Refusal: one of the ``Name…`` classes, which says what is wrong with it.
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
    """The form by which the nickname ``text`` is looked up; ``text`` itself if it is not one."""
    try:
        return nickname(text).folded
    except Refusal:
        return text


def fold(text: str) -> str:
    """``text`` without what does not make it another name: case, width, normal form, joiners.

    Unicode's NFKC_Casefold (UAX 31, R5), in which ß is ss and ς is σ; further, the letter i is
    the same with its dot and without, as their capitals are not told apart everywhere (İzmir,
    IZMIR, ızmır).
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
    """The room that ``text`` names, with or without a leading ``#``: in small letters, without it.

    Another name may be the same room: that is so if their :func:`room_key` is.

    :raises Refusal: one of the ``Name…`` classes, which says what is wrong with it.
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


#: By which two names are one room's.
room_key = lru_cache(maxsize=4096)(fold)


class RoomNames:
    """The rooms there are, by every name that is theirs.

    A room keeps the name under which it was made, which an older version may have folded in
    another way. Where two such rooms have one key, each is found by its exact name, and the first
    one by all others; but one that is called as it would be today goes before it.
    """

    def __init__(self) -> None:
        self._names: set[str] = set()
        self._by_key: dict[str, str] = {}
        #: The others with a key, of the few that several rooms have.
        self._others: dict[str, list[str]] = {}

    def add(self, name: str) -> None:
        """There is a room called ``name``, which there was not."""
        self._names.add(name)
        key = room_key(name)
        holder = self._by_key.setdefault(key, name)
        if holder != name:
            if _is_room_name(name) and not _is_room_name(holder):
                self._by_key[key], name = name, holder
            self._others.setdefault(key, []).append(name)

    def remove(self, name: str) -> None:
        """There is no such room any more."""
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
        """The room that ``text`` names; the name that it would get, if there is none.

        :raises Refusal: it is no name for a room.
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

    :raises Refusal: it is no name for a room.
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
    """``text`` as an older version may have called a room; "" if it is too long for that."""
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
    """Nicknames that nobody can take, nor any that looks like one of them: in any case, with
    any punctuation, with digits for letters.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._keys = frozenset(
            key
            for name in names
            for form in (name, name.lower(), name.upper(), name.title())
            for key in _bare_keys(lookalikes.keys(form, fold(form)))
        )

    def check(self, name: Nickname) -> None:
        """:raises NameReserved: it is one of them."""
        if not self._keys.isdisjoint(_bare_keys(name.keys)):
            raise NameReserved(name=name.text)


def _bare_keys(keys: Iterable[str]) -> frozenset[str]:
    return frozenset(key.translate(_NO_PUNCTUATION).translate(_DIGITS) for key in keys)


#: What the server calls itself.
SERVER = Reserved(RESERVED)


# -- which characters -------------------------------------------------------------------------


def _spelled(text: str, limit: int) -> str:
    """``text`` as it is shown, if a name is spelled so.

    :raises Refusal: it is not.
    """
    if not text:
        raise NameMissing()
    if len(text) > 4 * limit:  # far too long, even if it gets shorter
        raise NameTooLong(limit=limit)
    text = text.replace("\u2019", "'")  # O’Neil, as telephones have it
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
    """The plain letter, if this is one of other width or style."""
    kind, *codes = unicodedata.decomposition(character).split() or [""]
    if kind in _STYLES:
        plain = "".join(_unstyled(chr(int(code, 16))) for code in codes)
        if all(map(_may_be, plain)):
            return plain
    return character


def _may_be(character: str) -> bool:
    """Whether it is a letter, a mark, a digit or allowed punctuation; PRECIS decides the rest."""
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
    """A character that PRECIS allows and treats like ``character``, if it is one that we allow
    although PRECIS does not.
    """
    if unicodedata.decomposition(character).startswith("<"):
        character = unicodedata.normalize("NFKC", character)[-1]
    elif unicodedata.category(character) == "Lt":
        character = character.lower()
    return _ANY_SYLLABLE if _JAMO.match(character) else character
