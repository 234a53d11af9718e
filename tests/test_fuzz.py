"""Whatever is sent, nothing fails and nothing dangerous is relayed: row 23 of the table in
``docs/reliability.rst``.

A few thousand lines by default. A million, and their figure, with
``pytest -m slow tests/test_fuzz.py``; TWISTED_CHAT_FUZZ_LINES and TWISTED_CHAT_FUZZ_SEED change how
many, and repeat a run.
"""

from __future__ import annotations

import json
import os
import secrets
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.faults import show
from tests.support.fuzzing import COMMANDS, FIELDS, PIECES, TELNET, TYPES, Defects, Target, fuzz

#: Of each kind, its share of the lines.
SHARES = {"text": 0.4, "json": 0.4, "telnet": 0.2}


@pytest.mark.parametrize("kind", SHARES)
def test_a_few_thousand_lines_do_no_harm(kind: str) -> None:
    with Defects() as defects:
        target = fuzz(kind, 2000, 7)
    assert defects.found == []
    assert target.dangers == []
    assert target.relayed > 1000  # or else nothing was tried


@pytest.mark.slow
def test_a_million_lines_do_no_harm(capsys: pytest.CaptureFixture[str]) -> None:
    count = int(os.environ.get("TWISTED_CHAT_FUZZ_LINES", 1_000_000))
    seed = int(os.environ.get("TWISTED_CHAT_FUZZ_SEED", secrets.randbits(32)))
    print(f"TWISTED_CHAT_FUZZ_SEED={seed}")  # pytest shows it when the test fails
    start = time.monotonic()
    with Defects() as defects:
        targets = [fuzz(kind, int(share * count), seed) for kind, share in SHARES.items()]
    seconds = time.monotonic() - start
    lines = sum(target.lines for target in targets)
    dangers = [danger for target in targets for danger in target.dangers]
    parts = ", ".join(f"{target.lines} {target.kind}" for target in targets)
    show(
        capsys,
        23,
        f"{lines} fuzzed lines ({parts}) in {seconds:.0f} s, {lines / seconds:.0f} a second, seed "
        f"{seed}: {len(defects.found)} tracebacks, {len(dangers)} dangerous lines relayed, of "
        f"{sum(target.relayed for target in targets)} bytes",
    )
    assert defects.found[:3] == []
    assert dangers[:3] == []
    assert lines >= count
    assert all(target.relayed > target.lines for target in targets)  # or else nothing was tried


# -- with structure -------------------------------------------------------------------------------

pieces = st.one_of(
    st.sampled_from(PIECES), st.binary(max_size=30), st.text(max_size=20).map(str.encode)
)
ends = st.sampled_from((b"\n", b"\r\n", b"\r\0"))
text_lines = st.one_of(
    st.builds(
        lambda command, arguments, end: b"/%s %s%s" % (command.encode(), b" ".join(arguments), end),
        st.sampled_from(COMMANDS),
        st.lists(pieces, max_size=4),
        ends,
    ),
    st.builds(lambda said, end: b"".join(said) + end, st.lists(pieces, max_size=4), ends),
)
telnet_lines = st.lists(st.one_of(pieces, st.sampled_from(TELNET), ends), max_size=8).map(b"".join)
json_values = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.text(max_size=20),
        st.sampled_from(("lobby", "Ana", "oi", "ab" * 16)),
    ),
    lambda values: st.one_of(
        st.lists(values, max_size=3), st.dictionaries(st.text(max_size=5), values, max_size=3)
    ),
    max_leaves=5,
)
json_lines = st.builds(
    lambda type, fields, extra: json.dumps(fields | {"type": type}).encode() + extra + b"\n",
    st.sampled_from(TYPES),
    st.dictionaries(st.sampled_from(FIELDS), json_values, max_size=6),
    st.sampled_from((b"", b"", b"", b" ", b"x", b"\r", b"\x1b", b"\xff", b"{}")),
)
LINES = {"text": text_lines, "telnet": telnet_lines, "json": json_lines}


@pytest.mark.parametrize("kind", SHARES)
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data(), size=st.integers(1, 200))
def test_no_conversation_does_harm(kind: str, data: st.DataObject, size: int) -> None:
    """Lines with structure, cut into pieces anywhere."""
    sent = b"".join(data.draw(st.lists(LINES[kind], max_size=12), label="lines"))
    with Defects() as defects:
        target = Target(kind)
        for start in range(0, len(sent), size):
            target.throw(sent[start : start + size])
    assert defects.found == []
    assert target.dangers == []
