"""The clients of one process: each one has a connection, and takes its next step when bytes have come."""

import time
from collections import deque
from collections.abc import Generator
from dataclasses import replace

from benchmarks.connection import Connection
from benchmarks.work import Kinds, Refused, Work, admission, bursts
from common.wire.framing import encode, split
from common.wire.kinds import Kind, compose
from common.wire.tls import client_context

_LIMIT = 67_108_864  # bytes of a message
_NOT_AN_ECHO = "an answer is not what was sent: use a server in echo mode, or --name for one in auth mode"


class Tally:
    """The answers that the clients of one process have got: how many, and how many took so many microseconds.

    A list of times would have to be counted at some moment, and that moment would be late for every client.
    """

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Begin to count, from nothing."""
        self.messages = 0
        self.times: dict[int, int] = {}


class Client:
    """The first part of every client: a connection, TLS if wanted, and the login if there is an account."""

    def __init__(self, work: Work, number: int, tally: Tally) -> None:
        self.work = work
        self.number = number
        self.tally = tally
        self.bursts = bursts(work, number)
        self._context = client_context() if work.tls else None
        self.token = ""
        self.open()

    def open(self) -> None:
        """Connect and begin. Raise OSError if the connection fails."""
        self.started = time.monotonic()
        self.connection = Connection(self.work, self._context)
        self._agreed = self._context is None
        self._data = b""
        self._admission: Generator[bytes, str, str] | None = None
        if self.work.account is not None:
            token = self.token if self.work.kind is not Kinds.LOGIN else ""
            account = self.work.account
            if self.work.kind is Kinds.CHAT:
                account = replace(account, name=f"{account.name}{self.number}")
            self._admission = admission(account, token)
            next(self._admission)
        self.is_over = False
        if not self._agreed:
            self.on_event()  # the client begins the handshake
        elif self.is_in:
            self.begin()

    @property
    def is_in(self) -> bool:
        """Return whether the handshake and the login are done."""
        return self._agreed and self._admission is None

    def on_event(self) -> None:
        """Receive the bytes that have come, and send those that wait. Raise OSError or a PorterError on failure."""
        if not self._agreed:
            self._agreed = self.connection.is_agreed()
            if self._agreed and self._admission is None:
                self.begin()
            return
        if self.connection.wants_to_send:
            self.connection.send(b"")
        while (data := self.connection.receive()) is not None:
            if not data:
                raise ConnectionResetError("the server closed the connection")
            if self._admission is not None:
                self._continue_admission(data)
            else:
                self.on_data(data)
            if not self.connection.has_more():
                return

    def _continue_admission(self, data: bytes) -> None:
        texts, end = split(self._data + data, _LIMIT)
        self._data = (self._data + data)[end:]
        for place, text in enumerate(texts):
            assert self._admission is not None
            try:
                answer = self._admission.send(text)
            except StopIteration as admitted:
                self.token = admitted.value
                self._admission = None
                self.begin()
                self.on_texts(texts[place + 1 :])
                return
            self.connection.send(answer)

    def on_texts(self, texts: list[str]) -> None:
        """Handle the messages that came together with the greeting."""
        if texts:
            raise Refused("the server sent more than a greeting")

    def begin(self) -> None:
        """Do the work after the handshake and the login."""

    def on_data(self, data: bytes) -> None:
        """Handle the bytes of answers; an answer may be incomplete."""

    def _done(self, count: int, since: float) -> None:
        self.tally.messages += count
        took = int((time.monotonic() - since) * 1e6)
        times = self.tally.times
        times[took] = times.get(took, 0) + 1


class Echoing(Client):
    """Sends a burst, waits for its echo, and sends the next burst: as fast as the server answers."""

    def begin(self) -> None:
        self._turn = 0
        self._expected = self.bursts[0]
        self._parts: list[bytes] = []
        self._missing = len(self._expected)
        self._next()

    def _next(self) -> None:
        self._sent_at = time.monotonic()
        self.connection.send(self._expected)

    def on_data(self, data: bytes) -> None:
        if len(data) < self._missing:
            self._parts.append(data)
            self._missing -= len(data)
            return
        if self._parts:
            data = b"".join([*self._parts, data])
            self._parts.clear()
        if data != self._expected:
            raise Refused(_NOT_AN_ECHO)
        self._done(self.work.depth, self._sent_at)
        self._turn = 1 - self._turn
        self._expected = self.bursts[self._turn]
        self._missing = len(self._expected)
        self._next()


class Paced(Client):
    """Sends messages at given moments, answered or not. Latencies count from those moments."""

    def begin(self) -> None:
        self._due: deque[float] = deque()
        self._sent = self._answered = 0
        frame = len(self.bursts[0]) // self.work.depth
        self._frames = [burst[:frame] for burst in self.bursts]
        self._data = b""

    def send_one(self, moment: float) -> None:
        """Send a message that was due at `moment`, a time of time.monotonic()."""
        self._due.append(moment)
        self.connection.send(self._frames[self._sent % 2])
        self._sent += 1

    def on_data(self, data: bytes) -> None:
        self._data += data
        while len(self._data) >= len(expected := self._frames[self._answered % 2]):
            if not self._data.startswith(expected) or not self._due:
                raise Refused(_NOT_AN_ECHO)
            self._data = self._data[len(expected) :]
            self._answered += 1
            self._done(1, self._due.popleft())


class Chatting(Paced):
    """Says a line at given moments, and counts every line that it hears, whoever said it, from those moments."""

    def send_one(self, moment: float) -> None:
        line = f"{moment:.6f} ".ljust(self.work.size, "x")
        self.connection.send(encode(compose(Kind.TEXT, line)))

    def on_data(self, data: bytes) -> None:
        texts, end = split(self._data + data, _LIMIT)
        self._data = (self._data + data)[end:]
        self.on_texts(texts)

    def on_texts(self, texts: list[str]) -> None:
        for text in texts:
            moment, space, _ = text.rpartition(": ")[2].partition(" ")
            if text.startswith("ERROR "):
                raise Refused("{text}", text=text)
            if space and not text.startswith("TEXT * "):  # who comes and who goes is not counted
                self._done(1, float(moment))


class Visiting(Client):
    """Connects, waits for one echo or for the greeting, and ends. Then it `is_over`."""

    def begin(self) -> None:
        if self.work.kind is Kinds.CONNECT:
            self.connection.send(self.bursts[0])
        else:
            self._leave()

    def on_data(self, data: bytes) -> None:
        self._data += data
        if len(self._data) < len(self.bursts[0]):
            return
        if self._data != self.bursts[0]:
            raise Refused(_NOT_AN_ECHO)
        self._leave()

    def _leave(self) -> None:
        self._done(1, self.started)
        self.is_over = True
