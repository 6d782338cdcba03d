"""`./run.sh users`: the command line of the administrator's commands, which administration.py carries out."""

import argparse
import os
from collections.abc import Callable

from common.errors import ExitStatus
from common.program import ArgumentParser, run


def main() -> int:
    os.umask(os.umask(0o077) | 0o027)
    options = _command_line()
    # Imported here: a wrong command line or --help does not wait for the database and the hashing.
    from server.administration.administrator import Administration
    from server.configuration.loading import Overrides, file_path, load

    administration = Administration(load(file_path(options.config), Overrides()))
    try:
        command: Callable[[argparse.Namespace], str] = getattr(administration, options.command)
        print(command(options))
    finally:
        administration.store.close()
    return ExitStatus.DONE


def _command_line() -> argparse.Namespace:
    parser = ArgumentParser("./run.sh users", "Administer accounts and the addresses that identify knows.")
    parser.add_argument("--config", metavar="FILE", help="configuration (default: conf/server.yaml)")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)

    def command(name: str, text: str, argument: str | None = None) -> argparse.ArgumentParser:
        made: argparse.ArgumentParser = commands.add_parser(name, description=text, help=text)
        made.add_argument("--config", metavar="FILE", default=argparse.SUPPRESS, help=argparse.SUPPRESS)
        if argument is not None:
            made.add_argument(argument.lower(), metavar=argument)
        return made

    command("list", "list the accounts").add_argument("--json", action="store_true", help="as one JSON array")
    command("add", "add an account; without a terminal its password is the first line of input", "NAME")
    command("password", "give an account a new password, and end its sessions", "NAME")
    command("disable", "let nobody log in with this name, and end its sessions", "NAME")
    command("enable", "undo disable", "NAME")
    remove = command("remove", "remove an account", "NAME")
    remove.add_argument("--yes", action="store_true", help="do not ask")
    command("logout", "end all sessions of an account", "NAME")
    command("addresses", "list the addresses that identify knows").add_argument(
        "--json", action="store_true", help="as one JSON array"
    )
    command("forget", "have identify ask an address again", "ADDRESS")
    return parser.parse_args()


if __name__ == "__main__":
    run(main)
