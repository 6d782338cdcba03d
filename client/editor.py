"""The input line of a terminal that can move its cursor: history, completion of commands, and a status beside it.

It is prompt_toolkit's. It knows no conversation.
"""

import contextlib
import os
import re
import sys
import termios
from collections.abc import Iterable
from pathlib import Path

from prompt_toolkit import PromptSession
from prompt_toolkit.application import get_app_or_none
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.history import DummyHistory, FileHistory, History, InMemoryHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.keys import Keys
from prompt_toolkit.output.vt100 import Vt100_Output
from prompt_toolkit.shortcuts import CompleteStyle

from client.keyboard import LINE_PROMPT, QuestionChanged
from common.program import terminal

# Those of Porter's own modes, until /help has said which ones there are.
COMMANDS = ("/help", "/join", "/logout", "/logout-all", "/password", "/who", "/whoami")
_MAX_LEARNED = 100


class Commands(Completer):
    """Completes the commands, which begin a line with a slash."""

    def __init__(self) -> None:
        self._known = set(COMMANDS)

    def learn(self, text: str) -> None:
        """Take the commands of a text that explains /help: each stands at the beginning of a line."""
        found = re.findall(r"^(/[a-z][a-z-]{0,30})\b", text, re.MULTILINE)
        if "/help" in found:
            self._known = set(found[:_MAX_LEARNED])

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
        typed = document.text_before_cursor
        if typed.startswith("/"):
            for command in sorted(self._known):
                if command.startswith(typed):
                    yield Completion(command, start_position=-len(typed))


class _FileHistory(FileHistory):
    def store_string(self, string: str) -> None:
        # With a full disk or a deleted folder, only the line in the history is lost.
        with contextlib.suppress(OSError):
            super().store_string(string)


class Editor:
    """A keyboard (`client/keyboard.py`) with all comfort. Answers to questions are never stored in the history."""

    silenced = termios.ECHO | termios.ICANON  # without ICANON a long line that is typed early is not cut

    def __init__(self, history: Path | None, *, has_status: bool) -> None:
        """Keep the typed lines in the file `history`, or in memory. The status stands right of the line."""
        self.status = ""
        stream = terminal() or sys.stderr
        # Do not ask the terminal for the position of its cursor: some do not answer, and a warning would be printed.
        output = Vt100_Output.from_pty(stream, term=os.environ.get("TERM"))
        output.enable_cpr = False
        lines: History = InMemoryHistory() if history is None else _FileHistory(str(history))
        self._commands = Commands()
        keys = self._keys()
        self._lines: PromptSession[str] = PromptSession(
            history=lines,
            output=output,
            completer=self._commands,
            complete_while_typing=False,
            complete_style=CompleteStyle.READLINE_LIKE,
            key_bindings=keys,
            rprompt=lambda: self.status if has_status and not self._lines.app.is_done else "",
        )
        self._answers: PromptSession[str] = PromptSession(history=DummyHistory(), output=output, key_bindings=keys)
        self._draft = ""
        self._pasted: list[str] = []

    async def read(self, prompt: str | None, *, is_secret: bool = False) -> str:
        session = self._lines if prompt is None else self._answers
        draft = ""
        if self._pasted:
            draft = self._pasted.pop(0)
        elif prompt is None:
            draft, self._draft = self._draft, ""
        try:
            return await session.prompt_async(
                LINE_PROMPT if prompt is None else prompt,
                default=draft,
                accept_default=bool(self._pasted),
                is_password=is_secret,
                enable_suspend=True,
            )
        finally:
            session.app.erase_when_done = False

    def interrupt(self, *, keeps_draft: bool) -> None:
        for session in (self._lines, self._answers):
            if session.app.is_running and not session.app.is_done:
                if session is self._lines and keeps_draft:
                    self._draft = session.default_buffer.text
                session.app.erase_when_done = True
                session.app.exit(exception=QuestionChanged())

    def forget(self) -> None:
        self._pasted.clear()

    def print(self, text: str) -> None:
        self._commands.learn(text)
        # run_in_terminal would make a task for each call, and a server that floods would make millions of them.
        line = get_app_or_none()
        is_typed = line is not None and line.is_running and not line.is_done
        if line is not None and is_typed:
            line.renderer.erase()
        print(text, flush=True)
        if line is not None and is_typed:
            line.invalidate()

    def _keys(self) -> KeyBindings:
        """Return what pasting does: each pasted line is a line, and the last one waits for Enter."""
        keys = KeyBindings()

        @keys.add(Keys.BracketedPaste)
        def paste(event: KeyPressEvent) -> None:
            first, *self._pasted = event.data.replace("\r\n", "\n").replace("\r", "\n").split("\n")
            event.current_buffer.insert_text(first)
            if self._pasted:
                event.current_buffer.validate_and_handle()

        return keys
