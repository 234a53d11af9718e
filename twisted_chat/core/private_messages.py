"""Private messages: shown to the recipient, then confirmed to the sender.

When the recipient's system has confirmed that it has a message, the sender is told that it was
delivered; after some seconds without that, that it may not have been. This module must not know
rooms, or who holds which nickname.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from twisted_chat.core.changes import TellPerson
from twisted_chat.core.errors import NoSuchPerson, NotConfirmed, NotReading, Refusal
from twisted_chat.core.events import Told
from twisted_chat.core.people import Anybody, Person
from twisted_chat.core.unconfirmed import LOOKS, Shown


class PrivateMessages:
    """The private messages that were shown, but may not have arrived yet.

    :param later: calls a function after a number of seconds.
    """

    def __init__(self, later: Callable[[float, Callable[[], None]], object]) -> None:
        self._call_later = later
        #: By the authors of sender and recipient; with the callback that answers the sender.
        self._unconfirmed: dict[tuple[int, int], dict[Shown, Callable[[Refusal | None], None]]]
        self._unconfirmed = {}

    def show(
        self,
        sender: Anybody,
        recipient: Person,
        message: TellPerson,
        answer: Callable[[Refusal | None], None],
    ) -> None:
        """Show ``message`` of ``sender`` to ``recipient``, who is connected here.

        ``answer`` is called with None once the message has arrived, or with the reason why it was
        not shown or may not have arrived.
        """
        name = recipient.name
        if recipient.is_leaving:
            answer(NoSuchPerson(name=name))
            return
        if recipient.ignores(sender.author):
            answer(None)
        elif not recipient.outlet.ready:
            answer(NotReading(name=name))
        else:
            recipient.on_private_message(sender.author, sender.name)
            # The sender may answer an earlier message, whose confirmation must be shown first.
            for shown in tuple(self._unconfirmed.get((recipient.author, sender.author), ())):
                self._confirm((recipient.author, sender.author), shown, name)
            shown = recipient.show_surely(Told(sender.name, name, message.text, message.time))
            pair = sender.author, recipient.author
            self._unconfirmed.setdefault(pair, {})[shown] = answer
            self._confirm(pair, shown, name, iter(LOOKS))

    def _confirm(
        self,
        pair: tuple[int, int],
        shown: Shown,
        name: str,
        looks: Iterator[float] | None = None,
    ) -> None:
        """Answer the sender if the message has arrived at the recipient with the nickname ``name``.

        If it has not, look again after each of the seconds in ``looks``, and after the last of them
        answer that it may not have arrived. With None, look only now.
        """
        answer = self._unconfirmed.get(pair, {}).get(shown)
        if answer is None:  # the sender was answered already
            return
        if shown.has_arrived():
            answer(None)
        elif looks is None:
            return
        elif (seconds := next(looks, None)) is not None:
            self._call_later(seconds, partial(self._confirm, pair, shown, name, looks))
            return
        else:
            if pair[1] > 0:  # for an account, the message is kept in the log from now on
                shown.give_up()
            answer(NotConfirmed(name=name))
        del self._unconfirmed[pair][shown]
        if not self._unconfirmed[pair]:
            del self._unconfirmed[pair]
