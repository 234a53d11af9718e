"""The arguments of ``twisted-chat account``, ``room`` and ``announce``.

No argument is a secret: other users of the machine can read the arguments of a process.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace, _SubParsersAction
from typing import TYPE_CHECKING, TypeVar

from twisted_chat.core.operator_requests import (
    CreateAccount,
    DisableAccount,
    EnableAccount,
    EraseAccount,
    GiveName,
    InvitePerson,
    ResetAccount,
)
from twisted_chat.i18n.language import from_environment

if TYPE_CHECKING:
    from twisted_chat.operator.commands import Server

_ParserT = TypeVar("_ParserT", bound=ArgumentParser)


def add_commands(commands: _SubParsersAction[_ParserT]) -> None:
    """Add the commands to those of the program."""
    _add_announce(commands)
    _add_account(commands)
    _add_room(commands)


def _add_announce(commands: _SubParsersAction[_ParserT]) -> None:
    announce = commands.add_parser(
        "announce",
        help="announce something to everybody",
        description="Have the running server announce a text to everybody, or to one room. "
        "Status 1: it was refused; 2: no server can be reached.",
    )
    announce.set_defaults(command=_announce)
    _add_server(announce)
    announce.add_argument("--room", metavar="ROOM", help="only to this room [default: all]")
    announce.add_argument("text", metavar="TEXT", nargs="+", help="the text")


def _add_account(commands: _SubParsersAction[_ParserT]) -> None:
    account = commands.add_parser(
        "account",
        help="manage the accounts of a server",
        description="Manage the accounts of a server. The running server is asked; while none "
        "runs, the database is opened. A code is printed alone on its line. Status 1: it was "
        "refused; 2: neither the server nor the database can be used.",
    )
    account.set_defaults(command=lambda options: _help(account))
    actions = account.add_subparsers(title="actions", metavar="ACTION")

    listed = actions.add_parser("list", help="list all accounts")
    listed.set_defaults(command=_list)
    listed.add_argument("--json", action="store_true", help="print JSON Lines")

    create = actions.add_parser(
        "create",
        help="make an account",
        description="Make an account, and print a code that lets its person in once, within "
        "7 days.",
    )
    create.set_defaults(
        command=_give_code, action="create", request=lambda given: CreateAccount(given.name)
    )

    invite = actions.add_parser(
        "invite",
        help="print a new code for a person",
        description="Print a code that lets a person in once, within 7 days. If there is no "
        "account with this name, it is made.",
    )
    invite.set_defaults(
        command=_give_code, action="invite", request=lambda given: InvitePerson(given.name)
    )

    reset = actions.add_parser(
        "reset",
        help="drop a password, and print a code",
        description="Drop the password, the codes and the devices of an account, close its "
        "connections, and print a code that lets its person in once, within 7 days.",
    )
    reset.set_defaults(
        command=_give_code,
        action="reset",
        request=lambda given: ResetAccount(given.name, given.tokens),
    )
    reset.add_argument(
        "--tokens", action="store_true", help="drop its tokens, certificates and keys, too"
    )

    disable = actions.add_parser(
        "disable", help="let nobody use an account, until it is enabled again"
    )
    disable.set_defaults(
        command=_change, action="disable", request=lambda given: DisableAccount(given.name)
    )
    enable = actions.add_parser("enable", help="let the person of a disabled account in again")
    enable.set_defaults(
        command=_change, action="enable", request=lambda given: EnableAccount(given.name)
    )

    rename = actions.add_parser(
        "rename",
        help="give an account another name",
        description="Give an account another name. The old one stays reserved for it.",
    )
    rename.set_defaults(
        command=_change, action="rename", request=lambda given: GiveName(given.name, given.new)
    )

    erase = actions.add_parser(
        "erase",
        help="close an account for ever",
        description="Close an account for ever, and delete its password, tokens, devices, read "
        "marks and list of ignored people. Its name stays reserved, and its messages stay.",
    )
    erase.set_defaults(
        command=_change, action="erase", request=lambda given: EraseAccount(given.name)
    )

    export = actions.add_parser(
        "export",
        help="export what is stored about an account",
        description="Print JSON Lines: the account, without secrets and hashes, then each of its "
        "messages in rooms.",
    )
    export.set_defaults(command=_export)

    for action in (listed, create, invite, reset, disable, enable, rename, erase, export):
        _add_server(action)
    for action in (create, invite, reset, disable, enable, erase, export):
        action.add_argument("name", metavar="NAME", help="the name of the account")
    rename.add_argument("name", metavar="OLD", help="its name")
    rename.add_argument("new", metavar="NEW", help="its name from now on")


def _add_room(commands: _SubParsersAction[_ParserT]) -> None:
    room = commands.add_parser(
        "room",
        help="appoint the owner of a room",
        description="Manage the rooms of a server, as with the command account.",
    )
    room.set_defaults(command=lambda options: _help(room))
    actions = room.add_subparsers(title="actions", metavar="ACTION")
    owner = actions.add_parser(
        "owner",
        help="appoint the owner of a room",
        description="Make an account the owner of a room. The owner so far becomes a moderator.",
    )
    owner.set_defaults(command=_owner)
    _add_server(owner)
    owner.add_argument("room", metavar="ROOM", help="the name of the room")
    owner.add_argument("name", metavar="NAME", help="the name of the account")


def is_for_output(options: Namespace) -> bool:
    """Whether the command is useless without standard output."""
    return options.command in (_list, _give_code, _export)


def _add_server(command: ArgumentParser) -> None:
    """The options by which the server is found."""
    command.add_argument(
        "--database", metavar="DB", help="the server's database [default: chat.db]"
    )
    command.add_argument(
        "--config", metavar="FILE", help="the server's file of options, which names the database"
    )


def _server(options: Namespace) -> Server:
    from twisted_chat.operator.commands import Server

    return Server(options.database, options.config)


def _help(parser: ArgumentParser) -> int:
    parser.print_help()
    return 2


def _announce(options: Namespace) -> int:
    from twisted_chat.operator import commands

    text = " ".join(options.text)
    return commands.announce(_server(options), text, options.room, from_environment())


def _list(options: Namespace) -> int:
    from twisted_chat.operator import commands

    return commands.list_accounts(_server(options), from_environment(), as_json=options.json)


def _give_code(options: Namespace) -> int:
    from twisted_chat.operator import commands

    request, action = options.request(options), options.action
    return commands.give_code(_server(options), request, action, from_environment())


def _change(options: Namespace) -> int:
    from twisted_chat.operator import commands

    request, action = options.request(options), options.action
    return commands.change(_server(options), request, action, from_environment())


def _owner(options: Namespace) -> int:
    from twisted_chat.operator import commands

    server = _server(options)
    return commands.appoint_owner(server, options.room, options.name, from_environment())


def _export(options: Namespace) -> int:
    from twisted_chat.operator import commands

    return commands.export_account(_server(options), options.name, from_environment())
