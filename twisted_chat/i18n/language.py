"""The languages that the program speaks, as gettext catalogues.

This module knows the languages, finds the one that the environment asks for, and translates
marked strings. It must not know people or connections.
"""

from __future__ import annotations

import gettext
import io
import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from twisted_chat.i18n.compile import compiled

DOMAIN = "twisted_chat"
LOCALE = Path(__file__).with_name("locale")

#: English is the language of the sources and needs no catalogue.
LANGUAGES = ("en", "pt_BR")

#: The variables that name the locale, first match first (GNU gettext manual, 2.3.2).
_LOCALE = ("LC_ALL", "LC_MESSAGES", "LANG")


def N_(text: str) -> str:
    """Mark ``text`` for the catalogues; it is translated where it is shown."""
    return text


@cache
def catalogue(language: str) -> gettext.NullTranslations:
    """The translations of ``language``, one of :data:`LANGUAGES`."""
    if language == "en":
        return gettext.NullTranslations()
    source = LOCALE / language / "LC_MESSAGES" / f"{DOMAIN}.po"
    if source.exists():  # in a checkout, the edited file is used at once
        return gettext.GNUTranslations(io.BytesIO(compiled(source.read_text("utf-8"))))
    return gettext.translation(DOMAIN, LOCALE, [language])


def match(wanted: str) -> str | None:
    """The one of our languages that a person means by ``wanted`` (``pt``, ``pt-br``, ``en_GB``)."""
    asked = wanted.split(".")[0].split("@")[0].replace("-", "_").lower()
    for language in LANGUAGES:
        if asked == language.lower():
            return language
    for language in LANGUAGES:
        if asked.split("_")[0] == language.split("_")[0].lower():
            return language
    return None


def from_environment(environment: Mapping[str, str] = os.environ) -> str:
    """The language that the environment names, or English if it names none of ours.

    As in GNU gettext, LANGUAGE lists languages that replace the locale's own one, unless the
    locale is C.
    """
    locale = next(filter(None, (environment.get(name) for name in _LOCALE)), "C")
    if _is_c(locale):
        return "en"
    for wanted in (environment.get("LANGUAGE") or locale).split(":"):
        if _is_c(wanted):
            break
        found = match(wanted)
        if found is not None:
            return found
    return "en"


def _is_c(locale: str) -> bool:
    return locale.split(".")[0] in ("C", "POSIX")
