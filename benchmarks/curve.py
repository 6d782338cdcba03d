"""Latency against load: Porter and other servers at rising rates, in turns, each on one core, the load on the others.

The load is an open loop: messages are sent at planned moments whatever the server does, and latencies count from
these, so that a server which falls behind is seen.
"""

import statistics
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from itertools import product
from pathlib import Path

from benchmarks.figures import Curves, Point
from benchmarks.processes import measure
from benchmarks.progress import Progress
from benchmarks.servers import PEERS, PORTER, RunningServer, cores_of_server_and_load
from benchmarks.work import Work
from common.errors import ExitStatus

NAMES = [PORTER, *PEERS]
RATES = (20_000, 40_000, 60_000, 80_000, 100_000, 120_000, 140_000, 160_000)
_KEEPS_UP = 0.95  # of a rate


def draw(connections: int, rounds: int, seconds: float, picture: Path | None) -> ExitStatus:
    """Measure all servers at all rates. Print the table, and draw it if `picture` is given."""
    work = Work("127.0.0.1", 0, connections=connections, warmup=0.3, seconds=seconds)
    found = curves(NAMES, RATES, work, rounds)
    print(table(found, RATES, connections))
    if picture is not None:
        from benchmarks.chart import draw_curves

        draw_curves(picture, found)
    return ExitStatus.DONE


def curves(names: Sequence[str], rates: Sequence[int], work: Work, rounds: int) -> Curves:
    """Measure servers at rates: the medians of the rounds."""
    alone, others = cores_of_server_and_load()
    times: dict[tuple[str, int], list[tuple[float, float, float]]] = {}
    with ExitStack() as stack:
        servers = [stack.enter_context(RunningServer(name, alone)) for name in names]
        for number, rate, server in product(range(rounds), rates, servers):
            label = f"round {number + 1} of {rounds}, {rate:,} a second, {server.name}"
            with Progress(work.warmup + work.seconds, label) as progress:
                now = replace(work, port=server.port, rate=rate)
                result = measure(now, max(1, len(others or [])), progress.tell, others)
            row = (result.rate, result.percentile(50) * 1000, result.percentile(99) * 1000)
            times.setdefault((server.name, rate), []).append(row)
    found: Curves = {name: [] for name in names}
    for (name, rate), rows in times.items():
        reached, p50, p99 = (statistics.median(column) for column in zip(*rows, strict=True))
        if reached >= _KEEPS_UP * rate:
            found[name].append(Point(rate, p50, p99))
    return found


def table(found: Curves, rates: Sequence[int], connections: int) -> str:
    """Return a table in Markdown."""
    heads = " | ".join(f"{rate:,}" for rate in rates)
    lines = [
        f"| p50 / p99 in ms, {connections} connections, at a second | {heads} |",
        "|---" * (len(rates) + 1) + "|",
    ]
    for name, points in found.items():
        known = {point.rate: f"{point.p50:.2f} / {point.p99:.2f}" for point in points}
        lines.append(f"| {name} | " + " | ".join(known.get(rate, "-") for rate in rates) + " |")
    return "\n".join(lines)
