"""Plays the console blocks of a page in real terminals, and compares what they show with what the page shows.

A block is a fence with the words `console NAME`: blocks of one name in one section are one terminal, whose shell runs
in a copy of the project. A line that begins with `$ ` is typed to the shell; one that begins with a question or `> `
ends with what the user answers; `^C` and `^D` are keys. All other lines must come, in order, and no others but empty
ones; `...` stands for any.
"""

import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import NamedTuple, Self

import pexpect
import pyte

from common import PROJECT_ROOT
from tests.support import PATIENCE, wait_until

COLUMNS, ROWS = 120, 400
PASSWORD = "correct horse"
_BLOCK = re.compile(r"^```console ?(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# What the programs ask; the answer follows.
_QUESTION = re.compile(
    r"(> "
    r"|(?:Host|Port|Name|Your name|Хост|Порт|Имя|Ваше имя)(?: \[[^]]*\])?: ?"
    r"|\[[^]]+\] [^:]+: ?"
    r"|.*\((?:yes/no|да/нет)\) ?"
    r"| *\(Enter\) ?)(.*)"
)
_PROMPT = re.compile(r"(?:\^C)?\$")  # after a program that Ctrl-C has ended the shell goes on in the same line
_KEYS = {"^C": "\x03", "^D": "\x04"}
_STATUS = re.compile(r"^(>.*?) +\S+:\d+ \((?:no |без )?TLS\).*$")
# What differs from run to run.
_CHANGING = (
    r"SHA256:[\w+/]+",
    r"\d{4}-\d\d-\d\dT[\d:.]+(?:[+-][\d:]+|Z)",
    r"\d{4}-\d\d-\d\d \d\d:\d\d(?::\d\d)?",
    r"pid \d+",
    r"\b\d{2,7}-\d+\b",  # a connection's id
    r"\b127\.0\.0\.1[:.][1-6]\d{4}\b",
    r"\$argon2id\$[\w$=,+/]+",
)


class Block(NamedTuple):
    """Lines of one terminal."""

    terminal: str
    lines: list[str]


def sections(page: str) -> Iterator[list[Block]]:
    """Yield the blocks of each section that has some."""
    for section in re.split(r"^## ", page, flags=re.MULTILINE):
        if blocks := [Block(name, body.splitlines()) for name, body in _BLOCK.findall(section)]:
            yield blocks


def copy_project(folder: Path) -> Path:
    """Make a copy of the project whose `run.sh` uses the Python of this test, and return it."""
    project = folder / "porter"
    for name in ("server", "client", "common", "conf", "examples", "exercises"):
        shutil.copytree(PROJECT_ROOT / name, project / name, ignore=shutil.ignore_patterns("__pycache__"))
    (project / "requirements").mkdir()
    for name in ("run.sh", "requirements/run.lock", "requirements/dev.lock"):
        shutil.copy(PROJECT_ROOT / name, project / name)
    (project / "logs").mkdir()
    sudo = project / ".venv/bin/sudo"
    python = project / ".venv/bin/python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    sudo.write_text('#!/bin/sh\nexec "$@"\n')  # the tests that need it run as root, where there may be none
    for program in (python, sudo):
        program.chmod(0o755)
    version = subprocess.run(
        [str(python), "-ISc", "import sys; print(sys.version)"], capture_output=True, text=True, check=True
    ).stdout
    for stamp, lock in (("stamp", "run"), ("stamp-dev", "dev")):
        lines = (project / f"requirements/{lock}.lock").read_text()
        (project / ".venv" / stamp).write_text(version + lines)
    return project


class Terminal:
    """A shell in a pseudo-terminal."""

    def __init__(self, project: Path, port: int, environment: dict[str, str]) -> None:
        self._port = port
        self._child = pexpect.spawn(
            "bash",
            ["--norc", "--noprofile"],
            cwd=str(project),
            env={**environment, "PS1": "$ ", "PS2": "> ", "TERM": "xterm"},
            dimensions=(ROWS, COLUMNS),
            timeout=PATIENCE,
        )
        self._screen = pyte.Screen(COLUMNS, ROWS)
        self._stream = pyte.ByteStream(self._screen)
        self._lines: list[str] = []
        self._seen = 0
        self._skips = False  # after `...`

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """End what runs there, as a user would, and the shell."""
        for _attempt in range(3):
            self._child.send("\x03")
            with suppress(AssertionError):
                wait_until(lambda: bool(_PROMPT.fullmatch(self.last())), "the shell")
                break
        self._child.close(force=True)

    def lines(self) -> list[str]:
        """Return the lines on the screen, without what stands beside the client's input line."""
        try:
            while True:
                self._stream.feed(self._child.read_nonblocking(100_000, timeout=0))
                self._lines = []
        except (pexpect.TIMEOUT, pexpect.EOF):
            pass
        if not self._lines:
            self._lines = [_STATUS.sub(r"\1", line.rstrip()).rstrip() for line in self._screen.display]
            while self._lines and not self._lines[-1]:
                self._lines.pop()
        return self._lines

    def last(self) -> str:
        return (self.lines() or [""])[-1]

    def play(self, block: Block) -> None:
        """Type what the block says is typed, and wait for all else. Raise AssertionError if it does not come."""
        for line in block.lines:
            if line in _KEYS:
                self._child.send(_KEYS[line])
            elif line.startswith("$ "):
                self._answer("$", line[2:])
            elif match := _QUESTION.fullmatch(line):
                self._answer(match[1].rstrip(), match[2])
            elif line == "...":
                self._skips = True
            elif line:
                self._await(line)

    def _answer(self, question: str, text: str) -> None:
        wanted = _PROMPT if question == "$" else self._pattern(question)

        def is_asked() -> bool:
            *others, last = self.lines()[self._seen :] or [""]
            return bool(wanted.fullmatch(last)) and (self._skips or not any(others))

        self._wait(is_asked, question)
        self._see(len(self.lines()))
        key = _KEYS.get(text[-2:], "\r")
        typed = text.removesuffix("^C").removesuffix("^D")
        self._child.send(self._here(PASSWORD if typed and not typed.strip("*") else typed) + key)

    def _await(self, line: str) -> None:
        wanted = self._pattern(line)
        self._wait(lambda: bool(self._number_of(wanted)), line)
        self._see(self._number_of(wanted))

    def _number_of(self, wanted: re.Pattern[str]) -> int:
        """Return the number of the line that is wanted, or 0. Without `...` it is the next one."""
        new = list(enumerate(self.lines()))[self._seen :]
        for number, line in new if self._skips else [each for each in new if each[1]][:1]:
            if wanted.fullmatch(line):
                return number + 1
        return 0

    def _see(self, number: int) -> None:
        self._seen, self._skips = number, False

    def _wait(self, condition: Callable[[], bool], what: str) -> None:
        try:
            wait_until(condition, what)
        except AssertionError:
            shown = "\n".join(self.lines()[self._seen :])
            raise AssertionError(f"did not come: {what!r}\nthe terminal shows, from there on:\n{shown}") from None

    def _here(self, text: str) -> str:
        """Return a text of the page with the ports of this run."""
        return text.replace("9090", str(self._port)).replace("9091", str(self._port + 1))

    def _pattern(self, line: str) -> re.Pattern[str]:
        """Return what a line of the page may look like in this run."""
        line = self._here(line.rstrip())
        pattern, start = "", 0
        for match in re.finditer("|".join(f"(?:{each})" for each in _CHANGING), line):
            kind = next(each for each in _CHANGING if re.fullmatch(each, match[0]))
            pattern += re.escape(line[start : match.start()]) + kind
            start = match.end()
        pattern = (pattern + re.escape(line[start:])).replace(r"\.\.\.", ".*")
        return re.compile(re.sub(r"(?:\\ ){2,}", " {2,}", pattern))  # a table's columns are as wide as they must be


def play(page: str, folder: Path, language: str) -> int:
    """Play all sections of a page, each with terminals of its own. Return how many blocks there were."""
    project = copy_project(folder)
    port = free_pair()
    for name in ("server.yaml", "client.yaml"):
        file = project / "conf" / name
        file.write_text(file.read_text().replace("port: 9090", f"port: {port}"))
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHONPATH", "PORTER", "LC_"))}
    kept["PATH"] = f"{project}/.venv/bin:{kept['PATH']}"
    environment = {**kept, "XDG_STATE_HOME": str(folder / "state"), "LANG": language, "LC_CTYPE": "C.UTF-8"}
    count = 0
    for blocks in sections(page):
        with ExitStack() as stack:
            terminals: dict[str, Terminal] = {}
            for block in blocks:
                if block.terminal not in terminals:
                    terminals[block.terminal] = stack.enter_context(Terminal(project, port, environment))
                terminals[block.terminal].play(block)
                count += 1
    return count


def free_pair() -> int:
    """Return a port that is free now, as is the one after it."""
    while True:
        with socket.create_server(("127.0.0.1", 0)) as first:
            port: int = first.getsockname()[1]
            try:
                with socket.create_server(("127.0.0.1", port + 1)):
                    return port
            except (OSError, OverflowError):
                continue
