"""Values: a work, which a server is asked to do, and the measurements of it."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Work:
    """One load: ``clients`` in ``rooms``, of which ``senders`` send messages."""

    clients: int = 100
    rooms: int = 1
    senders: int = 10
    #: Bytes of a text.
    size: int = 64
    #: Counted seconds, and seconds before them that do not count. With 0 counted seconds, the
    #: clients only connect.
    seconds: float = 5.0
    warm_up: float = 1.0
    #: Messages per second of all senders together; None: as many as the server takes.
    rate: float | None = None
    #: The number of clients that do not read until the counted seconds are over.
    stopped: int = 0
    #: Whether the clients use all dialects of the server, and not only one.
    mixed: bool = False
    #: If not mixed, the index of the dialect; the first of our server is text in English.
    speech: int = 0
    #: The number of rooms with senders; None: all rooms.
    active_rooms: int | None = None
    #: Whether our server has flood control on, at a rate so high that no line waits.
    flood_control: bool = False


@dataclass
class Measured:
    """The measurements of one work with one server."""

    server: str
    work: Work
    #: Seconds from the first connection until every client was in its room.
    connect_seconds: float = 0.0
    #: Seconds from the first connection until all clients had been told of the others, too.
    told_seconds: float = 0.0
    #: The counted seconds, exactly.
    seconds: float = 0.0
    messages: int = 0
    #: Lines received in the counted seconds; a sender's own lines count only if it receives them.
    deliveries: int = 0
    #: Milliseconds from sending a message to reading it, and the number of timed deliveries.
    delay_p50: float | None = None
    delay_p99: float | None = None
    delay_max: float | None = None
    delays: int = 0
    #: Seconds of CPU time in the counted seconds; None if the server was not started here.
    server_cpu: float | None = None
    load_cpu: float = 0.0
    #: Seconds that other processes and other virtual machines used the server's core. More than a
    #: few percent spoil the measurement.
    disturbed: float = 0.0
    #: Bytes of the server's resident memory: before the first client, with all clients, at most.
    memory_before: int | None = None
    memory_at_rest: int | None = None
    memory_peak: int | None = None
    #: All messages sent, and all lines checked, also outside the counted seconds.
    sent: int = 0
    checked: int = 0
    #: Lines of which clients that had stopped reading were told that they are skipped.
    skipped: int = 0
    #: Sentences that a reader of the measurements has to know.
    notes: list[str] = field(default_factory=list)
    #: One sentence for each line that was missing, doubled, out of order or altered.
    problems: list[str] = field(default_factory=list)

    @property
    def deliveries_per_second(self) -> float:
        return self.deliveries / self.seconds if self.seconds else 0.0

    @property
    def messages_per_second(self) -> float:
        return self.messages / self.seconds if self.seconds else 0.0

    @property
    def cpu_per_delivery(self) -> float | None:
        """Microseconds of the server's CPU time for each delivery; None if unknown."""
        if self.server_cpu is None or not self.deliveries:
            return None
        return 1e6 * self.server_cpu / self.deliveries

    @property
    def cpu_per_message(self) -> float | None:
        """Microseconds of the server's CPU time for each message; None if unknown."""
        if self.server_cpu is None or not self.messages:
            return None
        return 1e6 * self.server_cpu / self.messages

    @property
    def memory_per_client(self) -> float | None:
        """Bytes of the server's memory for each client at rest."""
        if self.memory_at_rest is None or self.memory_before is None:
            return None
        return (self.memory_at_rest - self.memory_before) / self.work.clients
