"""What the machine gives to this process: cores, and open files. It knows nothing of connections or handlers.

One core makes a server of many threads twice as fast as two do, since the interpreter's lock then changes hands
without the cores having to agree. So several cores take several processes.
"""

import logging
import os
import resource

LOG = logging.getLogger("porter.server")
_FOR_THE_REST = 256  # who is refused (128), the store's, the log's, the standard streams, modules being imported


def make_room_for(connections: int) -> None:
    """Raise the soft limit on open files to fit so many connections; log what the hard limit does not allow."""
    wanted = connections + _FOR_THE_REST
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return
    possible = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if possible > soft:
        resource.setrlimit(resource.RLIMIT_NOFILE, (possible, hard))
        LOG.info("limit on open files raised from %d to %d", soft, possible)
    if possible < wanted:
        LOG.warning(
            "max_connections is %d, but open files for only %d", connections, max(possible - _FOR_THE_REST, 0)
        )


class Cores:
    """Those that were allowed when it was made; where the system does not tell, nothing is changed."""

    def __init__(self) -> None:
        self._all = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []

    def __len__(self) -> int:
        """How many there are, which in a container are fewer than the machine has."""
        return len(self._all) or os.cpu_count() or 1

    def keep_to(self, number: int) -> None:
        """Have this thread, and those it starts from now on, run on one core: the `number`th, counted round."""
        if self._all:
            os.sched_setaffinity(0, {self._all[number % len(self._all)]})

    def use_all(self) -> None:
        """Have this thread run anywhere again."""
        if self._all:
            os.sched_setaffinity(0, self._all)
