"""The check that every client has received every line, once, in order and unaltered.

It can check tens of millions of lines per second. All clients of one room and one dialect receive
the same bytes, except for their own lines, and share one :class:`Transcript`. The reader that is
ahead of the others writes it, and its lines are checked one by one. The bytes of the other readers
are only compared with it, in one piece.

``problems`` has a sentence for each wrong line. This module must not know sockets or clocks.
"""

from __future__ import annotations

import re
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Collection, Sequence
from itertools import accumulate, islice
from operator import sub

from benchmarks.delivery.speech import COUNTERS, Speech

#: Bytes that all readers have read and that are kept in memory, at most.
_SLACK = 1 << 25

#: More bytes than the longest line that a server may send.
_LINE = 1 << 14

#: Bytes compared at once in the search for a difference.
_STEP = 1 << 12

#: Bytes kept of a piece, because a sign of noise may begin in them and end in the next piece.
_TAIL = 5

#: Problems noted of one transcript, at most.
_MANY = 1000

#: Bytes of a wrong line that a problem shows.
_SHOWN = 100


def _shown(line: bytes | bytearray) -> str:
    return ascii(bytes(line[:_SHOWN]))[1:]


class _Runs:
    """Runs of consecutive lines: the index of each first line, and the index after each last."""

    __slots__ = ("afters", "firsts")

    def __init__(self) -> None:
        self.firsts = array("q")
        self.afters = array("q")


class Transcript:
    """The lines that clients of one room and one dialect receive, from the first message on."""

    def __init__(
        self,
        pattern: re.Pattern[bytes],
        senders: Collection[int],
        numbers: re.Pattern[bytes] | None = None,
    ) -> None:
        """Begin an empty transcript.

        :param pattern: matches a message; see :meth:`.speech.Speech.heard`.
        :param senders: the numbers of the senders.
        :param numbers: finds sequence numbers; see :attr:`.speech.Speech.numbers`.
        """
        self.problems: list[str] = []
        #: The next counter of each sender.
        self.counters = dict.fromkeys(senders, 0)
        #: The offset of each line's end, in bytes from the beginning.
        self.ends = array("q")
        #: The key of each line: its sender and its counter; see :data:`COUNTERS`.
        self.lines = array("q")
        #: The lines of each sender.
        self.own = {sender: _Runs() for sender in senders}
        #: The bytes from ``base`` on.
        self.data = bytearray()
        self.base = 0
        self.end = 0
        self._pattern = pattern
        self._numbers = numbers

    def extend(self, lines: bytes) -> int:
        """Add whole lines, up to the first that is no message; returns the bytes added."""
        found = self._pattern.findall(lines)
        lengths = [len(line) for line, _, _ in found]
        if sum(lengths) != len(lines):
            found, lines = self._up_to_strange(lines)
            lengths = [len(line) for line, _, _ in found]
        if not found:
            return 0
        # A few calls for all lines, because there are hundreds of thousands per second.
        digits = b" ".join([text.replace(b" ", b"") for _, _, text in found])
        keys = list(map(int, digits.split()))
        breaks = [i for i, step in enumerate(map(sub, keys[1:], keys), 1) if step != 1]
        index = len(self.ends)
        if self._numbers is not None:
            numbers = list(map(int, self._numbers.findall(lines)))
            if numbers != list(range(index + 1, index + 1 + len(found))):
                self._note(f"lines {index + 1} to {index + len(found)} of the room: other numbers")
        for first, after in zip([0, *breaks], [*breaks, len(keys)], strict=True):
            self._add_run(keys[first], index + first, index + after)
        self.lines.extend(keys)
        self.ends.extend(islice(accumulate(lengths, initial=self.end), 1, None))
        self.data += lines
        self.end += len(lines)
        return len(lines)

    def _up_to_strange(self, lines: bytes) -> tuple[list[tuple[bytes, bytes, bytes]], bytes]:
        found = []
        end = 0
        while match := self._pattern.match(lines, end):
            found.append((match[1], match[2], match[3]))
            end = match.end()
        return found, lines[:end]

    def _add_run(self, key: int, first: int, after: int) -> None:
        """Add a run of lines; ``key`` is the key of the first, and the others follow it.

        :param first: the index of the first line.
        :param after: the index after the last line.
        """
        sender, counter = divmod(key, COUNTERS)
        expected = self.counters.get(sender)
        if expected is None:
            self._note(f"sender {sender} spoke, who should not")
            self.own[sender] = _Runs()
        elif counter < expected:
            self._note(f"sender {sender}: {counter} came after {expected - 1}: again?")
        elif counter > expected:
            lost = counter - expected
            self._note(f"sender {sender}: {counter} came after {expected - 1}: {lost} missing")
        self.counters[sender] = counter + after - first
        runs = self.own[sender]
        runs.firsts.append(first)
        runs.afters.append(after)

    def _note(self, problem: str) -> None:
        if len(self.problems) < _MANY:
            self.problems.append(problem)

    def start_of(self, index: int) -> int:
        """The offset at which line ``index`` begins, in bytes."""
        return self.ends[index - 1] if index else 0

    def trim(self, read: int) -> None:
        """Forget the bytes before the offset ``read``, which all readers have read."""
        if read - self.base > _SLACK:
            # One line stays: a reader may find late that its current line is a different one.
            keep = self.start_of(max(0, bisect_left(self.ends, read) - 1))
            del self.data[: keep - self.base]
            self.base = keep


class Reader:
    """One client's offset in a transcript, and the received bytes beyond the transcript's end."""

    def __init__(
        self,
        name: str,
        speech: Speech,
        transcript: Transcript,
        reply: Callable[[bytes], None],
        author: int | None = None,
        follows: bool = False,
        may_skip: bool = False,
    ) -> None:
        """Begin at the start of ``transcript``.

        :param name: the client's name in problems.
        :param speech: the client's dialect.
        :param transcript: the lines to compare with.
        :param reply: sends bytes to the server.
        :param author: the number of a sender that does not receive its own lines; None for others.
        :param follows: whether it must not write the transcript; an author never does.
        :param may_skip: whether it accepts notices of skipped lines; no author gets them.
        """
        self.name = name
        self.author = author
        self.follows = follows or author is not None
        self.transcript = transcript
        self.offset = 0
        self.problems: list[str] = []
        #: The number of lines that the server said it skips.
        self.skipped = 0
        self._speech = speech
        self._reply = reply
        self._pending = b""
        self._own = _Runs() if author is None else transcript.own[author]
        #: The number of runs and of lines of the author itself before the offset.
        self._own_runs = 0
        self._own_lines = 0
        self._may_skip = may_skip

    def read(self, data: memoryview) -> None:
        """Take ``data``, the next received bytes."""
        if self.follows:
            self._pending = self._pending + data if self._pending else self._take(data)
            return
        while self._pending and data:
            line, newline, _ = bytes(data[:_LINE]).partition(b"\n")
            self._pending += line + newline
            data = data[len(line) + len(newline) :]
            if newline:
                self.settle()
        transcript = self.transcript
        if transcript.data.startswith(data, self.offset - transcript.base):
            self.offset += len(data)
        else:
            self._pending = self._take(data)

    def settle(self) -> None:
        """Compare the pending bytes up to the transcript's end; write any bytes beyond it."""
        if self._pending:
            self._pending = self._take(memoryview(self._pending))

    def _take(self, data: memoryview) -> bytes:
        """Compare or write as much of ``data`` as possible; returns the rest."""
        transcript = self.transcript
        at = 0
        while at < len(data) and not self.problems:
            take = min(self._stretch(), len(data) - at)
            if take == 0:
                used = self._write(bytes(data[at:]))
            elif transcript.data.startswith(data[at : at + take], self.offset - transcript.base):
                self.offset += take
                used = take
            else:
                at += self._agreeing(data[at : at + take])
                # A line that began like the expected one is another: go back to its beginning.
                begun = self._begun()
                if at < len(begun):
                    data = memoryview(begun + data[at:])
                    at = len(begun)
                self.offset -= len(begun)
                at -= len(begun)
                used = self._aside(data[at:])
            if used == 0:
                return bytes(data[at:])
            at += used
        return b""

    def _begun(self) -> bytes:
        """The bytes of the current line before the offset."""
        transcript = self.transcript
        start = transcript.start_of(bisect_right(transcript.ends, self.offset))
        return bytes(transcript.data[start - transcript.base : self.offset - transcript.base])

    def _stretch(self) -> int:
        """The number of bytes that come next, up to the author's own lines, which it skips."""
        transcript = self.transcript
        own = self._own
        while self._own_runs < len(own.firsts):
            start = transcript.start_of(own.firsts[self._own_runs])
            if self.offset < start:
                return start - self.offset
            after = own.afters[self._own_runs]
            self.offset = transcript.ends[after - 1]
            self._own_lines += after - own.firsts[self._own_runs]
            self._own_runs += 1
        return transcript.end - self.offset

    def _agreeing(self, data: memoryview) -> int:
        """Advance over the bytes of ``data`` that agree with the transcript; returns their number.

        ``data`` must differ from the transcript somewhere.
        """
        transcript = self.transcript
        at = self.offset - transcript.base
        low = 0
        while transcript.data.startswith(data[low : low + _STEP], at + low):
            low += _STEP
        high = min(low + _STEP, len(data)) - 1
        while low < high:
            middle = (low + high + 1) // 2
            if transcript.data.startswith(data[low:middle], at + low):
                low = middle
            else:
                high = middle - 1
        self.offset += low
        return low

    def _write(self, data: bytes) -> int:
        """Add ``data`` to the transcript, at its end; returns the number of bytes used."""
        if self.follows:
            # An author does not know where its own lines stand between those of others.
            return 0
        written = self.transcript.extend(data[: data.rfind(b"\n") + 1])
        self.offset += written
        return written or self._aside(memoryview(data))

    def _aside(self, data: memoryview) -> int:
        """Handle a line that is not the expected message: noise, skipped lines, or a problem.

        :param data: the received bytes, from the beginning of the line.
        :returns: the number of bytes used; 0 if more bytes are needed.
        """
        start = bytes(data[:_LINE])
        line = start[: start.find(b"\n") + 1]
        if not line:
            return 0
        speech = self._speech
        if speech.noise is not None and speech.noise.fullmatch(line):
            answer = speech.reply(line)
            if answer:
                self._reply(answer)
        elif self._may_skip and speech.skipped and (match := speech.skipped.fullmatch(line)):
            if not self._skip(int(match[1]), int(match[2])):
                return 0
        elif start.count(b"\n") < speech.newlines:
            return 0  # a message whose end has not come yet
        else:
            self._complain(line)
        return len(line)

    def _skip(self, first: int, last: int) -> bool:
        """Skip the lines ``first`` to ``last``; False if the transcript does not have all yet."""
        transcript = self.transcript
        line = bisect_right(transcript.ends, self.offset)
        if first != line + 1 or last < first:  # the room was empty
            self.problems.append(
                f"{self.name} was told that {first} to {last} are skipped, at line {line}"
            )
            return True
        end = line + last + 1 - first
        if end > len(transcript.ends):
            return False
        self.skipped += end - line
        self.offset = transcript.ends[end - 1]
        return True

    def _complain(self, line: bytes) -> None:
        transcript = self.transcript
        index = bisect_right(transcript.ends, self.offset)
        told = f"{self.name}, line {index}: got {_shown(line)}"
        if index < len(transcript.ends):
            start = self.offset - transcript.base
            expected = transcript.data[start : transcript.ends[index] - transcript.base]
            told += f", others got {_shown(expected)}"
        self.problems.append(told)

    # -- progress -----------------------------------------------------------------------------

    def lines_before(self, offset: int) -> int:
        """The number of lines that end at or before ``offset``, with the author's own."""
        return bisect_right(self.transcript.ends, offset)

    def delivered(self) -> int:
        """The number of lines that the client has received."""
        return self.lines_before(self.offset) - self._own_lines - self.skipped

    def missing(self) -> int:
        """The number of lines of the transcript that the client has not received yet."""
        self._stretch()
        ahead = len(self.transcript.ends) - self.lines_before(self.offset)
        runs, passed = self._own, self._own_runs
        own = zip(runs.firsts[passed:], runs.afters[passed:], strict=True)
        return ahead - sum([after - first for first, after in own])

    @property
    def pending(self) -> int:
        """The number of received bytes that could not be compared yet."""
        return len(self._pending)


class Tally:
    """Counts one client's lines by their length alone, for a server without one order for all."""

    def __init__(
        self, name: str, speech: Speech, ends: Sequence[int], reply: Callable[[bytes], None]
    ) -> None:
        """Begin with no lines.

        :param name: the client's name in problems.
        :param speech: the client's dialect.
        :param ends: the ends of a transcript's lines, which all have the same length.
        :param reply: sends bytes to the server.
        """
        self.name = name
        self.problems: list[str] = []
        self._speech = speech
        self._ends = ends
        self._reply = reply
        self._bytes = 0
        self._tail = b""

    def read(self, data: memoryview) -> None:
        """Take ``data``, the next received bytes."""
        self._bytes += len(data)
        text = self._tail + bytes(data)
        self._tail = text[-_TAIL:]
        sign, noise = self._speech.sign, self._speech.noise
        if sign in text and noise is not None:
            for line in noise.findall(text):
                self._bytes -= len(line)
                self._tail = b""
                self._reply(self._speech.reply(line))

    def delivered(self) -> int:
        """The number of lines that the client has received."""
        return self._bytes // self._ends[0] if self._ends else 0

    def lacks(self, lines: int) -> int:
        """The number of lines, of ``lines``, that are missing; negative if there are too many."""
        return lines - self.delivered()

    @property
    def pending(self) -> int:
        """The number of received bytes that make no whole line."""
        return self._bytes % self._ends[0] if self._ends else self._bytes
