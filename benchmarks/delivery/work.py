"""What a server is asked to do, and what was measured while it did it: plain values."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Work:
    """One load: ``clients`` in ``rooms``, of whom ``senders`` speak."""

    clients: int = 100
    rooms: int = 1
    senders: int = 10
    #: Bytes of a text.
    size: int = 64
    #: Seconds that are counted, and seconds before them that are not. With 0 seconds, the
    #: clients come in, and that is all.
    seconds: float = 5.0
    warm_up: float = 1.0
    #: Messages a second of all senders together; None: as many as the server takes.
    rate: float | None = None
    #: Clients that do not read until the counted seconds are over.
    stopped: int = 0
    #: Whether the clients speak to the server in all ways that it has, and not in one.
    mixed: bool = False
    #: Where not: which of the ways that the server has; the first one is text in English.
    speech: int = 0
    #: The rooms that the senders are in; None: in all of them.
    active_rooms: int | None = None
    #: Whether our server charges each line to a rate, which is so high that it slows nobody.
    flood_control: bool = False


@dataclass
class Measured:
    """What one server did with one work."""

    server: str
    work: Work
    #: Seconds from the first connection until everybody was in and had been told so.
    connect_seconds: float = 0.0
    #: The same, until the others had been told of it, too: nothing more came.
    told_seconds: float = 0.0
    #: Seconds that were counted.
    seconds: float = 0.0
    messages: int = 0
    #: Lines that clients got in the counted seconds; a sender's own are not among them.
    deliveries: int = 0
    #: Milliseconds from sending a message to reading it, and of how many deliveries.
    delay_p50: float | None = None
    delay_p99: float | None = None
    delay_max: float | None = None
    delays: int = 0
    #: Seconds of CPU time in the counted seconds; None where the server runs elsewhere.
    server_cpu: float | None = None
    load_cpu: float = 0.0
    #: Seconds for which something else was on the server's core: processes, and other virtual
    #: machines. More of it than next to nothing spoils the measurement.
    disturbed: float = 0.0
    #: Bytes of resident memory: before the first client, with all of them in, at most.
    memory_before: int | None = None
    memory_at_rest: int | None = None
    memory_peak: int | None = None
    #: All messages that were sent, and lines that were checked, also outside the counted seconds.
    sent: int = 0
    checked: int = 0
    #: Lines that clients who had stopped reading were told they would not be shown.
    skipped: int = 0
    #: What is to be known about this measurement.
    notes: list[str] = field(default_factory=list)
    #: Lines that were missing, doubled, out of order or altered: one sentence each.
    problems: list[str] = field(default_factory=list)

    @property
    def deliveries_per_second(self) -> float:
        return self.deliveries / self.seconds if self.seconds else 0.0

    @property
    def messages_per_second(self) -> float:
        return self.messages / self.seconds if self.seconds else 0.0

    @property
    def cpu_per_delivery(self) -> float | None:
        """Microseconds of the server's CPU time."""
        if self.server_cpu is None or not self.deliveries:
            return None
        return 1e6 * self.server_cpu / self.deliveries

    @property
    def cpu_per_message(self) -> float | None:
        """Microseconds of the server's CPU time."""
        if self.server_cpu is None or not self.messages:
            return None
        return 1e6 * self.server_cpu / self.messages

    @property
    def memory_per_client(self) -> float | None:
        """Bytes that a client costs at rest."""
        if self.memory_at_rest is None or self.memory_before is None:
            return None
        return (self.memory_at_rest - self.memory_before) / self.work.clients
