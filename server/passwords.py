"""The rules for passwords, and their hashes: argon2id, through passlib. It knows no accounts and no sockets.

A hash takes tens of milliseconds of a core and megabytes of memory, so only a few are computed at a time.
"""

import logging
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import precis_i18n
from passlib.context import CryptContext

from common.errors import Busy, Refusal
from server.options import MOST_PASSWORD_CHARACTERS, PasswordOptions

LOG = logging.getLogger("porter.server")
_QUEUE = 16
_LONGEST_WAIT = 2.0


class Passwords:
    """Hashes and verifies; each at most waits its turn for 2 seconds, and raises Busy if it does not come."""

    def __init__(self, options: PasswordOptions) -> None:
        self._options = options
        self._context = CryptContext(
            schemes=["argon2"],
            argon2__type="ID",
            argon2__memory_cost=options.argon2.memory_kib,
            argon2__rounds=options.argon2.time_cost,
            argon2__parallelism=options.argon2.parallelism,
        )
        permits = max(1, (os.cpu_count() or 1) - 1)
        self._permits = threading.Semaphore(permits)
        self._places = threading.Semaphore(permits + _QUEUE)
        self._nobodys_hash = self._context.hash("")  # also loads argon2, so that no login pays for that

    def check_new(self, password: str) -> None:
        """Raise Refusal for a password that a new account may not have."""
        if len(password) < self._options.min_length:
            raise Refusal(f"a password has at least {self._options.min_length} characters")
        _prepare(password)

    def hash(self, password: str) -> str:
        prepared = _prepare(password)
        with self._permit():
            return self._context.hash(prepared)

    def verify(self, password: str, stored: str | None) -> tuple[bool, str | None]:
        """Whether the password is right, and a better hash to store if the stored one is below today's cost.

        With None for `stored` (no such account) the answer is no, after the same work.
        """
        try:
            prepared = _prepare(password)
        except Refusal:
            prepared, stored = "", None
        with self._permit():
            if stored is None:
                self._context.verify(prepared, self._nobodys_hash)
                return False, None
            try:
                return self._context.verify_and_update(prepared, stored)
            except (ValueError, TypeError) as error:
                LOG.error("a stored password hash is damaged: %s", type(error).__name__)
                return False, None

    @contextmanager
    def _permit(self) -> Iterator[None]:
        if not self._places.acquire(blocking=False):
            raise Busy("busy, try again in a moment")
        try:
            if not self._permits.acquire(timeout=_LONGEST_WAIT):
                raise Busy("busy, try again in a moment")
            try:
                yield
            finally:
                self._permits.release()
        finally:
            self._places.release()


def _prepare(password: str) -> str:
    """One spelling for what is typed the same on two keyboards (RFC 8265, OpaqueString); lengths first."""
    if len(password) > MOST_PASSWORD_CHARACTERS:
        raise Refusal(f"a password has at most {MOST_PASSWORD_CHARACTERS} characters")
    try:
        return str(precis_i18n.get_profile("OpaqueString").enforce(password))
    except UnicodeEncodeError:
        raise Refusal("a password must not be empty or have control characters") from None
