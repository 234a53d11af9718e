"""The wording of each event for people: the lines of the text dialect, without their ends. Pure.

In Portuguese, the greeting, the notices and the lines of messages are exactly those of the paper
from which this service grew. This module must not know bytes or line ends.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from msgspec import structs

from twisted_chat.core import commands
from twisted_chat.core.characters import visible
from twisted_chat.core.errors import UnknownCommand
from twisted_chat.core.events import (
    Acknowledged,
    Announced,
    Entered,
    EntriesRemoved,
    Entry,
    Event,
    Goodbye,
    Greeted,
    HelpShown,
    HistoryShown,
    HowToLeave,
    IgnoredListed,
    Ignoring,
    Joined,
    LanguageShown,
    Left,
    LimitsShown,
    LinesSkipped,
    MailStarts,
    MessageKept,
    NothingWaits,
    NotSent,
    PeopleListed,
    Pong,
    PresenceSummary,
    ReceiptsSet,
    Refused,
    Renamed,
    Replaced,
    Replayed,
    ReplayStarts,
    RoomLeft,
    RoomsListed,
    SearchShown,
    ServerStopping,
    Slowed,
    StillHere,
    Style,
    TimestampsSet,
    Told,
    TopicShown,
    Welcomed,
)
from twisted_chat.core.limits import SEARCH_BYTES, SEARCH_WORDS, SOFT_LIMIT
from twisted_chat.core.requests import SetTimestamps
from twisted_chat.dialects.account_words import RENDERERS as ABOUT_ACCOUNTS
from twisted_chat.dialects.display import rows, shown
from twisted_chat.dialects.room_words import RENDERERS as ABOUT_ROOMS
from twisted_chat.dialects.sentences import notice as _notice
from twisted_chat.dialects.sentences import some as _some
from twisted_chat.dialects.sentences import translate as _translate
from twisted_chat.dialects.sentences import when as _when
from twisted_chat.i18n.language import N_, catalogue

#: The most nicknames in a notice of several people who joined or left at once.
CROWD_NAMES = 3

#: Lines of history that a notice suggests to ask for if the page is not full.
SHORT_PAGE = 20


def lines(events: Sequence[Event], style: Style) -> list[str]:
    """``events`` as lines, without their line ends."""
    return [line for event in events for line in RENDERERS[type(event)](event, style)]


def _prefix(room: str, style: Style) -> str:
    return f"#{visible(room)} " if style.prefixed else ""


def _spoken(entry: Entry, style: Style, before: str = "") -> list[str]:
    """The lines of ``entry``; ``before`` stands at the beginning of the first one."""
    if entry.kind == "topic" and not entry.text:
        return [before + _notice(style, N_("{name} cleared the topic."), name=entry.nickname)]
    if entry.kind == "topic":
        sentence = N_("{name} changed the topic to: {topic}")
        return [before + _notice(style, sentence, name=entry.nickname, topic=shown(entry.text))]
    name = visible(entry.nickname)
    first, *others = rows(entry.text)
    if entry.kind == "act":
        return [f"{before}* {name} {first}", *others]
    return [f"{before}[{name}]: {first}", *others]


def _entry(entry: Entry, style: Style) -> list[str]:
    time = f"{_when(entry.time, style):%H:%M} " if style.timestamps else ""
    return _spoken(entry, style, f"{time}{_prefix(entry.room, style)}")


def _dated(entry: Entry, style: Style, before: str = "") -> list[str]:
    return _spoken(entry, style, f"{before}{_when(entry.time, style):%Y-%m-%d %H:%M} ")


def _greeted(event: Greeted, style: Style) -> list[str]:
    return [_translate(style, N_("Welcome! Please type your username:"))]


def _welcomed(event: Welcomed, style: Style) -> list[str]:
    if event.resumed:
        sentence = N_("Welcome back, {name}.")
    else:
        sentence = N_("You are {name} now. /help shows the commands; /quit leaves.")
    code = N_("If the connection is lost, /resume {code} brings you back.")
    return [
        *(visible(line) for line in event.motd),
        _notice(style, sentence, name=event.nickname),
        _notice(style, code, code=event.code),
    ]


def _entered(event: Entered, style: Style) -> list[str]:
    if event.people:
        people = _some(event.people, event.people_count, style)
        line = _notice(style, N_("Also in #{room}: {people}."), room=event.room, people=people)
    else:
        line = _notice(style, N_("You are alone in #{room}."), room=event.room)
    if event.until_stop and event.keep_days:
        kept = N_("Messages here are kept until the server stops, for {days} days at most.")
    elif event.until_stop:
        kept = N_("Messages here are kept until the server stops.")
    else:
        kept = N_("Messages here are kept for {days} days.") if event.keep_days else ""
    if kept:
        line += " " + _translate(style, kept, days=f"{event.keep_days:g}")
    if not event.current:
        line = _notice(style, N_("On another device, you joined #{room}."), room=event.room)
    return [line, *(_topic_line(event.topic, event.topic_by, style) if event.topic else ())]


def _room_left(event: RoomLeft, style: Style) -> list[str]:
    if event.current is None:
        return [_notice(style, N_("You left #{room}."), room=event.room)]
    sentence = N_("You left #{room}. What you type goes to #{current}.")
    return [_notice(style, sentence, room=event.room, current=event.current)]


def _joined(event: Joined, style: Style) -> list[str]:
    sentence = N_("{name} joined the chat.") if event.arrived else N_("{name} joined the room.")
    return [_prefix(event.room, style) + _notice(style, sentence, name=event.nickname)]


def _left(event: Left, style: Style) -> list[str]:
    sentence = N_("{name} left the chat.") if event.departed else N_("{name} left the room.")
    return [_prefix(event.room, style) + _notice(style, sentence, name=event.nickname)]


def _crowd(event: PresenceSummary, style: Style) -> list[str]:
    if event.joined:
        sentence = (
            N_("{people} joined the chat.") if event.chat else N_("{people} joined the room.")
        )
    else:
        sentence = N_("{people} left the chat.") if event.chat else N_("{people} left the room.")
    people = _some(event.people[:CROWD_NAMES], event.count, style)
    return [_prefix(event.room, style) + _notice(style, sentence, people=people)]


def _renamed(event: Renamed, style: Style) -> list[str]:
    if event.own:
        return [_notice(style, N_("You are {new} now."), new=event.new)]
    return [_notice(style, N_("{old} is {new} now."), old=event.old, new=event.new)]


def _told(event: Told, style: Style) -> list[str]:
    time = f"{_when(event.time, style):%H:%M} " if style.timestamps else ""
    if event.kept:
        time = f"{_when(event.time, style):%Y-%m-%d %H:%M} "
    sentence = N_("[to {name}, in private]") if event.own else N_("[{name}, in private]")
    name = event.recipient if event.own else event.sender
    first, *others = rows(event.text)
    return [f"{time}{_translate(style, sentence, name=name)}: {first}", *others]


def _kept(event: MessageKept, style: Style) -> list[str]:
    return [_notice(style, N_("Kept for {name}, who is away."), name=event.recipient)]


def _mail_starts(event: MailStarts, style: Style) -> list[str]:
    sentence = N_("Private messages kept while you were away: {n} (times are UTC).")
    if style.local:
        sentence = N_("Private messages kept while you were away: {n} (in your local time).")
    return [_notice(style, sentence, n=event.count)]


def _announced(event: Announced, style: Style) -> list[str]:
    prefix = "" if event.room is None else _prefix(event.room, style)
    return [prefix + _notice(style, "{text}", text=event.text)]


def _rooms_listed(event: RoomsListed, style: Style) -> list[str]:
    if event.rooms:
        sentence = N_("Rooms, and the number of people in each ({n} in all):")
        lines = [_notice(style, sentence, n=event.count)]
    elif event.more:
        lines = [_notice(style, N_("No room matches among those searched so far."))]
    elif event.all:
        lines = [_notice(style, N_("No room matches."))]
    else:
        sentence = N_("No room matches. /rooms all includes the empty ones.")
        lines = [_notice(style, sentence)]
    for room in event.rooms:
        topic = f"  {shown(room.topic)}" if room.topic else ""
        lines.append(f"  {room.people:>5}  #{visible(room.room)}{topic}")
    if event.more:
        more = N_("/rooms {word}after {room} shows the next ones.")
        if event.all:
            more = N_("/rooms all {word}after {room} shows the next ones.")
        word = f"{shown(event.word)} " if event.word else ""
        lines.append("  " + _translate(style, more, word=word, room=event.after))
    return lines


def _people_listed(event: PeopleListed, style: Style) -> list[str]:
    if not event.people:
        return [_notice(style, N_("Nobody is in #{room}."), room=event.room)]
    people = _some(event.people, event.people_count, style)
    sentence = N_("In #{room} ({n}): {people}.")
    return [_notice(style, sentence, room=event.room, n=event.people_count, people=people)]


def _topic_shown(event: TopicShown, style: Style) -> list[str]:
    if event.topic:
        return _topic_line(event.topic, event.topic_by, style)
    return [_notice(style, N_("#{room} has no topic. /topic TEXT sets one."), room=event.room)]


def _topic_line(topic: str, by: str, style: Style) -> list[str]:
    if by:
        return [_notice(style, N_("Topic, set by {name}: {topic}"), name=by, topic=shown(topic))]
    return [_notice(style, N_("Topic: {topic}"), topic=shown(topic))]


def _replay_starts(event: ReplayStarts, style: Style) -> list[str]:
    if event.resumed:
        sentence = N_("Said while you were away (times are UTC):")
    elif style.local:
        sentence = N_("Said before you joined (in your local time):")
    else:
        sentence = N_("Said before you joined (times are UTC):")
    return [_prefix(event.room, style) + _notice(style, sentence)]


def _replayed(event: Replayed, style: Style) -> list[str]:
    return _dated(event.entry, style, _prefix(event.entry.room, style))


def _lines_skipped(event: LinesSkipped, style: Style) -> list[str]:
    sentence = N_(
        "You fell behind: lines {first} to {last} were skipped. "
        "/history {room} 100 before {end} shows the last of them."
    )
    details = {"first": event.first, "last": event.last, "end": event.last + 1}
    return [_prefix(event.room, style) + _notice(style, sentence, room=event.room, **details)]


def _entries_removed(event: EntriesRemoved, style: Style) -> list[str]:
    sentence = N_(
        "The lines that you missed are no longer kept; the oldest line is number {first}."
    )
    return [_prefix(event.room, style) + _notice(style, sentence, first=event.first)]


def _acknowledged(event: Acknowledged, style: Style) -> list[str]:
    sentence = N_("Saved as number {number} of #{room}.")
    return [_notice(style, sentence, number=e.number, room=e.room) for e in event.entries]


def _search_shown(event: SearchShown, style: Style) -> list[str]:
    if not event.entries:
        return [_notice(style, N_("Nothing was found for: {words}"), words=event.words)]
    sentence = N_("Found, newest first (times are UTC):")
    if style.local:
        sentence = N_("Found, newest first (in your local time):")
    lines = [_notice(style, sentence)]
    for entry, snippet in zip(event.entries, event.snippets, strict=False):
        short = structs.replace(entry, text=snippet.replace("\n", " "))
        lines += _dated(short, style, f"  #{visible(entry.room)} {entry.number} ")
    return lines


def _replaced(event: Replaced, style: Style) -> list[str]:
    return [_notice(style, N_("You came back over another connection; this one is closed."))]


def _receipts_set(event: ReceiptsSet, style: Style) -> list[str]:
    if event.on:
        return [_notice(style, N_("You will see the number of each of your lines."))]
    return [_notice(style, N_("You will not see the numbers of your lines."))]


def _pong(event: Pong, style: Style) -> list[str]:
    return [_notice(style, N_("Yes, I am here."))]


def _history_shown(event: HistoryShown, style: Style) -> list[str]:
    first = event.entries[0].number if event.entries else event.first
    before = event.before or (first if first > event.first else 0)
    if not event.entries and not before:
        return [_notice(style, N_("There are no more messages in #{room}."), room=event.room)]
    sentence = N_("History of #{room} (times are UTC):")
    if style.local:
        sentence = N_("History of #{room} (in your local time):")
    lines = [_notice(style, sentence, room=event.room)]
    for entry in event.entries:
        lines += _dated(entry, style, f"{entry.number:>6} ")
    if before:
        sentence = N_("/history {room} {n} before {first} shows earlier messages.")
        n = SHORT_PAGE if event.before else len(event.entries)
        details = {"n": n, "first": before}
        lines.append(_notice(style, sentence, room=event.room, **details))
    return lines


def _ignored_listed(event: IgnoredListed, style: Style) -> list[str]:
    if not event.people:
        return [_notice(style, N_("You are not ignoring anybody."))]
    return [_notice(style, N_("You are ignoring: {people}."), people=", ".join(event.people))]


def _ignoring(event: Ignoring, style: Style) -> list[str]:
    if event.on:
        sentence = N_("You are ignoring {name} now. /unignore {name} undoes it.")
    else:
        sentence = N_("You are no longer ignoring {name}.")
    return [_notice(style, sentence, name=event.nickname)]


def _language_shown(event: LanguageShown, style: Style) -> list[str]:
    if event.changed:
        return [_notice(style, N_("I will speak English to you."))]
    sentence = N_("Your language is {language}. Available: {languages}.")
    languages = ", ".join(event.languages)
    return [_notice(style, sentence, language=event.language, languages=languages)]


def _timestamps_set(event: TimestampsSet, style: Style) -> list[str]:
    if event.on and style.local:
        return [_notice(style, N_("Each line will show its time (your local time)."))]
    if event.on:
        return [_notice(style, N_("Each line will show its time (UTC)."))]
    return [_notice(style, N_("Lines will not show their time."))]


def help_lines(name: str | None, style: Style, table: commands.Table) -> list[str]:
    """The help for all commands of ``table``, or only for the command ``name``, as lines."""
    translate = catalogue(style.language).gettext
    if name is not None:
        try:
            chosen = table.find_all(name)
        except UnknownCommand as refusal:
            return _refused(Refused(refusal), style)
        lines = []
    else:
        chosen = list(table.typed)
        lines = [_notice(style, N_("What you type goes to everybody in the room. Commands:"))]
    width = max(len(command.usage(style.language)) for command in chosen)
    for command in chosen:
        usage = command.usage(style.language)
        help = command.help
        if style.local and command.request is SetTimestamps:
            help = N_("Show the time (your local time) of each line.")
        lines.append(f"  {usage:<{width}}  {translate(help)}")
    if name is not None:
        names = ", ".join(f"/{name}" for command in chosen for name in command.names)
        lines.append("  " + _translate(style, N_("Names: {names}"), names=names))
    else:
        lines.append(
            "  " + _translate(style, N_("To send a line that starts with /, start it with //."))
        )
    return lines


def _help_shown(event: HelpShown, style: Style) -> list[str]:
    return help_lines(event.command, style, commands.TABLE)


def _limits_shown(event: LimitsShown, style: Style) -> list[str]:
    limits = event.limits
    shown: list[tuple[str, dict[str, object]]] = [
        (N_("A line has up to {line} bytes."), {"line": limits.text}),
        (
            N_("A nickname has up to {name} characters, a room's name {room}, a topic {topic}."),
            {"name": limits.nickname, "room": limits.room, "topic": limits.topic},
        ),
        (N_("You can be in up to {rooms} rooms."), {"rooms": limits.rooms}),
        (N_("A page of history has up to {page} lines."), {"page": limits.page}),
        (
            N_("A search has up to {words} words and {bytes} bytes."),
            {"words": SEARCH_WORDS, "bytes": SEARCH_BYTES},
        ),
    ]
    if limits.rate is not None:
        sentence = N_(
            "One address can send {burst:g} lines at once, then {per_second:g} per second."
        )
        shown.append((sentence, structs.asdict(limits.rate)))
    if limits.login_deadline:
        sentence = N_("Choose a name within {seconds:g} seconds.")
        shown.append((sentence, {"seconds": limits.login_deadline}))
    if limits.connections_per_address:
        sentence = N_("One address can have up to {connections} connections.")
        shown.append((sentence, {"connections": limits.connections_per_address}))
    if limits.rooms_per_hour:
        sentence = N_("One address can create up to {rooms} rooms per hour.")
        shown.append((sentence, {"rooms": limits.rooms_per_hour}))
    if limits.max_clients:
        sentence = N_("The server accepts up to {connections} connections.")
        shown.append((sentence, {"connections": limits.max_clients}))
    sentence = N_(
        "With {soft} bytes waiting for your client, the server pauses until it reads again."
    )
    shown.append((sentence, {"soft": SOFT_LIMIT}))
    if limits.max_waiting:
        sentence = N_("Your connection is closed when more than {hard} bytes wait for your client.")
        shown.append((sentence, {"hard": limits.max_waiting}))
    if limits.write_timeout:
        sentence = N_("It is also closed if your client reads nothing for {seconds:g} seconds.")
        shown.append((sentence, {"seconds": limits.write_timeout}))
    lines = [f"  {_translate(style, sentence, **details)}" for sentence, details in shown]
    return [_notice(style, N_("The limits of this server:")), *lines]


def _slowed(event: Slowed, style: Style) -> list[str]:
    sentence = N_(
        "Your address sends more than {burst:g} lines at once and {per_second:g} per "
        "second: the rest will wait a moment. Nothing is lost."
    )
    return [_notice(style, sentence, burst=event.burst, per_second=event.per_second)]


def _still_here(event: StillHere, style: Style) -> list[str]:
    return [_notice(style, N_("Yes, I am here."))]


def _how_to_leave(event: HowToLeave, style: Style) -> list[str]:
    return [_notice(style, N_("To leave, type /quit and press Enter."))]


def _refused(event: Refused, style: Style) -> list[str]:
    return [_notice(style, "{text}", text=event.refusal.sentence(style.language))]


def _not_sent(event: NotSent, style: Style) -> list[str]:
    return [_notice(style, N_("Your lines that were not sent: {count}."), count=event.count)]


def _nothing_waits(event: NothingWaits, style: Style) -> list[str]:
    return [_notice(style, N_("None of your lines is waiting to be sent."))]


def _goodbye(event: Goodbye, style: Style) -> list[str]:
    return [_notice(style, N_("Goodbye!"))]


def _server_stopping(event: ServerStopping, style: Style) -> list[str]:
    sentence = N_("The server is shutting down. All messages are saved. Goodbye!")
    if event.until_stop:
        sentence = N_("The server is shutting down. Its messages are no longer kept. Goodbye!")
    elif event.some_unsaved:
        sentence = N_(
            "The server is shutting down. All messages are saved, except your lines "
            "that were reported as not saved or not sent. Goodbye!"
        )
    return [_notice(style, sentence)]


#: The function that words each kind of event.
RENDERERS: dict[type[Event], Callable[[Any, Style], list[str]]] = {
    **ABOUT_ACCOUNTS,
    **ABOUT_ROOMS,
    Acknowledged: _acknowledged,
    EntriesRemoved: _entries_removed,
    LimitsShown: _limits_shown,
    Pong: _pong,
    ReceiptsSet: _receipts_set,
    NotSent: _not_sent,
    NothingWaits: _nothing_waits,
    Goodbye: _goodbye,
    Replaced: _replaced,
    SearchShown: _search_shown,
    Slowed: _slowed,
    Announced: _announced,
    PresenceSummary: _crowd,
    Entered: _entered,
    Entry: _entry,
    Greeted: _greeted,
    HelpShown: _help_shown,
    HistoryShown: _history_shown,
    HowToLeave: _how_to_leave,
    IgnoredListed: _ignored_listed,
    Ignoring: _ignoring,
    Joined: _joined,
    LanguageShown: _language_shown,
    Left: _left,
    LinesSkipped: _lines_skipped,
    PeopleListed: _people_listed,
    Refused: _refused,
    Renamed: _renamed,
    Replayed: _replayed,
    ReplayStarts: _replay_starts,
    RoomLeft: _room_left,
    RoomsListed: _rooms_listed,
    ServerStopping: _server_stopping,
    StillHere: _still_here,
    TimestampsSet: _timestamps_set,
    Told: _told,
    MessageKept: _kept,
    MailStarts: _mail_starts,
    TopicShown: _topic_shown,
    Welcomed: _welcomed,
}
