"""A connection to a server that is trusted: messages with their kinds, and the token for it.

Programs use it as `client.library.Client`, and the command with its two faces. It knows no terminal.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from client.tokens import Tokens
from client.trust import Peer
from common.errors import PeerClosed
from common.language import Language
from common.wire.kinds import FROM_SERVER, Kind, compose, parse
from common.wire.sockets import MessageSocket


@dataclass(frozen=True)
class Message:
    """What one side says: of a server TEXT, ERROR, a question (ASK, SECRET), GET-TOKEN or SET-TOKEN."""

    kind: Kind
    text: str

    @property
    def size(self) -> int:
        """Return the length of the body in bytes."""
        return len(compose(self.kind, self.text).encode())


class Line:
    """A connection, the server at its other end, and the token for it. Only one thread may use it at a time.

    `was_let_in` tells whether the server has sent a TEXT: before the login is done there is none.

    Methods that send or receive raise ConnectionLost if the connection is lost, and a ProtocolError if the server
    breaks the protocol.
    """

    def __init__(self, connection: MessageSocket, peer: Peer, tokens: Tokens) -> None:
        self.connection = connection
        self.peer = peer
        self.tokens = tokens
        self.was_let_in = False

    def described(self, language: Language) -> str:
        """Return the server as the user knows it, and whether TLS protects the connection."""
        return f"{self.peer.server} ({language.text('TLS' if self.peer.has_tls else 'no TLS')})"

    def fileno(self) -> int:
        return self.connection.fileno()

    @property
    def has_waiting(self) -> bool:
        """Return whether a message has come that a poll does not tell of."""
        return self.connection.has_waiting

    @property
    def has_ended(self) -> bool:
        """Return whether the server has ended its side."""
        return self.connection.has_ended

    def take_in(self) -> Iterator[Message]:
        """Yield what has come, of every kind, without waiting."""
        for text in self.connection.receive_waiting():
            yield self._read(text)

    def next(self, timeout: float) -> Message:
        """Wait for the next message, of every kind.

        Raise DeadlineExceeded if none comes in `timeout` seconds, and PeerClosed if the server has ended.
        """
        self.connection.timeouts = replace(self.connection.timeouts, idle=timeout, message=timeout)
        text = self.connection.receive_message()
        if text is None:
            raise PeerClosed("the server has closed the connection")
        return self._read(text)

    def send(self, text: str) -> None:
        """Send a line of the user. Raise NotText if it cannot be UTF-8."""
        self.send_message(Message(Kind.TEXT, text))

    def send_message(self, message: Message) -> None:
        """Send a message of any kind."""
        self.connection.send_message(compose(message.kind, message.text))

    def end_sending(self) -> None:
        """Tell the server that nothing more comes. What it still says can be received."""
        self.connection.end_sending()

    def close(self, linger: float = 1.0) -> None:
        """End the connection; read on for `linger` seconds at most. A second call does nothing."""
        self.connection.finish(linger)

    def _read(self, text: str) -> Message:
        message = Message(*parse(text, FROM_SERVER))
        self.was_let_in = self.was_let_in or message.kind is Kind.TEXT
        return message
