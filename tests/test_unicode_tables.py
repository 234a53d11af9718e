"""Unicode's tables are what Unicode says, and what the program makes of its files."""

from __future__ import annotations

import ctypes
import re
import sys
import unicodedata
from pathlib import Path
from typing import Any

import pytest

from tools import unicode_tables
from twisted_chat.core.lookalikes import skeleton
from twisted_chat.core.unicode_tables import prototypes, script

#: Where Debian's package ``unicode-data`` has Unicode's files.
UNICODE = Path("/usr/share/unicode")

#: Every character that this Python knows, but not those of private use, nor halves of a pair.
CHARACTERS = [
    character
    for character in map(chr, range(sys.maxunicode + 1))
    if unicodedata.category(character) not in ("Cn", "Co", "Cs")
]


def table(name: str) -> str:
    return (unicode_tables.TABLES / name).read_text("ascii")


def version(text: str) -> str:
    found = re.search(r"Unicode ([0-9.]+)", text)
    assert found is not None
    return found[1]


@pytest.mark.parametrize(
    ("character", "name"),
    [
        *(("A", "LATIN"), ("z", "LATIN"), ("é", "LATIN"), ("τ", "GREEK"), ("я", "CYRILLIC")),
        *(
            ("山", "HAN"),
            ("ひ", "HIRAGANA"),
            ("한", "HANGUL"),
            ("ت", "ARABIC"),
            ("𐌀", "OLD_ITALIC"),
        ),
        *(("-", "COMMON"), ("\0", "COMMON"), ("7", "COMMON"), ("\u0301", "INHERITED")),
        *(("\ue000", "UNKNOWN"), ("\u0378", "UNKNOWN"), ("\U0010ffff", "UNKNOWN")),
    ],
)
def test_the_script_of_a_character(character: str, name: str) -> None:
    assert script(character) == name


def test_each_character_of_a_row_is_of_its_script() -> None:
    """At both ends of each range, and not beyond: no two rows have a character in common."""
    seen: set[int] = set()
    for line in table("scripts.txt").splitlines():
        if not line.startswith("#"):
            name, _, members = line.partition(" ; ")
            for member in members.split():
                first, _, last = member.partition("..")
                codes = range(int(first, 16), int(last or first, 16) + 1)
                assert seen.isdisjoint(codes)
                seen.update(codes)
                assert {script(chr(codes[0])), script(chr(codes[-1]))} == {name.upper()}
    unassigned = [code for code in range(sys.maxunicode + 1) if code not in seen]
    assert {script(chr(code)) for code in unassigned} == {"UNKNOWN"}


def test_what_something_looks_like_is_nothing_that_looks_like_something_else() -> None:
    """So that a skeleton is looked up once (UTS 39, section 4)."""
    assert [
        key for key, like in prototypes().items() if not prototypes().keys().isdisjoint(like)
    ] == []
    assert len(prototypes()) > 6000
    assert (prototypes()["0"], prototypes()["1"], prototypes()["m"]) == ("O", "l", "rn")


def test_both_tables_are_of_one_version() -> None:
    assert version(table("confusables.txt")) == version(table("scripts.txt"))


CONFUSABLES = """\
# confusables.txt
# © 2022 Unicode®, Inc.
# Version: 15.0.0

0031 ;\t006C ;\tMA\t# ( 1 → l ) DIGIT ONE → LATIN SMALL LETTER L\t# #
0049 ;\t006C ;\tMA\t# ( I → l ) LATIN CAPITAL LETTER I → LATIN SMALL LETTER L\t#
0048 ;\t006C ;\tMA\t#
006D ;\t0072 006E ;\tMA\t#
"""

SCRIPTS = """\
# Scripts-15.0.0.txt
# © 2022 Unicode®, Inc.

0061..007A    ; Latin # L&  [26] LATIN SMALL LETTER A..LATIN SMALL LETTER Z
0370..0373    ; Greek # L&   [4] ...
0060          ; Latin # not really
"""


def test_the_program_puts_rows_together() -> None:
    made = unicode_tables.confusables(CONFUSABLES)
    assert [line for line in made.splitlines() if not line.startswith("#")] == [
        "006C ; 0031 0048..0049",
        "0072 006E ; 006D",
    ]
    assert "Unicode 15.0.0 " in made
    assert "1991-2022 Unicode, Inc." in made
    made = unicode_tables.scripts(SCRIPTS)
    assert [line for line in made.splitlines() if not line.startswith("#")] == [
        "Greek ; 0370..0373",
        "Latin ; 0060..007A",
    ]


@pytest.mark.parametrize(
    ("before", "after"),
    [("MA", "SL"), ("Version: ", ""), ("© 2022", "2022"), ("006C ;\tMA", "006C\tMA")],
)
def test_the_program_refuses_a_file_of_another_form(before: str, after: str) -> None:
    with pytest.raises(ValueError, match=r"kind|version|columns"):
        unicode_tables.confusables(CONFUSABLES.replace(before, after))


@pytest.mark.parametrize(
    ("name", "source", "make"),
    [
        ("scripts.txt", "Scripts.txt", unicode_tables.scripts),
        ("confusables.txt", "security/confusables.txt", unicode_tables.confusables),
    ],
)
def test_the_tables_are_those_of_the_files(name: str, source: str, make: Any) -> None:
    """Where Unicode's own files are installed, in the same version."""
    path = UNICODE / source
    if not path.exists():
        pytest.skip(f"{path} is not installed")
    made = make(path.read_text("utf-8-sig"))
    if version(made) != version(table(name)):
        pytest.skip(f"{path} is of Unicode {version(made)}")
    assert made == table(name)


class ICU:
    """The library that Unicode's consortium makes, of its own files."""

    def __init__(self) -> None:
        paths = sorted(Path("/usr/lib").glob("*/libicui18n.so.[0-9]*"))
        if not paths:
            pytest.skip("ICU is not installed")
        self._number = paths[-1].name.split(".so.")[1].split(".")[0]
        self._i18n = ctypes.CDLL(str(paths[-1]))
        self._common = ctypes.CDLL(str(paths[-1]).replace("icui18n", "icuuc"))
        self._status = ctypes.c_int(0)
        open_checker = self._function(self._i18n, "uspoof_open")
        open_checker.restype = ctypes.c_void_p
        self._checker = ctypes.c_void_p(open_checker(ctypes.byref(self._status)))
        self._skeleton = self._function(self._i18n, "uspoof_getSkeletonUTF8")
        self._script = self._function(self._common, "uscript_getScript")
        self._script_name = self._function(self._common, "uscript_getName")
        self._script_name.restype = ctypes.c_char_p
        self._room = ctypes.create_string_buffer(1000)

    def _function(self, library: ctypes.CDLL, name: str) -> Any:
        return getattr(library, f"{name}_{self._number}")

    def version(self) -> str:
        found = (ctypes.c_uint8 * 4)()
        self._function(self._common, "u_getUnicodeVersion")(found)
        return ".".join(map(str, found[:3]))

    def skeleton(self, text: str) -> str:
        given = text.encode()
        size = self._skeleton(
            self._checker, 0, given, len(given), self._room, 1000, ctypes.byref(self._status)
        )
        assert self._status.value <= 0, self._status
        return self._room.raw[:size].decode()

    def script(self, character: str) -> str:
        code = self._script(ord(character), ctypes.byref(self._status))
        assert self._status.value <= 0, self._status
        name: bytes = self._script_name(code)
        return name.decode().upper()


@pytest.fixture(scope="module")
def icu() -> ICU:
    found = ICU()
    if found.version() != version(table("scripts.txt")):
        pytest.skip(f"this ICU has Unicode {found.version()}")
    return found


def test_skeletons_are_those_of_icu(icu: ICU) -> None:
    wrong = [c for c in CHARACTERS if skeleton(c) != icu.skeleton(c)]
    assert wrong == []


def test_scripts_are_those_of_icu(icu: ICU) -> None:
    assert [c for c in CHARACTERS if script(c) != icu.script(c)] == []
