"""Asks all serving processes of a configuration on this machine by their control sockets. It does not know what."""

import contextlib
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from common.errors import ConnectionLost, PorterError, Unavailable
from common.wire.sockets import MessageSocket, Timeouts
from server.control.serving import path_problem

_PATIENCE = 5.0  # seconds
_MOST = 67_108_864  # bytes of an answer


def ask_all(folder: Path, **question: Any) -> list[Any]:
    """Return the answers of all processes, the one of the lowest number first. Remove the sockets of the dead.

    Raise Unavailable if no server can be asked, and say why.
    """
    if wrong := path_problem(folder):
        raise Unavailable("no server can be asked: {reason}", reason=wrong)
    try:
        paths = sorted(folder.glob("*.sock"), key=lambda path: (len(path.name), path.name))
        list(folder.iterdir())  # glob is silent about a folder that cannot be read
    except FileNotFoundError:
        paths = []
    except OSError as error:
        raise Unavailable(
            "no server can be asked: {folder}: {reason}", folder=folder, reason=error.strerror
        ) from error
    answers = [answer for path in paths for answer in _ask(path, question)]
    if not answers:
        raise Unavailable(
            "no server with this configuration runs on this machine, or its log says why it cannot be asked "
            "(its sockets would be in {folder})",
            folder=folder,
        )
    return answers


def is_anybody_there(folder: Path) -> bool:
    """Return whether a server of this configuration can be asked."""
    try:
        ask_all(folder, do="list")
    except Unavailable:
        return any(folder.glob("*.sock"))  # one that hangs is there, too
    return True


def _ask(path: Path, question: dict[str, Any]) -> Iterator[Any]:
    """Yield the answer of one process, or nothing if it is dead, or ends meanwhile. Raise Unavailable if it hangs."""
    connection = MessageSocket(socket.socket(socket.AF_UNIX))
    connection.max_message = _MOST
    connection.timeouts = Timeouts(_PATIENCE, _PATIENCE, _PATIENCE)
    try:
        connection.socket.connect(str(path))
        connection.send_message(json.dumps(question))
        answer = connection.receive_message()
    except ConnectionRefusedError:
        with contextlib.suppress(OSError):
            path.unlink()
        return
    except (FileNotFoundError, ConnectionLost):  # it has just ended
        return
    except (OSError, PorterError) as error:
        reason = getattr(error, "strerror", None) or error
        raise Unavailable("the server of {path} does not answer: {reason}", path=path, reason=reason) from error
    finally:
        connection.close()
    if answer is not None:
        yield json.loads(answer)
