"""What the machine gives to this process: cores and open files. It knows nothing of connections or handlers.

A server of many threads is twice as fast on one core as on two: the interpreter's lock then never moves from one
core to another. So a server that uses several cores needs several processes.
"""

import logging
import os
import resource

LOG = logging.getLogger("porter.server")
_OTHER_FILES = 256  # refused connections (128), the store, the log, the standard streams, modules during an import


def make_room_for(connections: int) -> None:
    """Raise the soft limit on open files for this many connections; log a warning if the hard limit is too low."""
    wanted = connections + _OTHER_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return
    possible = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if possible > soft:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (possible, hard))
            LOG.info("limit on open files raised from %d to %d", soft, possible)
        except (OSError, ValueError) as error:
            LOG.warning("the limit on open files stays %d: %s", soft, error)
            possible = soft
    if possible < wanted:
        LOG.warning(
            "max_connections is %d, but the limit on open files allows only %d: raise it (ulimit -Hn)",
            connections,
            max(possible - _OTHER_FILES, 0),
        )


class Cores:
    """The cores that this process may use when the object is made.

    Only Linux tells which cores these are. On another system the methods change nothing.
    """

    def __init__(self) -> None:
        self._all = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []

    def __len__(self) -> int:
        """Return the number of cores. In a container it can be lower than that of the machine."""
        return len(self._all) or os.cpu_count() or 1

    def keep_to(self, number: int) -> None:
        """Keep this thread, and the threads that it starts later, on core `number` modulo the number of cores."""
        if self._all:
            _set_affinity({self._all[number % len(self._all)]})

    def use_all(self) -> None:
        """Let this thread run on all cores again."""
        if self._all:
            _set_affinity(set(self._all))


def _set_affinity(cores: set[int]) -> None:
    """Keep this thread on `cores`. That is a comfort: where the system refuses it, the thread stays where it is."""
    try:
        os.sched_setaffinity(0, cores)
    except OSError as error:
        LOG.warning("cannot keep to the cores %s: %s", ", ".join(map(str, sorted(cores))), error.strerror)
