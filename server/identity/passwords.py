"""The rules for passwords and their argon2id hashes, which passlib computes. It knows no accounts and no sockets."""

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
from server.identity.hashing import HashPool
from server.settings import MOST_MEMORY_KIB, MOST_PASSWORD_CHARACTERS, MOST_THREADS, MOST_WORK, PasswordOptions

LOG = logging.getLogger("porter.server")
_COMMON_PASSWORDS = Path(__file__).parent / "common_passwords.txt"
_SHORTEST_HASH = 16  # bytes; a hash that was cut off is easier to match
_SHORTEST_REFUSAL = 2.5  # times one hash: more than a hash at an older cost and the rest of a refusal take


class Passwords:
    """Hashes and verifies passwords in the threads of the HashPool. A server does so inside `turn`."""

    def __init__(self, options: PasswordOptions, hash_pool: HashPool) -> None:
        self._options = options
        self._hash_pool = hash_pool
        self._context = CryptContext(
            schemes=["argon2"],
            argon2__type="ID",
            argon2__memory_cost=options.argon2.memory_kib,
            argon2__rounds=options.argon2.time_cost,
            argon2__parallelism=options.argon2.parallelism,
        )
        # The first hash loads the libraries, which takes time. A cheap one does so here, before the first login.
        self._context.using(argon2__memory_cost=8, argon2__rounds=1, argon2__parallelism=1).hash(
            _normalized("nobody")
        )
        # The core time of a hash does not depend on how busy the machine is. A hash with several lanes has threads of
        # its own, so the time of the whole process counts.
        core_seconds = time.thread_time if options.argon2.parallelism == 1 else time.process_time
        started = core_seconds()
        self._dummy_hash = self._context.hash("nobody")
        self._shortest_refusal = _SHORTEST_REFUSAL * (core_seconds() - started)

    def check_new(self, password: str) -> None:
        """Raise Refusal if `password` is too short, too long, too common, or holds control characters."""
        if len(password) < self._options.min_length:
            raise Refusal("a password has at least {least} characters", least=self._options.min_length)
        if f"\n{_normalized(password).casefold()}\n" in _common_passwords():
            raise Refusal("this is one of the most common passwords, which are guessed first")

    def hash(self, password: str) -> str:
        """Return a hash of `password`. Raise Refusal if it cannot be a password, Stopping if the pool is closed."""
        return self._hash_pool.run(self._context.hash, _normalized(password))

    def verify(self, password: str, stored: str | None) -> tuple[bool, str | None]:
        """Return whether the password is right, and a hash to store if the stored one has another cost.

        With None for `stored` (no such account) the answer is False, after the same work. Raise Stopping if the pool
        is closed.
        """
        try:
            prepared = _normalized(password)
        except Refusal:
            prepared, stored = "", None
        if stored is not None and (why := damage(stored)):
            LOG.error("a stored password hash cannot be used: %s", why)
            stored = None
        is_right = self._hash_pool.run(self._verify, prepared, stored)
        if not is_right or stored is None or not self._context.needs_update(stored):
            return is_right, None
        return is_right, self._hash_pool.run(self._context.hash, prepared)

    def _verify(self, prepared: str, stored: str | None) -> bool:
        if stored is not None:
            try:
                return self._context.verify(prepared, stored)
            except (ValueError, TypeError) as error:
                LOG.error("a stored password hash cannot be used: %s", type(error).__name__)
        self._context.verify(prepared, self._dummy_hash)
        return False

    @contextmanager
    def turn(self, source: str = "") -> Iterator[None]:
        """Hold a turn of the HashPool inside, for a caller from `source`. Raise Busy if there is none in time.

        A Refusal leaves at the earliest 2.5 hash times after the turn began, whatever its cause, so that its time
        tells an attacker nothing. Equal work makes the times alike; this delay hides the remaining differences, for
        example a stored hash at an older, lower cost.
        """
        earliest = 0.0
        try:
            with self._hash_pool.turn(source):
                earliest = time.monotonic() + self._shortest_refusal
                yield
        except Busy:
            raise
        except Refusal:
            time.sleep(max(0.0, earliest - time.monotonic()))  # after the turn, so that another thread can have it
            raise


def _normalized(password: str) -> str:
    """Return the one spelling of a password for all keyboards (RFC 8265, OpaqueString).

    Raise Refusal if it is too long, empty or holds control characters. The length is checked first.
    """
    if len(password) > MOST_PASSWORD_CHARACTERS:
        raise Refusal("a password has at most {most} characters", most=MOST_PASSWORD_CHARACTERS)
    try:
        return str(precis_i18n.get_profile("OpaqueString").enforce(password))
    except UnicodeEncodeError:
        raise Refusal("a password must not be empty or hold control characters") from None


def damage(stored: str) -> str | None:
    """Return why a stored hash cannot be used, or None. A forged hash must not cost gigabytes or hours."""
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
