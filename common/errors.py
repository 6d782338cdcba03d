"""Every error that Porter raises on purpose, in one tree, with the exit status each one means.

    PorterError
    ├── UsageError                 the command line or a typed answer is wrong
    ├── ConfigurationError         a configuration file is wrong; it carries every problem found
    ├── NotPermitted               the server refused the login
    ├── Refusal                    a rule forbids it (a name, a password, a limit); the text is for the user
    │   └── Busy                   the server is too busy just now; a later attempt may succeed
    ├── Unavailable                something that the program needs is not available
    │   ├── StoreUnavailable       the database
    │   │   └── WrongStoreVersion  its tables are older or newer than this program
    │   └── ConnectionRefused      the server is full, or this address has too many connections
    ├── TrustError                 the peer's certificate is unknown or has changed
    ├── ProtocolError              the peer broke the protocol
    │   ├── MessageTooLong
    │   ├── NotText                a message is not UTF-8
    │   ├── MessageStalled         a message began and was not complete in time
    │   ├── UnexpectedTLS          the peer speaks TLS on a plain connection
    │   ├── HandshakeFailed        the TLS handshake failed
    │   └── UnexpectedKind         a message has a kind that is not allowed here
    └── ConnectionEnded            the conversation is over, and the peer did not break the protocol
        ├── PeerClosed             the peer closed between two messages
        ├── ConnectionLost         the peer is gone: a reset, an end inside a message, or it does not read
        ├── DeadlineExceeded       the peer was silent for too long, or its login took too long
        ├── SessionEnded           the session was ended elsewhere, by a logout or an administrator
        ├── Disconnected           an administrator has ended the connection, and not the session
        ├── ConversationOver       the handler has said all that it had to say
        └── Stopping               the server is being stopped

The text of a ProtocolError or of a DeadlineExceeded is for the peer and for the log.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import ClassVar


class ExitStatus(IntEnum):
    """The exit statuses of both programs: the numbers of sysexits(3), and 130 for Ctrl-C."""

    DONE = 0
    FAULT = 1
    USAGE = 64
    UNAVAILABLE = 69
    PROTOCOL = 76
    NOT_PERMITTED = 77
    CONFIGURATION = 78
    INTERRUPTED = 130


class PorterError(Exception):
    """The root of the tree. `status` is the exit status of a program that ends because of the error.

    An error carries a template and its values. `str` returns the English text, for the log and for standard error.
    For a client with another language, a translation of the template takes the same values.
    """

    status: ClassVar[ExitStatus] = ExitStatus.FAULT

    def __init__(self, template: str = "", **values: object) -> None:
        """`template` is a text for `str.format`, with `{name}` in place of each value."""
        super().__init__(template)
        self.template = template
        self.values = values

    def __str__(self) -> str:
        return self.template.format(**self.values)


class UsageError(PorterError):
    status = ExitStatus.USAGE


@dataclass(frozen=True)
class Problem:
    """One error in a configuration file. Line and column count from 1; line 0 means the whole file."""

    file: str
    line: int
    column: int
    key: str
    text: str | PorterError

    def __str__(self) -> str:
        return f"{self.place}{self.text}"

    @property
    def place(self) -> str:
        """Where it is, as a compiler writes it."""
        position = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        return f"{position}: {self.key}: " if self.key else f"{position}: "


class ConfigurationError(PorterError):
    """Carries all `problems` of a configuration, so that the user can correct them in one go."""

    status = ExitStatus.CONFIGURATION

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("{text}", text="\n".join(map(str, problems)))
        self.problems = tuple(problems)


class NotPermitted(PorterError):
    status = ExitStatus.NOT_PERMITTED


class Refusal(PorterError):
    """A refusal with a text for the client, and with a `reason` for the log only. The default reason is the text."""

    status = ExitStatus.USAGE

    def __init__(self, template: str, *, reason: str | None = None, **values: object) -> None:
        super().__init__(template, **values)
        self.reason = reason or str(self)


class Busy(Refusal):
    status = ExitStatus.UNAVAILABLE


class Unavailable(PorterError):
    status = ExitStatus.UNAVAILABLE


class StoreUnavailable(Unavailable):
    pass


class WrongStoreVersion(StoreUnavailable):
    status = ExitStatus.CONFIGURATION


class ConnectionRefused(Unavailable):
    """`reason` is one of a closed set, for those who count: full, address, other."""

    def __init__(self, template: str = "", *, reason: str = "other", **values: object) -> None:
        super().__init__(template, **values)
        self.reason = reason


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
    """The end of a session, with a text for the client, and a `reason` for the log that says whose session it was."""

    def __init__(self, template: str, *, reason: str | None = None, **values: object) -> None:
        super().__init__(template, **values)
        self.reason = reason or str(self)


class Disconnected(ConnectionEnded):
    pass


class ConversationOver(ConnectionEnded):
    pass


class Stopping(ConnectionEnded):
    pass
