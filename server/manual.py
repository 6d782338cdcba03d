"""The command line of `./run.sh man`: a manual page, made of what `--help` of each command says."""

import argparse
import os
import subprocess
import sys

from common import PROJECT_ROOT, VERSION
from common.errors import ExitStatus, Unavailable
from common.program import ArgumentParser, run

COMMANDS = ("", "client", "users", "clients", "top", "reset", "store", "check", "demo", "completion", "bench")
_HEAD = f"""\
.TH PORTER 1 "" "Porter {VERSION}"
.SH NAME
porter \\- a threaded TCP server that knows who is calling, and its client
"""
_SECONDS = 30


def page() -> str:
    """Return the page in the language of man(7). Raise Unavailable if a command does not say what it does."""
    parts = [_HEAD]
    for command in COMMANDS:
        title = f"./run.sh {command}".strip()
        parts.append(f'.SH "{title}"\n.nf\n{_escaped(_help(command))}.fi\n')
    return "".join(parts)


def _help(command: str) -> str:
    environment = {**os.environ, "COLUMNS": "78"}
    arguments = [str(PROJECT_ROOT / "run.sh"), *command.split(), "--help"]
    try:
        done = subprocess.run(arguments, env=environment, capture_output=True, text=True, timeout=_SECONDS)
    except subprocess.TimeoutExpired as error:
        raise Unavailable("{reason}", reason=error) from None
    if done.returncode:
        raise Unavailable("{reason}", reason=done.stderr.strip())
    return done.stdout


def _escaped(text: str) -> str:
    """Return a text so that man(7) takes nothing in it for a request: each line is shown as it is."""
    lines = text.replace("\\", "\\e").replace("-", "\\-").splitlines()
    return "".join(f"\\&{line}\n" for line in lines)


def main() -> int:
    parser = ArgumentParser("./run.sh man", "Print a manual page: ./run.sh man | man -l -, for example.")
    _: argparse.Namespace = parser.parse_args()
    sys.stdout.write(page())
    return ExitStatus.DONE


if __name__ == "__main__":
    run(main)
