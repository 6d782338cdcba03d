"""Files and folders that only their owner can open, whatever the umask. This module does not know their content."""

import contextlib
import os
from pathlib import Path

from common import PROJECT_ROOT

_DATA_FOLDER = PROJECT_ROOT / "data"


def make_private_folder(path: Path) -> None:
    """Make the folder and its parents with mode 0700 if they are missing.

    An existing folder does not change, unless it is inside the project's data/: then it is closed to others.
    """
    if path.is_dir():
        if path.is_relative_to(_DATA_FOLDER) and path.stat().st_mode & 0o077:
            path.chmod(0o700)
    else:
        make_private_folder(path.parent)
        path.mkdir(mode=0o700, exist_ok=True)
        path.chmod(0o700)


def make_private_file(path: Path) -> None:
    """Make an empty file with mode 0600 in a private folder. If the file exists, only close it to others."""
    make_private_folder(path.parent)
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    # Do not open the existing file: closing any descriptor of a database drops the locks that this process holds
    # on it (sqlite.org/howtocorrupt.html, 2.2).
    path.chmod(0o600)


def write_private_file(path: Path, content: bytes) -> None:
    """Write a file with mode 0600. Other processes see the old file or the whole new one, also after a crash."""
    make_private_folder(path.parent)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    unfinished.unlink(missing_ok=True)
    with open(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
        os.fchmod(file.fileno(), 0o600)
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)
