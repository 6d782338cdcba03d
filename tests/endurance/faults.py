"""Faults for the endurance tests: a full disk, failing system calls. Measures memory, threads and descriptors too."""

import contextlib
import shutil
import subprocess
import unittest
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from functools import cache
from pathlib import Path

from tests.support import PATIENCE, ServerProcess, wait_until


@cache
def _can_mount() -> bool:
    trial = ["unshare", "--user", "--map-root-user", "--mount", "mount", "-t", "tmpfs", "none", "/mnt"]
    return bool(shutil.which("unshare")) and not subprocess.run(trial, capture_output=True).returncode


@cache
def _can_trace() -> bool:
    return bool(shutil.which("strace")) and not subprocess.run(["strace", "true"], capture_output=True).returncode


needs_mounts = unittest.skipUnless(_can_mount(), "no file system can be mounted here (unshare --user --mount)")
needs_strace = unittest.skipUnless(_can_trace(), "strace is not installed, or may not trace here")


class SmallDisk:
    """A small file system. Only the server that is started `under` it sees it."""

    def __init__(self, folder: Path, kib: int) -> None:
        folder.mkdir()
        self._folder = folder
        mount = f"mount -t tmpfs -o size={kib}k,mode=700 none '{folder}'"
        self.under = [
            *("unshare", "--user", "--map-root-user", "--mount"),
            *("sh", "-c", f'{mount} && exec "$@"', "sh"),
        ]

    def path(self, server: ServerProcess) -> Path:
        """Return the folder's path from outside."""
        return Path(f"/proc/{server.process.pid}/root{self._folder}")

    @contextlib.contextmanager
    def full(self, server: ServerProcess) -> Iterator[None]:
        filler = self.path(server) / "filler"
        with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(1024))
        try:
            yield
        finally:
            filler.unlink()


def failing_calls(server: ServerProcess, calls: Sequence[str], error: str) -> AbstractContextManager[None]:
    """Make these system calls of the running server fail inside."""
    return _injected(server, calls, f"error={error}")


def killed_at_call(server: ServerProcess, calls: Sequence[str], number: int) -> AbstractContextManager[None]:
    """Inside, kill the running server when one of its threads makes its `number`th of these calls."""
    return _injected(server, calls, f"signal=KILL:when={number}")


@contextlib.contextmanager
def _injected(server: ServerProcess, calls: Sequence[str], fault: str) -> Iterator[None]:
    names = ",".join(calls)
    command = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={names}", "-e", f"inject={names}:{fault}"]
    tracer = subprocess.Popen([*command, "-p", str(server.process.pid)], stderr=subprocess.PIPE, text=True)
    assert tracer.stderr is not None
    try:
        status = Path(f"/proc/{server.process.pid}/task")
        wait_until(
            lambda: all("TracerPid:\t0" not in (task / "status").read_text() for task in status.iterdir()),
            "strace at all threads",
        )
        yield
    finally:
        tracer.terminate()
        try:
            tracer.communicate(timeout=0.5)
        except subprocess.TimeoutExpired:  # strace may wait for ever for killed threads
            tracer.kill()
            tracer.communicate(timeout=PATIENCE)


def memory(pid: int, key: str = "VmRSS") -> int:
    """Return the KiB in memory (VmHWM: the most so far)."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith(key)))


def threads(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/task").iterdir()))


def descriptors(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))
