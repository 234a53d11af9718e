"""The pages of ``docs/``: no line scrolls sideways, examples agree, and named files exist."""

from __future__ import annotations

import re
from pathlib import Path
from textwrap import dedent

import pytest

import twisted_chat.client

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"

#: The parts that are to come, each with the files that it modifies: at most so many.
PARTS = ("IRC", "WebSocket and the web page", "sanctions", "several machines")
MOST_MODIFIED = 3


def page(name: str) -> str:
    return (DOCS / f"{name}.rst").read_text(encoding="utf-8")


def rules(style: str) -> dict[str, set[str]]:
    """The declarations of each selector of a style sheet without nested rules."""
    found: dict[str, set[str]] = {}
    for selectors, body in re.findall(r"([^{}]+)\{([^{}]*)\}", re.sub(r"/\*.*?\*/", "", style)):
        for selector in selectors.split(","):
            declarations = {" ".join(each.split()) for each in body.split(";") if each.strip()}
            found.setdefault(" ".join(selector.split()), set()).update(declarations)
    return found


@pytest.mark.parametrize("element", ["pre", "td", "th", "code", "span.pre", "dt.sig"])
def test_long_lines_break_and_do_not_scroll(element: str) -> None:
    """The theme's page has room for 100 characters at most, and some outputs are wider."""
    (style,) = re.findall(r'html_css_files = \["([\w.]+)"\]', (DOCS / "conf.py").read_text())
    declared = rules((DOCS / "_static" / style).read_text())[f"div.body {element}"]
    assert "overflow-wrap: anywhere" in declared
    assert declared & {"white-space: pre-wrap", "white-space: normal"}


def test_the_readme_says_why_before_how() -> None:
    """On its first screen: what somebody gets here and not from an IRC server."""
    why, how = (ROOT / "README.rst").read_text(encoding="utf-8").split("\nStart a server\n")
    first_screen = "\n".join(why.splitlines()[:24])
    for reason in ("IRC", "Nothing is lost", "on disk", "Any client", "can be proven"):
        assert reason in first_screen
    assert "pip install" not in why
    assert "pip install" in how


@pytest.mark.parametrize("name", ["quickstart", "bots"])
def test_the_first_bot_is_the_same_everywhere(name: str) -> None:
    """``test_client.py`` runs the one in the docstring."""

    def bot(text: str) -> str:
        (code,) = re.findall(r"(?ms)^ +from twisted_chat\.client import.*?run_bot\(main\)$", text)
        return dedent(code)

    assert bot(page(name)) == bot(twisted_chat.client.__doc__ or "")


def parts() -> dict[str, tuple[str, str]]:
    """The files that each later part adds, and those that it modifies."""
    table = page("architecture").split("What later parts will add\n")[1].split("\n\nIRC needs")[0]
    rows = [row.split("\n     - ") for row in table.split("   * - ")[2:]]
    return {name: (adds, modifies) for name, adds, modifies in rows}


@pytest.mark.parametrize("part", PARTS)
def test_a_later_part_modifies_three_files_at_most(part: str) -> None:
    """Each of them is there, and the files that it adds are not, or else it is not to come."""
    adds, modifies = parts()[part]
    files = re.findall(r"``([\w/]+\.py)``", modifies)
    assert 0 < len(files) <= MOST_MODIFIED
    assert [file for file in files if not (ROOT / "twisted_chat" / file).exists()] == []
    added = re.findall(r"``([\w/]+\.py)``", adds)
    assert [file for file in added if (ROOT / "twisted_chat" / file).exists()] == []


def test_every_part_is_described() -> None:
    assert tuple(parts()) == PARTS
