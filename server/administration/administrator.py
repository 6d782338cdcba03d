"""The administrator's commands for accounts and known addresses. It does not parse command lines.

It works on the store alone, so also while servers use the same store.
"""

import argparse
import getpass
import json
import logging
import os
import sys
from dataclasses import asdict, dataclass
from datetime import datetime

from common import PROJECT_ROOT
from common.addresses import canonical
from common.errors import ConfigurationError, ExitStatus, Refusal, UsageError
from common.log.logs import Logging
from common.private_files import system_user
from common.program import ask_yes_or_no, has_terminal, print_warning
from common.visible import visible
from server.administration.transfer import Exported, read
from server.configuration.loading import Configuration
from server.handlers.auth import AuthHandler
from server.identity.accounts import Account, Accounts
from server.identity.hashing import HashPool
from server.identity.lockout import Lockout
from server.identity.names import account_name
from server.identity.passwords import Passwords
from server.identity.sessions import Sessions
from server.identity.visitors import Visitors
from server.store.database import Store

LOG = logging.getLogger("porter.server")


@dataclass(frozen=True)
class _Row:
    """An account as the administrator sees it. Times are seconds since 1970.

    `blocked` means: too many wrong passwords. `locked_until` is the end of a lock after a few of them, or None.
    """

    name: str
    disabled: bool
    blocked: bool
    locked_until: float | None
    created: float
    last_login: float | None
    sessions: int

    @property
    def state(self) -> str:
        if self.disabled:
            return "disabled"
        if self.blocked:
            return "blocked"
        return "enabled" if self.locked_until is None else f"locked until {_format_time(self.locked_until)}"


class Administrator:
    """Carries out the commands: each method that takes `options` is one, and returns the text to print.

    A command raises UsageError or Refusal if it cannot be carried out, and StoreUnavailable if the store fails.
    """

    def __init__(self, configuration: Configuration) -> None:
        """Open the store of `configuration`. Raise StoreUnavailable if that fails."""
        options = _auth_options(configuration)
        limits = configuration.settings.registration_limits
        self.store = Store(configuration.settings.store)
        self._accounts = Accounts(self.store, limits)
        self._visitors = Visitors(self.store, limits)
        self._sessions = Sessions(self.store, options.sessions)
        self._hash_pool = HashPool()
        self._passwords = Passwords(options.passwords, self._hash_pool)
        self._lockout = Lockout(self.store, options.lockout)
        self._logging_file = PROJECT_ROOT / configuration.settings.logging

    def close(self) -> None:
        self._hash_pool.close()
        self.store.close()

    def list(self, options: argparse.Namespace) -> str:
        with self.store.reading() as transaction:
            overviews = self._accounts.overviews(transaction)
            sessions = self._sessions.count(transaction)
            blocked = self._lockout.blocked(transaction)
            locked = self._lockout.locked_names(transaction)
        accounts = [
            _Row(
                account.name,
                account.disabled,
                account.canonical in blocked,
                locked.get(account.canonical),
                account.created,
                account.last_login,
                sessions.get(account.id, 0),
            )
            for account in overviews
        ]
        if options.json:
            return _format_json([asdict(account) for account in accounts])
        return _format_table(
            ["NAME", "STATE", "CREATED", "LAST LOGIN", "SESSIONS"],
            [
                [
                    account.name,
                    account.state,
                    _format_time(account.created),
                    _format_time(account.last_login),
                    str(account.sessions),
                ]
                for account in accounts
            ],
        )

    def add(self, options: argparse.Namespace) -> str:
        name = account_name(options.name)
        with self.store.reading() as transaction:
            if self._accounts.find(transaction, name) is not None:
                raise UsageError("the account {name} exists already", name=name.shown)
        password_hash = self._new_password_hash()
        with self.store.writing() as transaction:
            self._accounts.add(transaction, name, password_hash, address=None)
            self._lockout.forget(transaction, name.canonical)
        self._log("added", name.shown)
        return f"{name.shown} is added"

    def password(self, options: argparse.Namespace) -> str:
        account = self._find_account(options.name)
        password_hash = self._new_password_hash()
        with self.store.writing() as transaction:
            self._accounts.set_password(transaction, account.id, password_hash)
            self._lockout.forget(transaction, account.canonical)
            self._sessions.end_all(transaction, account.id)
        self._log("changed the password of", account.name)
        return f"the password of {account.name} is changed, and all sessions are ended"

    def disable(self, options: argparse.Namespace) -> str:
        account = self._find_account(options.name)
        with self.store.writing() as transaction:
            self._accounts.set_disabled(transaction, account.id, True)
            self._sessions.end_all(transaction, account.id)
        self._log("disabled", account.name)
        return f"{account.name} is disabled, and all sessions are ended"

    def enable(self, options: argparse.Namespace) -> str:
        account = self._find_account(options.name)
        with self.store.writing() as transaction:
            self._accounts.set_disabled(transaction, account.id, False)
            self._lockout.forget(transaction, account.canonical)
        self._log("enabled", account.name)
        return f"{account.name} is enabled"

    def remove(self, options: argparse.Namespace) -> str:
        account = self._find_account(options.name)
        if not options.yes:
            _confirm(f"Remove {account.name}?")
        with self.store.writing() as transaction:
            self._sessions.end_all(transaction, account.id)
            self._accounts.remove(transaction, account.id)
            self._lockout.forget(transaction, account.canonical)
        self._log("removed", account.name)
        return f"{account.name} is removed"

    def logout(self, options: argparse.Namespace) -> str:
        account = self._find_account(options.name)
        with self.store.writing() as transaction:
            ended = self._sessions.end_all(transaction, account.id)
        self._log("ended the sessions of", account.name)
        return f"{account.name} is logged out; sessions ended: {ended}"

    def export(self, options: argparse.Namespace) -> str:
        with self.store.reading() as transaction:
            found = self._accounts.all(transaction)
        self._log("exported", f"{len(found)} accounts")
        return "\n".join(
            Exported(account.name, account.password_hash, account.disabled, created).line()
            for account, created in found
        )

    def import_(self, options: argparse.Namespace) -> str:
        """Add the accounts of a file, all or none."""
        try:
            with open(options.file, encoding="utf-8") as file:
                wanted = list(read(file))
        except (OSError, UnicodeError) as error:
            reason = getattr(error, "strerror", None) or "it is not UTF-8"
            raise UsageError("cannot read {file}: {reason}", file=options.file, reason=reason) from None
        added = 0
        with self.store.writing() as transaction:
            for name, account in wanted:
                if self._accounts.find(transaction, name) is not None:
                    if options.skip_existing:
                        continue
                    raise UsageError(
                        "the account {name} exists already: nothing is imported (see --skip-existing)",
                        name=account.name,
                    )
                try:
                    made = self._accounts.add(transaction, name, account.password_hash, address=None)
                except Refusal as refusal:
                    raise UsageError(
                        "the account {name}: {reason}: nothing is imported", name=account.name, reason=refusal
                    ) from None
                self._accounts.set_disabled(transaction, made.id, account.disabled)
                self._accounts.set_created(transaction, made.id, account.created)
                self._lockout.forget(transaction, name.canonical)
                added += 1
        self._log("imported", f"{added} accounts")
        return f"accounts imported: {added}; there already: {len(wanted) - added}"

    def addresses(self, options: argparse.Namespace) -> str:
        visitors = self._visitors.list()
        if options.json:
            return _format_json([asdict(visitor) for visitor in visitors])
        return _format_table(
            ["ADDRESS", "NAME", "SINCE"],
            [[visitor.address, visitor.name, _format_time(visitor.created)] for visitor in visitors],
        )

    def forget(self, options: argparse.Namespace) -> str:
        try:
            address = canonical(options.address)
        except ValueError:
            raise UsageError("{text!r} is not an address", text=options.address) from None
        if not self._visitors.forget(address):
            raise UsageError("identify knows no name for {address}", address=address)
        self._log("forgot the name of", address)
        return f"{address} is forgotten; identify asks it again"

    def _log(self, act: str, name: str) -> None:
        """Write an act that is done into the server's log. If that fails, only print a warning."""
        try:
            Logging().configure(self._logging_file)
        except ConfigurationError as error:
            print_warning(f"the log cannot be written: {error}")
        LOG.info("administrator %s %s %s", system_user(os.getuid()) or os.getuid(), act, name)

    def _find_account(self, typed: str) -> Account:
        with self.store.reading() as transaction:
            account = self._accounts.find(transaction, account_name(typed))
        if account is None:
            raise UsageError("there is no account {name!r}", name=typed)
        return account

    def _new_password_hash(self) -> str:
        password = _read_password()
        self._passwords.check_new(password)
        return self._passwords.hash(password)


def _auth_options(configuration: Configuration) -> AuthHandler.Options:
    """Return the options of the auth handler, or of a handler that is derived from it."""
    for choice in configuration.choices.values():
        if isinstance(choice.options, AuthHandler.Options):
            return choice.options
    return AuthHandler.Options()


def _read_password() -> str:
    """Ask for a password twice, hidden. Without a terminal, read the first line of standard input.

    Raise UsageError if there is none, or if the two differ.
    """
    if not has_terminal():
        line = sys.stdin.readline()
        if not line:
            raise UsageError("standard input is empty; its first line must be the password")
        return line.rstrip("\r\n")
    password = getpass.getpass("Password: ")
    if getpass.getpass("Repeat the password: ") != password:
        raise UsageError("the two passwords differ")
    return password


def _confirm(question: str) -> None:
    """Return after a yes, and end the program after a no. Raise UsageError without a terminal."""
    if not has_terminal():
        raise UsageError("cannot ask for a confirmation without a terminal; give --yes")
    if not ask_yes_or_no(question):
        print("nothing is changed", file=sys.stderr)
        sys.exit(ExitStatus.DONE)


def _format_json(rows: list[dict[str, object]]) -> str:
    return json.dumps(rows, indent=1)


def _format_table(head: list[str], rows: list[list[str]]) -> str:
    cells = [head, *([visible(cell) for cell in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells
    )


def _format_time(moment: float | None) -> str:
    return "never" if moment is None else datetime.fromtimestamp(moment).astimezone().isoformat(timespec="seconds")
