"""The command line of `./run.sh users`. It knows no accounts: administrator.py carries out the commands."""

import argparse
import os
from collections.abc import Callable

from common.errors import ExitStatus
from common.program import ArgumentParser, run


def main() -> int:
    os.umask(os.umask(0o077) | 0o027)
    options = _command_line()
    # Imported here, so that --help or a wrong command line need not wait for the database and the hashing.
    from server.administration.administrator import Administrator
    from server.configuration.loading import Source, file_path

    administrator = Administrator(Source(file_path(options.config)).load())
    try:
        name = "import_" if options.command == "import" else options.command
        command: Callable[[argparse.Namespace], str] = getattr(administrator, name)
        print(command(options))
    finally:
        administrator.close()
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
    command("disable", "refuse all logins to an account, and end its sessions", "NAME")
    command("enable", "undo disable, and unlock the password of an account", "NAME")
    remove = command("remove", "remove an account", "NAME")
    remove.add_argument("--yes", action="store_true", help="do not ask")
    command("logout", "end all sessions of an account", "NAME")
    command("export", "print all accounts as lines of JSON, with the hashes of their passwords and no tokens")
    command("import", "add the accounts of such a file, all or none", "FILE").add_argument(
        "--skip-existing", action="store_true", help="leave out those whose names exist already"
    )
    command("addresses", "list the addresses that identify knows").add_argument(
        "--json", action="store_true", help="as one JSON array"
    )
    command("forget", "forget the name of an address; identify asks for it again", "ADDRESS")
    return parser.parse_args()


if __name__ == "__main__":
    run(main)
