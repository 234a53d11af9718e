"""Private messages between people of all nodes: each is answered by the node of the recipient.

This module must not know the order of changes, nor the log; :mod:`.private_messages` shows the
messages to people of this node.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from msgspec import structs

from twisted_chat.core.changes import Answered, Change, TellPerson
from twisted_chat.core.errors import NoSuchPerson, NotConfirmed, NotReading, Refusal
from twisted_chat.core.events import MessageKept, Told
from twisted_chat.core.mail_changes import KeepMessage
from twisted_chat.core.people import Anybody, Elsewhere, Person
from twisted_chat.core.private_messages import PrivateMessages

#: Called with None when the message was delivered, or with the reason why it was not.
Answer = Callable[[Refusal | None], None]


class Tells:
    """The private messages that were not answered yet.

    :param node: the name of this node.
    :param submit: submits a change.
    :param private_messages: shows messages to people of this node.
    :param keep: keeps a message that was not delivered to an account: see :meth:`.Telling.keep`.
    """

    def __init__(
        self,
        node: str,
        submit: Callable[[Sequence[Change]], None],
        private_messages: PrivateMessages,
        keep: Callable[[TellPerson, Person, str | None], None],
    ) -> None:
        self._node = node
        self._submit = submit
        self._private_messages = private_messages
        self._keep = keep
        #: Messages of this node, by ``request`` number: the nodes that have not answered, the
        #: callback that answers the sender, and the recipient's nickname.
        self._told: dict[int, tuple[set[str], Answer, str]] = {}

    def tell(
        self,
        change: TellPerson,
        node: str,
        senders: Sequence[Anybody],
        recipients: Sequence[Anybody],
        waiting: tuple[Person, str | None] | None,
    ) -> None:
        """Show the message to the connections of the recipient at this node.

        :param node: the node that submitted it.
        :param senders: all connections of the sender, at least one.
        :param recipients: all connections of the recipient; none if an account is away.
        :param waiting: at the submitting node, the connection that sent it, and the request's id.
        """
        if not recipients:
            if waiting is not None:
                self._keep(change, *waiting)
            return
        answer: Answer
        sender = senders[0]
        if waiting is not None:
            person, id = waiting
            told = Told(sender.name, change.name, change.text, change.time, own=True, id=id)
            others = [one for one in senders if one is not person]
            answer = partial(_confirm, person, told, others)
            if change.recipient > 0:
                answer = partial(self._or_keep, change, person, id, answer)
        else:
            answer = partial(self._answer, node, change.request)
        here = [one for one in recipients if not isinstance(one, Elsewhere)]
        nodes = {one.node for one in recipients if isinstance(one, Elsewhere)}
        if waiting is not None and nodes:
            if here:
                nodes.add(self._node)
            self._told[change.request] = nodes, answer, change.name
            answer = partial(self._answered, self._node, change.request)
        if not here:
            return
        answer = FirstOf(len(here), answer).answer
        rooms = {cursor.room for one in senders for cursor in one.cursors.values()}
        for recipient in here:
            for room in rooms:
                if room.member(sender) in room.presence and room.cursor(recipient) is not None:
                    room.flush_presence()  # the sender's arrival is announced before the message
            self._private_messages.show(sender, recipient, change, answer)

    def kept(
        self,
        change: KeepMessage,
        senders: Sequence[Anybody],
        waiting: tuple[Person, str | None] | None,
    ) -> Answer | None:
        """The callback that tells the sender of ``change`` that the message is kept, if they are
        here. The parameters are those of :meth:`tell`.
        """
        if waiting is None:
            return None
        person, id = waiting
        kept = MessageKept(change.name, change.time, id)
        return partial(_confirm, person, kept, [one for one in senders if one is not person])

    def answered(self, change: Answered, node: str) -> None:
        """``node`` has answered a private message, perhaps one of this node."""
        if change.node == self._node and change.request in self._told:
            refusal = _REFUSALS[change.outcome]
            _, _, name = self._told[change.request]
            self._answered(node, change.request, None if refusal is None else refusal(name=name))

    def node_gone(self, node: str) -> None:
        """``node`` has disappeared, and will not answer."""
        for request, (nodes, _, name) in tuple(self._told.items()):
            if node in nodes:
                self._answered(node, request, NotConfirmed(name=name))

    def _or_keep(
        self,
        change: TellPerson,
        person: Person,
        id: str | None,
        answer: Answer,
        refusal: Refusal | None,
    ) -> None:
        if refusal is None:
            answer(None)
        else:
            self._keep(change, person, id)

    def _answer(self, node: str, request: int, refusal: Refusal | None) -> None:
        """Send the outcome of a private message to ``node``, whose request it was."""
        self._submit((Answered(node, request, _OUTCOMES[type(refusal)]),))

    def _answered(self, node: str, request: int, refusal: Refusal | None) -> None:
        """Answer the sender: with the first success, or with the last refusal."""
        if request not in self._told:
            return
        nodes, answer, _ = self._told[request]
        nodes.discard(node)
        if refusal is None or not nodes:
            del self._told[request]
            answer(refusal)


class FirstOf:
    """Gives the first success of ``count`` answers to ``answer``, or else the last refusal."""

    def __init__(self, count: int, answer: Answer) -> None:
        self._count = count
        self._answer = answer
        self._is_done = False

    def answer(self, refusal: Refusal | None) -> None:
        self._count -= 1
        if not self._is_done and (refusal is None or not self._count):
            self._is_done = True
            self._answer(refusal)


def _confirm(
    person: Person, told: Told | MessageKept, others: Sequence[Anybody], refusal: Refusal | None
) -> None:
    """Show ``person`` that their private message was delivered or kept, or why it was not.

    ``others`` are the further connections of the same person, which are shown the message, too.
    """
    if refusal is not None:
        person.refuse(refusal, told.id)
        return
    person.show(told)
    for other in others:
        if not isinstance(other, Elsewhere):
            other.show(structs.replace(told, id=None))


_OUTCOMES: dict[Any, Any] = {
    type(None): "delivered",
    NoSuchPerson: "no-such-person",
    NotReading: "not-reading",
    NotConfirmed: "not-confirmed",
}
_REFUSALS: dict[str, Any] = {
    "delivered": None,
    "no-such-person": NoSuchPerson,
    "not-reading": NotReading,
    "not-confirmed": NotConfirmed,
}
