"""The dialogue of both programs with their user: command line, questions, errors, exit status.

This module knows neither server nor client.
"""

import argparse
import contextlib
import gettext
import io
import os
import platform
import signal
import ssl
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn, TextIO, TypeVar

from common import PROJECT_ROOT, VERSION
from common.errors import ConfigurationError, ExitStatus, PorterError, Unavailable, UsageError
from common.language import ENGLISH, Language

_Answer = TypeVar("_Answer")
_YES = ("yes", "y", "да", "д")
_NO = ("no", "n", "нет", "н")
_OUR_PACKAGES = ("common", "server", "client", "benchmarks", "tests")


class ArgumentParser(argparse.ArgumentParser):
    """argparse's parser, with the exit status of sysexits(3) for a wrong command line, and without abbreviations."""

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
        shown = gettext.gettext("show the version and exit")
        self.add_argument("--version", action="version", version=version, help=shown)

    def error(self, message: str) -> NoReturn:
        see = gettext.gettext("see {program} --help").format(program=self.prog)
        self.exit(ExitStatus.USAGE, f"{self.prog}: {message}\n{self.prog}: {see}\n")


def run(main: Callable[[], int], language: Language = ENGLISH) -> NoReturn:
    """Run a program and exit with its status. Print a PorterError as one line on standard error, not a traceback."""
    _repair_standard_streams()
    try:
        status = int(main())
        sys.stdout.flush()
    except KeyboardInterrupt:
        status = ExitStatus.INTERRUPTED
    except EOFError:  # Ctrl-D at a question of the library
        print(file=sys.stderr)
        status = ExitStatus.DONE
    except PorterError as error:
        print_error(error, language)
        status = error.status
    except ImportError as error:
        if str(error.name).partition(".")[0] in _OUR_PACKAGES:
            raise
        print_error(_damaged_venv(error), language)
        status = ExitStatus.UNAVAILABLE
    except BrokenPipeError:  # standard output was a pipe, and its reader has closed it
        _discard_output()
        status = ExitStatus.UNAVAILABLE
    except OSError as error:  # for example, standard output is a file on a full disk
        _discard_output()
        print_error(Unavailable("{reason}", reason=error), language)
        status = ExitStatus.UNAVAILABLE
    sys.exit(status)


def end_on_signals() -> None:
    """Let TERM and HUP end the program as Ctrl-C does, so that what it has started and made does not stay behind."""

    def end(number: int, _: object) -> None:
        for each in (signal.SIGTERM, signal.SIGHUP):  # a second one must not interrupt the cleaning
            signal.signal(each, signal.SIG_IGN)
        sys.exit(128 + number)

    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL:  # under nohup it is ignored
            signal.signal(number, end)


def _damaged_venv(error: ImportError) -> PorterError:
    """Return what to say of a library that cannot be imported. The next call of run.sh makes .venv anew."""
    venv = PROJECT_ROOT / ".venv"
    if Path(sys.prefix).resolve() != venv.resolve():
        return Unavailable("{reason}: this Python lacks what Porter needs; start it by ./run.sh", reason=error)
    for stamp in (*venv.glob("stamp*"), venv / "made-by"):
        with contextlib.suppress(OSError):
            stamp.unlink()
    return Unavailable(
        "{reason}: {folder} is damaged; start again, and run.sh makes it anew", reason=error, folder=venv
    )


def print_warning(text: str, language: Language = ENGLISH) -> None:
    """Print a warning on standard error: something that is only a comfort does not work."""
    print(f"porter: {language.text('warning: {text}', text=text)}", file=sys.stderr)


def print_error(error: PorterError, language: Language = ENGLISH) -> None:
    """Print an error on standard error. A ConfigurationError has one line for each problem, without a prefix."""
    start = "" if isinstance(error, ConfigurationError) else "porter: "
    print(f"{start}{language.error(error)}", file=sys.stderr)


def terminal() -> TextIO | None:
    """Return the terminal for questions: standard error, or else standard output. Return None without a terminal."""
    if sys.stdin.isatty():
        for stream in (sys.stderr, sys.stdout):
            if stream.isatty():
                return stream
    return None


def has_colour(stream: TextIO) -> bool:
    """Return whether a stream takes escape sequences, and the user wants them (no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") not in ("dumb", "unknown")


def has_terminal() -> bool:
    """Return whether there is a terminal, so that the user can be asked."""
    return terminal() is not None


def _read_answer(prompt: str, language: Language) -> str:
    """Ask on the terminal and return the typed line, without the spaces around it.

    Raise KeyboardInterrupt on Ctrl-C. End the program with status 0 on Ctrl-D.
    """
    # input() would write the question to standard output, which is for results only.
    stream = terminal() or sys.stderr
    while True:
        print(prompt, end="", file=stream, flush=True)
        try:
            line = sys.stdin.readline()
        except KeyboardInterrupt:
            print(file=stream)
            raise
        except UnicodeDecodeError:
            print_error(UsageError("the answer is not UTF-8 text; type it again"), language)
            continue
        if not line:
            print(file=stream)
            sys.exit(ExitStatus.DONE)
        return line.strip()


def ask(prompt: str, default: _Answer, check: Callable[[str], _Answer], language: Language = ENGLISH) -> _Answer:
    """Ask until `check` accepts the answer, and return its result. Enter takes the default.

    `check` raises UsageError for a wrong answer.
    """
    while True:
        answer = _read_answer(f"{language.plain(prompt)} [{default}]: ", language)
        if not answer:
            return default
        try:
            return check(answer)
        except UsageError as error:
            print_error(error, language)


def ask_yes_or_no(question: str, language: Language = ENGLISH) -> bool:
    """Ask until the answer is yes or no, in English or Russian. Return whether it is yes."""
    while True:
        answer = _read_answer(f"{language.plain(question)} {language.plain('(yes/no)')} ", language).lower()
        if answer in _YES + _NO:
            return answer in _YES


def port_number(text: str, lowest: int = 0) -> int:
    """Return the port that `text` names. Raise UsageError for any other text."""
    if text.isascii() and text.isdigit() and len(text) <= 5 and lowest <= int(text) <= 65535:
        return int(text)
    raise UsageError("a port is a number from {lowest} to 65535, not {text!r}", lowest=lowest, text=text[:40])


def port_from(origin: str, text: str, lowest: int = 0) -> int:
    """Return the port that an option or a variable gives. Raise UsageError, naming `origin`, for another text."""
    try:
        return port_number(text, lowest)
    except UsageError as error:
        raise UsageError("{origin}: {reason}", origin=origin, reason=error) from None


def environment_port() -> str | None:
    """Return PORTER_PORT, or None if it is unset, empty or not meant for Porter.

    A cluster gives `tcp://10.0.0.7:9090` to each container, if one of its services is called porter.
    """
    value = environment("PORTER_PORT")
    return None if value is None or value.startswith("tcp://") else value


def foreign_port_warning() -> UsageError | None:
    """Return a warning if PORTER_PORT is set and not meant for Porter, otherwise None."""
    value = environment("PORTER_PORT")
    if value is None or environment_port() is not None:
        return None
    return UsageError("PORTER_PORT={value} is not meant for Porter, and is ignored", value=value)


def environment(name: str) -> str | None:
    """Return a variable of the environment, or None if it is unset or empty."""
    return os.environ.get(name) or None


def _repair_standard_streams() -> None:
    """Open standard streams that are closed, and escape characters that the terminal cannot show.

    Without this, the next socket would get the free descriptor 0 and would be read as standard input.
    """
    for descriptor, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # open() takes the lowest free number, which is this one
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(descriptor, "r" if descriptor == 0 else "w", closefd=False))
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _discard_output() -> None:
    """Discard the buffered output. At its exit the interpreter would try to write it again, and fail again."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
