"""The Portuguese catalogue is complete and true, and the right language is chosen."""

from __future__ import annotations

import gettext
import io
import re
import string
import unicodedata
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from babel.messages.catalog import Catalog, Message
from babel.messages.extract import DEFAULT_KEYWORDS, extract_from_dir
from babel.messages.mofile import read_mo, write_mo
from babel.messages.pofile import read_po

import twisted_chat
from twisted_chat.core import names
from twisted_chat.core.commands import Command
from twisted_chat.core.errors import Refusal
from twisted_chat.core.events import Event, Greeted, Joined, Left, Style
from twisted_chat.dialects import text
from twisted_chat.i18n.compile import CatalogueError, compiled
from twisted_chat.i18n.language import (
    DOMAIN,
    LANGUAGES,
    LOCALE,
    catalogue,
    from_environment,
    match,
)
from twisted_chat.terminal.commands import table

PORTUGUESE = LOCALE / "pt_BR" / "LC_MESSAGES"

#: A command in a sentence, but not "on/off", "//" or a path.
COMMAND = re.compile(r"(?<![\w/])/([a-z]+)(?: ([a-z]+))?")


@cache
def portuguese() -> Catalog:
    """The pt_BR catalogue as a translator edits it."""
    with open(PORTUGUESE / f"{DOMAIN}.po", "rb") as file:
        return read_po(file, locale="pt_BR")


def translations(parsed: Catalog) -> dict[str, str]:
    """Each sentence of the sources with its translation; the header left out."""
    return {str(message.id): str(message.string) for message in parsed if message.id}


def entries() -> list[Message]:
    """What a translator writes, entry by entry."""
    return [message for message in portuguese() if message.id]


@cache
def extracted() -> frozenset[str]:
    """What is marked in the sources, as ``pybabel extract -k N_`` finds it."""
    found = extract_from_dir(
        Path(twisted_chat.__file__).parent, keywords={**DEFAULT_KEYWORDS, "N_": None}
    )
    return frozenset(str(sentence) for _, _, sentence, _, _ in found)


def refusals(kind: type[Refusal] = Refusal) -> list[type[Refusal]]:
    """Every class of refusal that has something to say, of the modules loaded so far."""
    ours = kind.__module__.startswith("twisted_chat.") and hasattr(kind, "template")
    kinds = [kind] if ours else []
    return kinds + [found for below in kind.__subclasses__() for found in refusals(below)]


def placeholders(sentence: str) -> set[tuple[str, str | None, str | None]]:
    """The replacement fields of ``sentence``: name, format and conversion."""
    parsed = string.Formatter().parse(sentence)
    return {(name, spec, conversion) for _, name, spec, conversion in parsed if name is not None}


# -- the catalogue ----------------------------------------------------------------------------


def test_every_marked_string_is_in_the_catalogue() -> None:
    """Whoever adds a sentence adds its translation."""
    assert sorted(extracted() - translations(portuguese()).keys()) == []


def test_the_catalogue_holds_nothing_that_is_not_marked() -> None:
    """Sentences that went out of use leave the catalogue, also its commented-out part."""
    assert sorted(translations(portuguese()).keys() - extracted()) == []
    assert [str(message.id) for message in portuguese().obsolete.values()] == []


def test_every_entry_is_translated() -> None:
    """No entry is empty, and none is a guess that gettext would leave out."""
    assert [message.id for message in entries() if not str(message.string).strip()] == []
    assert [message.id for message in entries() if message.fuzzy] == []


def test_what_is_translated_where_it_is_shown_was_marked() -> None:
    """A refusal or a command's help that somebody forgot to mark would stay English."""
    shown = {kind.template for kind in refusals()} | {each.help for each in table().typed}
    assert sorted(shown - extracted()) == []


def test_placeholders_are_kept() -> None:
    """A translation that misses or misspells one would show nonsense, or fail to format."""
    differing = [
        sentence
        for sentence, translation in translations(portuguese()).items()
        if placeholders(sentence) != placeholders(translation)
    ]
    assert differing == []


def test_english_sentences_use_english_words() -> None:
    """What people of the paper type, ``sair``, is for sentences in Portuguese."""
    assert [sentence for sentence in extracted() if re.search(r"\bsair\b", sentence)] == []


def find(name: str) -> Command:
    """The command of that English or Portuguese name, of the server or of the client."""
    return next(command for command in table().typed if name in command.names)


def named(sentence: str) -> list[str]:
    """The names of commands in ``sentence``; a name has one word or two."""
    known = {name for command in table().typed for name in command.names}
    pairs = ((" ".join(words), words[0]) for words in COMMAND.findall(sentence))
    return [both if both in known else one for both, one in pairs]


def test_commands_are_called_by_their_portuguese_names() -> None:
    """A sentence names the same commands on both sides, in the same order."""
    for sentence, translation in translations(portuguese()).items():
        expected = [find(name).names[1] for name in named(sentence)]
        typed = translation.replace("digite sair", "digite /sair")  # as in the paper
        assert named(typed) == expected, sentence


def test_no_translation_holds_control_characters() -> None:
    """Nor other invisible ones: every sentence is one line that a terminal shows as it is."""
    assert [
        sentence
        for pair in translations(portuguese()).items()
        for sentence in pair
        if any(
            unicodedata.category(character) in {"Cc", "Cf", "Zl", "Zp"} for character in sentence
        )
    ] == []


def test_a_catalogue_is_compiled_as_babel_does_it() -> None:
    expected = io.BytesIO()
    write_mo(expected, portuguese())
    expected.seek(0)
    ours = compiled((PORTUGUESE / f"{DOMAIN}.po").read_text("utf-8"))
    made = read_mo(io.BytesIO(ours))
    assert translations(made) == translations(read_mo(expected))
    assert len(translations(made)) > 300
    assert made.charset == "utf-8"


def test_what_is_edited_is_what_is_spoken() -> None:
    """In a checkout, without a step in between."""
    spoken = catalogue("pt_BR")
    for sentence, translation in translations(portuguese()).items():
        assert spoken.gettext(sentence) == translation


HEAD = 'msgid ""\nmsgstr "Content-Type: text/plain; charset=utf-8\\n"\n'


def read(text: str) -> gettext.GNUTranslations:
    return gettext.GNUTranslations(io.BytesIO(compiled(text)))


def test_strings_go_on_and_have_escapes() -> None:
    text = f'{HEAD}\n#: a.py\nmsgid ""\n"a"\n" \\"b\\"\\n"\nmsgstr "é\u2028\\\\"\n"\\t."\n'
    assert read(text).gettext('a "b"\n') == "é\u2028\\\t."


def test_what_has_no_sure_translation_stays_english() -> None:
    """As in GNU gettext: what is empty, a guess ("fuzzy"), or out of use."""
    text = (
        f'{HEAD}\nmsgid "empty"\nmsgstr ""\n\n#, python-brace-format, fuzzy\nmsgid "guess"\n'
        'msgstr "x"\n\n#~ msgid "old"\n#~ msgstr "x"\n\nmsgid "sure"\nmsgstr "x"\n'
    )
    spoken = read(text)
    assert [spoken.gettext(each) for each in ("empty", "guess", "old", "sure")] == [
        *("empty", "guess", "old", "x")
    ]


@pytest.mark.parametrize(
    "entry",
    [
        pytest.param('msgid "a"\nmsgid "b"\nmsgstr "x"', id="no translation at all"),
        pytest.param('msgid "a"', id="none at the end"),
        pytest.param('msgid "a"\nmsgstr "x"\n\nmsgid "a"\nmsgstr "y"', id="twice"),
        pytest.param('msgid "a"\nmsgstr "x"\nmsgstr "y"', id="two translations"),
        pytest.param('msgid "a\nmsgstr "x"', id="no closing quote"),
        pytest.param('msgid "a"b"\nmsgstr "x"', id="a quote inside"),
        pytest.param('msgid "a\\q"\nmsgstr "x"', id="an escape that there is not"),
        pytest.param('msgid "a"\nmsgid_plural "b"\nmsgstr[0] "x"', id="plural forms"),
        pytest.param('msgctxt "c"\nmsgid "a"\nmsgstr "x"', id="a context"),
    ],
)
def test_a_line_that_is_not_understood_is_no_translation(entry: str) -> None:
    """A build fails that would speak nonsense."""
    with pytest.raises(CatalogueError):
        compiled(f"{HEAD}\n{entry}\n")


# -- the paper --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (Greeted(), "Bem-vindo! Por favor, digite seu nome de usuário:"),
        (Joined("lobby", "Silvio", arrived=True), "[SERVIDOR]: Silvio entrou no chat."),
        (Left("lobby", "Silvio", departed=True), "[SERVIDOR]: Silvio saiu do chat."),
    ],
)
def test_people_read_the_words_of_the_paper(event: Event, line: str) -> None:
    """Figures 3 to 7, to the letter."""
    assert text.render([event], Style("pt_BR")).data.decode() == f"{line}\n"


@pytest.mark.parametrize(
    ("sentence", "details", "line"),
    [
        (
            "[LISTENING] Server is listening on {address}",
            {"address": "127.0.0.1:50000"},
            "[ESCUTANDO] Servidor está escutando em 127.0.0.1:50000",
        ),
        (
            "[NEW CONNECTION] {peer} connected.",
            {"peer": "('127.0.0.1', 63831)"},
            "[NOVA CONEXÃO] ('127.0.0.1', 63831) conectado.",
        ),
        ("[ACTIVE CONNECTIONS] {active}", {"active": 3}, "[CONEXÕES ATIVAS] 3"),
        (
            "Message received from {peer}: {line}",
            {"peer": "('127.0.0.1', 63831)", "line": "[Bernardo]: Olá pessoal"},
            "Mensagem recebida de ('127.0.0.1', 63831): [Bernardo]: Olá pessoal",
        ),
        (
            "[CONNECTION CLOSED] {peer} disconnected.",
            {"peer": "('127.0.0.1', 63831)"},
            "[CONEXÃO ENCERRADA] ('127.0.0.1', 63831) desconectado.",
        ),
        ("[Closing the connection...]", {}, "[Encerrando a conexão...]"),
        (
            "[Connection lost. Press Enter to leave.]",
            {},
            "[Conexão perdida. Pressione Enter para sair.]",
        ),
    ],
)
def test_the_log_and_the_client_speak_the_words_of_the_paper(
    sentence: str, details: dict[str, Any], line: str
) -> None:
    """Figures 2 and 7, to the letter; the closing of a connection is worded after them."""
    assert catalogue("pt_BR").gettext(sentence).format(**details) == line


def test_nobody_can_take_the_name_of_the_server() -> None:
    """The reserved names are what the server is called in some language, and no others."""
    assert sorted(names.RESERVED) == sorted(
        {catalogue(language).gettext("SERVER") for language in LANGUAGES}
    )
    assert len(names.RESERVED) == len(LANGUAGES)


# -- which language ---------------------------------------------------------------------------


def test_every_language_has_its_catalogue() -> None:
    """And each catalogue on disk is offered; English is in the sources."""
    on_disk = {path.parents[1].name for path in LOCALE.glob(f"*/LC_MESSAGES/{DOMAIN}.po")}
    assert on_disk | {"en"} == set(LANGUAGES)


@pytest.mark.parametrize(
    ("wanted", "language"),
    [
        ("en", "en"),
        ("en_GB", "en"),
        ("en_US.UTF-8", "en"),
        ("pt", "pt_BR"),
        ("PT", "pt_BR"),
        ("pt-br", "pt_BR"),
        ("pt_BR", "pt_BR"),
        ("pt_BR.UTF-8", "pt_BR"),
        ("pt_BR@euro", "pt_BR"),
        ("pt_PT.ISO-8859-1@euro", "pt_BR"),
        ("fr", None),
        ("ptolemaic", None),
        ("C", None),
        ("C.UTF-8", None),
        ("POSIX", None),
        ("", None),
    ],
)
def test_what_a_person_means_by_a_language(wanted: str, language: str | None) -> None:
    """Case, territory, codeset and modifier do not keep anybody from their language."""
    assert match(wanted) == language


@pytest.mark.parametrize(
    ("environment", "language"),
    [
        pytest.param({}, "en", id="nothing is set"),
        pytest.param({"LANG": "pt_BR.UTF-8"}, "pt_BR", id="LANG"),
        pytest.param({"LANG": "pt"}, "pt_BR", id="the language without the territory"),
        pytest.param({"LANG": "de_DE.UTF-8"}, "en", id="a language that we do not have"),
        pytest.param({"LANG": "C"}, "en", id="C"),
        pytest.param({"LANG": "C.UTF-8"}, "en", id="C.UTF-8"),
        pytest.param({"LANG": "POSIX"}, "en", id="POSIX"),
        pytest.param({"LC_MESSAGES": "pt_BR", "LANG": "en_US"}, "pt_BR", id="LC_MESSAGES on LANG"),
        pytest.param({"LC_ALL": "pt_BR", "LANG": "en_US"}, "pt_BR", id="LC_ALL on LANG"),
        pytest.param({"LC_ALL": "en_US", "LC_MESSAGES": "pt_BR"}, "en", id="LC_ALL on LC_MESSAGES"),
        pytest.param({"LC_ALL": "C", "LANG": "pt_BR"}, "en", id="LC_ALL=C is a choice"),
        pytest.param({"LC_ALL": "de_DE", "LANG": "pt_BR"}, "en", id="an unknown LC_ALL too"),
        pytest.param({"LC_ALL": "", "LANG": "pt_BR"}, "pt_BR", id="empty is not set"),
        pytest.param({"LC_CTYPE": "pt_BR", "LANG": "en_US"}, "en", id="LC_CTYPE says nothing"),
        pytest.param({"LANGUAGE": "pt_BR", "LANG": "en_US"}, "pt_BR", id="LANGUAGE on LANG"),
        pytest.param({"LANGUAGE": "en", "LC_ALL": "pt_BR"}, "en", id="LANGUAGE on LC_ALL"),
        pytest.param({"LANGUAGE": "pt_BR:en", "LANG": "de_DE"}, "pt_BR", id="first of the list"),
        pytest.param({"LANGUAGE": "fr:pt:en", "LANG": "fr_FR"}, "pt_BR", id="first that we have"),
        pytest.param({"LANGUAGE": "::pt_BR", "LANG": "fr_FR"}, "pt_BR", id="empty list items"),
        pytest.param({"LANGUAGE": "fr", "LANG": "en_US"}, "en", id="nothing of the list"),
        pytest.param({"LANGUAGE": "", "LANG": "pt_BR"}, "pt_BR", id="empty LANGUAGE"),
    ],
)
def test_the_language_of_the_environment(environment: Mapping[str, str], language: str) -> None:
    """As GNU gettext does it (its manual, "Locale Environment Variables")."""
    assert from_environment(environment) == language


@pytest.mark.parametrize(
    "environment",
    [
        pytest.param({"LANGUAGE": "pt_BR"}, id="no locale is set"),
        pytest.param({"LANGUAGE": "pt_BR", "LANG": "C"}, id="LANG=C"),
        pytest.param({"LANGUAGE": "pt_BR", "LANG": "POSIX"}, id="LANG=POSIX"),
        pytest.param({"LANGUAGE": "pt_BR", "LC_ALL": "C", "LANG": "pt_BR"}, id="LC_ALL=C"),
    ],
)
def test_the_c_locale_is_english_whatever_language_says(environment: Mapping[str, str]) -> None:
    """``LC_ALL=C`` is how scripts ask for the words of the sources (gettext manual, 2.3.3)."""
    assert from_environment(environment) == "en"


@pytest.mark.parametrize(
    "environment",
    [
        pytest.param({"LANGUAGE": "fr", "LANG": "pt_BR"}, id="LANG is not another item"),
        pytest.param({"LANGUAGE": "C:pt_BR", "LANG": "pt_BR"}, id="C ends the list"),
    ],
)
def test_the_list_in_language_stands_for_the_locale(environment: Mapping[str, str]) -> None:
    """Where LANGUAGE is read, it replaces the locale's own language (gettext, dcigettext.c)."""
    assert from_environment(environment) == "en"
