"""What the user types, a line at a time, as the terminal itself gives it: no colours, no escape sequences.

It is for screen readers and for terminals that can do nothing else; `client/editor.py` does the same with history and
completion. Neither knows a conversation.
"""

import asyncio
import contextlib
import os
import sys
import termios
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from common.program import terminal

LINE_PROMPT = "> "


class QuestionChanged(Exception):
    """The input line must be replaced: the server asks a question, or has closed the connection."""


class Keyboard(Protocol):
    """Reads lines of the user, and prints beside them.

    `silenced` are the modes of the terminal that are off while nothing is read. `status` says where the lines go.
    """

    silenced: int
    status: str

    async def read(self, prompt: str | None, *, is_secret: bool = False) -> str:
        """Return the next line; `prompt` is the question that it answers. Raise EOFError on Ctrl-D.

        Raise KeyboardInterrupt on Ctrl-C, and QuestionChanged after `interrupt`.
        """

    def interrupt(self, *, keeps_draft: bool) -> None:
        """End a `read` that is under way. With `keeps_draft` what was typed is there again at the next line."""

    def forget(self) -> None:
        """Drop the lines that were pasted and not yet read. They were meant for a conversation that has ended."""

    def print(self, text: str) -> None:
        """Print a text, above the line that is being typed."""


@contextlib.contextmanager
def switched(modes: int, *, is_on: bool, discards: Callable[[], bool] = bool) -> Iterator[None]:
    """Turn modes of the terminal on or off inside. If `discards` says so then, drop at the end what was not read."""
    before = termios.tcgetattr(sys.stdin)
    changed: list[Any] = termios.tcgetattr(sys.stdin)
    changed[3] = changed[3] | modes if is_on else changed[3] & ~modes
    termios.tcsetattr(sys.stdin, termios.TCSADRAIN, changed)
    try:
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSAFLUSH if discards() else termios.TCSADRAIN, before)


class PlainKeyboard:
    """Leaves editing to the terminal, which takes 4,095 bytes a line. What was typed before a question is lost."""

    silenced = termios.ECHO

    def __init__(self) -> None:
        self.status = ""  # is not shown
        self._stream = terminal() or sys.stderr
        self._typed = b""
        self._prompt = ""
        self._line: asyncio.Future[str] | None = None  # while one is read

    async def read(self, prompt: str | None, *, is_secret: bool = False) -> str:
        loop = asyncio.get_running_loop()
        descriptor = sys.stdin.fileno()
        self._prompt = LINE_PROMPT if prompt is None else prompt
        self._line = loop.create_future()
        with contextlib.nullcontext() if is_secret else switched(termios.ECHO, is_on=True):
            print(self._prompt, end="", file=self._stream, flush=True)
            loop.add_reader(descriptor, self._take_in)
            try:
                return await self._line
            finally:
                loop.remove_reader(descriptor)
                self._line = None
                if is_secret:
                    print(file=self._stream)

    def interrupt(self, *, keeps_draft: bool) -> None:
        if self._line is not None and not self._line.done():
            termios.tcflush(sys.stdin, termios.TCIFLUSH)
            self._typed = b""
            print(file=self._stream, flush=True)
            self._line.set_exception(QuestionChanged())

    def forget(self) -> None:
        termios.tcflush(sys.stdin, termios.TCIFLUSH)
        self._typed = b""

    def print(self, text: str) -> None:
        if self._line is None or self._line.done():
            print(text, flush=True)
        else:
            print(f"\n{text}", flush=True)
            print(self._prompt, end="", file=self._stream, flush=True)

    def _take_in(self) -> None:
        """Take a line. After Ctrl-D in its middle the terminal gives what it has, and the rest comes later."""
        data = os.read(sys.stdin.fileno(), 4096)
        self._typed += data
        if self._line is None or self._line.done():
            return
        if data.endswith(b"\n"):
            line, self._typed = self._typed, b""
            self._line.set_result(line.decode(errors="surrogateescape").rstrip("\r\n"))
        elif not data:
            self._line.set_exception(EOFError())
