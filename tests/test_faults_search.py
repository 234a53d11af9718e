"""Searches, however they are made, delay nobody else: rows 33 and 34 of the table in
``docs/reliability.rst``. Each prints its figure.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.support.faults import Bot, Subject, percentile, show, verdict
from tests.support.processes import environment
from twisted_chat.core.changes import Draft
from twisted_chat.journal.sqlite.store import Store

pytestmark = [pytest.mark.slow, pytest.mark.process]

CONNECTIONS = 16

#: Seconds of each attack.
SECONDS = 4.0

#: In a process of its own, so that what is measured is the server and not this one: each of many
#: connections sends the same line again as soon as it is answered.
ATTACK = f"""
import json, socket, sys, threading
port, request = int(sys.argv[1]), sys.argv[2].encode() + b"\\n"
codes = dict()

def attack(number):
    connection = socket.create_connection(("127.0.0.1", port))
    connection.sendall(b'{{"type":"hello","nickname":"a%d"}}\\n' % number)
    buffer = b""
    while True:
        connection.sendall(request)
        while True:
            buffer += connection.recv(1 << 20)
            *lines, buffer = buffer.split(b"\\n")
            answers = [line for line in lines if b'"id":"attack"' in line[-9000:] + line[:200]]
            if answers:
                break
        for line in answers:
            error = json.loads(line) if line.startswith(b'{{"type":"error"') else {{}}
            code = error.get("code", "found")
            codes[code] = codes.get(code, 0) + 1

for number in range({CONNECTIONS}):
    threading.Thread(target=attack, args=(number,), daemon=True).start()
sys.stdin.read()
print(json.dumps(codes))
"""


@contextmanager
def attacked(port: int, words: str) -> Iterator[dict[str, int]]:
    """Inside, others search for ``words``; afterwards, there is what they were answered."""
    request = {"type": "search", "words": words, "limit": 100, "id": "attack"}
    answers: dict[str, int] = {}
    with subprocess.Popen(
        [sys.executable, "-c", ATTACK, str(port), json.dumps(request, ensure_ascii=False)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment(),
    ) as attackers:
        try:
            yield answers
            answers.update(json.loads(attackers.communicate(b"", timeout=20)[0]))
        finally:
            attackers.kill()


class Bystander(threading.Thread):
    """Asks for something small again and again; ``delays`` are in milliseconds."""

    def __init__(self, port: int, name: str, request: dict[str, object], answer: str) -> None:
        super().__init__(daemon=True)
        self.delays: list[float] = []
        self._bot = Bot(port, name)
        self._request = request
        self._answer = answer
        self._ended = threading.Event()

    def run(self) -> None:
        while not self._ended.wait(0.02):
            start = time.perf_counter()
            self._bot.send(self._request)
            self._bot.wait_for(self._answer)
            self.delays.append(1000 * (time.perf_counter() - start))

    def end(self) -> Sequence[float]:
        self._ended.set()
        self.join(30)
        self._bot.close()
        return self.delays


def fill(folder: Path, texts: Sequence[str]) -> None:
    with closing(Store(str(folder / "chat.db"))) as store:
        store.commit([Draft("lobby", 1, "say", "Ana", text, 0, None) for text in texts])
        while store.index(1000):
            pass


def measure(server: Subject, words: str) -> tuple[dict[str, int], Sequence[float], Sequence[float]]:
    """What attackers are answered, and the delays of others' pings and pages of history."""
    ping = Bystander(server.port, "Ping", {"type": "ping"}, "pong")
    history = Bystander(server.port, "History", {"type": "history", "limit": 20}, "history")
    with attacked(server.port, words) as answers:
        time.sleep(1.0)
        ping.start()
        history.start()
        time.sleep(SECONDS)
        delays = ping.end(), history.end()
    return answers, *delays


def told(answers: dict[str, int]) -> str:
    return ", ".join(f"{count} {code}" for code, count in sorted(answers.items()))


# -- row 33: one search with very many words ------------------------------------------------------


def test_a_search_with_very_many_words_delays_nobody(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither where it is refused nor where it has as many as it may, and finds the longest."""
    fill(tmp_path, ["word é " * 570] * 300)
    figures = []
    with Subject(tmp_path, "--rate=off", "--history-lines=0", "--keep=0") as server:
        for what, words in (
            ("4 kB of words", "a b é " * 510),
            ("the most words", "word é " * 8),
        ):
            answers, pings, pages = measure(server, words)
            p99 = percentile(pings, 0.99)
            figures.append(
                f"{what}: {told(answers)}; others' ping p99 {p99:.0f} ms, {verdict(p99, 50)}; "
                f"/history p99 {percentile(pages, 0.99):.0f} ms"
            )
            assert set(answers) <= {"search-too-long", "found"}
    show(capsys, 33, f"{CONNECTIONS} connections: " + "; ".join(figures))


# -- row 34: searches that take long --------------------------------------------------------------


def test_searches_that_take_long_are_interrupted_and_delay_nobody(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Phrases of one-letter tokens that every text holds in part: also of Chinese characters."""
    fill(tmp_path, ["a b c " * 660] * 4000 + ["日本語" * 440] * 4000)
    figures = []
    with Subject(tmp_path, "--rate=off", "--history-lines=0", "--keep=0") as server:
        searcher = Bot(server.port, "Searcher")
        for what, words in (
            ("900 letters", "a-b-c-" * 300 + "c"),
            ("126 letters", "a-b-c-" * 42 + "c"),
            ("83 characters", "日本語" * 27 + "日日"),
        ):
            answers, pings, pages = measure(server, words)
            p99, slowest = percentile(pings, 0.99), percentile(pages, 1.0)
            searcher.ask(type="search", words=words, id="s")  # behind those that still wait
            start = time.monotonic()
            searcher.ask(type="search", words=words, id="t")
            took = time.monotonic() - start
            figures.append(
                f"{what}: {told(answers)}, one alone after {took:.1f} s; others' ping p99 "
                f"{p99:.0f} ms, {verdict(p99, 50)}; /history {slowest:.0f} ms at most"
            )
            assert set(answers) <= {"search-too-long", "search-too-slow", "found"}
        searcher.close()
    show(capsys, 34, f"{CONNECTIONS} connections: " + "; ".join(figures))
