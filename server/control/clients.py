"""The command line of `./run.sh clients`: who is connected to the servers of a configuration, and who shall leave."""

import argparse
import json
import logging
import os
from datetime import datetime
from typing import Any

from common import PROJECT_ROOT
from common.errors import ConfigurationError, ExitStatus, Unavailable
from common.log.logs import Logging
from common.private_files import system_user
from common.program import ArgumentParser, print_warning, run
from common.visible import visible
from server.configuration.loading import Source, file_path
from server.control.asking import ask_all
from server.settings import Settings

LOG = logging.getLogger("porter.server")
_EPILOG = """\
A kick ends a connection; the client may come back. To keep somebody out, use `./run.sh users disable NAME`.
"""
COLUMNS = ("id", "address", "account", "mode", "since", "last", "received", "sent", "tls")


def main() -> int:
    os.umask(os.umask(0o077) | 0o027)
    options = _command_line()
    settings = Source(file_path(options.config)).load().settings
    folder = PROJECT_ROOT / settings.control
    if options.command == "list":
        rows = [row for answer in ask_all(folder, do="list") for row in answer]
        print(json.dumps(rows, indent=1) if options.json else table(rows))
        return ExitStatus.DONE
    question = {key: getattr(options, key) for key in ("id", "name", "address") if getattr(options, key)}
    kicked = [row for answer in ask_all(folder, do="kick", **question) for row in answer]
    if not kicked:
        raise Unavailable("no connection has the {what}", what=" ".join(f"{k} {v}" for k, v in question.items()))
    _log(kicked, settings)
    for row in kicked:
        print(f"{visible(row['account'] or row['address'])} is disconnected ({row['id']}, {row['address']})")
    return ExitStatus.DONE


def table(rows: list[dict[str, Any]]) -> str:
    """Return the rows as columns of text."""
    cells = [[column.upper() for column in COLUMNS], *([shown(row, column) for column in COLUMNS] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells
    )


def shown(row: dict[str, Any], column: str) -> str:
    """Return a value as people read it."""
    value = row[column]
    if column in ("since", "last"):
        return datetime.fromtimestamp(value).strftime("%Y-%m-%d %H:%M:%S")
    return "-" if value is None else visible(str(value))


def _log(rows: list[dict[str, Any]], settings: Settings) -> None:
    """Write into the server's log who was disconnected. If that fails, only print a warning."""
    try:
        Logging().configure(PROJECT_ROOT / settings.logging)
    except ConfigurationError as error:
        print_warning(f"the log cannot be written: {error}")
    for row in rows:
        who = system_user(os.getuid()) or os.getuid()
        LOG.info("administrator %s disconnected %s, %s, %s", who, row["account"] or "-", row["id"], row["address"])


def _command_line() -> argparse.Namespace:
    parser = ArgumentParser(
        "./run.sh clients", "Show who is connected to the servers here, or end connections.", _EPILOG
    )
    parser.add_argument("--config", metavar="FILE", help="configuration (default: conf/server.yaml)")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, text in (("list", "list the connections"), ("kick", "end a connection, or all of a name or address")):
        command = commands.add_parser(name, description=text, help=text)
        command.add_argument("--config", metavar="FILE", default=argparse.SUPPRESS, help=argparse.SUPPRESS)
        if name == "list":
            command.add_argument("--json", action="store_true", help="as one JSON array")
        else:
            meant = command.add_mutually_exclusive_group(required=True)
            meant.add_argument("id", metavar="ID", nargs="?", help="the first column of the list")
            meant.add_argument("--name", help="the account, or the name that identify knows")
            meant.add_argument("--address", help="with its port, or without: all connections from there")
    return parser.parse_args()


if __name__ == "__main__":
    run(main)
