"""What the machine gives to this process: cores and open files. It knows nothing of connections or handlers."""

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


def cores() -> list[int]:
    """Return the numbers of the cores that this process may use. In a container they can be fewer than there are."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))
