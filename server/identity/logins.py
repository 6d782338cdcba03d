"""Logging in and out: how accounts, passwords, lockout and sessions work together. It knows no sockets.

Each method is one decision of the auth handler; what must hold together is one transaction.
"""

import contextlib
import math
from dataclasses import dataclass

from sqlalchemy import Connection

from common.addresses import source
from common.errors import Refusal, SessionEnded, StoreUnavailable
from server.identity.accounts import Account, Accounts
from server.identity.lockout import ELSEWHERE, Counter, Guess, Lockout
from server.identity.names import AccountName, refuse_new
from server.identity.passwords import Passwords
from server.identity.revocations import Revocations
from server.identity.sessions import Sessions
from server.identity.watcher import Watcher
from server.store.database import Store

WRONG = "wrong name or password"

IMPOSSIBLE = AccountName("", "")
"""What stands for all names that nobody can have: counted and looked for like any other."""


@dataclass(frozen=True)
class Login:
    """Someone who is in; `token` is what the client must keep from now on, None if what it has stays good.

    `revision` is the latest revocation when they came in: a later one may end them.
    """

    account_id: int
    name: str
    session_id: int
    revision: int
    token: str | None


@dataclass(frozen=True)
class Logins:
    store: Store
    accounts: Accounts
    passwords: Passwords
    lockout: Lockout
    sessions: Sessions
    revocations: Revocations
    watcher: Watcher

    def resume(self, token: str) -> Login | None:
        """Who holds this token, or None if it is not good. Reads; writes only when something is due.

        It makes no address familiar: whoever stole a token gets no more guesses at the password by it.
        """
        with self.store.reading() as transaction:
            login, writing_due = self._resume(transaction, token, writing=False)
        if writing_due:
            with self.store.writing() as transaction:
                login, _ = self._resume(transaction, token, writing=True)
        return login

    def is_new(self, name: AccountName) -> bool:
        """Whether nobody has the name, so that it may be registered; raises Refusal if nobody may have it."""
        with self.store.reading() as transaction:
            if self.accounts.find(transaction, name) is not None:
                return False
        refuse_new(name)
        return True

    def log_in(self, name: AccountName, password: str, address: str) -> Login:
        """Let the owner of `name` in.

        Raises Refusal, always the same, when the answer is no for whatever reason, and Busy when nobody looked.
        """
        with self.passwords.turn():
            with self.store.writing() as transaction:
                found = self.accounts.find(transaction, name)
                counter, guess = self._count(transaction, name.canonical, address)
            account, better_hash = self._checked(found, counter, guess, password)
        with self.store.writing() as transaction:
            self._refuse_changed(transaction, account)
            if better_hash is not None:
                self.accounts.set_better_hash(transaction, account.id, better_hash)
            self.lockout.forgive(transaction, counter)
            return self._enter(transaction, account, address)

    def register(self, name: AccountName, password: str, address: str) -> Login:
        """A new account, and its owner is in. Raises Refusal if the name or the password cannot be had."""
        refuse_new(name)
        self.passwords.check_new(password)
        with self.store.reading() as transaction:  # before the hash: who is over the limit costs none
            self.accounts.refuse_too_many(transaction, address)
        with self.passwords.turn():
            password_hash = self.passwords.hash(password)
        with self.store.writing() as transaction:
            account = self.accounts.add(transaction, name, password_hash, address)
            self.lockout.forget(transaction, name.canonical)
            return self._enter(transaction, account, address)

    def change_password(self, login: Login, present: str, new: str, address: str) -> Login:
        """Change the password and end all other sessions and earlier tokens; raises Refusal and Busy as `log_in`."""
        self.passwords.check_new(new)
        with self.passwords.turn():
            with self.store.writing() as transaction:
                account = self.accounts.get(transaction, login.account_id)
                if account is None:
                    raise Refusal("this account is no more")
                counter, guess = self._count(transaction, account.canonical, address)
            self._checked(account, counter, guess, present)
            password_hash = self.passwords.hash(new)
        with self.store.writing() as transaction:
            if self.revocations.has_ended(transaction, login):
                raise SessionEnded("your session was ended")
            self._refuse_changed(transaction, account)
            self.lockout.forgive(transaction, counter)
            self.accounts.set_password(transaction, account.id, password_hash)
            self.sessions.end_all(transaction, account.id)
            changed = self._enter(transaction, account, address)
        self._end_connections()
        return changed

    def log_out(self, login: Login) -> None:
        """End this session: with all its tokens, and all connections that are open with it."""
        with self.store.writing() as transaction:
            self.sessions.end(transaction, login.account_id, login.session_id)
        self._end_connections()

    def log_out_everywhere(self, login: Login) -> None:
        """End all sessions of the account."""
        with self.store.writing() as transaction:
            self.sessions.end_all(transaction, login.account_id)
        self._end_connections()

    def _end_connections(self) -> None:
        """Those of this process at once; the others' processes look themselves, and so does this one if it fails."""
        with contextlib.suppress(StoreUnavailable):
            self.watcher.look()

    def _resume(self, transaction: Connection, token: str, *, writing: bool) -> tuple[Login | None, bool]:
        # First: what is ended after this was read ends this login as well. PostgreSQL shows each statement its own
        # moment.
        revision = self.revocations.revision(transaction)
        found = self.sessions.find(transaction, token)
        account = None if found is None else self.accounts.get(transaction, found.account_id)
        if found is None or account is None or account.disabled:
            return None, False
        new_token = None
        if writing and found.renewal_due:
            new_token = self.sessions.renew(transaction, found.session_id)
        elif writing and found.note_due:
            self.sessions.note_use(transaction, found.session_id)
        login = Login(account.id, account.name, found.session_id, revision, new_token)
        return login, found.renewal_due or found.note_due

    def _count(self, transaction: Connection, canonical: str, address: str) -> tuple[Counter, Guess]:
        """Count a guess from there. To be called in a turn: what is counted is looked at."""
        familiar = self.accounts.is_familiar(transaction, canonical, address)
        counter = Counter(canonical, source(address) if familiar else ELSEWHERE)
        return counter, self.lockout.count(transaction, counter)

    def _checked(
        self, account: Account | None, counter: Counter, guess: Guess, password: str
    ) -> tuple[Account, str | None]:
        """The account, if the password is right and it may log in, and a hash at today's cost if its own is not.

        Raises Refusal otherwise, after the same work whatever the cause.
        """
        stored = account.password_hash if account is not None and guess.is_allowed else None
        right, better_hash = self.passwords.verify(password, stored)
        if account is None or account.disabled or not right:
            raise Refusal(WRONG, _reason(account, counter, guess))
        return account, better_hash

    def _refuse_changed(self, transaction: Connection, account: Account) -> None:
        """Raise Refusal if the account is not what it was when its password was looked at: hashing takes a while."""
        current = self.accounts.get(transaction, account.id)
        if current is None or current.disabled or current.password_version != account.password_version:
            raise Refusal(WRONG, f"{account.name}: changed while the password was looked at")

    def _enter(self, transaction: Connection, account: Account, address: str) -> Login:
        session_id, token = self.sessions.open(transaction, account.id)
        self.accounts.note_login(transaction, account.id, address)
        return Login(account.id, account.name, session_id, self.revocations.revision(transaction), token)


def _reason(account: Account | None, counter: Counter, guess: Guess) -> str:
    """Why somebody was not let in, for the log."""
    if counter.canonical == IMPOSSIBLE.canonical:
        return "no possible name"
    lasts = "until users enable" if guess.locked_for == math.inf else f"for {guess.locked_for:.0f} seconds"
    if not guess.is_allowed:
        return f"{counter.canonical} is locked {lasts}"
    reason = "does not exist" if account is None else "is disabled" if account.disabled else "has another password"
    locked = f", and is now locked {lasts}" if guess.locked_for else ""
    return f"{counter.canonical} {reason}{locked}"
