"""Logging in and out: how accounts, passwords, lockout and sessions work together. It knows no sockets.

Each method is one decision of the auth handler; what must hold together is one transaction.
"""

from dataclasses import dataclass

from sqlalchemy import Connection

from common.errors import Busy, Refusal
from server.accounts import Account, Accounts
from server.lockout import ELSEWHERE, Counter, Guess, Lockout
from server.names import AccountName, refuse_mixed_scripts
from server.passwords import Passwords
from server.sessions import Sessions
from server.store import Store

WRONG = "wrong name or password"


@dataclass(frozen=True)
class Login:
    """Someone who is in; `token` is what the client must keep from now on, None if what it has stays good."""

    account_id: int
    name: str
    session_id: int
    token: str | None


@dataclass(frozen=True)
class Logins:
    store: Store
    accounts: Accounts
    passwords: Passwords
    lockout: Lockout
    sessions: Sessions

    def resume(self, token: str, address: str) -> Login | None:
        """Who holds this token, or None if it is not good. Reads; writes only when something is due."""
        with self.store.reading() as transaction:
            login, writing_due = self._resume(transaction, token, address, writing=False)
        if writing_due:
            with self.store.writing() as transaction:
                login, _ = self._resume(transaction, token, address, writing=True)
        return login

    def exists(self, name: AccountName) -> bool:
        with self.store.reading() as transaction:
            return self.accounts.find(transaction, name) is not None

    def log_in(self, name: AccountName | None, password: str, address: str) -> Login:
        """Let the owner of `name` in; None stands for a name that cannot exist.

        Raises Refusal, always the same, when the answer is no for whatever reason, and Busy when nobody looked.
        """
        with self.store.reading() as transaction:
            account = None if name is None else self.accounts.find(transaction, name)
            counter = None if name is None else self._counter(transaction, name, account, address)
        account, better_hash = self._checked(account, counter, password)
        with self.store.writing() as transaction:
            self._refuse_changed(transaction, account)
            if better_hash is not None:
                self.accounts.set_better_hash(transaction, account.id, better_hash)
            if counter is not None:
                self.lockout.forgive(transaction, counter)
            return self._enter(transaction, account, address)

    def register(self, name: AccountName, password: str, address: str) -> Login:
        """A new account, and its owner is in. Raises Refusal if the name or the password cannot be had."""
        refuse_mixed_scripts(name)
        self.passwords.check_new(password)
        password_hash = self.passwords.hash(password)
        with self.store.writing() as transaction:
            account = self.accounts.add(transaction, name, password_hash, address)
            self.lockout.forget(transaction, name.canonical)
            return self._enter(transaction, account, address)

    def change_password(self, login: Login, present: str, new: str, address: str) -> Login:
        """The same person in a new session; all other sessions and earlier tokens end.

        Raises Refusal if the present password is wrong or the new one cannot be had.
        """
        self.passwords.check_new(new)
        with self.store.reading() as transaction:
            account = self.accounts.get(transaction, login.account_id)
            if account is None:
                raise Refusal("this account is no more")
            counter = self._counter(transaction, AccountName(account.name, account.canonical), account, address)
        password_hash = self.passwords.hash(new)  # first: if there is no place for it, no guess was made
        self._checked(account, counter, present)
        with self.store.writing() as transaction:
            self._refuse_changed(transaction, account)
            self.lockout.forgive(transaction, counter)
            self.accounts.set_password(transaction, account.id, password_hash)
            self.sessions.end_all(transaction, account.id)
            return self._enter(transaction, account, address)

    def log_out(self, login: Login) -> None:
        with self.store.writing() as transaction:
            self.sessions.end(transaction, login.session_id)

    def log_out_everywhere(self, login: Login) -> None:
        with self.store.writing() as transaction:
            self.sessions.end_all(transaction, login.account_id)

    def _resume(
        self, transaction: Connection, token: str, address: str, *, writing: bool
    ) -> tuple[Login | None, bool]:
        found = self.sessions.find(transaction, token)
        account = None if found is None else self.accounts.get(transaction, found.account_id)
        if found is None or account is None or account.disabled:
            return None, False
        new_token = None
        if writing and found.renewal_due:
            new_token = self.sessions.renew(transaction, found.session_id)
        elif writing and found.note_due:
            self.sessions.note_use(transaction, found.session_id)
        if writing:
            self.accounts.note_login(transaction, account.id, address)
        login = Login(account.id, account.name, found.session_id, new_token)
        return login, found.renewal_due or found.note_due

    def _counter(self, transaction: Connection, name: AccountName, account: Account | None, address: str) -> Counter:
        familiar = account is not None and self.accounts.has_logged_in(transaction, account.id, address)
        return Counter(name.canonical, address if familiar else ELSEWHERE)

    def _checked(self, account: Account | None, counter: Counter | None, password: str) -> tuple[Account, str | None]:
        """The account, if the password is right and it may log in, and a hash at today's cost if its own is not.

        Raises Refusal otherwise, and Busy. A guess while locked costs the same time and is not counted.
        """
        guess = Guess(False, 0) if counter is None else self.lockout.count(counter)
        stored = account.password_hash if account is not None and guess.is_allowed else None
        try:
            right, better_hash = self.passwords.verify(password, stored)
        except Busy:
            if counter is not None and guess.is_allowed:
                self.lockout.take_back(counter)
            raise
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
        return Login(account.id, account.name, session_id, token)


def _reason(account: Account | None, counter: Counter | None, guess: Guess) -> str:
    """Why somebody was not let in, for the log."""
    if counter is None:
        return "no possible name"
    if not guess.is_allowed:
        return f"{counter.canonical} is locked for {guess.locked_for:.0f} more seconds"
    reason = "does not exist" if account is None else "is disabled" if account.disabled else "has another password"
    locked = f", and is now locked for {guess.locked_for:.0f} seconds" if guess.locked_for else ""
    return f"{counter.canonical} {reason}{locked}"
