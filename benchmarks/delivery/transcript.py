"""The check: whether everybody was told everything, once, in order and unaltered.

It is made for tens of millions of lines a second. All who are in one room and speak to the server
in one way are sent the same bytes, but for what each says itself. So there is one
:class:`Transcript` for them. Whoever is furthest writes it, line by line checked; everybody
else's bytes are compared with it in one piece, as they come.

Here are no sockets and no clocks. What is found to be wrong is a sentence in ``problems``.
"""

from __future__ import annotations

import re
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Collection, Sequence
from itertools import accumulate, islice
from operator import sub

from benchmarks.delivery.speech import COUNTERS, Speech

#: Bytes that all have read and that are kept nevertheless.
_SLACK = 1 << 25

#: Bytes of the longest line that a server may send, and more.
_LINE = 1 << 14

#: Bytes that are compared at once where somewhere there is a difference.
_STEP = 1 << 12

#: Bytes in which noise may have begun that goes on in the next piece.
_TAIL = 5

#: Sentences of one kind after which no more are noted.
_MANY = 1000

#: Characters of a line that are shown where something is wrong.
_SHOWN = 100


def _shown(line: bytes | bytearray) -> str:
    return ascii(bytes(line[:_SHOWN]))[1:]


class _Runs:
    """Lines that follow one another, by the index of the first and that after the last."""

    __slots__ = ("afters", "firsts")

    def __init__(self) -> None:
        self.firsts = array("q")
        self.afters = array("q")


class Transcript:
    """What one room's listeners are sent, from the moment at which the first message is said."""

    def __init__(
        self,
        pattern: re.Pattern[bytes],
        senders: Collection[int],
        numbers: re.Pattern[bytes] | None = None,
    ) -> None:
        """``pattern`` and ``numbers``: see :class:`.speech.Speech`. ``senders``: the numbers of
        those who speak.
        """
        self.problems: list[str] = []
        #: The next counter of each sender.
        self.counters = dict.fromkeys(senders, 0)
        #: Where each line ends: bytes from the beginning.
        self.ends = array("q")
        #: Whose each line is, and its counter, in one number; see :data:`COUNTERS`.
        self.lines = array("q")
        #: Which lines are whose.
        self.own = {sender: _Runs() for sender in senders}
        #: The bytes from ``base`` on.
        self.data = bytearray()
        self.base = 0
        self.end = 0
        self._pattern = pattern
        self._numbers = numbers

    def extend(self, lines: bytes) -> int:
        """Add lines, whole ones; returns how many bytes of them: up to one that is no message."""
        found = self._pattern.findall(lines)
        lengths = [len(line) for line, _, _ in found]
        if sum(lengths) != len(lines):
            found, lines = self._up_to_strange(lines)
            lengths = [len(line) for line, _, _ in found]
        if not found:
            return 0
        # All in a few calls, as there are hundreds of thousands of lines a second.
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
        """The lines from ``first`` up to ``after`` have the number ``key`` and the next ones."""
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
        """Where line ``index`` begins."""
        return self.ends[index - 1] if index else 0

    def trim(self, read: int) -> None:
        """Forget the bytes before ``read``, which everybody has read."""
        if read - self.base > _SLACK:
            # One line stays: a reader may find out late that it was not what it began as.
            keep = self.start_of(max(0, bisect_left(self.ends, read) - 1))
            del self.data[: keep - self.base]
            self.base = keep


class Reader:
    """One client's place in a transcript, and what it was sent beyond it."""

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
        """``reply`` sends bytes to the server; ``author`` is the number of a sender that does not
        hear itself; ``follows``: it does not write, as an author never does; ``may_skip``: it may
        be told that it is not shown some lines. (No author is.)
        """
        self.name = name
        self.author = author
        self.follows = follows or author is not None
        self.transcript = transcript
        self.offset = 0
        self.problems: list[str] = []
        #: Lines that it was told it would not be shown.
        self.skipped = 0
        self._speech = speech
        self._reply = reply
        self._pending = b""
        self._own = _Runs() if author is None else transcript.own[author]
        #: Own lines before its place: runs, and lines.
        self._own_runs = 0
        self._own_lines = 0
        self._may_skip = may_skip

    def read(self, data: memoryview) -> None:
        """``data`` has come."""
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
        """Compare what is pending, as far as the transcript goes; write it if it ends there."""
        if self._pending:
            self._pending = self._take(memoryview(self._pending))

    def _take(self, data: memoryview) -> bytes:
        """Compare, or write, as much of ``data`` as can be; returns what is left of it."""
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
                # What began like a message is perhaps something else: back to its beginning.
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
        """What it was shown of the line that it is in."""
        transcript = self.transcript
        start = transcript.start_of(bisect_right(transcript.ends, self.offset))
        return bytes(transcript.data[start - transcript.base : self.offset - transcript.base])

    def _stretch(self) -> int:
        """How many bytes of the transcript come next, without lines of one's own."""
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
        """Go as far as ``data``, which is not all as expected, is so; returns how many bytes."""
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
        """At the end of the transcript: what comes is its next part. Returns the bytes used."""
        if self.follows:
            # An author's lines stand between the others', and only the others know where.
            return 0
        written = self.transcript.extend(data[: data.rfind(b"\n") + 1])
        self.offset += written
        return written or self._aside(memoryview(data))

    def _aside(self, data: memoryview) -> int:
        """At the beginning of a line that is not the expected one: what it is; bytes used."""
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
            return 0  # a message of which the end has not come
        else:
            self._complain(line)
        return len(line)

    def _skip(self, first: int, last: int) -> bool:
        """Lines of these numbers are not shown. False while nobody has seen the last of them."""
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

    # -- how far it is ------------------------------------------------------------------------

    def lines_before(self, offset: int) -> int:
        """How many lines end at or before ``offset``, one's own included."""
        return bisect_right(self.transcript.ends, offset)

    def delivered(self) -> int:
        """How many lines it was shown until now."""
        return self.lines_before(self.offset) - self._own_lines - self.skipped

    def missing(self) -> int:
        """How many lines of the transcript it was not shown yet."""
        self._stretch()
        ahead = len(self.transcript.ends) - self.lines_before(self.offset)
        runs, passed = self._own, self._own_runs
        own = zip(runs.firsts[passed:], runs.afters[passed:], strict=True)
        return ahead - sum([after - first for first, after in own])

    @property
    def pending(self) -> int:
        """How many bytes it was sent that are not in the transcript (yet)."""
        return len(self._pending)


class Tally:
    """For a server without one order for all: counts one client's lines, by their length alone."""

    def __init__(
        self, name: str, speech: Speech, ends: Sequence[int], reply: Callable[[bytes], None]
    ) -> None:
        """``ends``: where the lines of a transcript end; all lines have one length."""
        self.name = name
        self.problems: list[str] = []
        self._speech = speech
        self._ends = ends
        self._reply = reply
        self._bytes = 0
        self._tail = b""

    def read(self, data: memoryview) -> None:
        """``data`` has come."""
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
        """How many lines it was shown until now."""
        return self._bytes // self._ends[0] if self._ends else 0

    def lacks(self, lines: int) -> int:
        """How many of ``lines`` lines it was not shown: less than none if it was shown more."""
        return lines - self.delivered()

    @property
    def pending(self) -> int:
        """How many bytes it was sent that are not whole lines."""
        return self._bytes % self._ends[0] if self._ends else self._bytes
