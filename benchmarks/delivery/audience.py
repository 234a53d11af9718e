"""Who is to hear what: the transcripts of all rooms, and each client's reader.

Here it is known how many messages each client has said, so here it is found what is missing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field

from benchmarks.delivery.connection import Client
from benchmarks.delivery.errors import CannotMeasure
from benchmarks.delivery.speech import Speech
from benchmarks.delivery.transcript import Reader, Tally, Transcript

#: Senders are not shown what they say, so they cannot tell where it stands.
_NOBODY_LISTENS = "where there are senders, somebody of each dialect has to listen only"


@dataclass
class _Hearing:
    """A transcript and those who are sent what it holds."""

    room: bytes
    rendering: str
    transcript: Transcript
    #: Whose lines are to be in it.
    senders: Sequence[Client]
    readers: list[Reader] = field(default_factory=list)


class Audience:
    """All clients as readers: of the transcript of their room, or, where the server has no one
    order for all, each with a transcript or a tally of its own.
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
        """``each_checked``: without one order for all, everybody is read line by line and not
        only one in each room. ``may_skip``: who may be told that it is not shown some lines.

        :raises CannotMeasure: nobody could write some transcript.
        """
        self.readers: dict[Client, Reader | Tally] = {}
        self._size = size
        self._ordered = ordered
        self._each_checked = each_checked
        self._may_skip = frozenset(may_skip)
        self._hearings: list[_Hearing] = []
        #: The descriptors of those who are compared with what others have read.
        self.followers: set[int] = set()
        #: Those who may have to wait for what others read.
        self._waiting: list[Reader] = []
        #: Where each sender's messages are seen to be delivered.
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
        """One transcript for each way to speak."""
        speaking = frozenset(senders)
        for speech in {client.speech.name: client.speech for client in members}.values():
            hearing = self._hearing(members[0].room, speech, speech.name, senders)
            alike = [client for client in members if client.speech.name == speech.name]
            listens = bool(set(alike) - speaking - self._may_skip)
            if senders and not listens and not speech.hears_itself:
                raise CannotMeasure(_NOBODY_LISTENS)
            for client in alike:
                # What a sender is sent has acknowledgements in it: others are written faster.
                follows = listens and client in speaking
                self._add_reader(client, hearing, follows, follows and not speech.hears_itself)
            self._home.update({c: hearing.transcript for c in alike if c in speaking})

    def _separate(self, members: Sequence[Client], senders: Sequence[Client]) -> None:
        """The first who only listens has a transcript, the others a tally or one as well."""
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

    # -- while it goes on ---------------------------------------------------------------------

    def settle(self) -> None:
        """Compare what was sent to senders with what others have read meanwhile."""
        for reader in self._waiting:
            reader.settle()

    def forget(self) -> None:
        """Forget the bytes that everybody has read."""
        for hearing in self._hearings:
            hearing.transcript.trim(min([reader.offset for reader in hearing.readers]))

    def seen(self, sender: Client) -> int:
        """How many messages of ``sender`` were delivered, at least to one."""
        return self._home[sender].counters[sender.number]

    def all_seen(self) -> int:
        """How many messages were delivered, at least to one."""
        return sum([home.counters[sender.number] for sender, home in self._home.items()])

    def delivered(self) -> int:
        """How many lines all clients have got."""
        return sum([reader.delivered() for reader in self.readers.values()])

    def skipped(self) -> int:
        """How many lines clients were told that they would not be shown."""
        return sum([r.skipped for r in self.readers.values() if isinstance(r, Reader)])

    # -- in the end ---------------------------------------------------------------------------

    def is_complete(self) -> bool:
        """Whether everybody has got everything that was said, or something is wrong anyway."""
        return not any(self._missing_messages()) and not any(
            not reader.problems and any(self._unlike_others(client, reader))
            for client, reader in self.readers.items()
        )

    def problems(self) -> Iterator[str]:
        """All that is wrong: missing, doubled, out of order or altered."""
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
        """In each room, all ways to speak must show one order (where there is one for all)."""
        first: dict[bytes, _Hearing] = {}
        for hearing in self._hearings if self._ordered else ():
            other = first.setdefault(hearing.room, hearing)
            if hearing.transcript.lines != other.transcript.lines:
                yield f"{self._called(hearing)} and {other.rendering} got different orders"

    @staticmethod
    def _called(hearing: _Hearing) -> str:
        return f"{hearing.room.decode()}, {hearing.rendering}"
