"""Compares Porter with other servers: the same work, in turns, in several rounds, with medians as the result.

Each server runs on one core, and the load on the other cores. Otherwise chance would matter more than the difference
between the servers. Porter and socketserver are measured a second time without this, on all cores.
"""

import json
import os
import statistics
import sys
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from benchmarks.figures import CELLS, Figure, Figures
from benchmarks.processes import measure
from benchmarks.progress import Progress
from benchmarks.servers import PEERS, PORTER, RunningServer
from benchmarks.work import Work
from common.errors import ExitStatus

BY_DEFAULT = " by default"


def compare(rounds: int, seconds: float, picture: Path | None, *, as_json: bool) -> int:
    """Measure all servers, `seconds` for each kind of work. Print the table, and draw it if `picture` is given."""
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    alone, others = (cores[:1], cores[1:]) if len(cores) > 1 else (None, None)
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
