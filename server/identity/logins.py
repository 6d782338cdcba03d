"""Logging in and out: how accounts, passwords, lockout and sessions work together. It knows no sockets.

Each method is one step of the auth handler. Changes that belong together are in one transaction.
"""

import contextlib
import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from sqlalchemy import Connection

from common.addresses import source
from common.errors import Refusal, SessionEnded, StoreUnavailable
from server.identity.accounts import Account, Accounts
from server.identity.lockout import ELSEWHERE, Counter, Guess, Lockout
from server.identity.names import AccountName, refuse_new
from server.identity.passwords import Passwords
from server.identity.revocations import Login, Revocations
from server.identity.sessions import Sessions
from server.identity.watcher import Watcher
from server.store.database import Store

WRONG = "wrong name or password"

IMPOSSIBLE = AccountName("", "")
"""Stands for every text that cannot be a name. It is counted and looked up like a name, which takes the same time."""


@dataclass(frozen=True)
class Logins:
    """The steps that the auth handler takes. Each method raises StoreUnavailable if the store fails."""

    store: Store
    accounts: Accounts
    passwords: Passwords
    lockout: Lockout
    sessions: Sessions
    revocations: Revocations
    watcher: Watcher

    def resume(self, token: str) -> Login | None:
        """Return the login that this token resumes, or None if the token is not valid.

        A resume makes no address familiar: a stolen token must not give a thief more guesses at the password. It
        writes to the store only if a write is due.
        """
        with self.store.reading() as transaction:
            found = self.sessions.find(transaction, token)
        if found is None:
            return None
        if found.renewal_due:
            return self._renew(token, found.login.canonical)
        if found.note_due:
            with self.store.noting() as transaction:
                self.sessions.note_use(transaction, found.login.session_id)
        return found.login

    def last_name_at(self, address: str) -> str | None:
        """Return the name that last logged in from this address, or None."""
        with self.store.reading() as transaction:
            return self.accounts.last_name_at(transaction, address)

    def is_new(self, name: AccountName) -> bool:
        """Return whether no account has the name. Raise Refusal if it is new and no user may register it."""
        with self.store.reading() as transaction:
            if self.accounts.find(transaction, name) is not None:
                return False
        refuse_new(name)
        return True

    def log_in(
        self, name: AccountName, password: str, address: str, check_peer: Callable[[], object] = lambda: None
    ) -> Login:
        """Log in the owner of `name`: open a session and return it.

        `check_peer` raises an error if the client is gone: its guess counts, but no time is spent on it.

        Raise Refusal, with the same text for every cause, if the login is refused. Raise Busy if the server has no
        time to check the password.
        """
        with self.passwords.turn(source(address)):
            with self.store.writing(_subject(name.canonical)) as transaction:
                found, counter, guess = self._count_guess(transaction, name.canonical, address)
            check_peer()
            account, better_hash = self._verify(found, counter, guess, password)
        with self.store.writing(_subject(name.canonical)) as transaction:
            revision = self._refuse_if_changed(transaction, account)
            if better_hash is not None:
                self.accounts.set_better_hash(transaction, account.id, better_hash)
            self.lockout.forgive(transaction, counter)
            return self._open_session(transaction, account, address, revision)

    def register(self, name: AccountName, password: str, address: str) -> Login:
        """Add an account and log in its owner.

        Raise Refusal if the name or the password is not allowed or there are too many accounts.
        Raise Busy as `log_in` does.
        """
        refuse_new(name)
        self.passwords.check_new(password)
        with self.store.reading() as transaction:  # before the hash: a refused client must cost none
            self.accounts.refuse_too_many(transaction, address)
        with self.passwords.turn(source(address)):
            password_hash = self.passwords.hash(password)
        with self.store.writing(_subject(name.canonical)) as transaction:
            account = self.accounts.add(transaction, name, password_hash, address)
            self.lockout.forget(transaction, name.canonical)
            return self._open_session(transaction, account, address, self.revocations.revision(transaction))

    def change_password(self, login: Login, present: str, new: str, address: str) -> Login:
        """Change the password, end all sessions of the account, and return a new one.

        Raise Refusal if the new password is not allowed. Raise Refusal and Busy as `log_in` does for the present
        one, and SessionEnded if the session was ended meanwhile.
        """
        self.passwords.check_new(new)
        with self.passwords.turn(source(address)):
            with self.store.writing(_subject(login.canonical)) as transaction:
                account, counter, guess = self._count_guess(transaction, login.canonical, address)
                if account is None or account.id != login.account_id:
                    raise Refusal("this account does not exist any more")
            self._verify(account, counter, guess, present)
            password_hash = self.passwords.hash(new)
        with self.store.writing(_subject(login.canonical)) as transaction:
            if self.revocations.has_ended(transaction, login):
                raise SessionEnded("your session was ended", reason=f"the session of {login.name} was ended")
            self._refuse_if_changed(transaction, account)
            self.lockout.forgive(transaction, counter)
            self.accounts.set_password(transaction, account.id, password_hash)
            self.sessions.end_all(transaction, account.id)
            changed = self._open_session(transaction, account, address, self.revocations.revision(transaction))
        self._end_connections()
        return changed

    def log_out(self, login: Login) -> None:
        """End this session, with all its tokens and open connections."""
        with self.store.writing(_subject(login.canonical)) as transaction:
            self.sessions.end(transaction, login.account_id, login.session_id)
        self._end_connections()

    def log_out_everywhere(self, login: Login) -> None:
        """End all sessions of the account, with their tokens and open connections."""
        with self.store.writing(_subject(login.canonical)) as transaction:
            self.sessions.end_all(transaction, login.account_id)
        self._end_connections()

    def _end_connections(self) -> None:
        """End the connections of this process now. Other processes poll soon, and this one again if it fails."""
        with contextlib.suppress(StoreUnavailable):
            self.watcher.poll()

    def _renew(self, token: str, canonical: str) -> Login | None:
        """Return the login that this token resumes, with a new one, if that is still due."""
        with self.store.writing(_subject(canonical)) as transaction:
            found = self.sessions.find(transaction, token)
            if found is None or not found.renewal_due:
                return None if found is None else found.login
            return replace(found.login, token=self.sessions.renew(transaction, found.login.session_id))

    def _count_guess(
        self, transaction: Connection, canonical: str, address: str
    ) -> tuple[Account | None, Counter, Guess]:
        """Count a guess from `address`. The caller holds a turn, so every counted guess is checked."""
        account, is_familiar = self.accounts.find_from(transaction, canonical, address)
        counter = Counter(canonical, source(address) if is_familiar else ELSEWHERE)
        return account, counter, self.lockout.count(transaction, counter)

    def _verify(
        self, account: Account | None, counter: Counter, guess: Guess, password: str
    ) -> tuple[Account, str | None]:
        """Return the account if the password is right and it may log in, and a better hash if one is due.

        Raise Refusal otherwise, after the same work for every cause.
        """
        stored = account.password_hash if account is not None and guess.is_allowed else None
        right, better_hash = self.passwords.verify(password, stored)
        if account is None or account.disabled or not right:
            raise Refusal(WRONG, reason=_reason(account, counter, guess))
        return account, better_hash

    def _refuse_if_changed(self, transaction: Connection, account: Account) -> int:
        """Return the latest revocation. Raise Refusal if the account changed while its password was checked."""
        current, revision = self.accounts.get_with_revision(transaction, account.id)
        if current is None or current.disabled or current.password_version != account.password_version:
            raise Refusal(WRONG, reason=f"{account.name} changed while the password was checked")
        return revision

    def _open_session(self, transaction: Connection, account: Account, address: str, revision: int) -> Login:
        """Open a session and make `address` familiar. Nobody else can revoke it before the transaction ends."""
        session_id, token = self.sessions.open(transaction, account.id)
        self.accounts.note_login(transaction, account.id, address)
        return Login(account.id, account.name, account.canonical, session_id, revision, token)


def _subject(canonical: str) -> str:
    """Return what a writer locks for an account, or for a name that is none."""
    return f"account {canonical}"


def _reason(account: Account | None, counter: Counter, guess: Guess) -> str:
    """Return why a login was refused, for the log."""
    if counter.canonical == IMPOSSIBLE.canonical:
        return "no possible name"
    lasts = "until users enable" if guess.locked_for == math.inf else f"for {guess.locked_for:.0f} seconds"
    if not guess.is_allowed:
        return f"{counter.canonical} is locked {lasts}"
    reason = "does not exist" if account is None else "is disabled" if account.disabled else "has another password"
    locked = f", and is now locked {lasts}" if guess.locked_for else ""
    return f"{counter.canonical} {reason}{locked}"
