"""The client on a terminal: an input line, history, hidden secrets, and the texts of the server above the line.

One thread does everything, on prompt_toolkit's event loop: two threads may not share a TLS socket.
"""

import asyncio
import contextlib
import os
import signal
import sys
import termios
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from prompt_toolkit import PromptSession
from prompt_toolkit.application import get_app_or_none
from prompt_toolkit.history import DummyHistory, FileHistory, History, InMemoryHistory
from prompt_toolkit.output.vt100 import Vt100_Output

from client.conversation import Conversation, Question
from common.errors import ExitStatus
from common.language import ENGLISH, Language
from common.program import terminal

_LINE_PROMPT = "> "
# Seconds. After a line was sent, the client waits so long for the answer before the user can type the next line. So a
# question that follows is asked at once, and not in the middle of a line.
_ANSWER_SECONDS = 0.3
# Seconds. After an answer to a question the next question is likely: perhaps for a secret, perhaps only after much
# hashing. A secret that is typed before the question would be shown, and stored in the history.
_NEXT_QUESTION_SECONDS = 5.0
# Seconds. After a question the client reads nothing from the server for so long. Otherwise a server that asks without
# end would replace each prompt before a key is read, and Ctrl-C would not work.
_KEYBOARD_SECONDS = 0.05


class TerminalScreen:
    """Keeps the texts of the server until they are printed: above the input line, if there is one."""

    longest: int | None = 100_000

    def __init__(self, *, is_verbose: bool = False, language: Language = ENGLISH) -> None:
        self.language = language
        self._is_verbose = is_verbose
        self._waiting: list[str] = []

    def show(self, text: str) -> None:
        self._waiting.append(text)

    def show_error(self, text: str) -> None:
        has_colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
        self.show(f"\x1b[31m{text}\x1b[0m" if has_colour else text)

    def trace(self, text: str) -> None:
        if self._is_verbose:
            self.show(f"porter: {text}")

    def print_waiting(self) -> None:
        """Print the texts that wait."""
        waiting, self._waiting = self._waiting, []
        if not waiting:
            return
        # run_in_terminal would make a task for each call, and a server that floods would make millions of them.
        line = get_app_or_none()
        is_typed = line is not None and line.is_running and not line.is_done
        if line is not None and is_typed:
            line.renderer.erase()
        print("\n".join(waiting), flush=True)
        if line is not None and is_typed:
            line.invalidate()


class _FileHistory(FileHistory):
    def store_string(self, string: str) -> None:
        # With a full disk or a deleted folder, only the line in the history is lost.
        with contextlib.suppress(OSError):
            super().store_string(string)


class _QuestionChanged(Exception):
    """The input line must be replaced: the server asks a question, or has closed the connection."""


class Terminal:
    """The conversation with the user on the terminal."""

    def __init__(self, screen: TerminalScreen, history: Path | None) -> None:
        """`history` is the file of typed lines, or None for no history. Answers to questions are never stored."""
        self._conversation: Conversation
        self._screen = screen
        stream = terminal() or sys.stderr
        # Do not ask the terminal for the position of its cursor: some do not answer, and a warning would be printed.
        output = Vt100_Output.from_pty(stream, term=os.environ.get("TERM"))
        output.enable_cpr = False
        lines: History = InMemoryHistory() if history is None else _FileHistory(str(history))
        self._lines: PromptSession[str] = PromptSession(history=lines, output=output)
        self._answers: PromptSession[str] = PromptSession(history=DummyHistory(), output=output)
        self._draft = ""
        self._received = asyncio.Event()
        self._failure: BaseException | None = None
        self._is_over = False

    async def converse(self, conversation: Conversation) -> ExitStatus:
        """Talk until the user leaves, with `exit` or Ctrl-D, or the server closes the connection. Return the status.

        A line that was being typed when an earlier conversation ended is there again. Raise what the socket raises,
        and KeyboardInterrupt on Ctrl-C.
        """
        self._conversation = conversation
        self._received = asyncio.Event()
        self._failure = None
        self._is_over = False
        with _exit_on_signals(), self._listening(), self._without_echo():
            await self._wait_for_answer(_ANSWER_SECONDS, to_a_question=True)
            while not conversation.has_ended:
                question = conversation.question
                try:
                    line = await self._read_line(question)
                except _QuestionChanged:
                    conversation.send_answers()
                    continue
                except EOFError:
                    return ExitStatus.DONE
                is_secret = question is not None and question.is_secret
                if line.strip() == "exit" and not is_secret:
                    return ExitStatus.DONE
                if not _is_text(line):
                    again = "That is not UTF-8 text; it was not sent. Type it again."
                    print(self._screen.language.text(again), file=sys.stderr)
                    continue
                self._received.clear()
                conversation.send(line)
                seconds = _ANSWER_SECONDS if question is None else _NEXT_QUESTION_SECONDS
                await self._wait_for_answer(seconds, to_a_question=question is not None)
        status = conversation.result()
        if status is ExitStatus.DONE:
            print(self._screen.language.text("The server closed the connection."), file=sys.stderr)
        return status

    @property
    def _loop(self) -> asyncio.AbstractEventLoop:
        return asyncio.get_running_loop()

    @contextlib.contextmanager
    def _listening(self) -> Iterator[None]:
        """Read from the server inside."""
        if self._conversation.line.has_waiting:
            self._loop.call_soon(self._take_in)
        else:
            self._listen()
        try:
            yield
        finally:
            self._is_over = True
            self._loop.remove_reader(self._conversation.line.fileno())
            self._screen.print_waiting()

    @contextlib.contextmanager
    def _without_echo(self) -> Iterator[None]:
        """Turn off the terminal's own echo and line mode inside.

        Between two prompts the terminal would show typed characters, perhaps of a password, or cut a long line.
        """
        descriptor = sys.stdin.fileno()
        before = termios.tcgetattr(descriptor)
        silent: list[Any] = termios.tcgetattr(descriptor)
        silent[3] &= ~(termios.ECHO | termios.ICANON)
        termios.tcsetattr(descriptor, termios.TCSADRAIN, silent)
        try:
            yield
        finally:
            question = self._conversation.question
            # The typed part of a secret must not appear in the shell.
            when = termios.TCSAFLUSH if question is not None and question.is_secret else termios.TCSADRAIN
            termios.tcsetattr(descriptor, when, before)

    def _listen(self) -> None:
        if not self._is_over:
            self._loop.add_reader(self._conversation.line.fileno(), self._take_in)

    def _take_in(self) -> None:
        """Read once, then pause as long as that took.

        So a server that floods gets half of the time, and the keyboard the other half.
        """
        start = self._loop.time()
        self._loop.remove_reader(self._conversation.line.fileno())
        conversation = self._conversation
        question = conversation.question
        try:
            conversation.take_in()
        except BaseException as error:
            self._failure = error
        self._screen.print_waiting()
        self._received.set()
        self._is_over = conversation.has_ended or self._failure is not None
        if self._is_over or conversation.question is not question or conversation.has_answers:
            self._interrupt()
            pause = _KEYBOARD_SECONDS
        else:
            pause = self._loop.time() - start
        self._loop.call_later(pause, self._listen)

    async def _wait_for_answer(self, seconds: float, *, to_a_question: bool) -> None:
        """Wait until the server has spoken, `seconds` at most.

        After an answer to a question, wait until the server asks the next question or is silent.
        """
        conversation = self._conversation
        # Before Python 3.12, wait_for loses a Ctrl-C that comes together with a message (cpython#86296).
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds) as timeout:
                while not self._is_over and conversation.question is None:
                    await self._received.wait()
                    self._received.clear()
                    if conversation.has_answers:
                        conversation.send_answers()
                        timeout.reschedule(self._loop.time() + _NEXT_QUESTION_SECONDS)
                    elif conversation.has_spoken:
                        if not to_a_question:
                            break
                        timeout.reschedule(self._loop.time() + _ANSWER_SECONDS)
        self._raise_failure()

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure

    async def _read_line(self, question: Question | None) -> str:
        """Return the line that the user types. If the prompt changes, keep the draft and raise _QuestionChanged."""
        try:
            if question is None:
                draft, self._draft = self._draft, ""
                return await self._lines.prompt_async(_LINE_PROMPT, default=draft, enable_suspend=True)
            return await self._answers.prompt_async(
                question.prompt, is_password=question.is_secret, enable_suspend=True
            )
        except _QuestionChanged:
            now_asked = self._conversation.question
            if question is None and not (now_asked is not None and now_asked.is_secret):
                # Not before a secret question: the line may be the secret, typed too early.
                self._draft = self._lines.default_buffer.text
            self._raise_failure()
            raise
        finally:
            self._lines.app.erase_when_done = self._answers.app.erase_when_done = False

    def _interrupt(self) -> None:
        for session in (self._lines, self._answers):
            if session.app.is_running and not session.app.is_done:
                session.app.erase_when_done = True
                session.app.exit(exception=_QuestionChanged())


def _is_text(line: str) -> bool:
    try:
        line.encode()
    except UnicodeEncodeError:  # bytes that are not UTF-8 come as surrogates
        return False
    return True


@contextlib.contextmanager
def _exit_on_signals() -> Iterator[None]:
    """Let Ctrl-C, TERM and HUP end the client at any point inside, also while the server does not take our message.

    asyncio alone would only ask the task to end, at its next await. These signals raise an exception, so every
    `finally` runs, and the modes of the terminal are restored.
    """

    def leave(number: int, _: Any) -> None:
        raise SystemExit(128 + number)

    handlers = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: leave, signal.SIGHUP: leave}
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
