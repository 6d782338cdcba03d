"""The command line of `./run.sh store`. It knows no tables: server/store/migration.py does the work."""

import argparse
import os
from contextlib import closing
from pathlib import Path

from common.errors import ExitStatus
from common.program import ArgumentParser, run

_EPILOG = """\
A server refuses tables of another version than its own at its start; those that run go on. `./run.sh store upgrade`
first copies an SQLite file into a file beside it.
"""


def main() -> int:
    os.umask(os.umask(0o077) | 0o027)
    options = _command_line()
    # Imported here, so that --help or a wrong command line need not wait for the database.
    from server.configuration.loading import Source, file_path
    from server.store import versions
    from server.store.migration import Migration
    from server.store.tables import VERSION

    with closing(Migration(Source(file_path(options.config)).load().settings.store)) as store:
        match options.command:
            case "version":
                print(store.version())
            case "check":
                versions.require(store.version())
                print(f"the tables have version {VERSION}, which this program works with")
            case "upgrade":
                before = store.version()
                copy = store.upgrade()
                print(_upgraded(before, VERSION, copy))
            case "backup":
                store.backup(Path(options.file))
                print(f"copied the store into {options.file}")
    return ExitStatus.DONE


def _upgraded(before: int, after: int, copy: Path | None) -> str:
    if before == after:
        return f"the tables have version {after} already"
    kept = f"; the store as it was is in {copy}" if copy else ""
    return f"upgraded the tables from version {before} to {after}{kept}"


def _command_line() -> argparse.Namespace:
    parser = ArgumentParser("./run.sh store", "Look after the database: its version, its upgrade, its copy.", _EPILOG)
    parser.add_argument("--config", metavar="FILE", help="configuration (default: conf/server.yaml)")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, text in (
        ("version", "print the version of the tables; 0: older than all versions"),
        ("check", "tell whether this program works with the tables (status 78 if not)"),
        ("upgrade", "bring the tables up to date"),
        ("backup", "copy an SQLite store into a new file, also while servers run"),
    ):
        command = commands.add_parser(name, description=text, help=text)
        command.add_argument("--config", metavar="FILE", default=argparse.SUPPRESS, help=argparse.SUPPRESS)
        if name == "backup":
            command.add_argument("file", metavar="FILE")
    return parser.parse_args()


if __name__ == "__main__":
    run(main)
