"""How many logins and resumes two processes make on one PostgreSQL: `python -m tests.server.store.rates`.

Each statement waits for half a millisecond more, as between two machines of one data centre. Nothing is hashed.
Every resume notes its use, as after a failover.
"""

import contextlib
import dataclasses
import multiprocessing
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

from server.identity.accounts import Accounts
from server.identity.lockout import Lockout
from server.identity.logins import Logins
from server.identity.names import account_name
from server.identity.revocations import Revocations
from server.identity.sessions import Found, Sessions
from server.settings import LockoutOptions, RegistrationLimits, SessionOptions
from server.store import postgresql
from server.store.database import Store
from tests.server.store_case import Postgres

SECONDS = 4.0
HOME = "10.0.0.1"
_pause = threading.Event()


class NoHashes:
    """Passwords that cost nothing."""

    @contextlib.contextmanager
    def turn(self, _source: str) -> Iterator[None]:
        yield

    def verify(self, _password: str, _stored: str | None) -> tuple[bool, None]:
        return True, None

    def hash(self, _password: str) -> str:
        return "hash"

    def check_new(self, _password: str) -> None:
        """Take any."""


class NotedSessions(Sessions):
    """Sessions whose last use is always long ago."""

    def find(self, transaction: Any, token: str) -> Found | None:
        found = super().find(transaction, token)
        return found and dataclasses.replace(found, note_due=True)


def steps(store: Store) -> Logins:
    passwords: Any = NoHashes()
    sessions = NotedSessions(store, SessionOptions())
    accounts = Accounts(store, RegistrationLimits())
    watcher: Any = None
    return Logins(store, accounts, passwords, Lockout(store, LockoutOptions()), sessions, Revocations(store), watcher)


def work(url: str, number: int, start: float, counts: "multiprocessing.Queue[tuple[int, int]]") -> None:
    """Log in and resume in eight threads, each for its own account."""
    connection_class: Any = postgresql._bounded_connection()
    wait = connection_class.wait

    def wait_longer(*arguments: Any, **named: Any) -> Any:
        _pause.wait(0.0005)
        return wait(*arguments, **named)

    connection_class.wait = wait_longer
    logins = steps(Store(url, 8))
    done = [0, 0]

    def one(thread: int) -> None:
        name = account_name(f"user{number}x{thread}")
        login = logins.register(name, "a password", HOME)
        for phase in (0, 1):
            while time.time() < start + phase * SECONDS:
                _pause.wait(0.01)
            while time.time() < start + (phase + 1) * SECONDS:
                if phase == 0:
                    logins.last_name_at(HOME)
                    logins.is_new(name)
                    login = logins.log_in(name, "a password", HOME)
                else:
                    assert logins.resume(login.token or "") is not None
                done[phase] += 1

    threads = [threading.Thread(target=one, args=[thread]) for thread in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    counts.put((done[0], done[1]))


def main() -> int:
    url = Postgres().store_url()
    Store(url).close()
    counts: multiprocessing.Queue[tuple[int, int]] = multiprocessing.Queue()
    start = time.time() + 3
    processes = [multiprocessing.Process(target=work, args=(url, number, start, counts)) for number in range(2)]
    for process in processes:
        process.start()
    found = [counts.get(timeout=10 * SECONDS) for _ in processes]
    for process in processes:
        process.join()
    logins, resumes = (sum(column) / SECONDS for column in zip(*found, strict=True))
    print(f"{logins:,.0f} logins and {resumes:,.0f} noted resumes a second")
    return 0


if __name__ == "__main__":
    sys.exit(main())
