"""Files and folders that only their owner can open, whatever the umask. This module does not know their content."""

import contextlib
import logging
import os
import pwd
import stat
from functools import lru_cache
from pathlib import Path

from common import PROJECT_ROOT

LOG = logging.getLogger("porter.server")  # only the server has a data/; the client checks its folder itself
_DATA_FOLDER = PROJECT_ROOT / "data"


def make_private_folder(path: Path) -> None:
    """Make the folder and its parents with mode 0700 if they are missing.

    An existing folder does not change, unless it is inside the project's data/: then it is closed to others. If that
    is not allowed, but the folder can be used, the log says so once. Raise OSError if it cannot be used.
    """
    if not path.is_dir():
        make_private_folder(path.parent)
        path.mkdir(mode=0o700, exist_ok=True)
        with contextlib.suppress(OSError):  # only for an absurd umask; a file system without modes refuses it
            path.chmod(0o700)
    if path.is_relative_to(_DATA_FOLDER) and path.stat().st_mode & 0o077:
        _close_to_others(path, 0o700)


def make_private_file(path: Path) -> None:
    """Make an empty file with mode 0600 in a private folder. If the file exists, only close it to others.

    If that is not allowed, but the file can be read and written, the log says so once. Raise OSError otherwise.
    """
    make_private_folder(path.parent)
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    # Do not open the existing file: closing any descriptor of a database drops the locks that this process holds
    # on it (sqlite.org/howtocorrupt.html, 2.2).
    _close_to_others(path, 0o600)


def write_private_file(path: Path, content: bytes) -> None:
    """Write a file with mode 0600. Other processes see the old file or the whole new one, also after a crash."""
    make_private_folder(path.parent)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    unfinished.unlink(missing_ok=True)
    with open(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
        with contextlib.suppress(OSError):  # only for an absurd umask; a file system without modes refuses it
            os.fchmod(file.fileno(), 0o600)
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)


def _close_to_others(path: Path, mode: int) -> None:
    try:
        path.chmod(mode)
    except OSError:  # it belongs to another user, such as a volume of root's, or its file system has no modes
        if not os.access(path, mode >> 6):  # the owner's bits of `mode` are R_OK, W_OK and X_OK
            raise
        if path.stat().st_mode & 0o077:
            _warn_once(path)


@lru_cache
def _warn_once(path: Path) -> None:
    """Log the warning once in the life of this process, however often the store is opened or the server reloads."""
    LOG.warning("%s is open to others and cannot be closed: %s", path, describe_owner(path))


def describe_owner(path: Path) -> str:
    """Return whose a file is, its mode, and who this process is, to explain why it may not be used.

    If it is missing or cannot be seen, describe the innermost folder above it that can.
    """
    real = Path(os.path.realpath(path))
    user = f"this process runs as {_user(os.geteuid())}"
    for found in (real, *real.parents):
        with contextlib.suppress(OSError):
            status = found.stat()
            what = "it" if found == real else f"the folder {found}"
            return f"{what} belongs to {_user(status.st_uid)} (mode {stat.S_IMODE(status.st_mode):04o}), and {user}"
    return user


def _user(number: int) -> str:
    return system_user(number) or f"user {number}"


def system_user(number: int) -> str | None:
    """Return the name of a user of the system, or None if the number has none, as in many containers."""
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return None
