"""The code that takes bytes from strangers, as functions of bytes. Each may fail only in the ways that it promises.

The tests call them with inputs of hypothesis, `./run.sh fuzz TARGET [SECONDS]` with inputs that reach new code.
"""

import atexit
import contextlib
import importlib
import tempfile
import unicodedata
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

from common.errors import ConfigurationError, ProtocolError, Refusal, UsageError
from common.visible import visible
from common.wire.framing import HEADER, encode, lacking, refuse_breach, sole_text, split
from common.wire.kinds import FROM_CLIENT, FROM_SERVER, compose, parse
from server.configuration.loading import Source
from server.identity.names import account_name, label, refuse_new
from server.identity.passwords import _normalized, damage
from server.identity.sessions import Sessions
from server.settings import SessionOptions
from server.store.database import Store

_LIMIT = 1000
_UNSAFE = {"Cc", "Cf", "Cs", "Zl", "Zp"}


def framing(data: bytes) -> None:
    """Check that the texts and the breach do not depend on how the bytes are cut, and that no limit is exceeded."""
    cut = data[0] if data else 1
    stream = data[1:]
    assert _texts([stream]) == _texts([stream[at : at + cut + 1] for at in range(0, len(stream), cut + 1)])


def _texts(parts: list[bytes]) -> list[object]:
    found: list[object] = []
    rest = b""
    try:
        for part in parts:
            data = rest + part
            texts, start = split(data, _LIMIT)
            assert data[:start] == b"".join(map(encode, texts))
            assert max(map(len, texts), default=0) <= _LIMIT
            assert (sole_text(data, _LIMIT) is None) == (len(texts) != 1 or start != len(data))
            found += texts
            rest = data[start:]
            refuse_breach(rest, _LIMIT)
            assert lacking(rest) <= _LIMIT + HEADER.size
    except ProtocolError as breach:
        found.append(str(breach))
    return found


def kinds(data: bytes) -> None:
    """Check that a message is a kind and a text, or a breach whose error does not show the message."""
    message = data.decode("utf-8", "replace")
    for allowed in (FROM_CLIENT, FROM_SERVER):
        try:
            kind, text = parse(message, allowed)
        except ProtocolError as breach:
            assert str(breach).isascii()
        else:
            assert compose(kind, text) == (message if text else message.removesuffix(" "))
    assert not {unicodedata.category(character) for character in visible(message)} & _UNSAFE


def configuration(data: bytes) -> None:
    """Check that any file gives a configuration or a list of its errors."""
    path = _folder() / "fuzz.yaml"
    path.write_bytes(data)
    real = importlib.import_module

    def import_ours(name: str) -> Any:
        if not name.startswith("server."):
            raise ImportError(name)
        return real(name)

    with mock.patch("importlib.import_module", import_ours), contextlib.suppress(ConfigurationError, UsageError):
        Source(path).load()


def tokens(data: bytes) -> None:
    """Check that no other token than ours opens a session."""
    store, good = _sessions()
    text = data.decode("utf-8", "surrogateescape")
    with store.reading() as transaction:
        found = Sessions(store, SessionOptions()).find(transaction, text)
    assert (found is not None) == (text == good)


def names(data: bytes) -> None:
    """Check that a name, a label and a password are accepted or refused, and a stored hash is sound or damaged."""
    text = data.decode("utf-8", "replace")
    with contextlib.suppress(Refusal):
        name = account_name(text)
        assert account_name(name.canonical).canonical == name.canonical
        refuse_new(name)
    for take in (label, _normalized):
        with contextlib.suppress(Refusal):
            take(text)
    assert damage(text) is None or damage("$argon2id$" + text) is not None


TARGETS: dict[str, Callable[[bytes], None]] = {
    "framing": framing,
    "kinds": kinds,
    "configuration": configuration,
    "tokens": tokens,
    "names": names,
}


@cache
def _folder() -> Path:
    folder = tempfile.TemporaryDirectory()
    atexit.register(folder.cleanup)
    return Path(folder.name)


@cache
def _sessions() -> tuple[Store, str]:
    """Return a store with one session in it, and the token of the session."""
    from sqlalchemy import insert

    from server.store.tables import accounts

    store = Store(f"sqlite:///{_folder()}/fuzz.db")
    row = {"name": "a", "canonical": "a", "password_hash": "", "password_version": 1, "source": "", "created": 0.0}
    with store.writing() as transaction:
        transaction.execute(insert(accounts).values(row))
        _, token = Sessions(store, SessionOptions()).open(transaction, 1)
    atexit.register(store.close)
    return store, token
