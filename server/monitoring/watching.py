"""What /healthz and /readyz say of all processes of a server. It does not know how they are asked."""

from time import monotonic

from server.counts import Count, SharedCounts

_LONGEST_TURN = 5.0  # seconds


def health(counts: SharedCounts) -> str:
    """Return what is wrong with the engines, or an empty text. An engine turns at least once a second."""
    now = monotonic()
    rows = zip(counts.column(Count.PID), counts.column(Count.TURNED_AT), strict=True)
    silent = [pid for pid, turned_at in rows if pid and now - turned_at > _LONGEST_TURN]
    if silent:
        return f"no turn for {_LONGEST_TURN:g} seconds in process {', '.join(map(str, silent))}"
    return "" if any(counts.column(Count.PID)) else "no process serves"


def readiness(counts: SharedCounts, most: int, *, is_draining: bool) -> str:
    """Return why a balancer should send nobody here, or an empty text."""
    if is_draining:
        return "draining"
    if not any(counts.column(Count.PID)):
        return "no process serves"
    if counts.sum(Count.CONNECTIONS) >= most:
        return f"full: {most} connections"
    return ""
