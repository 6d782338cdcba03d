"""The resources of a process for its handlers: the store, the watcher and the hash pool.

Each is opened at its first use, because echo needs none of them. They stay open at a reload. It knows no handlers.
"""

from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from server.settings import Limits, RegistrationLimits

if TYPE_CHECKING:
    from server.identity.hashing import HashPool
    from server.identity.watcher import Watcher
    from server.store.database import Store


@dataclass(frozen=True)
class Mode:
    """The handler that the configuration chose: its name, options and limits, and what its connections share."""

    name: str
    options: Any
    limits: Limits
    shared: Any


class Resources:
    """Opens each resource at its first use and closes all. `registration_limits` change with each reload."""

    def __init__(
        self,
        store_url: str,
        registration_limits: RegistrationLimits,
        hash_threads: int | None = None,
    ) -> None:
        self._store_url = store_url
        self._hash_threads = hash_threads
        self._opened = ExitStack()
        self.registration_limits = registration_limits

    # The methods import the modules at the first use: the imports take 200 ms and 40 MiB.

    @cached_property
    def store(self) -> "Store":
        """Return the database. Raise StoreUnavailable if it cannot be opened."""
        from server.store.database import Store

        return self._opened.enter_context(closing(Store(self._store_url)))

    @cached_property
    def watcher(self) -> "Watcher":
        """Return the thread that ends the connections of ended sessions. Raise StoreUnavailable as `store` does."""
        from server.identity.watcher import Watcher
        from server.store.database import Store

        # The watcher has its own store: otherwise a flood of logins would take all connections of the pool.
        own_store = self._opened.enter_context(closing(Store(self._store_url)))
        return self._opened.enter_context(closing(Watcher(own_store)))

    @cached_property
    def hash_pool(self) -> "HashPool":
        """Return the threads that compute all password hashes of the process."""
        from server.identity.hashing import HashPool

        return self._opened.enter_context(closing(HashPool(self._hash_threads)))

    def close(self) -> None:
        """Close the opened resources, the last one first."""
        self._opened.close()
