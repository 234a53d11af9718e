"""A catalogue as translators write it (``.po``), compiled to what programs read (``.mo``).

This module knows as much of the two formats as our catalogues need (GNU gettext manual, "The Format
of PO Files" and "The Format of GNU MO Files"), without contexts and plural forms. The build uses
it, so it imports nothing but the standard library.
"""

from __future__ import annotations

import re
import struct

#: The first number of a ``.mo`` file, and the bytes before its tables.
_MAGIC = 0x950412DE
_HEAD = struct.Struct("<7I")

_STRING = re.compile(r'(?:(msgid|msgstr)\s+)?"((?:[^"\\]|\\["\\nrt])*)"')
_ESCAPED = re.compile(r"\\(.)")
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\"}


class CatalogueError(ValueError):
    """A line of a catalogue is not understood."""


def compiled(text: str) -> bytes:
    """The ``.mo`` file of the ``.po`` file whose text is ``text``.

    Sentences without a translation, or with a fuzzy one, are left out, as in GNU gettext: they are
    shown in English.

    :raises CatalogueError: a line is not understood, or a sentence has two entries.
    """
    translations = {key.encode(): value.encode() for key, value in _read(text).items()}
    keys = sorted(translations)
    originals = _HEAD.size
    translated = originals + 8 * len(keys)
    start = translated + 8 * len(keys)
    head = _HEAD.pack(_MAGIC, 0, len(keys), originals, translated, 0, start)
    tables, strings = bytearray(), bytearray()
    for string in (*keys, *(translations[key] for key in keys)):
        tables += struct.pack("<2I", len(string), start + len(strings))
        strings += string + b"\0"
    return head + bytes(tables) + bytes(strings)


def _read(text: str) -> dict[str, str]:
    """The translation of each sentence that has one; that of "" is the catalogue's head."""
    found: dict[str, str] = {}
    seen: set[str] = set()
    entry: dict[str, str] = {}
    keyword = ""
    is_fuzzy = False
    flags: set[str] = set()

    def finish(line: str) -> None:
        if not entry:
            return
        if len(entry) != 2 or entry["msgid"] in seen:
            raise CatalogueError(line)
        seen.add(entry["msgid"])
        if entry["msgstr"] and not is_fuzzy:
            found[entry["msgid"]] = entry["msgstr"]

    for line in text.split("\n"):  # not splitlines(): a translation may have its separators
        line = line.strip()
        if not line or line.startswith("#"):
            if line.startswith("#,"):
                flags.update(flag.strip() for flag in line[2:].split(","))
            continue
        match = _STRING.fullmatch(line)
        if match is None:
            raise CatalogueError(line)
        if match[1] == "msgid":
            finish(line)
            entry = {}
            is_fuzzy, flags = "fuzzy" in flags, set()
        keyword = match[1] or keyword
        if (match[1] is None) != (keyword in entry):
            raise CatalogueError(line)
        string = _ESCAPED.sub(lambda escape: _ESCAPES[escape[1]], match[2])
        entry[keyword] = entry.get(keyword, "") + string
    finish("the end")
    return found
