"""``verify``, ``history``, ``export``, ``backup`` and ``reindex``: what they print, how they end.

Exit status: 0 all is well; 1 the log is damaged, or does not contain the room; 2 the database
could not be read, or the output could not be written.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from io import TextIOWrapper
from typing import TextIO

from twisted_chat.archive.backup import LogDamaged, back_up
from twisted_chat.archive.database import Archive, Room, open_archive
from twisted_chat.archive.export import FORMATS
from twisted_chat.archive.progress import Progress, grouped
from twisted_chat.archive.reindex import reindex as make_index_anew
from twisted_chat.archive.verify import Verification
from twisted_chat.console.output import NOBODY_READS, CannotWrite, forget_output, why_not
from twisted_chat.core.characters import visible
from twisted_chat.core.errors import CannotStart, Refusal
from twisted_chat.core.events import Entry, Replayed, Style
from twisted_chat.core.names import room_among
from twisted_chat.dialects import wording
from twisted_chat.i18n.language import N_, catalogue

#: Ends of the names of the files that belong to a database besides the file itself.
_COMPANIONS = ("", "-wal", "-shm", "-journal", ".lock", ".control")

#: The byte order mark, by which spreadsheets know UTF-8.
BOM = "\ufeff"

#: The status of a program that Ctrl-C ended, as a shell has it.
_INTERRUPTED = 130


class OutputIsDatabase(CannotStart):
    code = "output-is-database"
    template = N_("{path} belongs to the database itself and was not changed")


class BomForTables(CannotStart):
    code = "bom-for-tables"
    template = N_(
        "--bom works only with --format csv: in the other formats it would be part of the text"
    )


def verify(path: str, language: str) -> int:
    """Check the whole log at ``path``; prints each damage, or the counts of the check."""

    def work(archive: Archive, output: TextIO, progress: Progress) -> int:
        verification = _check(archive, output, progress, language)
        if verification is None:
            return 1
        print(_all_is_well(verification, language), file=output)
        return 0

    return _run("verify", path, language, work, streams=False)


def backup(path: str, copy: str, language: str) -> int:
    """Copy the database at ``path`` to the file ``copy``; prints the counts of the check.

    Once the copy has its name, the status is 0, even if that cannot be printed.
    """

    def complain(sentence: str) -> None:
        _complain(f"twisted-chat backup: {sentence}")

    def work(archive: Archive, output: TextIO, progress: Progress) -> int:
        if "\0" in copy:
            raise CannotWrite(path=visible(copy), reason="embedded null byte")
        if _belongs(copy, path):
            raise OutputIsDatabase(path=visible(copy))

        def done(verification: Verification, warnings: Sequence[Refusal]) -> None:
            for warning in warnings:
                complain(warning.sentence(language))
            try:
                print(_all_is_well(verification, language), file=output, flush=True)
            except OSError as error:
                _, sentence = why_not(error, language)
                if sentence:
                    complain(sentence)

        try:
            back_up(archive, copy, progress, done)
        except LogDamaged as damaged:
            progress.erase()
            for finding in damaged.findings:
                print(finding.sentence(language), file=output, flush=True)
            raise
        return 0

    return _run("backup", path, language, work, streams=False)


def _check(
    archive: Archive, output: TextIO, progress: Progress, language: str
) -> Verification | None:
    """Print each damage of ``archive``; returns the counts of the check if there is none."""
    whole = True
    progress.start()
    verification = Verification(archive, progress)
    for finding in verification.findings():
        whole = False
        progress.erase()
        print(finding.sentence(language), file=output, flush=True)
    progress.erase()
    return verification if whole else None


def _all_is_well(verification: Verification, language: str) -> str:
    translate = catalogue(language).gettext
    rooms = N_("1 room") if verification.rooms == 1 else N_("{n} rooms")
    entries = N_("1 entry") if verification.entries == 1 else N_("{n} entries")
    return translate(N_("{rooms}, {entries}: all is well.")).format(
        rooms=translate(rooms).format(n=grouped(verification.rooms, language)),
        entries=translate(entries).format(n=grouped(verification.entries, language)),
    )


def reindex(path: str, language: str) -> int:
    """Rebuild the search index of the database at ``path``; prints the number of entries."""

    def run() -> int:
        with _output(None, None, path) as output, _progress(language, busy=False) as progress:
            entries = make_index_anew(path, progress)
            progress.erase()
            sentence = N_("The search index was rebuilt from 1 entry.")
            if entries != 1:
                sentence = N_("The search index was rebuilt from {n} entries.")
            shown = catalogue(language).gettext(sentence).format(n=grouped(entries, language))
            print(shown, file=output)
            return 0

    logging.getLogger("twisted_chat").addHandler(
        logging.NullHandler()
    )  # it would log what was asked
    return _status_of(run, "reindex", language)


def history(path: str, room: str, last: int | None, language: str) -> int:
    """Print the entries of ``room``, oldest first: all, or only the ``last`` ones."""

    def work(archive: Archive, output: TextIO, progress: Progress) -> int:
        found = _find(archive, room)
        width = len(str(found.last))
        for entries in _counted(archive, [found], progress, last):
            for entry in entries:
                first, *others = wording.lines([Replayed(entry)], Style(language))
                output.write(f"{entry.number:>{width}} {first}\n")
                output.writelines(f"{line}\n" for line in others)
        return 0

    return _run("history", path, language, work)


def export(
    path: str, room: str | None, format: str, output: str | None, language: str, bom: bool = False
) -> int:
    """Write the entries of ``room``, or of every room, in one of :data:`FORMATS`, in UTF-8.

    They go to the file ``output``, or to standard output. ``bom`` puts a byte order mark in
    front, for CSV only.
    """

    def work(archive: Archive, output: TextIO, progress: Progress) -> int:
        if bom and format != "csv":
            raise BomForTables()
        rooms = archive.rooms() if room is None else [_find(archive, room)]
        if bom:
            output.write(BOM)
        for text in FORMATS[format](_counted(archive, rooms, progress), language):
            output.write(text)
        return 0

    return _run("export", path, language, work, output, "utf-8")


def _find(archive: Archive, name: str) -> Room:
    """The room that a person means by ``name``."""
    try:
        return archive.room(room_among(name, [room.name for room in archive.rooms()]))
    except Refusal:
        return archive.room(name.removeprefix("#"))


def _counted(
    archive: Archive, rooms: Sequence[Room], progress: Progress, last: int | None = None
) -> Iterator[Sequence[Entry]]:
    """The entries of ``rooms``; shows the progress as they are consumed."""
    kept = [room.last - room.base for room in rooms]
    progress.expect(sum(kept if last is None else [min(last, count) for count in kept]))
    for room in rooms:
        for entries in archive.entries(room, last):
            yield entries
            progress.advance(len(entries))


# -- around them ------------------------------------------------------------------------------


def _run(
    command: str,
    database: str,
    language: str,
    work: Callable[[Archive, TextIO, Progress], int],
    output_path: str | None = None,
    encoding: str | None = None,
    streams: bool = True,
) -> int:
    """The exit status of ``work``; an error is printed as one line and has a status of its own.

    ``streams``: ``work`` prints all the time, not only after it has erased the progress.
    """

    def run() -> int:
        with (
            open_archive(database) as archive,
            _output(output_path, encoding, database) as output,
            _progress(language, busy=streams and output.isatty()) as progress,
        ):
            return work(archive, output, progress)

    return _status_of(run, command, language)


def _status_of(run: Callable[[], int], command: str, language: str) -> int:
    try:
        return run()
    except Refusal as refusal:
        _complain(f"twisted-chat {command}: {refusal.sentence(language)}")
        return 2 if isinstance(refusal, CannotStart) else 1
    except BrokenPipeError:
        return NOBODY_READS
    except KeyboardInterrupt:
        return _INTERRUPTED


def _complain(line: str) -> None:
    if sys.stderr is not None:
        if isinstance(sys.stderr, TextIOWrapper):
            sys.stderr.reconfigure(errors="replace")
        print(line, file=sys.stderr, flush=True)


@contextmanager
def _output(path: str | None, encoding: str | None, database: str) -> Iterator[TextIO]:
    """Where to write to: the file ``path``, or standard output.

    :raises CannotWrite: it cannot be written.
    :raises OutputIsDatabase: ``path`` is a file of the database.
    """
    try:
        with ExitStack() as stack:
            stream = _open(path, encoding, database, stack)
            yield stream
            stream.flush()
    except OSError as error:
        if path is None:
            forget_output()
        if isinstance(error, BrokenPipeError):
            raise
        shown = "stdout" if path is None else visible(path)
        raise CannotWrite(path=shown, reason=error.strerror) from error


def _open(path: str | None, encoding: str | None, database: str, stack: ExitStack) -> TextIO:
    if path is None and sys.stdout is not None:
        if isinstance(sys.stdout, TextIOWrapper):
            if not sys.stdout.isatty():
                encoding = "utf-8"  # its later readers may have another locale
            sys.stdout.reconfigure(encoding=encoding, errors="replace")
        return sys.stdout
    if path is None:  # it was closed
        path = os.devnull
    if "\0" in path:
        raise OSError(None, "embedded null byte")
    if _belongs(path, database):
        raise OutputIsDatabase(path=visible(path))
    return stack.enter_context(open(path, "w", encoding="utf-8", newline=""))


def _belongs(path: str, database: str) -> bool:
    """Whether ``path`` is a file of ``database``, or its name is that of one."""
    for suffix in _COMPANIONS:
        companion = os.path.realpath(database) + suffix
        if os.path.realpath(path) == companion or _is_same(path, companion):
            return True
    return False


def _is_same(path: str, other: str) -> bool:
    """Whether both are names of one file."""
    try:
        return os.path.samefile(path, other)
    except OSError:
        return False


def _progress(language: str, busy: bool) -> Progress:
    """A progress line on the terminal, unless the terminal is ``busy`` with the output."""
    shown = sys.stderr is not None and sys.stderr.isatty() and not busy
    return Progress(sys.stderr if shown else None, language)
