"""The client's private folder. It keeps values from one run to the next, in files that only their owner can read.

This module does not know what the values mean.
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
from common.private_files import make_private_folder, write_private_file

_MAX_FILE = 1_000_000  # bytes

Warn = Callable[[Unavailable], object]


def default_folder() -> Path:
    """Return `$XDG_STATE_HOME/porter`, by default ~/.local/state/porter. As XDG demands, a relative path is ignored.

    Raise Unavailable if there is no home folder.
    """
    base = Path(os.environ.get("XDG_STATE_HOME") or "")
    try:
        return (base if base.is_absolute() else Path.home() / ".local" / "state") / "porter"
    except RuntimeError as error:
        raise Unavailable(
            "there is no folder for tokens and certificates: {reason}; set XDG_STATE_HOME to one", reason=error
        ) from error


class State:
    """What the client keeps: in its folder, and where that does not work, in memory until the client ends.

    A folder that cannot be used costs one warning, never the connection.
    """

    def __init__(self, folder: "StateFolder | None", warn: Warn, *, saves: bool = True) -> None:
        """`warn` is told why the folder is not used.

        Without `saves` the folder is only read. Without a folder everything is in memory.
        """
        self._folder = folder
        self._warn = warn
        self._saves = saves
        self._memory: dict[str, dict[str, Any]] = {}

    def read(self, name: str) -> dict[str, Any]:
        """Return the mapping stored under `name`, empty if there is none."""
        if name not in self._memory and self._folder is not None:
            try:
                return self._folder.read(name)
            except Unavailable as error:
                self._give_up(error)
        return self._memory.get(name, {})

    def update(self, name: str, change: Callable[[dict[str, Any]], None]) -> None:
        """Let `change` edit the mapping stored under `name`."""
        if self._saves and self._folder is not None and name not in self._memory:
            try:
                self._folder.update(name, change)
                return
            except Unavailable as error:
                self._give_up(error)
        kept = dict(self.read(name))
        change(kept)
        self._memory[name] = kept

    def file(self, name: str) -> Path | None:
        """Return a file with mode 0600 that other code may write, or None if there can be none."""
        if self._saves and self._folder is not None:
            try:
                return self._folder.file(name)
            except Unavailable as error:
                self._give_up(error)
        return None

    def _give_up(self, error: Unavailable) -> None:
        self._folder = None
        self._warn(error)


class StateFolder:
    """A folder of small JSON files. It is made when the first value is stored.

    Methods raise Unavailable if the folder or a file does not belong to the user, or cannot be used.
    """

    def __init__(self, path: Path, *, changes: bool = True) -> None:
        """Without `changes` nothing in the folder is changed, and a folder that is open to others is not used."""
        self.path = path
        self._changes = changes

    def read(self, name: str) -> dict[str, Any]:
        """Return the mapping stored under `name`, empty if there is none."""
        try:
            self._close_to_others()
            with open(self._open(name, os.O_RDONLY), "rb") as file:
                content = file.read(_MAX_FILE + 1)
        except (FileNotFoundError, NotADirectoryError):
            return {}
        except OSError as error:
            raise self._unavailable(name, error) from error
        try:
            kept = json.loads(content)
        except (ValueError, RecursionError):
            kept = None
        if len(content) > _MAX_FILE or not isinstance(kept, dict):
            raise Unavailable(
                "{file} is damaged; remove it, and the client will ask you again", file=self.path / name
            )
        return kept

    def update(self, name: str, change: Callable[[dict[str, Any]], None]) -> None:
        """Let `change` edit the mapping stored under `name`. The file changes as a whole; two clients take turns."""
        try:
            self._make()
            with self._lock():
                kept = self.read(name)
                change(kept)
                write_private_file(self.path / name, json.dumps(kept, indent=1).encode())
        except OSError as error:
            raise self._unavailable(name, error) from error

    def file(self, name: str) -> Path:
        """Make a file with mode 0600 that other code may write, and return its path. Rename it if it is over 1 MB."""
        try:
            self._make()
            with suppress(FileNotFoundError):
                if (self.path / name).lstat().st_size > _MAX_FILE:
                    (self.path / name).replace(self.path / f"{name}.old")
            os.close(self._open(name, os.O_RDWR | os.O_CREAT))
        except OSError as error:
            raise self._unavailable(name, error) from error
        return self.path / name

    def _open(self, name: str, flags: int) -> int:
        """Open a plain file of the user and close it to others. Refuse a link, and do not wait for a pipe."""
        path = self.path / name
        descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid():
            os.close(descriptor)
            raise Unavailable("{file} is not a file of yours; remove it", file=path)
        if stat.S_IMODE(found.st_mode) != 0o600 and self._changes:
            os.fchmod(descriptor, 0o600)
        return descriptor

    def _make(self) -> None:
        make_private_folder(self.path)
        self._close_to_others()

    def _close_to_others(self) -> None:
        """Check that the folder belongs to the user and is no link. If others can open it, close it to them."""
        found = os.lstat(self.path)
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
            raise Unavailable(
                "{folder} is not a folder of yours; move it away, or choose another XDG_STATE_HOME", folder=self.path
            )
        if found.st_mode & 0o077:
            if not self._changes:
                raise Unavailable("{folder} is open to others, and is not used", folder=self.path)
            self.path.chmod(0o700)

    @contextmanager
    def _lock(self) -> Iterator[None]:
        folder = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            yield
        finally:
            os.close(folder)

    def _unavailable(self, name: str, error: OSError) -> Unavailable:
        return Unavailable("{file} cannot be used: {reason}", file=self.path / name, reason=error.strerror or error)


def open_state(warn: Warn, *, saves: bool) -> State:
    """Return what the client keeps; without a home folder it is kept in memory, after a warning."""
    try:
        return State(StateFolder(default_folder(), changes=saves), warn, saves=saves)
    except Unavailable as error:
        warn(error)
        return State(None, warn)
