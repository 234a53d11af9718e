"""The packages of ``pip install 'twisted-chat[terminal]'``, and what the client is without them.

``connect`` works without: lines stand below one another, as with ``--plain``, and nothing is
written into the person's configuration. ``send``, ``tail`` and the library never need them.
"""

from __future__ import annotations

from importlib.util import find_spec

from twisted_chat.console.programs import program
from twisted_chat.i18n.language import N_, catalogue

#: What the prompt at the bottom of the terminal needs, and what writes the configuration.
PACKAGES = ("prompt_toolkit", "tomlkit")

MISSING = N_(
    "The prompt with completion needs more packages, and so does remembering your name: "
    "{pip} install 'twisted-chat[terminal]'"
)


def is_installed() -> bool:
    """Whether all of them are there."""
    return all(find_spec(name) is not None for name in PACKAGES)


def how_to_install(language: str) -> str:
    """One line that tells what is missing, and the command that installs it."""
    return catalogue(language).gettext(MISSING).format(pip=program("pip"))
