"""What a process has for its handlers, opened when it is first asked for: echo needs neither database nor hashing.

It outlives reloads. What the things are for, their own modules say.
"""

from contextlib import ExitStack, closing
from functools import cached_property
from typing import TYPE_CHECKING

from server.machine import Cores
from server.settings import RegistrationLimits

if TYPE_CHECKING:
    from server.identity.hashing import HashWorkers
    from server.identity.watcher import Watcher
    from server.store.database import Store


class Resources:
    """`registration_limits` are those of the configuration that is being prepared."""

    def __init__(
        self,
        store_url: str,
        registration_limits: RegistrationLimits,
        hash_threads: int | None = None,
        cores: Cores | None = None,
    ) -> None:
        self._store_url = store_url
        self._hash_threads = hash_threads
        self._cores = cores
        self._opened = ExitStack()
        self.registration_limits = registration_limits

    # The imports are in here since they take 200 ms and 40 MiB.

    @cached_property
    def store(self) -> "Store":
        """The database; raises StoreUnavailable if it cannot be opened."""
        from server.store.database import Store

        return self._opened.enter_context(closing(Store(self._store_url)))

    @cached_property
    def watcher(self) -> "Watcher":
        """The thread that ends connections whose session was ended elsewhere; raises StoreUnavailable too."""
        from server.identity.watcher import Watcher
        from server.store.database import Store

        # A store of its own: in a flood of logins it would wait for a connection to the database behind them all.
        own_store = self._opened.enter_context(closing(Store(self._store_url)))
        return self._opened.enter_context(closing(Watcher(own_store)))

    @cached_property
    def hash_workers(self) -> "HashWorkers":
        """The few threads that compute all password hashes of the process."""
        from server.identity.hashing import HashWorkers

        return self._opened.enter_context(closing(HashWorkers(self._hash_threads, cores=self._cores)))

    def close(self) -> None:
        """Close what was opened, the last first."""
        self._opened.close()
