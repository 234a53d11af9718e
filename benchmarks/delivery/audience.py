"""The transcripts of all rooms, and the reader of each client.

An audience knows how many messages each client has sent, so it finds the missing ones. It must not
know sockets or clocks.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field

from benchmarks.delivery.connection import Client
from benchmarks.delivery.errors import CannotMeasure
from benchmarks.delivery.speech import Speech
from benchmarks.delivery.transcript import Reader, Tally, Transcript

#: A sender does not receive its own lines, so it cannot know their place in the order.
_NOBODY_LISTENS = "where there are senders, somebody of each dialect has to listen only"


@dataclass
class _Hearing:
    """A transcript, and the readers that receive its lines."""

    room: bytes
    rendering: str
    transcript: Transcript
    #: The clients whose lines the transcript should contain.
    senders: Sequence[Client]
    readers: list[Reader] = field(default_factory=list)


class Audience:
    """All clients as readers.

    With a server that has one order for all, the clients of a room share a transcript. With any
    other server, each client has its own transcript or tally.
    """

    def __init__(
        self,
        clients: Sequence[Client],
        senders: Collection[Client],
        size: int,
        *,
        ordered: bool = True,
        each_checked: bool = False,
        may_skip: Collection[Client] = (),
    ) -> None:
        """Give each client a reader that gets its received bytes.

        :param clients: all clients.
        :param senders: the clients that send.
        :param size: bytes of a text.
        :param ordered: whether the server has one order of messages for all clients of a room.
        :param each_checked: without that order, check every client line by line, and not only one
            client in each room.
        :param may_skip: clients whose notices of skipped lines are accepted.
        :raises CannotMeasure: some transcript would have no reader that can write it.
        """
        self.readers: dict[Client, Reader | Tally] = {}
        self._size = size
        self._ordered = ordered
        self._each_checked = each_checked
        self._may_skip = frozenset(may_skip)
        self._hearings: list[_Hearing] = []
        #: The descriptors of clients that are compared with a transcript, and never write it.
        self.followers: set[int] = set()
        #: Readers that may have to wait until others have written the transcript.
        self._waiting: list[Reader] = []
        #: The transcript that shows the delivery of each sender's messages.
        self._home: dict[Client, Transcript] = {}
        self._said_in: dict[bytes, list[Client]] = {}
        rooms: dict[bytes, list[Client]] = {}
        for client in clients:
            rooms.setdefault(client.room, []).append(client)
        speaking = frozenset(senders)
        for room, members in rooms.items():
            speakers = self._said_in[room] = [c for c in members if c in speaking]
            if ordered:
                self._share(members, speakers)
            else:
                self._separate(members, speakers)
        for client, reader in self.readers.items():
            client.heard = reader.read

    def _share(self, members: Sequence[Client], senders: Sequence[Client]) -> None:
        """Give the members of a room one transcript for each dialect."""
        speaking = frozenset(senders)
        for speech in {client.speech.name: client.speech for client in members}.values():
            hearing = self._hearing(members[0].room, speech, speech.name, senders)
            alike = [client for client in members if client.speech.name == speech.name]
            listens = bool(set(alike) - speaking - self._may_skip)
            if senders and not listens and not speech.hears_itself:
                raise CannotMeasure(_NOBODY_LISTENS)
            for client in alike:
                # Senders receive acknowledgements too, so listeners write the transcript faster.
                follows = listens and client in speaking
                self._add_reader(client, hearing, follows, follows and not speech.hears_itself)
            self._home.update({c: hearing.transcript for c in alike if c in speaking})

    def _separate(self, members: Sequence[Client], senders: Sequence[Client]) -> None:
        """Give the first listener a transcript, and the other members a transcript or a tally."""
        speaking = frozenset(senders)
        home: Transcript | None = None
        for client in sorted(members, key=lambda client: client in speaking):
            if home is not None and not self._each_checked:
                self.readers[client] = Tally(client.name, client.speech, home.ends, client.reply)
                continue
            if home is None and client in speaking:
                raise CannotMeasure(_NOBODY_LISTENS)
            others = [sender for sender in senders if sender is not client]
            hearing = self._hearing(client.room, client.speech, client.name, others)
            self._add_reader(client, hearing)
            home = home or hearing.transcript
        if home is not None:
            self._home.update(dict.fromkeys(senders, home))

    def _hearing(
        self, room: bytes, speech: Speech, rendering: str, senders: Sequence[Client]
    ) -> _Hearing:
        numbers = [client.number for client in senders]
        transcript = Transcript(speech.heard(room, self._size), numbers, speech.numbers)
        hearing = _Hearing(room, rendering, transcript, senders)
        self._hearings.append(hearing)
        return hearing

    def _add_reader(
        self, client: Client, hearing: _Hearing, follows: bool = False, is_author: bool = False
    ) -> None:
        reader = Reader(
            client.name,
            client.speech,
            hearing.transcript,
            client.reply,
            client.number if is_author else None,
            follows,
            client in self._may_skip,
        )
        self.readers[client] = reader
        hearing.readers.append(reader)
        if follows:
            self.followers.add(client.descriptor)
        if follows or client in self._may_skip:
            self._waiting.append(reader)

    # -- during the measurement ---------------------------------------------------------------

    def settle(self) -> None:
        """Compare the pending bytes of waiting readers with the transcripts."""
        for reader in self._waiting:
            reader.settle()

    def forget(self) -> None:
        """Forget the bytes that all readers of a transcript have read."""
        for hearing in self._hearings:
            hearing.transcript.trim(min([reader.offset for reader in hearing.readers]))

    def seen(self, sender: Client) -> int:
        """The number of messages of ``sender`` that at least one client has received."""
        return self._home[sender].counters[sender.number]

    def all_seen(self) -> int:
        """The number of all messages that at least one client has received."""
        return sum([home.counters[sender.number] for sender, home in self._home.items()])

    def delivered(self) -> int:
        """The number of lines that all clients together have received."""
        return sum([reader.delivered() for reader in self.readers.values()])

    def skipped(self) -> int:
        """The number of lines that clients were told are skipped."""
        return sum([r.skipped for r in self.readers.values() if isinstance(r, Reader)])

    # -- after the measurement ----------------------------------------------------------------

    def is_complete(self) -> bool:
        """Whether every client has received every line, or is known to have a problem."""
        return not any(self._missing_messages()) and not any(
            not reader.problems and any(self._unlike_others(client, reader))
            for client, reader in self.readers.items()
        )

    def problems(self) -> Iterator[str]:
        """One sentence for each missing, doubled, altered or misplaced line."""
        for hearing in self._hearings:
            for problem in hearing.transcript.problems:
                yield f"{self._called(hearing)}: {problem}"
        yield from self._missing_messages()
        for client, reader in self.readers.items():
            yield from reader.problems or self._unlike_others(client, reader)
        yield from self._different_orders()

    def _missing_messages(self) -> Iterator[str]:
        for hearing in self._hearings:
            for sender in hearing.senders:
                seen = hearing.transcript.counters[sender.number]
                if seen < sender.sent:
                    yield (
                        f"{self._called(hearing)}: sender {sender.number} said {sender.sent}"
                        f" messages; the last that came is number {seen - 1}"
                    )

    def _unlike_others(self, client: Client, reader: Reader | Tally) -> Iterator[str]:
        if isinstance(reader, Reader):
            lacks = reader.missing()
        else:
            others = [sender for sender in self._said_in[client.room] if sender is not client]
            lacks = reader.lacks(sum([sender.sent for sender in others]))
        if lacks > 0:
            yield f"{client.name} did not get {lacks} lines that others got"
        elif lacks < 0:
            yield f"{client.name} got {-lacks} lines too many"
        elif reader.pending:
            yield f"{client.name} got {reader.pending} bytes that nobody else got"

    def _different_orders(self) -> Iterator[str]:
        """Rooms in which two dialects show different orders, if the server has one order."""
        first: dict[bytes, _Hearing] = {}
        for hearing in self._hearings if self._ordered else ():
            other = first.setdefault(hearing.room, hearing)
            if hearing.transcript.lines != other.transcript.lines:
                yield f"{self._called(hearing)} and {other.rendering} got different orders"

    @staticmethod
    def _called(hearing: _Hearing) -> str:
        return f"{hearing.room.decode()}, {hearing.rendering}"
