"""The form of a row of the table of requests: phases, cost, names, arguments.

This module must not know any particular request; :mod:`twisted_chat.core.commands` has the table.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from twisted_chat.core.requests import Request
from twisted_chat.i18n.language import LANGUAGES, catalogue


class Phase(enum.Enum):
    """The phase of a session: see :mod:`twisted_chat.core.session`."""

    CHOOSING = enum.auto()
    #: The client has chosen a nickname, which the chat has not accepted yet.
    ENTERING = enum.auto()
    CHATTING = enum.auto()
    CLOSED = enum.auto()


CHOOSING = frozenset({Phase.CHOOSING})
CHATTING = frozenset({Phase.CHATTING})
ALWAYS = CHOOSING | CHATTING | {Phase.ENTERING}


class Form(enum.Enum):
    """How the text after a command's name becomes the fields of its request."""

    NOTHING = enum.auto()
    WORD = enum.auto()
    OPTIONAL_WORD = enum.auto()
    TEXT = enum.auto()
    SWITCH = enum.auto()
    #: The text of a :class:`.Say` of the kind ``act``.
    ACTION = enum.auto()
    NAME_AND_TEXT = enum.auto()
    ROOM_AND_WORDS = enum.auto()
    TOPIC = enum.auto()
    PAGE_OF_HISTORY = enum.auto()
    PAGE_OF_ROOMS = enum.auto()
    ROOM_AND_PASSWORD = enum.auto()
    RULES_OF_ROOM = enum.auto()
    ROLE = enum.auto()
    NAME_AND_ROOM = enum.auto()
    LABEL_AND_ROOMS = enum.auto()
    #: Nothing, or the word that means all devices.
    EVERYWHERE = enum.auto()


class Argument(enum.Enum):
    """The kind of a command's first argument, which the client completes."""

    TEXT = enum.auto()
    PERSON = enum.auto()
    ROOM = enum.auto()
    SWITCH = enum.auto()
    LANGUAGE = enum.auto()
    COMMAND = enum.auto()


class Tokens(enum.Enum):
    """The tokens of bots with which a request is allowed."""

    ALL = enum.auto()
    #: Those that are not limited to some rooms.
    UNLIMITED = enum.auto()
    #: None: the person must have come in with a password, a code or a device's token.
    NONE = enum.auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One row: a request, its legal phases, its cost and its names.

    :param request: the class of the request.
    :param handler: the method of the session that answers it; empty for a command of a client,
        which never reaches a session.
    :param phases: the phases in which it is legal; in any other phase it is refused.
    :param tokens: the tokens of bots with which it is allowed.
    :param cost: tokens of flood control. Each line takes one token before it is parsed; the rest
        of the cost is taken after the answer, and the lines behind it wait.
    :param json: its ``type`` in JSON Lines; empty if programs cannot send it.
    :param names: the names that people type after the slash: one for each of
        :data:`~twisted_chat.i18n.language.LANGUAGES`, in that order, then aliases; all in lower
        case and without accents. A name can have two words, such as ``token new``. Empty if it
        cannot be typed.
    :param form: how the text after the name is parsed.
    :param first: the kind of the first argument.
    :param arguments: the arguments as the help shows them.
    :param help: its effect, in one sentence.
    """

    request: type[Request]
    handler: str = ""
    phases: frozenset[Phase] = CHATTING
    tokens: Tokens = Tokens.ALL
    cost: int = 1
    json: str = ""
    names: tuple[str, ...] = ()
    form: Form = Form.NOTHING
    first: Argument = Argument.TEXT
    arguments: str = ""
    help: str = ""

    def name(self, language: str) -> str:
        """Its name in ``language``, one of :data:`~twisted_chat.i18n.language.LANGUAGES`."""
        return self.names[LANGUAGES.index(language)]

    def usage(self, language: str) -> str:
        """The command with its arguments, such as ``/join ROOM``, in ``language``."""
        name = self.name(language)
        if not self.arguments:
            return f"/{name}"
        return f"/{name} {catalogue(language).gettext(self.arguments)}"
