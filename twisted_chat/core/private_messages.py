"""Private messages: shown to the recipient, then confirmed to the sender.

The sender is told that a message was delivered when the recipient's system has it, and else that it
may not have been. It must not know rooms, nor who has which name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from twisted_chat.core.changes import Tell
from twisted_chat.core.errors import NoSuchPerson, NotConfirmed, NotReading, Refusal
from twisted_chat.core.events import Told
from twisted_chat.core.people import Anybody, Person
from twisted_chat.core.unconfirmed import LOOKS, Shown


class PrivateMessages:
    """Those of which it is not known whether they arrived.

    ``later`` calls a function after some seconds.
    """

    def __init__(self, later: Callable[[float, Callable[[], None]], object]) -> None:
        self._call_later = later
        #: By author keys of sender and recipient, with the answer to the sender.
        self._unconfirmed: dict[tuple[bytes, bytes], dict[Shown, Callable[[Refusal | None], None]]]
        self._unconfirmed = {}

    def show(
        self,
        sender: Anybody,
        recipient: Person,
        tell: Tell,
        answer: Callable[[Refusal | None], None],
    ) -> None:
        """Show ``recipient``, who is connected here, what ``sender`` tells them."""
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
            # An answer is shown after the confirmation of what it answers.
            for shown in tuple(self._unconfirmed.get((recipient.author, sender.author), ())):
                self._confirm((recipient.author, sender.author), shown, name)
            shown = recipient.show_surely(Told(sender.name, name, tell.text, tell.time))
            pair = sender.author, recipient.author
            self._unconfirmed.setdefault(pair, {})[shown] = answer
            self._confirm(pair, shown, name, iter(LOOKS))

    def _confirm(
        self,
        pair: tuple[bytes, bytes],
        shown: Shown,
        name: str,
        looks: Iterator[float] | None = None,
    ) -> None:
        """Answer the sender if the message has arrived at the recipient, who is called ``name``; or
        look again, and after the last of ``looks`` answer that it may not have arrived.
        """
        answer = self._unconfirmed.get(pair, {}).get(shown)
        if answer is None:  # that was done already
            return
        if shown.has_arrived():
            answer(None)
        elif looks is None:
            return
        elif (seconds := next(looks, None)) is not None:
            self._call_later(seconds, partial(self._confirm, pair, shown, name, looks))
            return
        else:
            answer(NotConfirmed(name=name))
        del self._unconfirmed[pair][shown]
        if not self._unconfirmed[pair]:
            del self._unconfirmed[pair]
