"""The client on a terminal: lines that are typed, hidden secrets, and the texts of the server above the input line.

One thread does everything, on asyncio's event loop: two threads may not share a TLS socket.
"""

import asyncio
import contextlib
import signal
import sys
from collections.abc import Iterator
from typing import Any

from client.conversation import Conversation, Question
from client.keyboard import Keyboard, QuestionChanged, switched
from common.errors import ExitStatus
from common.language import Language

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

    def __init__(self, language: Language, *, is_verbose: bool, is_coloured: bool) -> None:
        self.language = language
        self._is_verbose = is_verbose
        self._is_coloured = is_coloured
        self._waiting: list[str] = []

    def show(self, text: str) -> None:
        self._waiting.append(text)

    def show_error(self, text: str) -> None:
        self.show(f"\x1b[31m{text}\x1b[0m" if self._is_coloured else text)

    def trace(self, template: str, **values: object) -> None:
        if self._is_verbose:
            self.show(f"porter: {self.language.text(template, **values)}")

    def take(self) -> str:
        """Return the texts that wait, a line each."""
        waiting, self._waiting = self._waiting, []
        return "\n".join(waiting)


class Terminal:
    """The conversation with the user on the terminal."""

    def __init__(self, screen: TerminalScreen, keyboard: Keyboard) -> None:
        self._conversation: Conversation
        self._screen = screen
        self._keyboard = keyboard
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
                except QuestionChanged:
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
            self._print_waiting()

    def _without_echo(self) -> contextlib.AbstractContextManager[None]:
        """Turn off the terminal's own echo inside.

        Between two prompts the terminal would show typed characters, perhaps of a password, which must not appear in
        the shell afterwards either.
        """

        def is_secret() -> bool:
            question = self._conversation.question
            return question is not None and question.is_secret

        return switched(self._keyboard.silenced, is_on=False, discards=is_secret)

    def _print_waiting(self) -> None:
        if text := self._screen.take():
            self._keyboard.print(text)

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
        self._print_waiting()
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
        """Return the line that the user types. Raise QuestionChanged if something else is asked now."""
        try:
            if question is None:
                server = self._conversation.line.described(self._screen.language)
                self._keyboard.status = f"{server} {self._conversation.greeting}"
                return await self._keyboard.read(None)
            return await self._keyboard.read(question.prompt, is_secret=question.is_secret)
        except QuestionChanged:
            self._raise_failure()
            raise

    def _interrupt(self) -> None:
        asked = self._conversation.question
        # Not before a secret question: the line may be the secret, typed too early.
        self._keyboard.interrupt(keeps_draft=asked is None or not asked.is_secret)


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
