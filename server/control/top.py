"""The command line of `./run.sh top`: a live table of who is connected, with rates. Ctrl-C ends it."""

import argparse
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common import PROJECT_ROOT
from common.errors import ExitStatus
from common.program import ArgumentParser, run
from server.configuration.loading import Source, file_path
from server.control.asking import ask_all
from server.control.clients import shown

if TYPE_CHECKING:
    from rich.table import Table

_INTERVAL = 1.0  # seconds
_WIDE = 160  # columns, where there is no terminal
_COLUMNS = ("id", "address", "account", "mode", "since")
_RATES = {"received": "in/s", "sent": "out/s", "received_bytes": "B in/s", "sent_bytes": "B out/s"}

Rows = dict[str, dict[str, Any]]
"""Connections by their ids."""


def main() -> int:
    options = _command_line()
    folder = PROJECT_ROOT / Source(file_path(options.config)).load().settings.control
    # Imported here: --help and a wrong command line need not wait for it.
    from rich.console import Console
    from rich.live import Live

    is_terminal = sys.stdout.isatty()
    console = Console(no_color=True if os.environ.get("NO_COLOR") else None, width=None if is_terminal else _WIDE)
    before, moment = _rows(folder), time.monotonic()
    if options.once or not is_terminal:
        console.print(_table(before, {}, 1.0, height=len(before)))
        return ExitStatus.DONE
    with Live(console=console, screen=True, auto_refresh=False) as live:
        while True:
            time.sleep(_INTERVAL)
            now, then = _rows(folder), moment
            moment = time.monotonic()
            live.update(_table(now, before, moment - then, height=console.height - 5), refresh=True)
            before = now


def _rows(folder: Path) -> Rows:
    return {row["id"]: row for answer in ask_all(folder, do="list") for row in answer}


def _table(now: Rows, before: Rows, seconds: float, *, height: int) -> "Table":
    """Return the connections with their rates since `before`, those with the most messages first."""
    from rich.table import Table
    from rich.text import Text

    table = Table(title=f"connections: {len(now)}", title_justify="left", box=None, pad_edge=False)
    for column in (*_COLUMNS, *_RATES.values()):
        table.add_column(column, no_wrap=True, justify="right" if column.endswith("/s") else "left")

    def rate(row: dict[str, Any], key: str) -> float:
        return (row[key] - before[row["id"]][key]) / seconds if row["id"] in before else 0.0

    for row in sorted(now.values(), key=lambda row: -rate(row, "received"))[:height]:
        texts = [shown(row, column) for column in _COLUMNS[:-1]] + [shown(row, "since")[-8:]]  # the time of day
        # Text and not str: a name may hold what rich takes for markup.
        table.add_row(*map(Text, texts), *(f"{rate(row, key):,.0f}" for key in _RATES))
    return table


def _command_line() -> argparse.Namespace:
    parser = ArgumentParser("./run.sh top", "Watch who is connected to the servers here. Ctrl-C ends it.")
    parser.add_argument("--config", metavar="FILE", help="configuration (default: conf/server.yaml)")
    parser.add_argument("--once", action="store_true", help="print the table once, and end")
    return parser.parse_args()


if __name__ == "__main__":
    run(main)
