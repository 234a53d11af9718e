"""Refusals: one class for each reason.

A refusal is an answer, not an internal error: its one line tells a person why a request was
refused, and what to do. It has a stable code for programs and a template for people, which is
translated when it is shown. An internal error is an ordinary exception, never a refusal; the person
is shown :class:`InternalError` in its place. This module must not know who is refused what.
"""

from __future__ import annotations

from typing import ClassVar

from twisted_chat.i18n.language import N_, catalogue


class Refusal(Exception):
    """A request is refused. ``details`` fill the braces of ``template``."""

    code: ClassVar[str]
    template: ClassVar[str]

    #: The id of the refused request, if only the id could be read.
    request_id: str | None = None

    def __init__(self, **details: object) -> None:
        super().__init__(details)
        self.details = details

    def sentence(self, language: str) -> str:
        """The refusal as one line in ``language``."""
        return catalogue(language).gettext(self.template).format(**self.details)

    def __str__(self) -> str:
        return self.sentence("en")


# -- a line that cannot be read ---------------------------------------------------------------


class LineTooLong(Refusal):
    code = "line-too-long"
    template = N_("That line was too long and was not sent: the limit is {limit} bytes.")


class TooManyLines(Refusal):
    code = "too-many-lines"
    template = N_("That message was not sent: a message has up to {limit} lines.")


class NotUTF8(Refusal):
    code = "not-utf8"
    template = N_("That line was not sent: byte {position} of it is not valid UTF-8.")


class ControlCharacter(Refusal):
    code = "control-character"
    template = N_(
        "That line was not sent: it contains the character U+{character:04X}, which "
        "can disturb other people's terminals."
    )


class UnknownCommand(Refusal):
    code = "unknown-command"
    template = N_("There is no command {command}. /help lists the commands.")


class UnknownCommandNear(UnknownCommand):
    template = N_("There is no command {command}. Did you mean {nearest}?")


class WrongUsage(Refusal):
    code = "wrong-usage"
    template = N_("Usage: {usage}")


# -- names ------------------------------------------------------------------------------------


class NameMissing(Refusal):
    code = "name-missing"
    template = N_("Please type a name.")


class RoomNameMissing(NameMissing):
    template = N_("Please type the name of a room, such as lobby.")


class NameTooLong(Refusal):
    code = "name-too-long"
    template = N_("That name is too long: the limit is {limit} characters.")


class NameInvalid(Refusal):
    code = "name-invalid"
    template = N_(
        "That name cannot be used: only letters, digits and _ - . ' are allowed, and "
        "it must start with a letter, a digit or _."
    )


class NameCharacter(NameInvalid):
    """``character`` is not allowed in names, or not at its place: see :func:`.characters.named`."""

    template = N_(
        "That name cannot be used: it contains the character {character}; letters, "
        "digits and _ - . ' are allowed."
    )


class NameStart(NameCharacter):
    template = N_(
        "That name cannot be used: it starts with the character {character}; a name "
        "must start with a letter, a digit or _."
    )


class NameMarks(NameCharacter):
    """``character`` is a mark that is repeated, or exceeds the ``limit`` of marks on a letter."""

    template = N_(
        "That name cannot be used: the mark {character} is repeated, or its letter has "
        "more than {limit} marks."
    )


class NameDirection(NameInvalid):
    """The name breaks the rule of RFC 5893, section 2."""

    template = N_(
        "That name cannot be used: it is written from right to left, so it must start "
        "with a letter, end with a letter or a digit, and use digits of one kind."
    )


class NameMixesScripts(Refusal):
    code = "name-mixes-scripts"
    template = N_("That name cannot be used: it mixes letters of different scripts ({scripts}).")


class NameReserved(Refusal):
    code = "name-reserved"
    template = N_("The name {name} is reserved on this server. Please choose another.")


class NameTaken(Refusal):
    code = "name-taken"
    template = N_("The name {name} is taken. Please choose another.")


class NameKept(NameTaken):
    template = N_(
        "The name {name} is held for somebody who lost the connection and can come "
        "back. Please choose another."
    )


class NameTooSimilar(Refusal):
    code = "name-too-similar"
    template = N_("The name {name} is too similar to {other}. Please choose another.")


# -- people and rooms -------------------------------------------------------------------------


class NameFirst(Refusal):
    code = "name-first"
    template = N_("Please choose a name first: type it and press Enter.")


class NoSuchPerson(Refusal):
    code = "no-such-person"
    template = N_("There is nobody here called {name}. /who shows who is here.")


class NotReading(Refusal):
    code = "not-reading"
    template = N_("{name} is not reading at the moment. Your message was not delivered.")


class NotConfirmed(Refusal):
    code = "not-confirmed"
    template = N_(
        "{name} may not have received your message: their side has not confirmed it. "
        "If they come back in time, they are shown it again."
    )


class MailboxFull(Refusal):
    """Too many private messages wait for a person who is away."""

    code = "mailbox-full"
    template = N_("No more messages can be kept for {name}, who is away.")


class MailboxShareFull(MailboxFull):
    template = N_(
        "No more messages from you or your address can be kept for {name}, who is away: the limit"
        " is {limit}, or fewer long ones."
    )


class MailFull(MailboxFull):
    template = N_("{name} is away, and no more messages can be kept for anybody at the moment.")


class TooManyKept(Refusal):
    code = "too-many-kept"
    template = N_(
        "Your message was not kept for {name}, who is away: the limit is {limit} messages for"
        " people who are away, within an hour. Try again in {minutes} minutes."
    )


class NobodyToAnswer(Refusal):
    code = "nobody-to-answer"
    template = N_("Nobody has sent you a private message yet.")


class NotYourself(Refusal):
    code = "not-yourself"
    template = N_("That is you.")


class NotIgnored(Refusal):
    code = "not-ignored"
    template = N_("You are not ignoring {name}.")


class NoSuchRoom(Refusal):
    code = "no-such-room"
    template = N_("There is no room #{room}. /rooms lists the rooms.")


class NotInRoom(Refusal):
    code = "not-in-room"
    template = N_("You are not in #{room}. /join {room} takes you there.")


class InNoRoom(Refusal):
    code = "in-no-room"
    template = N_("You are not in any room. /join ROOM takes you to one; /rooms lists them.")


class TooManyRooms(Refusal):
    code = "too-many-rooms"
    template = N_(
        "You are already in {limit} rooms, which is the limit. Use /leave in one of them first."
    )


class TooManyNewRooms(Refusal):
    code = "too-many-new-rooms"
    template = N_(
        "Your address has created {limit} rooms within an hour, which is the limit. "
        "You can join an existing room, or create another one in {minutes} minutes."
    )


class TooManyIgnored(Refusal):
    code = "too-many-ignored"
    template = N_("You are already ignoring {limit} people, which is the limit.")


class TopicTooLong(Refusal):
    code = "topic-too-long"
    template = N_("That topic is too long: the limit is {limit} characters.")


class NoSuchLanguage(Refusal):
    code = "no-such-language"
    template = N_("The language {language} is not available. Available: {languages}.")


class UnknownCode(Refusal):
    code = "unknown-code"
    template = N_(
        "{given} is not a valid code to come back with: it is unknown or has expired. Type a name."
    )


class TooManyGuesses(Refusal):
    code = "too-many-guesses"
    template = N_(
        "Too many wrong codes came from your address. "
        "Try again in {seconds} seconds, or type a name."
    )


class AlreadyHere(Refusal):
    code = "already-here"
    template = N_("You are already in the chat.")


# -- programs ---------------------------------------------------------------------------------


class BadRequest(Refusal):
    code = "bad-request"
    template = N_("That is not a valid request: {reason}")


class UnknownType(Refusal):
    code = "unknown-type"
    template = N_("There is no request of type {type}.")


class NothingToSearch(Refusal):
    code = "nothing-to-search"
    template = N_("There is no word to search for.")


class SearchTooLong(Refusal):
    code = "search-too-long"
    template = N_("A search has at most {words} words and {bytes} bytes.")


class SearchTooSlow(Refusal):
    code = "search-too-slow"
    template = N_(
        "The search took longer than {seconds:g} s and was stopped. Use rarer words, "
        "or more of them."
    )


class SearchBusy(Refusal):
    code = "search-busy"
    template = N_("Too many searches are waiting at the moment. Please try again later.")


class SearchNotReady(Refusal):
    code = "search-not-ready"
    template = N_("The search index is still being built ({percent} %). Please try again later.")


# -- the log ----------------------------------------------------------------------------------


#: Reasons that SQLite gives when the log cannot be used, for translation.
_REASONS = (
    N_("attempt to write a readonly database"),
    N_("database disk image is malformed"),
    N_("database is locked"),
    N_("database or disk is full"),
    N_("disk I/O error"),
    N_("file is not a database"),
    N_("unable to open database file"),
)


class LogRefusal(Refusal):
    """The log cannot be used; ``reason`` is translated if it is a known one."""

    def sentence(self, language: str) -> str:
        translate = catalogue(language).gettext
        reason = str(self.details["reason"])  # the empty string is gettext's own header
        details = {**self.details, "reason": reason and translate(reason)}
        return translate(self.template).format(**details)


class NotSaved(LogRefusal):
    code = "not-saved"
    template = N_("This line was not saved and nobody saw it: {text} ({reason})")


class MessageNotKept(LogRefusal):
    code = "not-kept"
    template = N_("Your message could not be kept for {name}, who is away ({reason}).")


class IdReused(Refusal):
    code = "id-reused"
    template = N_("The message id {id} was already used for another message.")


class HistoryUnavailable(LogRefusal):
    code = "history-unavailable"
    template = N_("The history cannot be read at the moment ({reason}).")


# -- the service ------------------------------------------------------------------------------


class ServerFull(Refusal):
    code = "full"
    template = N_("The server is full at the moment. Please try again in a while.")


class TooManyConnections(Refusal):
    code = "address"
    template = N_(
        "Your address already has {limit} connections, which is the limit. Close one of them first."
    )


class LoginDeadlineMissed(Refusal):
    code = "login-deadline"
    template = N_(
        "You did not choose a name within {seconds:g} seconds, so this connection is "
        "closed. You can connect again."
    )


class InternalError(Refusal):
    code = "internal-error"
    template = N_(
        "Something went wrong on the server; the operator's log has the details. Please try again."
    )


# -- the service does not start ---------------------------------------------------------------


class CannotStart(Refusal):
    """The service or a program does not start; the operator is told why."""


class WrongSetting(CannotStart):
    code = "wrong-setting"
    template = N_("{setting}: {value} is not valid; expected: {expected}")

    def sentence(self, language: str) -> str:
        translate = catalogue(language).gettext
        details = {**self.details, "expected": translate(str(self.details["expected"]))}
        return translate(self.template).format(**details)


class UnknownSetting(CannotStart):
    code = "unknown-setting"
    template = N_("{path}: there is no setting {setting}")


class FileUnreadable(CannotStart):
    code = "file-unreadable"
    template = N_("{setting}: cannot read {path}: {reason}")


class FileNotUTF8(FileUnreadable):
    code = "file-not-utf8"
    template = N_("{setting}: cannot read {path}: line {line} is not UTF-8")


class FileUnwritable(CannotStart):
    code = "file-unwritable"
    template = N_("{setting}: cannot write {path}: {reason}")


class TLSMissing(CannotStart):
    code = "tls-missing"
    template = N_("TLS needs more packages: {pip} install 'twisted-chat[tls]'")


class CannotListen(CannotStart):
    code = "cannot-listen"
    template = N_("cannot listen on {endpoint}: {reason}")


class TLSForbidden(CannotStart):
    code = "tls-forbidden"
    template = N_(
        "cannot listen on {endpoint}: TLS needs memory that it can write and execute; "
        "in a systemd unit, MemoryDenyWriteExecute=no allows it"
    )


class CertificateUnusable(CannotStart):
    code = "certificate-unusable"
    template = N_(
        "cannot listen on {endpoint}: the private key or the certificate cannot be used: {reason}"
    )


class DatabaseUnusable(LogRefusal, CannotStart):
    code = "database-unusable"
    template = N_("cannot open the database {path}: {reason}")


class DatabaseInUse(CannotStart):
    code = "database-in-use"
    template = N_("the database {path} is in use by another server (process {process})")


class DatabaseForeign(CannotStart):
    code = "database-foreign"
    template = N_("{path} is a database of another program; it was not changed")


class BackupFailed(LogRefusal, CannotStart):
    code = "backup-failed"
    template = N_("cannot back up {path} before upgrading it: {reason}")


class DatabaseNewer(CannotStart):
    code = "database-newer"
    template = N_("{path} was written by a newer version of this program")
