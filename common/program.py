"""How both programs talk to the person who started them: command line, questions, errors, exit status."""

import argparse
import os
import platform
import ssl
import sys
from collections.abc import Callable
from typing import NoReturn, TypeVar

from common import VERSION
from common.errors import ConfigurationError, ExitStatus, PorterError, UsageError

_Answer = TypeVar("_Answer")


class ArgumentParser(argparse.ArgumentParser):
    """argparse's, with the exit status of sysexits(3) for a wrong command line, and no abbreviated options."""

    def __init__(self, prog: str, description: str, epilog: str | None = None) -> None:
        super().__init__(
            prog=prog,
            description=description,
            epilog=epilog,
            allow_abbrev=False,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        library = ssl.OPENSSL_VERSION
        version = f"Porter {VERSION} (Python {platform.python_version()}, {library})"
        self.add_argument("--version", action="version", version=version)

    def error(self, message: str) -> NoReturn:
        self.exit(ExitStatus.USAGE, f"{self.prog}: {message}\n{self.prog}: see {self.prog} --help\n")


def run(main: Callable[[], int]) -> NoReturn:
    """Run a program to its exit status; a mistake of its user is one line on standard error, without a traceback."""
    try:
        status = int(main())
        sys.stdout.flush()
    except KeyboardInterrupt:
        status = ExitStatus.INTERRUPTED
    except BrokenPipeError:  # standard output was a pipe, and its reader has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = ExitStatus.UNAVAILABLE
    except PorterError as error:
        tell(error)
        status = error.status
    sys.exit(status)


def tell(error: PorterError) -> None:
    """Say on standard error what is wrong; a configuration's problems speak for themselves, a line each."""
    start = "" if isinstance(error, ConfigurationError) else "porter: "
    print(f"{start}{error}", file=sys.stderr)


def has_terminal() -> bool:
    """Whether someone is there to be asked."""
    return sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty()


def ask(prompt: str, default: _Answer, check: Callable[[str], _Answer]) -> _Answer:
    """Ask on the terminal until the answer passes `check`, which raises UsageError; Enter takes the default.

    Ctrl-C raises KeyboardInterrupt; Ctrl-D ends the program, with 0.
    """
    while True:
        # Not input(): it would write to standard output, which is not for questions.
        print(f"{prompt} [{default}]: ", end="", file=sys.stderr, flush=True)
        try:
            line = sys.stdin.readline()
        except KeyboardInterrupt:
            print(file=sys.stderr)
            raise
        except UnicodeDecodeError:
            print("porter: that is not UTF-8", file=sys.stderr)
            continue
        if not line:
            print(file=sys.stderr)
            sys.exit(ExitStatus.DONE)
        if not line.strip():
            return default
        try:
            return check(line.strip())
        except UsageError as error:
            print(f"porter: {error}", file=sys.stderr)


def port_number(text: str, lowest: int = 0) -> int:
    """The port that `text` names; raises UsageError for anything else."""
    if text.isascii() and text.isdigit() and len(text) <= 5 and lowest <= int(text) <= 65535:
        return int(text)
    raise UsageError(f"a port is a number from {lowest} to 65535, not {text[:40]!r}")


def environment(name: str) -> str | None:
    """A variable of the environment; an empty one counts as unset."""
    return os.environ.get(name) or None
