"""The control socket of a serving process: an administrator's command asks, and it answers, in Porter's own frames.

It is a Unix socket, PID.sock, in a folder that only the server's user can enter. It does not know what is asked.
"""

import contextlib
import json
import logging
import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from common.errors import PorterError
from common.private_files import make_private_folder
from common.wire.sockets import MessageSocket, Timeouts

LOG = logging.getLogger("porter.server")
LONGEST_PATH = 107
"""Bytes in the path of a Unix socket (unix(7)), without the NUL at its end."""
_PATIENCE = 2.0  # seconds for a command that is silent
_MOST = 65_536  # bytes of a question
_PAUSE = 0.1  # seconds, when no connection can be accepted


def socket_path(folder: Path, pid: int) -> Path:
    return folder / f"{pid}.sock"


def path_problem(folder: Path) -> str | None:
    """Return why no socket can be in the folder, or None."""
    longest = len(os.fsencode(socket_path(folder, 4_194_304)))
    if longest > LONGEST_PATH:
        return f"the path of a socket has {LONGEST_PATH} bytes at most, and in {folder} it would have {longest}"
    return None


class Control:
    """Answers until `close`, in a thread of its own. If there can be no socket, the log says so."""

    def __init__(self, folder: Path, answer: Callable[[dict[str, Any]], object]) -> None:
        """`answer` gets a question and returns what can be JSON."""
        self._answer = answer
        self._path = socket_path(folder, os.getpid())
        self._listener = socket.socket(socket.AF_UNIX)
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="control", daemon=True)
        try:
            if wrong := path_problem(folder):
                raise OSError(0, wrong)
            make_private_folder(folder)
            with contextlib.suppress(FileNotFoundError):
                self._path.unlink()  # of an earlier process with this number
            self._listener.bind(str(self._path))
            self._path.chmod(0o600)
            self._listener.listen()
        except OSError as error:
            LOG.warning("./run.sh clients cannot ask this server: %s", error.strerror)
            self._listener.close()
        else:
            self._thread.start()

    def close(self) -> None:
        """End the thread and remove the socket."""
        self._closing.set()
        if self._thread.ident is not None:
            with contextlib.suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)  # ends accept()
            self._thread.join(2 * _PATIENCE)
            self._listener.close()
            with contextlib.suppress(OSError):
                self._path.unlink()

    def _run(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:  # the listener is shut down, or there is no descriptor just now
                if self._closing.wait(_PAUSE):
                    return
                continue
            command = MessageSocket(connection)
            command.max_message = _MOST
            command.timeouts = Timeouts(_PATIENCE, _PATIENCE, _PATIENCE)
            try:
                if (text := command.receive_message()) is not None:
                    command.send_message(json.dumps(self._answer(json.loads(text))))
            except (PorterError, ValueError) as error:
                LOG.warning("a command was not answered: %s", error)
            except Exception:  # this thread must survive whatever is asked
                LOG.exception("a command failed")
            finally:
                command.finish(0)
