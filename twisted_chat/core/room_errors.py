"""Refusals about the rules of rooms; :mod:`twisted_chat.core.errors` says what a refusal is.

A refusal must not tell a person about a room that does not exist for them: :class:`CannotJoin` is
the same for every reason why a room is closed, and for a room that does not exist.
"""

from __future__ import annotations

from twisted_chat.core.errors import Refusal, TooManyGuesses
from twisted_chat.i18n.language import N_


class CannotJoin(Refusal):
    """The room is closed to the person, or the password is wrong, or there is no such room."""

    code = "cannot-join"
    template = N_("You cannot join #{room}.")


class WrongRoomPassword(CannotJoin):
    """The password is wrong, the room has none, or there is no such room: which, is not told."""

    template = N_(
        "You cannot join #{room}: there is no such room, or it has another password. "
        "/join {room} without a password creates a room."
    )


class TooManyRoomPasswords(TooManyGuesses):
    template = N_(
        "Too many wrong passwords came from your address. Try again in {seconds} seconds."
    )


class MayNotSpeak(Refusal):
    code = "may-not-speak"
    template = N_("You may read #{room}, but only its speakers may write there.")


class MayNotSpeakAsGuest(MayNotSpeak):
    template = N_("You may read #{room}, but only people with an account may write there.")


class SlowMode(Refusal):
    code = "slow-mode"
    template = N_("#{room} is in slow mode: you can write there again in {seconds} seconds.")


class NotOwner(Refusal):
    code = "not-owner"
    template = N_("Only the owner of #{room} can do that.")


class NotModerator(NotOwner):
    template = N_("Only the owner and the moderators of #{room} can do that.")


class NoOwner(NotOwner):
    template = N_("#{room} has no owner. The operator of this server can appoint one.")


class RoleNeedsAccount(Refusal):
    code = "role-needs-account"
    template = N_("{name} has no account: only people with an account can have a role.")


class HasNoRole(Refusal):
    code = "no-role"
    template = N_("{name} has no role in #{room}, and no invitation.")


class OwnerStays(Refusal):
    code = "owner-stays"
    template = N_("You own #{room}: make somebody else its owner first.")


class TooManyRoles(Refusal):
    code = "too-many-roles"
    template = N_("#{room} has {limit} people with a role or an invitation, which is the limit.")


class TooManyRoomsOwned(Refusal):
    code = "too-many-rooms-owned"
    template = N_("The owner of #{room} has {limit} rooms with rules, which is the limit.")


class PasswordMissing(Refusal):
    code = "password-missing"
    template = N_("#{room} has no password yet.")
