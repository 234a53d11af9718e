"""Texts with characters that could steer a terminal, and the check that none is left."""

from __future__ import annotations

import unicodedata

from hypothesis import strategies as st

BIDI_CONTROLS = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}


#: Any code point, lone surrogates too, with the hostile ones often.
any_text = st.text(
    st.one_of(
        st.characters(exclude_categories=()),
        st.sampled_from("\x00\x07\x08\t\n\r\x1b\x7f\x85\x9b\u2028\u2029\u202e\u2066\u2069\ud800"),
    )
)


def is_safe(data: bytes) -> bool:
    """Whether ``data`` is lines of text that no terminal takes for commands."""
    text = data.decode("utf-8")
    return text.endswith("\n") and not any(
        unicodedata.category(character) in {"Cc", "Cs", "Zl", "Zp"}
        or unicodedata.bidirectional(character) in BIDI_CONTROLS
        for character in text.replace("\n", "").replace("\t", "")
    )


#: Text with what should never be in it, and with what looks like a placeholder.
hostile = st.lists(
    st.one_of(
        st.text(st.characters(exclude_categories=()), max_size=5),
        st.sampled_from(
            [
                "\x1b]52;c;aGk=\x07",
                "\x1b[2J",
                "\x9b31m",
                "\r[SERVER]: no",
                "\n",
                "\r\n",
                "\0",
                "\u202e",
                "\u2066",
                "\u2028",
                "\ud800",
                "{name}",
                "{0}",
                "{",
                "%s",
            ]
        ),
    ),
    max_size=4,
).map("".join)
