"""Private messages that are kept for people who are away: stored, shown, dropped.

Each node writes every kept message to its own log, and shows it to the connections of the recipient
that it has. A message is dropped, at all nodes, when it has arrived at one of them: after a loss of
the connection, or of the server, it is shown again. This module must not know sessions, nor which
messages are kept.
"""

from __future__ import annotations

import logging
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from functools import partial
from itertools import chain, repeat

from twisted_chat.core.accounts import Accounts
from twisted_chat.core.alterations import Alterations
from twisted_chat.core.callbacks import nothing
from twisted_chat.core.catch_up import position_of
from twisted_chat.core.errors import MessageNotKept, NoSuchPerson, Refusal
from twisted_chat.core.events import MailStarts, Told
from twisted_chat.core.journal import Journal
from twisted_chat.core.mail_changes import DropMessages, DropOldMessages, KeepMessage, MailChange
from twisted_chat.core.mailboxes import KIND, Mailboxes, StoredMessage, key_of, prefix_of, size_of
from twisted_chat.core.people import Anybody, Elsewhere, Person
from twisted_chat.core.records import Forgotten, Record
from twisted_chat.core.unconfirmed import LOOKS

#: Messages, and characters of their texts, that are shown at once.
PAGE = 50
PAGE_TEXT = 32_000

#: Seconds between two looks at a connection that takes longer than :data:`.unconfirmed.LOOKS`.
SLOW_LOOK = 5.0

_log = logging.getLogger(__name__)


class _Delivery:
    """The kept messages on their way to one connection."""

    def __init__(self, person: Person) -> None:
        self.person = person
        #: Messages that were read and not shown, the oldest first.
        self.unshown: deque[StoredMessage] = deque()
        #: For each page that was shown: whether it has arrived, and the numbers of its messages.
        self.shown: list[tuple[Callable[[], bool], list[int]]] = []
        #: The numbers of all messages that were read and are not dropped.
        self.known: set[int] = set()
        #: The reads of the log that are under way.
        self.reads = 0
        #: Messages whose number is shown before the first of them.
        self.announced = 0
        self.looks: Iterator[float] = iter(())
        self.is_looking = False


class Mail:
    """The kept messages, as one node has them.

    :param connections: the connections of a person, by the author number.
    :param submit: submits a change.
    :param later: calls a function after a number of seconds.
    """

    def __init__(
        self,
        journal: Journal,
        accounts: Accounts,
        connections: Callable[[int], Sequence[Anybody]],
        submit: Callable[[MailChange], None],
        later: Callable[[float, Callable[[], None]], object],
    ) -> None:
        self._journal = journal
        self._accounts = accounts
        self._connections = connections
        self._submit = submit
        self._call_later = later
        self._boxes = Mailboxes()
        self._records = Alterations(journal.store)
        self._deliveries: dict[Person, _Delivery] = {}
        #: The reads of the log that are under way, by recipient; and records to delete after them.
        self._reading: Counter[int] = Counter()
        self._to_delete: dict[int, list[Forgotten]] = {}

    def start(self) -> None:
        """Begin with the messages in the log, once it is open and the accounts are known."""
        damaged = self._boxes.learn(self._journal.keys(KIND))
        if damaged:
            _log.error("%d kept messages are damaged, and are not shown", damaged)
        for recipient in self._boxes.recipients():
            account = self._accounts.get(recipient)
            if account is None or account.status == "closed":  # the server ended before they were
                self.drop_all(recipient)

    def look(self) -> None:
        """Write what could not be written before. Call this about once a second."""
        self._records.look()

    def read(
        self, recipient: int, reply: Callable[[Sequence[StoredMessage] | Refusal], None]
    ) -> None:
        """Read all messages that wait for the account ``recipient``, the oldest first."""

        def answered(result: Sequence[Record] | Refusal) -> None:
            reply(result if isinstance(result, Refusal) else _messages(result))

        self._journal.read_records(KIND, prefix_of(recipient), answered)

    # -- changes ------------------------------------------------------------------------------

    def keep(self, change: KeepMessage, answer: Callable[[Refusal | None], None] | None) -> None:
        """Keep a message.

        :param answer: at the submitting node, called when the message is on disk, or with the
            reason why it could not be written.
        :raises Refusal: it cannot be kept.
        """
        account = self._accounts.get(change.recipient)
        if account is None or account.status != "active":
            raise NoSuchPerson(name=change.name)
        is_ignored = any(author == change.person for author, _ in account.ignored)
        who = change.person, change.origin, size_of(change.text)
        slot = self._boxes.add(account.number, *who, change.time, change.name)
        text = "" if is_ignored else change.text
        message = StoredMessage(account.number, *slot, change.sender, text, change.time)
        self._records.altered(message)
        self._records.save(partial(self._written, message, change.name, answer))

    def _written(
        self,
        message: StoredMessage,
        name: str,
        answer: Callable[[Refusal | None], None] | None,
        refusal: Refusal | None,
    ) -> None:
        if refusal is None:
            for person in self._here(message.recipient):
                self._deliver(person)
            if answer is not None:
                answer(None)
        elif answer is not None:
            self._submit(DropMessages(message.recipient, (message.number,)))
            answer(MessageNotKept(name=name, reason=refusal.details["reason"]))

    def drop(self, recipient: int, numbers: Iterable[int]) -> None:
        """Drop messages, which have arrived or are kept no longer."""
        slots = self._boxes.take(recipient, numbers)
        for person in self._here(recipient):
            if (delivery := self._deliveries.get(person)) is not None:
                delivery.known.difference_update(slot.number for slot in slots)
                self._end_if_done(delivery)
        gone = [Forgotten(KIND, key_of(recipient, slot)) for slot in slots]
        if self._reading[recipient]:  # another connection of the same person shows them, too
            self._to_delete.setdefault(recipient, []).extend(gone)
        else:
            self._delete(gone)

    def drop_all(self, recipient: int) -> None:
        """Drop all messages of the account ``recipient``, which is closed."""
        self.drop(recipient, [slot.number for slot in self._boxes.waiting(recipient)])

    def drop_old(self, before: int) -> None:
        """Drop all messages from before this time, in microseconds since 1970 UTC."""
        for recipient, numbers in self._boxes.before(before):
            self.drop(recipient, numbers)

    def apply(
        self, change: MailChange, answer: Callable[[Refusal | None], None] | None = None
    ) -> None:
        """Carry out ``change``; ``answer`` is that of :meth:`keep`.

        :raises Refusal: a message cannot be kept.
        """
        match change:
            case KeepMessage():
                self.keep(change, answer)
            case DropMessages():
                self.drop(change.recipient, change.numbers)
            case DropOldMessages():
                self.drop_old(change.before)

    def _delete(self, gone: Sequence[Forgotten]) -> None:
        for record in gone:
            self._records.altered(record)
        self._records.save(nothing)

    # -- showing ------------------------------------------------------------------------------

    def came(self, person: Person) -> None:
        """``person`` has come in, or has come back over another connection."""
        self._deliveries.pop(person, None)
        self._deliver(person)

    def _deliver(self, person: Person) -> None:
        """Show ``person`` the messages that wait and that this connection was not shown.

        A bot whose token is limited to some rooms is shown none: the person would miss them.
        """
        if person.is_limited:
            return
        delivery = self._deliveries.get(person)
        known: Collection[int] = () if delivery is None else delivery.known
        if all(slot.number in known for slot in self._boxes.waiting(person.author)):
            return
        if delivery is None:
            delivery = self._deliveries[person] = _Delivery(person)
        delivery.reads += 1
        self._reading[person.author] += 1
        self.read(person.author, partial(self._have_read, delivery, person.author))

    def _have_read(
        self, delivery: _Delivery, recipient: int, result: Sequence[StoredMessage] | Refusal
    ) -> None:
        delivery.reads -= 1
        self._reading[recipient] -= 1
        if not self._reading[recipient]:
            del self._reading[recipient]
            self._delete(self._to_delete.pop(recipient, []))
        if self._deliveries.get(delivery.person) is not delivery:
            return
        if isinstance(result, Refusal):
            delivery.person.refuse(result)
            del self._deliveries[delivery.person]  # they are shown when the person comes in again
            return
        new = [message for message in result if message.number not in delivery.known]
        delivery.known.update(message.number for message in new)
        wanted = [one for one in new if one.text and not delivery.person.ignores(one.author)]
        ignored = {one.number for one in new}.difference(one.number for one in wanted)
        if ignored:
            self._submit(DropMessages(recipient, tuple(sorted(ignored))))
        delivery.announced += len(wanted)
        delivery.unshown.extend(wanted)
        delivery.looks = chain((0.0,), LOOKS, repeat(SLOW_LOOK))
        if not delivery.is_looking:
            self._look(delivery)

    def _look(self, delivery: _Delivery) -> None:
        """Show the next messages, if the connection is ready; drop those that have arrived."""
        delivery.is_looking = False
        person = delivery.person
        arrived: list[int] = []
        pages, delivery.shown = delivery.shown, []
        for has_arrived, numbers in pages:
            if has_arrived():
                arrived += numbers
            else:
                delivery.shown.append((has_arrived, numbers))
        if arrived:
            self._submit(DropMessages(person.author, tuple(arrived)))
        if self._deliveries.get(person) is not delivery:
            return
        if person.away or person.is_leaving:
            del self._deliveries[person]
            return
        if delivery.unshown and person.outlet.ready and not _is_being_replayed(person):
            self._show_page(delivery)
        if delivery.unshown or delivery.shown:
            delivery.is_looking = True
            self._call_later(next(delivery.looks), partial(self._look, delivery))
        self._end_if_done(delivery)

    def _end_if_done(self, delivery: _Delivery) -> None:
        if not (delivery.known or delivery.unshown or delivery.shown or delivery.reads):
            del self._deliveries[delivery.person]

    def _show_page(self, delivery: _Delivery) -> None:
        person = delivery.person
        page: list[StoredMessage] = []
        length = 0
        while delivery.unshown and len(page) < PAGE and length < PAGE_TEXT:
            page.append(delivery.unshown.popleft())
            length += len(page[-1].text)
        if delivery.announced and person.profile.wants_replay:
            person.show(MailStarts(delivery.announced))
        delivery.announced = 0
        name = person.name
        person.on_private_message(page[-1].author, page[-1].sender)
        person.show(*(Told(one.sender, name, one.text, one.time, kept=True) for one in page))
        delivery.shown.append((person.arrival(), [one.number for one in page]))
        delivery.looks = chain(LOOKS, repeat(SLOW_LOOK))

    def _here(self, recipient: int) -> list[Person]:
        """The connections of ``recipient`` at this node."""
        return [one for one in self._connections(recipient) if not isinstance(one, Elsewhere)]


def _messages(records: Sequence[Record]) -> list[StoredMessage]:
    return [record for record in records if isinstance(record, StoredMessage)]


def _is_being_replayed(person: Person) -> bool:
    """Whether earlier entries of a room are still being shown to ``person``."""
    return any(
        (position_of(cursor) or 0) < cursor.replay_through
        for cursor in person.cursors.values()
        if not cursor.closed
    )
