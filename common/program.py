"""How both programs talk to the person who started them: command line, questions, errors, exit status."""

import argparse
import contextlib
import io
import os
import platform
import ssl
import sys
from collections.abc import Callable
from typing import NoReturn, TextIO, TypeVar

from common import VERSION
from common.errors import ConfigurationError, ExitStatus, PorterError, Unavailable, UsageError

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
    _mend_standard_streams()
    try:
        status = int(main())
        sys.stdout.flush()
    except KeyboardInterrupt:
        status = ExitStatus.INTERRUPTED
    except EOFError:  # Ctrl-D where the library asks
        print(file=sys.stderr)
        status = ExitStatus.DONE
    except PorterError as error:
        tell(error)
        status = error.status
    except BrokenPipeError:  # standard output was a pipe, and its reader has had enough
        _abandon_output()
        status = ExitStatus.UNAVAILABLE
    except OSError as error:  # a full disk under standard output, and the like
        _abandon_output()
        tell(Unavailable(str(error)))
        status = ExitStatus.UNAVAILABLE
    sys.exit(status)


def tell(error: PorterError) -> None:
    """Say on standard error what is wrong; a configuration's problems speak for themselves, a line each."""
    start = "" if isinstance(error, ConfigurationError) else "porter: "
    print(f"{start}{error}", file=sys.stderr)


def terminal() -> TextIO | None:
    """Where someone can be asked: the terminal on standard error, or else on standard output; None without one."""
    if sys.stdin.isatty():
        for stream in (sys.stderr, sys.stdout):
            if stream.isatty():
                return stream
    return None


def has_terminal() -> bool:
    """Whether someone is there to be asked."""
    return terminal() is not None


def read_answer(prompt: str) -> str:
    """Ask on the terminal; the line typed, without its spaces.

    Ctrl-C raises KeyboardInterrupt; Ctrl-D ends the program, with 0.
    """
    # Not input(): it would write to standard output, which is not for questions.
    stream = terminal() or sys.stderr
    while True:
        print(prompt, end="", file=stream, flush=True)
        try:
            line = sys.stdin.readline()
        except KeyboardInterrupt:
            print(file=stream)
            raise
        except UnicodeDecodeError:
            print("porter: that is not UTF-8", file=stream)
            continue
        if not line:
            print(file=stream)
            sys.exit(ExitStatus.DONE)
        return line.strip()


def ask(prompt: str, default: _Answer, check: Callable[[str], _Answer]) -> _Answer:
    """Ask until the answer passes `check`, which raises UsageError; Enter takes the default."""
    while True:
        answer = read_answer(f"{prompt} [{default}]: ")
        if not answer:
            return default
        try:
            return check(answer)
        except UsageError as error:
            tell(error)


def ask_yes_or_no(question: str) -> bool:
    """Ask until the answer is yes or no."""
    while True:
        answer = read_answer(f"{question} (yes/no) ").lower()
        if answer in ("yes", "y", "no", "n"):
            return answer.startswith("y")


def port_number(text: str, lowest: int = 0) -> int:
    """The port that `text` names; raises UsageError for anything else."""
    if text.isascii() and text.isdigit() and len(text) <= 5 and lowest <= int(text) <= 65535:
        return int(text)
    raise UsageError(f"a port is a number from {lowest} to 65535, not {text[:40]!r}")


def environment(name: str) -> str | None:
    """A variable of the environment; an empty one counts as unset."""
    return os.environ.get(name) or None


def _mend_standard_streams() -> None:
    """Open what was closed, and let no character stop the output.

    With descriptor 0 closed, the next socket would get its number and be read as standard input.
    """
    for descriptor, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest free number, which is this one
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(descriptor, "r" if descriptor == 0 else "w", closefd=False))
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _abandon_output() -> None:
    """Have what is still buffered go nowhere, or the interpreter would fail on it once more."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
