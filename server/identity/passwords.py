"""The rules for passwords, and their hashes: argon2id, through passlib. It knows no accounts and no sockets."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import precis_i18n
from passlib.context import CryptContext
from passlib.handlers.argon2 import argon2

from common.errors import Busy, Refusal
from server.identity.hashing import HashWorkers
from server.settings import MOST_MEMORY_KIB, MOST_PASSWORD_CHARACTERS, MOST_THREADS, MOST_WORK, PasswordOptions

LOG = logging.getLogger("porter.server")
_COMMON_PASSWORDS = Path(__file__).parent / "common_passwords.txt"
_SHORTEST_HASH = 16  # bytes; a hash that lost its end would be told by fewer
_EVEN = 2.5  # hashes: what the rest of a refusal takes, and a hash at an older cost, stay below


class Passwords:
    """Hashes and verifies, by the workers; whoever serves others does so in a turn."""

    def __init__(self, options: PasswordOptions, workers: HashWorkers) -> None:
        self._options = options
        self._workers = workers
        self._context = CryptContext(
            schemes=["argon2"],
            argon2__type="ID",
            argon2__memory_cost=options.argon2.memory_kib,
            argon2__rounds=options.argon2.time_cost,
            argon2__parallelism=options.argon2.parallelism,
        )
        # Everything is loaded here, so that no login pays for it, by a hash of next to no cost.
        self._context.using(argon2__memory_cost=8, argon2__rounds=1, argon2__parallelism=1).hash(_prepare("nobody"))
        # What a hash takes of a core, however busy the machine is; with several lanes it has threads of its own.
        core_seconds = time.thread_time if options.argon2.parallelism == 1 else time.process_time
        started = core_seconds()
        self._nobodys_hash = self._context.hash("nobody")
        self._even = _EVEN * (core_seconds() - started)

    def check_new(self, password: str) -> None:
        """Raise Refusal for a password that a new account may not have."""
        if len(password) < self._options.min_length:
            raise Refusal(f"a password has at least {self._options.min_length} characters")
        if f"\n{_prepare(password).casefold()}\n" in _common_passwords():
            raise Refusal("that is one of the commonest passwords, which are guessed first")

    def hash(self, password: str) -> str:
        return self._workers.run(self._context.hash, _prepare(password))

    def verify(self, password: str, stored: str | None) -> tuple[bool, str | None]:
        """Whether the password is right, and a better hash to store if the stored one is below today's cost.

        With None for `stored` (no such account) the answer is no, after the same work.
        """
        try:
            prepared = _prepare(password)
        except Refusal:
            prepared, stored = "", None
        if stored is not None and (damage := _damage(stored)):
            LOG.error("a stored password hash cannot be used: %s", damage)
            stored = None
        is_right = self._workers.run(self._verify, prepared, stored)
        if not is_right or stored is None or not self._context.needs_update(stored):
            return is_right, None
        return is_right, self._workers.run(self._context.hash, prepared)

    def _verify(self, prepared: str, stored: str | None) -> bool:
        if stored is not None:
            try:
                return self._context.verify(prepared, stored)
            except (ValueError, TypeError) as error:
                LOG.error("a stored password hash cannot be used: %s", type(error).__name__)
        self._context.verify(prepared, self._nobodys_hash)
        return False

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Inside, it is this thread's turn to look at a password; raises Busy if it does not come.

        A Refusal leaves no sooner than a moment after the turn has come, whatever its cause: its time tells nothing.
        Equal work makes the times alike; this covers what is left, such as a hash at an older, lower cost.
        """
        even = 0.0
        try:
            with self._workers.turn():
                even = time.monotonic() + self._even
                yield
        except Busy:
            raise
        except Refusal:
            time.sleep(max(0.0, even - time.monotonic()))  # no longer in the turn, which is the next one's
            raise


def _prepare(password: str) -> str:
    """One spelling for what is typed the same on two keyboards (RFC 8265, OpaqueString); lengths first."""
    if len(password) > MOST_PASSWORD_CHARACTERS:
        raise Refusal(f"a password has at most {MOST_PASSWORD_CHARACTERS} characters")
    try:
        return str(precis_i18n.get_profile("OpaqueString").enforce(password))
    except UnicodeEncodeError:
        raise Refusal("a password must not be empty or have control characters") from None


def _damage(stored: str) -> str | None:
    """Why a stored hash cannot be verified, or None. One that was tampered with must not cost gigabytes or hours."""
    try:
        parsed = argon2.from_string(stored)
    except (ValueError, TypeError) as error:
        return f"it is damaged ({type(error).__name__})"
    if len(parsed.checksum or b"") < _SHORTEST_HASH:
        return "it is damaged (too short)"
    if (
        parsed.memory_cost > MOST_MEMORY_KIB
        or parsed.memory_cost * parsed.rounds > MOST_WORK
        or parsed.parallelism > MOST_THREADS
    ):
        return f"it costs too much (m={parsed.memory_cost}, t={parsed.rounds}, p={parsed.parallelism})"
    return None


@cache
def _common_passwords() -> str:
    return _COMMON_PASSWORDS.read_text(encoding="utf-8")
