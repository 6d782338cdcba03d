"""Files and folders that only their owner can open, whatever the umask. It knows nothing of what is in them."""

import contextlib
import os
from pathlib import Path

from common import PROJECT_ROOT

_OURS = PROJECT_ROOT / "data"


def make_private_folder(path: Path) -> None:
    """Make the folder and those it is in, 0700, where missing.

    One that is there already is left as it is, unless it is in our own data/: then it is closed to others.
    """
    if path.is_dir():
        if path.is_relative_to(_OURS) and path.stat().st_mode & 0o077:
            path.chmod(0o700)
    else:
        make_private_folder(path.parent)
        path.mkdir(mode=0o700, exist_ok=True)
        path.chmod(0o700)


def make_private_file(path: Path) -> None:
    """Make an empty file, 0600, in a private folder, if it is missing; close one to others that is there already."""
    make_private_folder(path.parent)
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    # Not by opening what is there: closing any descriptor of a database drops the locks that this process holds on
    # it (sqlite.org/howtocorrupt.html, 2.2).
    path.chmod(0o600)


def write_private_file(path: Path, content: bytes) -> None:
    """Write a file, 0600, so that it is there whole or not at all."""
    make_private_folder(path.parent)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    unfinished.unlink(missing_ok=True)
    with open(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
        os.fchmod(file.fileno(), 0o600)
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)
