"""The command line of `./run.sh reset`: the next class begins afresh, with the same certificate and configuration.

Accounts, addresses, sessions, what the modes have kept, and the logs go. It is refused while a server uses the store.
"""

import argparse
import os
import sys
from contextlib import closing
from pathlib import Path

from common import PROJECT_ROOT, yamlfile
from common.errors import ExitStatus, Unavailable, UsageError
from common.program import ArgumentParser, ask_yes_or_no, has_terminal, run

_EPILOG = """\
Certificate, key and configuration are kept, so that clients still trust the server. What the clients keep (tokens)
is theirs; a token of before is not valid any more.
"""


def main() -> int:
    os.umask(os.umask(0o077) | 0o027)
    options = _command_line()
    # Imported here, so that --help or a wrong command line need not wait for the database.
    from server.configuration.loading import Source, file_path
    from server.control.asking import is_anybody_there
    from server.store import sqlite
    from server.store.database import Store
    from server.store.emptying import count, empty, is_in_use

    settings = Source(file_path(options.config)).load().settings
    if is_anybody_there(PROJECT_ROOT / settings.control):
        raise Unavailable("a server with this configuration runs: stop it first")
    logs = _logs(PROJECT_ROOT / settings.logging)
    file = sqlite.file_of(settings.store)
    if file is not None and not file.exists():
        found = (0, 0)
    else:
        with closing(Store(settings.store, 1)) as store:
            if is_in_use(store, settings.store):
                raise Unavailable("a server uses the store: stop it first")
            found = count(store)
            _confirm(f"Remove {_described(found, logs)}?", options)
            empty(store, settings.store)
    for log in logs:
        log.unlink(missing_ok=True)
    print(f"removed {_described(found, logs)}; certificate and configuration are kept")
    return ExitStatus.DONE


def _described(found: tuple[int, int], logs: list[Path]) -> str:
    accounts, addresses = _number(found[0], "account"), _number(found[1], "known address", "es")
    return f"{accounts}, {addresses} and {_number(len(logs), 'log file')}"


def _number(number: int, word: str, ending: str = "s") -> str:
    return f"{number} {word}{'' if number == 1 else ending}"


def _logs(configuration: Path) -> list[Path]:
    """Return the files that logging.yaml names, and those that were rotated."""
    handlers = yamlfile.read(configuration).value.get("handlers", {})
    names = {entry["filename"] for entry in handlers.values() if isinstance(entry, dict) and "filename" in entry}
    found = {file for name in names for file in (PROJECT_ROOT / name).parent.glob(f"{Path(name).name}*")}
    return sorted(file for file in found if file.is_file())


def _confirm(question: str, options: argparse.Namespace) -> None:
    """Return after a yes, or --yes, and end the program after a no. Raise UsageError without a terminal."""
    if options.yes:
        return
    if not has_terminal():
        raise UsageError("cannot ask for a confirmation without a terminal; give --yes")
    if not ask_yes_or_no(question):
        print("nothing is removed", file=sys.stderr)
        sys.exit(ExitStatus.DONE)


def _command_line() -> argparse.Namespace:
    parser = ArgumentParser("./run.sh reset", "Remove all accounts, addresses, sessions and logs.", _EPILOG)
    parser.add_argument("--config", metavar="FILE", help="configuration (default: conf/server.yaml)")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    return parser.parse_args()


if __name__ == "__main__":
    run(main)
