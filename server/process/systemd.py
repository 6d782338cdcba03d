"""What a service manager and the server tell each other: sd_notify(3), sd_watchdog_enabled(3), sd_listen_fds(3).

Without a service manager nothing is told. What is served is not known here.
"""

import contextlib
import os
import socket
import time
from collections.abc import Callable, MutableMapping

from server.engine.listening import listen
from server.settings import Settings

_FIRST_SOCKET = 3


def notify(text: str) -> None:
    """Tell the service manager, for example `READY=1`. If that cannot be, nobody waits for it."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if address[:1] in ("/", "@"):
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ours:
            ours.setblocking(False)
            ours.sendto(text.encode(), address.replace("@", "\0", 1))


def watchdog_seconds() -> float | None:
    """Return how often the service manager wants to hear `WATCHDOG=1`: twice within its limit. None: never."""
    limit = os.environ.get("WATCHDOG_USEC", "")
    pid = os.environ.get("WATCHDOG_PID", str(os.getpid()))
    return int(limit) / 2e6 if limit.isdecimal() and int(limit) and pid == str(os.getpid()) else None


def handed_socket(environment: MutableMapping[str, str] = os.environ) -> socket.socket | None:
    """Return the listening socket that the service manager has handed down, once; None if there is none."""
    count, pid = environment.pop("LISTEN_FDS", ""), environment.pop("LISTEN_PID", "")
    environment.pop("LISTEN_FDNAMES", None)
    if pid != str(os.getpid()) or not count.isdecimal() or int(count) < 1:
        return None
    os.set_inheritable(_FIRST_SOCKET, False)
    return socket.socket(fileno=_FIRST_SOCKET)


def handed_host() -> str | None:
    """Return the address of the socket that will be handed down, or None. It stays there."""
    handed = handed_socket(dict(os.environ))
    if handed is None:
        return None
    try:
        name = handed.getsockname()
        return str(name[0]) if isinstance(name, tuple) else None
    finally:
        handed.detach()


def listener(settings: Settings) -> socket.socket:
    """Return the socket that was handed down, or one that listens as configured. Raise Unavailable."""
    return handed_socket() or listen(settings.host, settings.port, settings.port_taken)


def told(reload: Callable[[], None]) -> Callable[[], None]:
    """Return a function that reloads, and tells the service manager when it begins and ends."""

    def reload_and_tell() -> None:
        notify(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")
        reload()
        notify("READY=1")

    return reload_and_tell
