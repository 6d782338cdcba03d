"""Every error that Porter raises on purpose, in one tree, with the exit status each one means.

    PorterError
    ├── UsageError                 the command line or an answer is wrong
    ├── ConfigurationError         a configuration file is wrong: carries every problem found
    ├── NotPermitted               the server refused the login
    ├── Refusal                    a rule says no (a name, a password, a limit); the text is for the user
    │   └── Busy                   not a no: too much to do just now
    ├── Unavailable                something the program needs cannot be had
    │   ├── StoreUnavailable       the database
    │   └── ConnectionRefused      the server is full, or this address has too many connections
    ├── TrustError                 the peer's certificate is unknown or has changed
    ├── ProtocolError              the peer broke the rules of the wire
    │   ├── MessageTooLong
    │   ├── NotText                a message is not UTF-8
    │   ├── MessageStalled         a message began and did not end in time
    │   ├── UnexpectedTLS          TLS was spoken on a plain connection
    │   ├── HandshakeFailed        TLS did not come about
    │   └── UnexpectedKind         a kind that has no place in the conversation
    └── ConnectionEnded            no breach, but the conversation is over
        ├── PeerClosed             the peer closed between two messages
        ├── ConnectionLost         the peer vanished: a reset, an end inside a message, or it does not read
        ├── DeadlineExceeded       the peer was silent, or its login unfinished, for too long
        ├── SessionEnded           somebody logged out, or was logged out, elsewhere
        └── Stopping               the server is being stopped

The text of a ProtocolError or of a DeadlineExceeded is meant for the peer as well as for the log.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import ClassVar


class ExitStatus(IntEnum):
    """What the programs answer to the shell; the numbers of sysexits(3), and 130 for Ctrl-C."""

    DONE = 0
    FAULT = 1
    USAGE = 64
    UNAVAILABLE = 69
    PROTOCOL = 76
    NOT_PERMITTED = 77
    CONFIGURATION = 78
    INTERRUPTED = 130


class PorterError(Exception):
    """The root of the tree; `status` is the exit status of a program that ends because of it."""

    status: ClassVar[ExitStatus] = ExitStatus.FAULT


class UsageError(PorterError):
    status = ExitStatus.USAGE


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong in a configuration file; line and column count from 1, 0 means the whole file."""

    file: str
    line: int
    column: int
    key: str
    text: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        return f"{place}: {self.key}: {self.text}" if self.key else f"{place}: {self.text}"


class ConfigurationError(PorterError):
    """Raised once with all `problems` of a configuration, so that one reading mends them all."""

    status = ExitStatus.CONFIGURATION

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = tuple(problems)


class NotPermitted(PorterError):
    status = ExitStatus.NOT_PERMITTED


class Refusal(PorterError):
    """`reason` is what the log may know and the client may not; the text where nothing else is said."""

    status = ExitStatus.USAGE

    def __init__(self, text: str, reason: str | None = None) -> None:
        super().__init__(text)
        self.reason = reason or text


class Busy(Refusal):
    status = ExitStatus.UNAVAILABLE


class Unavailable(PorterError):
    status = ExitStatus.UNAVAILABLE


class StoreUnavailable(Unavailable):
    pass


class ConnectionRefused(Unavailable):
    pass


class TrustError(PorterError):
    status = ExitStatus.PROTOCOL


class ProtocolError(PorterError):
    status = ExitStatus.PROTOCOL


class MessageTooLong(ProtocolError):
    pass


class NotText(ProtocolError):
    pass


class MessageStalled(ProtocolError):
    pass


class UnexpectedTLS(ProtocolError):
    pass


class HandshakeFailed(ProtocolError):
    pass


class UnexpectedKind(ProtocolError):
    pass


class ConnectionEnded(PorterError):
    status = ExitStatus.UNAVAILABLE


class PeerClosed(ConnectionEnded):
    pass


class ConnectionLost(ConnectionEnded):
    pass


class DeadlineExceeded(ConnectionEnded):
    pass


class SessionEnded(ConnectionEnded):
    pass


class Stopping(ConnectionEnded):
    pass
