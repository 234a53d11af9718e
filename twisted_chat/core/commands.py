"""The one table of requests, with a row for each.

The session reads the phases and the answering method from a row, flood control the cost, and JSON
Lines the type. The text dialect, its help, the client's completion and ``docs/commands.rst`` use
the rest. A new request needs a class in :mod:`twisted_chat.core.requests`, a method of the session,
and a row here.

It must not know how a line is parsed (:mod:`twisted_chat.dialects.commands` does), nor the session.
"""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Iterable

from twisted_chat.core.account_commands import ROWS as ACCOUNT_ROWS
from twisted_chat.core.command_row import (
    ALWAYS,
    CHATTING,
    CHOOSING,
    Argument,
    Command,
    Form,
    Phase,
    Tokens,
)
from twisted_chat.core.errors import UnknownCommand, UnknownCommandNear
from twisted_chat.core.requests import (
    AreYouThere,
    Cancel,
    ChangeRoom,
    ChooseName,
    GiveRole,
    Hello,
    Help,
    Ignore,
    Interrupt,
    InvitePerson,
    Join,
    Leave,
    ListLimits,
    ListPeople,
    ListRooms,
    Ping,
    Quit,
    ReadHistory,
    Reply,
    Resume,
    Say,
    Search,
    SetLanguage,
    SetReceipts,
    SetTimestamps,
    Tell,
    Topic,
    Unignore,
)
from twisted_chat.i18n.language import LANGUAGES, N_

__all__ = [
    "ALWAYS",
    "CHATTING",
    "CHOOSING",
    "TABLE",
    "Argument",
    "Command",
    "Form",
    "Phase",
    "Table",
    "Tokens",
    "key_of",
]

#: The longest word that is compared with names of commands, in characters: more than twice the
#: longest name.
WORD_LIMIT = 32


class Table:
    """Rows, found by request and by name."""

    def __init__(self, rows: Iterable[Command]) -> None:
        self.rows = tuple(rows)
        self.by_request = {row.request: row for row in self.rows}
        #: The rows of commands that can be typed, in the order of the help.
        self.typed = tuple(row for row in self.rows if row.names)
        self._by_name = {name: row for row in self.typed for name in row.names}

    def __contains__(self, name: str) -> bool:
        """Whether a command has this name, without its slash."""
        return key_of(name) in self._by_name

    def find(self, name: str) -> Command:
        """The row of the command called ``name``, with or without its slash.

        :raises UnknownCommandNear: there is none, but one with a similar name.
        :raises UnknownCommand: there is none.
        """
        key = key_of(name.removeprefix("/"))
        if key in self._by_name:
            return self._by_name[key]
        near = [other for other in self._by_name if key and other.startswith(f"{key} ")]
        near = near or (difflib.get_close_matches(key, self._by_name, n=1) if key else [])
        if near:
            raise UnknownCommandNear(command=f"/{name}", nearest=f"/{near[0]}")
        raise UnknownCommand(command=f"/{name}")

    def find_all(self, name: str) -> list[Command]:
        """The row of the command called ``name``, or those whose first word that is.

        :raises UnknownCommand: there is none.
        """
        first = f"{key_of(name.removeprefix('/'))} "
        found = {self._by_name[one].request: None for one in self._by_name if one.startswith(first)}
        return [self.by_request[request] for request in found] or [self.find(name)]


def key_of(word: str) -> str:
    """``word`` in lower case and without accents; "" if it is longer than :data:`WORD_LIMIT`.

    The limit is there because decomposition takes time that grows with the square of the marks.
    """
    if len(word) > WORD_LIMIT:
        return ""
    decomposed = unicodedata.normalize("NFD", word.casefold())
    return "".join(c for c in decomposed if not unicodedata.combining(c))


#: The table. It is replaced as a whole: read it as ``commands.TABLE`` each time.
TABLE = Table(
    (
        Command(
            request=Join,
            handler="_join",
            json="join",
            names=("join", "entrar", "j"),
            form=Form.ROOM_AND_PASSWORD,
            first=Argument.ROOM,
            arguments=N_("ROOM [PASSWORD]"),
            help=N_("Join a room, or create it. What you type then goes there."),
        ),
        Command(
            request=Leave,
            handler="_leave_room",
            json="leave",
            names=("leave", "deixar", "part"),
            form=Form.OPTIONAL_WORD,
            first=Argument.ROOM,
            arguments=N_("[ROOM]"),
            help=N_("Leave a room."),
        ),
        Command(
            request=ListRooms,
            handler="_list_rooms",
            json="rooms",
            names=("rooms", "salas", "list"),
            form=Form.PAGE_OF_ROOMS,
            arguments=N_("[all] [WORD] [after ROOM]"),
            help=N_(
                "List the rooms with people in them, or all; with WORD, those whose "
                "name or topic contains it."
            ),
        ),
        Command(
            request=ListPeople,
            handler="_list_people",
            json="who",
            names=("who", "quem", "names"),
            form=Form.OPTIONAL_WORD,
            first=Argument.ROOM,
            arguments=N_("[ROOM]"),
            help=N_("Show who is in a room."),
        ),
        Command(
            request=Topic,
            handler="_topic",
            json="topic",
            names=("topic", "assunto", "topico"),
            form=Form.TOPIC,
            arguments=N_("[TEXT | -]"),
            help=N_("Show the room's topic, or set it; /topic - clears it."),
        ),
        Command(
            request=ChangeRoom,
            handler="_change_room",
            cost=2,
            json="room-set",
            names=("room", "sala"),
            form=Form.RULES_OF_ROOM,
            arguments=N_("[#ROOM] [RULE VALUE]"),
            help=N_("Show the rules of a room, or set one: speak, join, hidden, slow, keep."),
        ),
        Command(
            request=GiveRole,
            handler="_give_role",
            tokens=Tokens.NONE,
            cost=2,
            json="role",
            names=("role", "papel"),
            form=Form.ROLE,
            first=Argument.PERSON,
            arguments=N_("NAME ROLE [ROOM]"),
            help=N_("Make somebody owner, moderator or speaker of a room, or none of them."),
        ),
        Command(
            request=InvitePerson,
            handler="_invite",
            tokens=Tokens.NONE,
            cost=2,
            json="invite",
            names=("invite", "convidar"),
            form=Form.NAME_AND_ROOM,
            first=Argument.PERSON,
            arguments=N_("NAME [ROOM]"),
            help=N_("Let somebody into a closed room."),
        ),
        Command(
            request=Tell,
            handler="_tell",
            tokens=Tokens.UNLIMITED,
            json="tell",
            names=("msg", "privado", "mensagem", "query"),
            form=Form.NAME_AND_TEXT,
            first=Argument.PERSON,
            arguments=N_("NAME TEXT"),
            help=N_("Send somebody a private message."),
        ),
        Command(
            request=Reply,
            handler="_reply",
            tokens=Tokens.UNLIMITED,
            names=("reply", "responder"),
            form=Form.TEXT,
            arguments=N_("TEXT"),
            help=N_("Answer the last private message."),
        ),
        Command(
            request=ChooseName,
            handler="_choose_name",
            tokens=Tokens.NONE,
            phases=ALWAYS,
            json="nick",
            names=("nick", "apelido"),
            form=Form.WORD,
            arguments=N_("NAME"),
            help=N_("Change your name."),
        ),
        Command(  # the typed form of an action; a plain message has no command
            request=Say,
            handler="_say",
            json="say",
            names=("me", "eu"),
            form=Form.ACTION,
            arguments=N_("TEXT"),
            help=N_("Say what you are doing: /me waves."),
        ),
        Command(
            request=Ignore,
            handler="_ignore",
            tokens=Tokens.UNLIMITED,
            json="ignore",
            names=("ignore", "ignorar", "bloquear"),
            form=Form.OPTIONAL_WORD,
            first=Argument.PERSON,
            arguments=N_("[NAME]"),
            help=N_("Ignore somebody, or list the people you ignore."),
        ),
        Command(
            request=Unignore,
            handler="_unignore",
            tokens=Tokens.UNLIMITED,
            json="unignore",
            names=("unignore", "desbloquear", "designorar"),
            form=Form.WORD,
            first=Argument.PERSON,
            arguments=N_("NAME"),
            help=N_("Stop ignoring somebody."),
        ),
        Command(
            request=ReadHistory,
            handler="_read_history",
            json="history",
            names=("history", "historico"),
            form=Form.PAGE_OF_HISTORY,
            first=Argument.ROOM,
            arguments=N_("[ROOM] [COUNT] [before NUMBER]"),
            help=N_("Show earlier messages, each with its number."),
        ),
        Command(
            request=Search,
            handler="_search",
            json="search",
            names=("search", "buscar"),
            form=Form.ROOM_AND_WORDS,
            arguments=N_("[#ROOM] WORDS"),
            help=N_("Search the messages, newest first."),
        ),
        Command(
            request=SetReceipts,
            handler="_set_receipts",
            names=("receipts", "recibos"),
            form=Form.SWITCH,
            first=Argument.SWITCH,
            arguments=N_("on|off"),
            help=N_("Show the number of each of your lines once it is saved."),
        ),
        Command(
            request=Resume,
            handler="_resume",
            phases=CHOOSING,
            names=("resume", "retomar"),
            form=Form.WORD,
            arguments=N_("CODE"),
            help=N_("Come back after a lost connection: type this instead of a name."),
        ),
        Command(
            request=SetLanguage,
            handler="_set_language",
            phases=ALWAYS,
            json="language",
            names=("lang", "idioma"),
            form=Form.OPTIONAL_WORD,
            first=Argument.LANGUAGE,
            arguments=f"[{'|'.join(LANGUAGES)}]",
            help=N_("Choose your language."),
        ),
        Command(
            request=SetTimestamps,
            handler="_set_timestamps",
            phases=ALWAYS,
            names=("timestamps", "horarios"),
            form=Form.SWITCH,
            first=Argument.SWITCH,
            arguments=N_("on|off"),
            help=N_("Show the time (UTC) of each line."),
        ),
        Command(
            request=ListLimits,
            handler="_list_limits",
            phases=ALWAYS,
            json="limits",
            names=("limits", "limites"),
            help=N_("Show the limits of this server."),
        ),
        Command(
            request=Cancel,
            handler="_cancel",
            phases=ALWAYS,
            names=("cancel", "cancelar"),
            help=N_("Drop your lines that are still waiting to be sent."),
        ),
        Command(
            request=Help,
            handler="_help",
            phases=ALWAYS,
            names=("help", "ajuda"),
            form=Form.OPTIONAL_WORD,
            first=Argument.COMMAND,
            arguments=N_("[COMMAND]"),
            help=N_("Show the commands, or one of them."),
        ),
        Command(
            request=Quit,
            handler="_quit",
            phases=ALWAYS,
            json="quit",
            names=("quit", "sair", "exit"),
            help=N_("Leave the chat."),
        ),
        *ACCOUNT_ROWS,
        Command(request=Hello, handler="_hello", phases=CHOOSING, json="hello"),
        Command(request=Ping, handler="_ping", phases=ALWAYS, json="ping"),
        Command(request=AreYouThere, handler="_are_you_there", phases=ALWAYS),
        Command(request=Interrupt, handler="_interrupt", phases=ALWAYS),
    )
)
