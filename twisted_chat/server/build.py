"""The composition root: a node of the chat is put together here, and nowhere else.

The service does so with the reactor and a database, :mod:`twisted_chat.testing` and the project's
own tests with a clock and a log in memory. It must not know where settings come from.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from ipaddress import IPv4Network, IPv6Network
from typing import Any

from twisted.internet.task import LoopingCall

from twisted_chat.core.chat import Chat
from twisted_chat.core.events import Entry
from twisted_chat.core.identities import Identities
from twisted_chat.core.journal import Journal
from twisted_chat.core.kept import INTERVAL
from twisted_chat.core.limits import DEFAULTS, Limits
from twisted_chat.core.names import Reserved
from twisted_chat.core.passwords import NoPasswords, Passwords
from twisted_chat.core.people import Person
from twisted_chat.core.proofs import Directory, Policy
from twisted_chat.core.registry import Registry
from twisted_chat.net.connection import ChatFactory

#: Seconds from one removal of old entries to the next.
REMOVAL_INTERVAL = 3600.0

#: Seconds in which somebody who is gone can come back with a code.
RESUME_WINDOW = 300.0

#: What is allowed by default, and a chat without passwords.
POLICY = Policy()
NO_PASSWORDS = NoPasswords()


def build_chat(
    journal: Journal,
    *,
    later: Callable[[float, Callable[[], None]], object],
    seconds: Callable[[], float],
    microseconds: Callable[[], int],
    resume_window: float = RESUME_WINDOW,
    room: str = "lobby",
    history_lines: int = 20,
    keep_days: float = 0,
    motd: Sequence[str] = (),
    limits: Limits = DEFAULTS,
    reserved: Reserved | None = None,
    said: Callable[[Person, Entry], None] | None = None,
    policy: Policy = POLICY,
    passwords: Passwords = NO_PASSWORDS,
    directory: Directory | None = None,
) -> Chat:
    """The chat over ``journal``, which is not open yet.

    :param later: calls a function after some seconds.
    :param seconds: gives seconds that never go backwards.
    :param microseconds: gives the time, in microseconds since 1970 UTC.
    :param resume_window: seconds in which somebody who is gone can come back with a code.
    :param policy: what the operator allows of accounts and guests.
    :param passwords: hashes passwords; without it, none is accepted.
    :param directory: knows people and their secrets, such as LDAP.
    :param said: is called for each saved entry; the rest is as the options of ``twistd chat``.
    """
    chat = Chat(
        journal,
        Registry(),
        Identities(resume_window, seconds),
        microseconds,
        later,
        default_room=room,
        history_lines=history_lines,
        keep_days=keep_days,
        motd=tuple(motd),
        limits=limits,
        reserved=reserved,
        said=said,
    )
    chat.proofs.policy = policy
    chat.proofs.passwords = passwords
    chat.proofs.directory = directory
    return chat


def build_factory(
    reactor: Any,
    chat: Chat,
    *,
    greeting_delay: float = 0.25,
    language: str = "en",
    reconnect_grace: float = 10,
    trusted_networks: Sequence[IPv4Network | IPv6Network] = (),
) -> ChatFactory:
    """What makes the connections to ``chat``; as the options of ``twistd chat``."""
    factory = ChatFactory(
        reactor,
        chat,
        greeting_delay=greeting_delay,
        language=language,
        reconnect_grace=reconnect_grace,
    )
    factory.sources.trusted = tuple(trusted_networks)
    return factory


class Housekeeping:
    """What a chat does once in a while. ``clock`` is a reactor, or a clock for tests."""

    def __init__(self, chat: Chat, clock: Any) -> None:
        self._removal = LoopingCall(chat.remove_old)
        self._removal.clock = clock
        self._keeping = LoopingCall(chat.look)
        self._keeping.clock = clock

    def start(self) -> None:
        """To be called when the log is open."""
        self._removal.start(REMOVAL_INTERVAL)
        self._keeping.start(INTERVAL, now=False)

    def stop(self) -> None:
        """Nothing of it is done any more."""
        for call in (self._removal, self._keeping):
            if call.running:
                call.stop()
