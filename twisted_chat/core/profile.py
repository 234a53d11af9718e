"""The kind of client that somebody uses, as separate flags.

A dialect has a profile; its connection gives it to the session. Only the flags decide how the chat
treats a client: nothing in the core asks for the dialect.
"""

from __future__ import annotations

import msgspec


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """The properties of one kind of client. Each flag is independent of the others."""

    #: Its first request is ``hello``: a plain line before that is not a nickname.
    introduces_itself: bool
    #: It enters the default room on joining the chat, besides the rooms that it asks for.
    enters_default_room: bool
    #: It is shown the last entries of a room that it joins. They are marked as replayed, and so
    #: are missed entries when it comes back.
    wants_replay: bool
    #: It is shown its own lines.
    receives_own_lines: bool
    #: Each of its entries is acknowledged; so a topic that changes nothing is stored, too.
    receives_acknowledgements: bool
    #: Its messages have ids, and a message with a known id is not stored again. It resends messages
    #: that were not acknowledged, so the server keeps none of them for it.
    deduplicates: bool
    #: It keeps sequence numbers, and resumes after them. Any other client gets a code, and resumes
    #: at the first line that did not arrive.
    resumes_by_number: bool
    #: It is shown every entry, however far it is behind.
    never_skips: bool
    #: Its blank lines are ignored; otherwise, a blank text is refused.
    ignores_blank_lines: bool
    #: It is shown a goodbye when it quits.
    receives_goodbye: bool


#: A person at a terminal.
PERSON = Profile(
    introduces_itself=False,
    enters_default_room=True,
    wants_replay=True,
    receives_own_lines=False,
    receives_acknowledgements=False,
    deduplicates=False,
    resumes_by_number=False,
    never_skips=False,
    ignores_blank_lines=True,
    receives_goodbye=True,
)

#: A program that keeps what it has seen and what it has sent.
PROGRAM = Profile(
    introduces_itself=True,
    enters_default_room=True,
    wants_replay=False,
    receives_own_lines=True,
    receives_acknowledgements=True,
    deduplicates=True,
    resumes_by_number=True,
    never_skips=True,
    ignores_blank_lines=False,
    receives_goodbye=False,
)
