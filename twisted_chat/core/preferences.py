"""Preferences that people set: how the words that they type are understood. Pure."""

from __future__ import annotations

from twisted_chat.core.characters import visible
from twisted_chat.core.errors import NoSuchLanguage
from twisted_chat.i18n.language import LANGUAGES, match


def language_called(wanted: str) -> str:
    """The language, one of :data:`.LANGUAGES`, that a person calls ``wanted`` (``pt``, ``en_GB``).

    :raises NoSuchLanguage: ``wanted`` is none of them.
    """
    language = match(wanted)
    if language is None:
        raise NoSuchLanguage(language=visible(wanted), languages=", ".join(LANGUAGES))
    return language
