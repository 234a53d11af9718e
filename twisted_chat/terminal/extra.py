"""The optional packages of ``pip install 'twisted-chat[terminal]'``.

Without them, ``connect`` shows lines one below the other, as with ``--plain``, and writes nothing
into the person's configuration. ``send``, ``tail`` and the library never need them.
"""

from __future__ import annotations

from importlib.util import find_spec

from twisted_chat.console.programs import program
from twisted_chat.i18n.language import N_, catalogue

#: The packages for the prompt at the bottom of the terminal, and for writing the configuration.
PACKAGES = ("prompt_toolkit", "tomlkit")

MISSING = N_(
    "The prompt with completion needs more packages, and so does remembering your name: "
    "{pip} install 'twisted-chat[terminal]'"
)


def is_installed() -> bool:
    """Whether all of these packages are installed."""
    return all(find_spec(name) is not None for name in PACKAGES)


def how_to_install(language: str) -> str:
    """One line about the missing packages, with the command that installs them."""
    return catalogue(language).gettext(MISSING).format(pip=program("pip"))
