"""The servers of a comparison: each one is a process, on chosen cores or on all, whose processor time is measured."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from common import PROJECT_ROOT
from common.errors import Unavailable

PORTER = "Porter"
PEERS = {
    "socketserver": "socketserver_threads",
    "asyncio streams": "asyncio_streams",
    "Twisted": "twisted_int32",
    "gevent": "gevent_greenlets",
    "asyncio Protocol": "asyncio_protocol",
    "uvloop Protocol": "uvloop_protocol",
}
PORTER_CHAT = "Porter, chat"
CHAT_PEER = "asyncio streams, chat"
_MODES = {PORTER: "echo", PORTER_CHAT: "chat"}
_MODULES = {**PEERS, CHAT_PEER: "asyncio_chat"}
_TIMEOUT = 20.0  # seconds to stop


def cores_of_server_and_load() -> tuple[list[int] | None, list[int] | None]:
    """Return the core of a server that is measured, and those of its load, or None twice if there are too few."""
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    return (cores[:1], cores[1:]) if len(cores) > 1 else (None, None)


class RunningServer:
    """A server that runs inside `with`. Entering raises Unavailable if it does not start."""

    def __init__(self, name: str, cores: Sequence[int] | None) -> None:
        self.name = name
        self._cores = cores

    def __enter__(self) -> Self:
        self._folder = tempfile.TemporaryDirectory()
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", *self._command()],
            env={**os.environ, "PYTHONPATH": str(PROJECT_ROOT)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # most peers print a traceback for each client that leaves
            text=True,
            preexec_fn=self._keep_to_cores if self._cores else None,
        )
        try:
            self.port = self._listening_port()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _listening_port(self) -> int:
        assert self._process.stdout is not None
        words = self._process.stdout.readline().split()  # "Listening on HOST:PORT", or nothing at its end
        if not words:
            raise Unavailable("{server} does not start", server=self.name)
        return int(words[2].rpartition(":")[2])

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._process.terminate()
        try:
            self._process.wait(_TIMEOUT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._folder.cleanup()

    def cpu_seconds(self) -> float:
        """Return the processor time of the process so far, in seconds; 0 on systems without /proc."""
        try:
            fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return 0.0
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def _command(self) -> list[str]:
        if self.name not in _MODES:
            return [f"benchmarks.peers.{_MODULES.get(self.name, self.name)}", "0"]
        folder = Path(self._folder.name)
        logging = (PROJECT_ROOT / "conf/logging.yaml").read_text().replace("filename: logs/", f"filename: {folder}/")
        (folder / "logging.yaml").write_text(logging)
        (folder / "server.yaml").write_text(
            f"logging: {folder}/logging.yaml\n"
            f"store: sqlite:///{folder}/porter.db\ncontrol: {folder}/control\n"
            "limits: {max_connections: 10000, max_connections_per_address: 10000}\n"
        )
        configuration = str(folder / "server.yaml")
        return ["server", _MODES[self.name], "--no-tls", "--no-input", "--config", configuration, "--port", "0"]

    def _keep_to_cores(self) -> None:
        if self._cores and hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, self._cores)
