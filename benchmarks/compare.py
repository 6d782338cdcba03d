"""Compares Porter with other servers: the same work, in turns, in several rounds, with medians as the result.

Each server runs on one core, and the load on the other cores. Otherwise chance would matter more than the difference
between the servers. Porter and socketserver are measured a second time without this, on all cores.
"""

import json
import secrets
import statistics
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from itertools import product
from pathlib import Path

from benchmarks.figures import CELLS, Figure, Figures
from benchmarks.processes import measure
from benchmarks.progress import Progress
from benchmarks.servers import CHAT_PEER, PEERS, PORTER, PORTER_CHAT, RunningServer, cores_of_server_and_load
from benchmarks.work import Account, Kinds, Work
from common.errors import ExitStatus, Unavailable

BY_DEFAULT = " by default"


def compare(rounds: int, seconds: float, picture: Path | None, *, as_json: bool) -> int:
    """Measure all servers, `seconds` for each kind of work. Print the table, and draw it if `picture` is given."""
    alone, others = cores_of_server_and_load()
    figures = _measure([PORTER, *PEERS], rounds, seconds, alone, others)
    names = ["socketserver", PORTER]
    by_default = _measure(names, rounds, seconds, None, None)
    figures |= {name + BY_DEFAULT: by_default[name] for name in names}
    if as_json:
        shown = {name: {cell: vars(figure) for cell, figure in row.items()} for name, row in figures.items()}
        print(json.dumps(shown, indent=2))
    else:
        print(table(figures))
    if picture is not None:
        from benchmarks.chart import draw_comparison

        draw_comparison(picture, figures)
    return ExitStatus.DONE


def _measure(
    names: list[str], rounds: int, seconds: float, server_cores: list[int] | None, load_cores: list[int] | None
) -> Figures:
    found: dict[tuple[str, str], list[Figure]] = {}
    with ExitStack() as stack:
        servers = [stack.enter_context(RunningServer(name, server_cores)) for name in names]
        for number in range(rounds):
            for cell, work in CELLS.items():
                for server in servers:
                    label = f"round {number + 1} of {rounds}, {cell}, {server.name}"
                    mine = replace(work, port=server.port, seconds=seconds)
                    with Progress(mine.warmup + mine.seconds, label) as progress:
                        figure = _measure_one(server, mine, load_cores, progress)
                    found.setdefault((server.name, cell), []).append(figure)
    return {
        name: {
            cell: Figure(
                statistics.median(figure.rate for figure in found[name, cell]),
                statistics.median(figure.cost for figure in found[name, cell]),
            )
            for cell in CELLS
        }
        for name in names
    }


def _measure_one(server: RunningServer, work: Work, cores: list[int] | None, progress: Progress) -> Figure:
    before = server.cpu_seconds()
    result = measure(work, max(1, len(cores or [])), progress.tell, cores)
    spent = server.cpu_seconds() - before
    for text, count in result.errors.items():
        print(f"{server.name}: error, {count} times: {text}", file=sys.stderr)
    # The processor time includes the warm-up, so the number of messages must include it, too.
    return Figure(result.rate, spent / (result.rate * (work.seconds + work.warmup)) * 1e6 if result.rate else 0.0)


class _Share:
    """What a server takes of a core, from the first second of a load on, when all logins are done."""

    def __init__(self, server: RunningServer, tell: Callable[[int], object]) -> None:
        self._server = server
        self._tell = tell
        self._since: tuple[float, float] | None = None

    def tell(self, count: int) -> None:
        """Hear that another second is over, and tell it on."""
        if self._since is None:
            self._since = time.monotonic(), self._server.cpu_seconds()
        self._tell(count)

    def percent(self) -> float:
        moment, before = self._since or (0.0, 0.0)
        return 100 * (self._server.cpu_seconds() - before) / (time.monotonic() - moment)


def compare_chats(members: int, rounds: int, seconds: float) -> int:
    """Measure a room in which each member says a line a second: Porter's chat and one on asyncio's streams, in turns.

    Print the lines heard a second, the latencies and the processor's share, medians of the rounds.
    """
    alone, others = cores_of_server_and_load()
    base = Work("127.0.0.1", 0, Kinds.CHAT, members, rate=float(members), warmup=1.0, seconds=seconds)
    found: dict[str, list[tuple[float, ...]]] = {PORTER_CHAT: [], CHAT_PEER: []}
    with ExitStack() as stack:
        servers = [stack.enter_context(RunningServer(name, alone)) for name in found]
        for number, server in product(range(rounds), servers):
            account = Account(f"r{number}m", secrets.token_urlsafe()) if server.name == PORTER_CHAT else None
            work = replace(base, port=server.port, account=account)
            with Progress(work.warmup + seconds, f"round {number + 1} of {rounds}, {server.name}") as progress:
                share = _Share(server, progress.tell)
                result = measure(work, max(1, len(others or [])), share.tell, others)
            if result.errors:
                raise Unavailable("{server}: {error}", server=server.name, error=next(iter(result.errors)))
            times = (result.percentile(50) * 1000, result.percentile(99) * 1000)
            found[server.name].append((result.rate, *times, share.percent()))
    print(f"| {members} members, a line a second each | lines heard a second | p50 ms | p99 ms | % of a core |")
    print("|---|---|---|---|---|")
    for name, rows in found.items():
        rate, middle, most, percent = (statistics.median(column) for column in zip(*rows, strict=True))
        print(f"| {name} | {rate:,.0f} | {middle:.1f} | {most:.1f} | {percent:.0f} |")
    return ExitStatus.DONE


def table(figures: Figures) -> str:
    """Return two tables in Markdown: the figures of each server, and Porter's rate divided by that of each peer."""
    heads, rule = " | ".join(CELLS), "|---" * (len(CELLS) + 1) + "|"
    lines = [f"| messages a second (\u00b5s of processor each) | {heads} |", rule]
    for name, row in figures.items():
        cells = [f"{figure.rate:,.0f} ({figure.cost:.1f})" for figure in row.values()]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    lines += ["", f"| Porter / peer | {heads} |", rule]
    for name, row in figures.items():
        if name.startswith(PORTER):
            continue
        ours = figures[PORTER + BY_DEFAULT if name.endswith(BY_DEFAULT) else PORTER]
        cells = [f"{ours[cell].rate / figure.rate:.2f}" if figure.rate else "-" for cell, figure in row.items()]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)
