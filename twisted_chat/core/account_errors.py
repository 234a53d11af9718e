"""Refusals about accounts; :mod:`twisted_chat.core.errors` says what a refusal is."""

from __future__ import annotations

from twisted_chat.core.errors import LogRefusal, NameReserved, Refusal, TooManyGuesses
from twisted_chat.i18n.language import N_


class NameOwned(NameReserved):
    template = N_("The name {name} belongs to an account, or is too similar to one that does.")


class SecretMissing(NameOwned):
    """A program chose the nickname of an account without a secret; with one, it can have it."""

    template = N_(
        "The name {name} belongs to an account: its password or a token is needed to come in."
    )


class WrongSecret(Refusal):
    code = "wrong-secret"
    template = N_("That password or code is not right.")


class LooksLikeSecret(Refusal):
    code = "looks-like-secret"
    template = N_(
        "You have come in already. That line was not sent, as it looks like your name and a secret."
    )


class AccountDisabled(Refusal):
    code = "account-disabled"
    template = N_("The account {name} is disabled. Ask the operator of this server about it.")


class AccountEnded(Refusal):
    """The connections of an account are closed: it was closed, or logged out elsewhere."""

    code = "logged-out"
    template = N_("You are logged out.")


class NameClaimed(Refusal):
    code = "name-claimed"
    template = N_(
        "The name {name} belongs to an account now. Connect again and choose another name."
    )


class RegistrationClosed(Refusal):
    code = "registration-closed"
    template = N_("Names cannot be registered on this server.")


class RegistrationByInvitation(RegistrationClosed):
    template = N_("Only the operator of this server can make accounts: ask for an invitation.")


class GuestsNotAllowed(Refusal):
    code = "no-guests"
    template = N_("Only people with an account can talk on this server.")


class SecretNeedsTLS(Refusal):
    code = "insecure-connection"
    template = N_(
        "This connection is not encrypted, so passwords and tokens are not accepted over it."
    )


class SecretNotAsked(SecretNeedsTLS):
    """A person chose the nickname of an account, or typed a secret with it."""

    template = N_(
        "This connection is not encrypted, so passwords and tokens are not accepted over it. Type"
        " another name, which everybody will see, and no password."
    )


class PasswordTooShort(Refusal):
    code = "password-too-short"
    template = N_("That password is too short: it needs at least {limit} characters.")


class PasswordTooLong(Refusal):
    code = "password-too-long"
    template = N_("That password is too long: the limit is {limit} bytes.")


class TooBusyForSecrets(Refusal):
    code = "too-busy"
    template = N_("Too many people are logging in at the moment. Please try again in a while.")


class TooManyWrongSecrets(TooManyGuesses):
    template = N_("Too many wrong passwords or codes were given. Try again in {seconds} seconds.")


class TooManyPasswords(TooManyGuesses):
    template = N_("Too many wrong passwords were given. Try again in {seconds} seconds.")


class WrongPassword(WrongSecret):
    """Somebody who is in the chat has given a wrong present password."""

    template = N_("That is not your present password. Nothing was changed.")


class PasswordNeeded(Refusal):
    """Whoever has only a device of the account must not take it away from its owner."""

    code = "password-needed"
    template = N_("You came in without your password. Come in again with it to do that.")


class TooManyAccounts(Refusal):
    code = "too-many-accounts"
    template = N_(
        "Your address has registered {limit} names within an hour, which is the limit. You can"
        " register another one in {minutes} minutes."
    )


class DirectoryFailed(Refusal):
    code = "directory-failed"
    template = N_(
        "The program that checks passwords for this server does not answer. Please try again in a"
        " while, and tell the operator if it lasts."
    )


class TokenLimited(Refusal):
    code = "token-limited"
    template = N_("You came in with a token, which does not allow that.")


class NoAccount(Refusal):
    code = "no-account"
    template = N_("You have no account here.")


class HasAccount(Refusal):
    code = "has-account"
    template = N_("You have an account already.")


class PasswordElsewhere(Refusal):
    code = "password-elsewhere"
    template = N_("Your password is not set here. The operator of this server knows where it is.")


class LabelInvalid(Refusal):
    code = "label-invalid"
    template = N_("Give the token or device a label of 1 to {limit} characters.")


class NoSuchToken(Refusal):
    code = "no-such-token"
    template = N_("You have no token or device called {label}.")


class TokenExists(Refusal):
    code = "token-exists"
    template = N_("You have a token or device called {label} already.")


class TooManyTokens(Refusal):
    code = "too-many-tokens"
    template = N_("You have {limit} tokens and devices, which is the limit. Revoke one of them.")


class TooManyDevices(Refusal):
    code = "too-many-devices"
    template = N_("Your account has {limit} connections, which is the limit. Close one of them.")


class TooManyNames(Refusal):
    code = "too-many-names"
    template = N_(
        "Your account has had {limit} other names, which is the limit. You can go back to one of"
        " them."
    )


class NotTheName(Refusal):
    code = "not-the-name"
    template = N_("To close your account for ever, type {usage}")


class NoSuchAccount(Refusal):
    code = "no-such-account"
    template = N_("There is no account called {name}.")


class AccountNotSaved(LogRefusal):
    code = "account-not-saved"
    template = N_("This holds now, but could not be saved ({reason}). The server goes on trying.")
