"""The kinds of message in a conversation: a word at the start of a message tells the peer how to use the text.

They follow PAM's conversation (TEXT_INFO, ERROR_MSG, PROMPT_ECHO_ON, PROMPT_ECHO_OFF), RFC 4256's echo flag and
HTTP's cookies. This module does not know which side sends a message, or how the message travels.
"""

from enum import Enum

from common.errors import UnexpectedKind


class Kind(Enum):
    """The kinds; each value is the word on the wire."""

    TEXT = "TEXT"
    ERROR = "ERROR"
    ASK = "ASK"
    SECRET = "SECRET"
    GET_TOKEN = "GET-TOKEN"
    SET_TOKEN = "SET-TOKEN"
    TOKEN = "TOKEN"


_KINDS = {kind.value: kind for kind in Kind}
FROM_CLIENT = frozenset({Kind.TEXT, Kind.TOKEN})
FROM_SERVER = frozenset(Kind) - {Kind.TOKEN}


def compose(kind: Kind, text: str = "") -> str:
    """Return the body of a message: the kind, and, if `text` is not empty, one space and the unchanged text."""
    return f"{kind.value} {text}" if text else kind.value


def parse(message: str, allowed: frozenset[Kind]) -> tuple[Kind, str]:
    """Return the kind and the text of a message. Raise UnexpectedKind for a kind that is not `allowed`."""
    word, _, text = message.partition(" ")
    kind = _KINDS.get(word)
    if kind is None or kind not in allowed:
        known = " or ".join(sorted(kind.value for kind in allowed))
        # The error does not contain the word: it may be a password, and the error is logged.
        raise UnexpectedKind("unknown kind: a message must begin with {known}", known=known)
    return kind, text
