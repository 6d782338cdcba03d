"""What an administrator can do with accounts and known addresses: one method a command, each returns what to print.

It works on the store alone, so also while servers run on it. It knows nothing of command lines.
"""

import argparse
import getpass
import json
import sys
from dataclasses import asdict, dataclass
from datetime import datetime

from common.addresses import canonical
from common.errors import ExitStatus, UsageError
from common.program import ask_yes_or_no, has_terminal
from common.visible import visible
from server.configuration.loading import Configuration
from server.handlers.auth import AuthHandler
from server.identity.accounts import Account, Accounts
from server.identity.hashing import HashWorkers
from server.identity.lockout import Lockout
from server.identity.names import account_name
from server.identity.passwords import Passwords
from server.identity.sessions import Sessions
from server.identity.visitors import Clients
from server.store.database import Store


@dataclass(frozen=True)
class _Row:
    """An account as the administrator sees it; `blocked` is the state after too many wrong passwords."""

    name: str
    disabled: bool
    blocked: bool
    created: float
    last_login: float | None
    sessions: int

    @property
    def state(self) -> str:
        return "disabled" if self.disabled else "blocked" if self.blocked else "enabled"


class Administration:
    def __init__(self, configuration: Configuration) -> None:
        options = _auth_options(configuration)
        limits = configuration.settings.registration_limits
        self.store = Store(configuration.settings.store)
        self._accounts = Accounts(self.store, limits)
        self._clients = Clients(self.store, limits)
        self._sessions = Sessions(self.store, options.sessions)
        self._passwords = Passwords(options.passwords, HashWorkers())
        self._lockout = Lockout(self.store, options.lockout)

    def list(self, options: argparse.Namespace) -> str:
        with self.store.reading() as transaction:
            overviews = self._accounts.overviews(transaction)
            sessions = self._sessions.count(transaction)
            blocked = self._lockout.blocked(transaction)
        accounts = [
            _Row(
                account.name,
                account.disabled,
                account.canonical in blocked,
                account.created,
                account.last_login,
                sessions.get(account.id, 0),
            )
            for account in overviews
        ]
        if options.json:
            return _json([asdict(account) for account in accounts])
        return _table(
            ["NAME", "STATE", "CREATED", "LAST LOGIN", "SESSIONS"],
            [
                [
                    account.name,
                    account.state,
                    _when(account.created),
                    _when(account.last_login),
                    str(account.sessions),
                ]
                for account in accounts
            ],
        )

    def add(self, options: argparse.Namespace) -> str:
        name = account_name(options.name)
        with self.store.reading() as transaction:
            if self._accounts.find(transaction, name) is not None:
                raise UsageError(f"{name.shown} exists already")
        password_hash = self._new_password_hash()
        with self.store.writing() as transaction:
            self._accounts.add(transaction, name, password_hash, address=None)
            self._lockout.forget(transaction, name.canonical)
        return f"{name.shown} is added"

    def password(self, options: argparse.Namespace) -> str:
        account = self._account(options.name)
        password_hash = self._new_password_hash()
        with self.store.writing() as transaction:
            self._accounts.set_password(transaction, account.id, password_hash)
            self._lockout.forget(transaction, account.canonical)
            self._sessions.end_all(transaction, account.id)
        return f"the password of {account.name} is changed, and all sessions are ended"

    def disable(self, options: argparse.Namespace) -> str:
        account = self._account(options.name)
        with self.store.writing() as transaction:
            self._accounts.set_disabled(transaction, account.id, True)
            self._sessions.end_all(transaction, account.id)
        return f"{account.name} is disabled, and all sessions are ended"

    def enable(self, options: argparse.Namespace) -> str:
        account = self._account(options.name)
        with self.store.writing() as transaction:
            self._accounts.set_disabled(transaction, account.id, False)
            self._lockout.forget(transaction, account.canonical)
        return f"{account.name} is enabled"

    def remove(self, options: argparse.Namespace) -> str:
        account = self._account(options.name)
        if not options.yes:
            _confirm(f"Remove {account.name}?")
        with self.store.writing() as transaction:
            self._sessions.end_all(transaction, account.id)
            self._accounts.remove(transaction, account.id)
            self._lockout.forget(transaction, account.canonical)
        return f"{account.name} is removed"

    def logout(self, options: argparse.Namespace) -> str:
        account = self._account(options.name)
        with self.store.writing() as transaction:
            ended = self._sessions.end_all(transaction, account.id)
        return f"{account.name} is logged out; sessions ended: {ended}"

    def addresses(self, options: argparse.Namespace) -> str:
        clients = self._clients.list()
        if options.json:
            return _json([asdict(client) for client in clients])
        return _table(
            ["ADDRESS", "NAME", "SINCE"], [[client.address, client.name, _when(client.created)] for client in clients]
        )

    def forget(self, options: argparse.Namespace) -> str:
        try:
            address = canonical(options.address)
        except ValueError:
            raise UsageError(f"{options.address!r} is no address") from None
        if not self._clients.forget(address):
            raise UsageError(f"no name is known for {address}")
        return f"{address} is forgotten; identify asks it again"

    def _account(self, typed: str) -> Account:
        with self.store.reading() as transaction:
            account = self._accounts.find(transaction, account_name(typed))
        if account is None:
            raise UsageError(f"there is no account {typed!r}")
        return account

    def _new_password_hash(self) -> str:
        password = _read_password()
        self._passwords.check_new(password)
        return self._passwords.hash(password)


def _auth_options(configuration: Configuration) -> AuthHandler.Options:
    """The options of the auth mode, or of whichever handler is built on it."""
    for choice in configuration.choices.values():
        if isinstance(choice.options, AuthHandler.Options):
            return choice.options
    return AuthHandler.Options()


def _read_password() -> str:
    """From a terminal, twice and unseen; otherwise the first line of standard input."""
    if not has_terminal():
        line = sys.stdin.readline()
        if not line:
            raise UsageError("the password is the first line of standard input, which is empty")
        return line.rstrip("\r\n")
    password = getpass.getpass("Password: ")
    if getpass.getpass("Repeat the password: ") != password:
        raise UsageError("the two passwords differ")
    return password


def _confirm(question: str) -> None:
    """Return for a yes; raise UsageError where nobody can be asked, and end the program for a no."""
    if not has_terminal():
        raise UsageError("without a terminal, --yes is needed")
    if not ask_yes_or_no(question):
        print("nothing is changed", file=sys.stderr)
        sys.exit(ExitStatus.DONE)


def _json(rows: list[dict[str, object]]) -> str:
    return json.dumps(rows, indent=1)


def _table(head: list[str], rows: list[list[str]]) -> str:
    cells = [head, *([visible(cell) for cell in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells
    )


def _when(moment: float | None) -> str:
    return "never" if moment is None else datetime.fromtimestamp(moment).astimezone().isoformat(timespec="seconds")
