"""The limit on open files: each connection takes one. It knows nothing of connections but how many there may be."""

import logging
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
