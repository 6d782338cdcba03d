"""The client's private folder: what it keeps from one run to the next, in files that only their owner can read.

It knows nothing of what is kept.
"""

import fcntl
import json
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from common.errors import Unavailable

_LARGEST_FILE = 1_000_000


def default_folder() -> Path:
    """`$XDG_STATE_HOME/porter`, by default ~/.local/state/porter. A relative one counts as unset, as XDG has it."""
    base = Path(os.environ.get("XDG_STATE_HOME") or "")
    try:
        return (base if base.is_absolute() else Path.home() / ".local" / "state") / "porter"
    except RuntimeError as error:
        raise Unavailable(f"there is no place for tokens and certificates: {error}; set XDG_STATE_HOME") from error


class StateFolder:
    """Made when something is first kept. Raises Unavailable when it is not the user's own, or cannot be used."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self, name: str) -> dict[str, Any]:
        """The mapping kept under `name`, empty if there is none."""
        try:
            self._close_to_others()
            with open(self._open(name, os.O_RDONLY), "rb") as file:
                content = file.read(_LARGEST_FILE + 1)
        except (FileNotFoundError, NotADirectoryError):
            return {}
        except OSError as error:
            raise self._unavailable(name, error) from error
        try:
            kept = json.loads(content)
        except (ValueError, RecursionError):
            kept = None
        if len(content) > _LARGEST_FILE or not isinstance(kept, dict):
            raise Unavailable(f"{self.path / name} is damaged; remove it, and what it held is asked again")
        return kept

    def update(self, name: str, change: Callable[[dict[str, Any]], None]) -> None:
        """Change what is kept under `name`, whole or not at all; two clients at once do it one after the other."""
        try:
            self._make()
            with self._lock():
                kept = self.read(name)
                change(kept)
                self._write(name, json.dumps(kept, indent=1).encode())
        except OSError as error:
            raise self._unavailable(name, error) from error

    def file(self, name: str) -> Path:
        """A file in the folder for somebody else to write, made 0600 first; one that has grown large is put aside."""
        try:
            self._make()
            with suppress(FileNotFoundError):
                if (self.path / name).lstat().st_size > _LARGEST_FILE:
                    (self.path / name).replace(self.path / f"{name}.old")
            os.close(self._open(name, os.O_RDWR | os.O_CREAT))
        except OSError as error:
            raise self._unavailable(name, error) from error
        return self.path / name

    def _open(self, name: str, flags: int) -> int:
        """A descriptor of a plain file of ours, closed to others; never of a link, and never waiting for a pipe."""
        path = self.path / name
        descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid():
            os.close(descriptor)
            raise Unavailable(f"{path} is not a file of yours; remove it")
        os.fchmod(descriptor, 0o600)
        return descriptor

    def _make(self) -> None:
        if not self.path.exists():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.mkdir(mode=0o700, exist_ok=True)
        self._close_to_others()

    def _close_to_others(self) -> None:
        """Check that the folder is ours and no link, and close it if it is open to others."""
        found = os.lstat(self.path)
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
            raise Unavailable(f"{self.path} is not a folder of yours; move it away, or choose another XDG_STATE_HOME")
        if found.st_mode & 0o077:
            self.path.chmod(0o700)

    @contextmanager
    def _lock(self) -> Iterator[None]:
        folder = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            yield
        finally:
            os.close(folder)

    def _write(self, name: str, content: bytes) -> None:
        unfinished = self.path / f".{name}.new"
        unfinished.unlink(missing_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with open(os.open(unfinished, flags, 0o600), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(self.path / name)

    def _unavailable(self, name: str, error: OSError) -> Unavailable:
        return Unavailable(f"{self.path / name} cannot be used: {error.strerror}")
