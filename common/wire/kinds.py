"""The kinds of message in a conversation: a word in front of the text that says what to do with it.

They follow PAM's conversation (TEXT_INFO, ERROR_MSG, PROMPT_ECHO_ON, PROMPT_ECHO_OFF), RFC 4256's echo flag and
HTTP's cookies. Nothing here knows who sends a message or how it travels.
"""

from enum import Enum

from common.errors import UnexpectedKind


class Kind(Enum):
    TEXT = "TEXT"
    ERROR = "ERROR"
    ASK = "ASK"
    SECRET = "SECRET"
    GET_TOKEN = "GET-TOKEN"
    SET_TOKEN = "SET-TOKEN"
    TOKEN = "TOKEN"


FROM_CLIENT = frozenset({Kind.TEXT, Kind.TOKEN})
FROM_SERVER = frozenset(Kind) - {Kind.TOKEN}


def compose(kind: Kind, text: str = "") -> str:
    """The body of a message: the kind, and if there is a text, one space and the text verbatim."""
    return f"{kind.value} {text}" if text else kind.value


def parse(message: str, allowed: frozenset[Kind]) -> tuple[Kind, str]:
    """The kind and the text of a message; raises UnexpectedKind for a kind that is not `allowed`."""
    word, _, text = message.partition(" ")
    try:
        kind = Kind(word)
    except ValueError:
        kind = None
    if kind not in allowed:
        wanted = ", ".join(sorted(kind.value for kind in allowed))
        # What was sent instead is not told: it may be a password, and the error is logged.
        raise UnexpectedKind(f"a message starts with one of {wanted}, which one of {len(message)} characters did not")
    return kind, text
