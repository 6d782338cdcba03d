"""./run.sh demo: each mode in a minute, with the bytes that go over the wire. It touches nothing that exists.

A server of its own runs on a free port, with a store in a folder that is removed; a client speaks by a script.
"""

import argparse
import socket
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Self

from common.errors import ConnectionLost, ExitStatus
from common.language import Language, of_reader
from common.program import ArgumentParser, end_on_signals, has_colour, run
from common.wire.framing import HEADER, encode, split
from common.wire.kinds import FROM_SERVER, Kind, compose, parse
from common.wire.sockets import MessageSocket, Timeouts
from common.wire.tls import client_context
from server.testing import serving

_PATIENCE = 10.0  # seconds
_AUTO = 0.7  # seconds between two steps
_WIDTH = 78
_QUICK = {"passwords": {"argon2": {"memory_kib": 1024, "time_cost": 1}}}
_GREEN, _BLUE, _DIM, _BOLD, _END = "\x1b[32m", "\x1b[34m", "\x1b[2m", "\x1b[1m", "\x1b[0m"


class Stage:
    """Prints what happens, step by step: after Enter, or by itself."""

    def __init__(self, language: Language, *, is_auto: bool) -> None:
        self.language = language
        self._is_auto = is_auto
        self._pause = _AUTO if sys.stdout.isatty() else 0.0  # in a pipe nobody reads along
        self._has_colour = has_colour(sys.stdout)

    def title(self, name: str) -> None:
        print(f"\n{self._in(_BOLD, name)}", flush=True)

    def sent(self, text: str) -> None:
        self._show(self.language.plain("client -> server"), _GREEN, text)

    def received(self, text: str) -> None:
        self._show(self.language.plain("client <- server"), _BLUE, text)

    def tell(self, template: str, **values: object) -> None:
        print(self.language.text(template, **values), flush=True)

    def pause(self) -> None:
        if self._is_auto:
            time.sleep(self._pause)
        else:
            input(self._in(_DIM, "        (Enter)"))

    def _show(self, arrow: str, colour: str, text: str) -> None:
        frame = encode(text)
        header = frame[: HEADER.size].hex(" ")
        room = _WIDTH - len(arrow) - len(header) - 4
        shown = text if len(text) <= room else f"{text[: room - 3]}..."
        print(f"{self._in(colour, arrow)}  {self._in(_DIM, header)}  {shown}".replace("\n", " / "), flush=True)

    def _in(self, colour: str, text: str) -> str:
        return f"{colour}{text}{_END}" if self._has_colour else text


class Caller:
    """The client of the demonstration: it shows each message that comes and goes. `with` closes it."""

    def __init__(self, stage: Stage, port: int) -> None:
        self._stage = stage
        self._socket = socket.create_connection(("127.0.0.1", port), _PATIENCE)
        self._data = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def send(self, text: str) -> None:
        self._socket.sendall(encode(text))
        self._stage.sent(text)

    def receive(self) -> str:
        """Wait for the next message, and show it."""
        while not (found := split(self._data, 1_000_000))[0]:
            if not (data := self._socket.recv(4096)):
                raise ConnectionLost("the server has closed the connection")
            self._data += data
        text = found[0][0]
        self._data = self._data[HEADER.size + len(text.encode()) :]
        self._stage.received(text)
        return text

    def converse(self, *answers: str) -> str:
        """Answer the questions of the server, one after the other, until a TEXT comes. Return the token, if any."""
        left, token = list(answers), ""
        while True:
            kind, text = parse(self.receive(), FROM_SERVER)
            if kind is Kind.TEXT:
                return token
            if kind is Kind.SET_TOKEN:
                token = text
            elif kind is Kind.GET_TOKEN:
                self.send(compose(Kind.TOKEN, left.pop(0)))
            else:
                self.send(compose(Kind.TEXT, left.pop(0)))
            self._stage.pause()

    def say(self, line: str, answers: int = 1) -> None:
        self.send(compose(Kind.TEXT, line))
        for _ in range(answers):
            self.receive()
        self._stage.pause()


def echo(stage: Stage) -> None:
    stage.title("echo")
    stage.tell("A message is its length, in four bytes, and its text. It comes back.")
    with serving(mode="echo", language=stage.language.code) as port, Caller(stage, port) as caller:
        for text in ("hello", "привет"):
            caller.send(text)
            caller.receive()
            stage.pause()
        stage.tell("Twelve bytes for six letters: UTF-8 has two for each of these.")
    stage.pause()


def identify(stage: Stage) -> None:
    stage.title("identify")
    stage.tell("The server knows clients by their address. A word in front says what a text is.")
    with serving(mode="identify", language=stage.language.code) as port:
        for answers in (["Alice"], []):
            stage.tell("An address that is not known:" if answers else "The same address again:")
            with Caller(stage, port) as caller:
                caller.converse(*answers)
            stage.pause()


def auth(stage: Stage) -> None:
    stage.title("auth")
    stage.tell("It knows them by name and password, and gives a token, like a cookie.")
    with serving(mode="auth", language=stage.language.code, handlers={"auth": {"options": _QUICK}}) as port:
        with Caller(stage, port) as caller:
            token = caller.converse("", "Alice", "correct horse", "correct horse")
            caller.say("/whoami")
        stage.tell("Back with the token, nothing is asked:")
        with Caller(stage, port) as caller:
            caller.converse(token)
        stage.pause()


def chat(stage: Stage) -> None:
    stage.title("chat")
    stage.tell("Those who are logged in hear each other: the server speaks unasked.")
    with (
        serving(mode="chat", language=stage.language.code, handlers={"chat": {"options": _QUICK}}) as port,
        Caller(stage, port) as caller,
    ):
        caller.converse("", "Bob", "battery staple", "battery staple")
        caller.receive()
        caller.say("is anybody there?")


def tls(stage: Stage) -> None:
    stage.title("TLS")
    stage.tell("All of this could be read on the way, the password too. With TLS it cannot:")
    with tempfile.TemporaryDirectory() as folder, serving(mode="echo", tls=_tls(folder)) as port:
        connection = MessageSocket(socket.create_connection(("127.0.0.1", port), _PATIENCE))
        connection.timeouts = Timeouts(_PATIENCE, _PATIENCE, _PATIENCE)
        secure = connection.handshake(client_context(), _PATIENCE)
        stage.sent("correct horse")
        record = secure.encipher(encode("correct horse"))
        stage.tell("on the wire       {start} ...", start=record[:19].hex(" "))
        known = "{version}: {length} bytes, of which the first five are in clear."
        stage.tell(known, version=secure.version, length=len(record))
        connection.close()
    stage.pause()


def _tls(folder: str) -> dict[str, object]:
    """Return settings with which the certificate is made in a folder of its own."""
    return {"enabled": True, "certificate": f"{folder}/certificate.pem", "key": f"{folder}/key.pem"}


PARTS: dict[str, Callable[[Stage], None]] = {
    "echo": echo,
    "identify": identify,
    "auth": auth,
    "chat": chat,
    "tls": tls,
}


def main() -> int:
    language = of_reader()
    language.bind()
    tr = language.text
    parser = ArgumentParser("./run.sh demo", tr("Show each mode in a minute, with the bytes on the wire."))
    parts = ", ".join(PARTS)
    parser.add_argument("part", nargs="*", metavar="PART", help=tr("only these parts: {parts}", parts=parts))
    parser.add_argument("--auto", action="store_true", help=tr("go on by itself, instead of after Enter"))
    options: argparse.Namespace = parser.parse_args()
    end_on_signals()
    for part in options.part:
        if part not in PARTS:
            parser.error(tr("there is no part {part!r}: {parts}", part=part, parts=parts))
    stage = Stage(language, is_auto=options.auto or not sys.stdin.isatty())
    for part in options.part or PARTS:
        PARTS[part](stage)
    return ExitStatus.DONE


if __name__ == "__main__":
    run(main, of_reader())
