"""The resources of a process for its handlers: the store, the watcher, the hash pool and the bus.

Each is opened at its first use, because echo needs none of them. They stay open at a reload. It knows no handlers.
"""

from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from common.language import ENGLISH, Language
from server.counts import Counts, SharedCounts
from server.settings import Limits, RegistrationLimits

if TYPE_CHECKING:
    from server.bus.bus import Bus, Carrier
    from server.bus.memory import SharedMemory
    from server.identity.hashing import HashPool
    from server.identity.watcher import Watcher
    from server.store.database import Store

_ENOUGH_TO_LISTEN = 3
"""Connections to the store: one for handlers, one for the watcher and the bus, one that listens."""

_Kept = TypeVar("_Kept")


@dataclass(frozen=True)
class Mode:
    """The handler that the configuration chose: its name, options and limits, and what its connections share.

    `counts` is where the process counts logins, and `language` what clients are told in.
    """

    name: str
    options: Any
    limits: Limits
    shared: Any
    counts: Counts = field(default_factory=lambda: SharedCounts().of(0))
    language: Language = ENGLISH


class Resources:
    """Opens each resource at its first use and closes all. A reload changes `registration_limits` and `language`."""

    def __init__(
        self,
        store_url: str,
        registration_limits: RegistrationLimits,
        hash_threads: int | None = None,
        shared_memory: "SharedMemory | None" = None,
        store_pool: int = 5,
    ) -> None:
        """Open nothing. A worker has `shared_memory` with the others.

        `store_pool` is how many connections a process may have to a PostgreSQL store.
        """
        self._store_url = store_url
        self._store_pool = store_pool
        self._hash_threads = hash_threads
        self._shared_memory = shared_memory
        self._kept: dict[str, Any] = {}
        self._name: str | None = None  # of the server, among those on a shared store
        self._opened = ExitStack()
        self.registration_limits = registration_limits
        self.language = ENGLISH

    # The methods import the modules at the first use: the imports take 200 ms and 40 MiB.

    @cached_property
    def store(self) -> "Store":
        """Return the database. Raise StoreUnavailable if it cannot be opened."""
        from server.store import sqlite
        from server.store.database import Store

        pool = (max(1, self._store_pool - 2),) if self.is_shared else ()  # see `_second_store`, and the bus
        store = self._opened.enter_context(closing(Store(self._store_url, *pool)))
        if (file := sqlite.file_of(self._store_url)) is not None:
            self._opened.enter_context(closing(sqlite.InUse(file)))
        return store

    @property
    def is_shared(self) -> bool:
        """Return whether other machines may use the store."""
        return self._store_url.startswith("postgresql")

    @cached_property
    def watcher(self) -> "Watcher":
        """Return the thread that ends the connections of ended sessions. Raise StoreUnavailable as `store` does."""
        from server.identity.watcher import Watcher

        return self._opened.enter_context(closing(Watcher(self._second_store)))

    @cached_property
    def hash_pool(self) -> "HashPool":
        """Return the threads that compute all password hashes of the process."""
        from server.identity.hashing import HashPool

        return self._opened.enter_context(closing(HashPool(self._hash_threads)))

    @cached_property
    def bus(self) -> "Bus":
        """Return what carries texts between all processes and servers that share the store, or the workers' memory.

        Raise Unavailable if the database cannot be opened.
        """
        from server.bus.bus import Bus

        return self._opened.enter_context(closing(Bus(self._carrier())))

    def enlist(self, name: str, fingerprint: str) -> list[str]:
        """Note that a server of this name runs on a shared store, until `close`. Return those of another certificate.

        Raise StoreUnavailable if the store fails.
        """
        from server.store import fleet

        differing = fleet.enlist(self._second_store, name, fingerprint)
        if self._name is None:
            self._name = name
            self._opened.callback(fleet.strike_off, self._second_store, name)
        return differing

    @property
    def store_is_up(self) -> bool:
        """Return whether the last look at the store has succeeded, if anybody looks."""
        watcher = vars(self).get("watcher")
        return watcher is None or not watcher.is_failing

    def kept(self, key: str, make: Callable[[], _Kept]) -> _Kept:
        """Return what outlives a reload, by its key; it is made at the first call."""
        if key not in self._kept:
            self._kept[key] = make()
        kept: _Kept = self._kept[key]
        return kept

    def _carrier(self) -> "Carrier":
        if self.is_shared:
            from server.bus.rows import Rows

            return Rows(self._second_store, listens=self._store_pool >= _ENOUGH_TO_LISTEN)
        if self._shared_memory is not None:
            return self._shared_memory
        from server.bus.memory import Ring

        return self._opened.enter_context(closing(Ring(1))).of(0)

    @cached_property
    def _second_store(self) -> "Store":
        """Return the store of the watcher and the bus: a flood of logins would take all connections of the other."""
        from server.store.database import Store

        if self.is_shared and self._store_pool == 1:
            return self.store
        return self._opened.enter_context(closing(Store(self._store_url, 1)))

    def close(self) -> None:
        """Close the opened resources, the last one first."""
        self._opened.close()
