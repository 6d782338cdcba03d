"""The HTTP port for those who watch: /metrics, /healthz, /readyz, and a page at /. It does not know what is counted.

Each request has a thread and five seconds. There are sixteen at most, so a reader that is slow disturbs nobody else.
"""

import logging
import socket
import threading
import time
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import BaseServer, TCPServer
from typing import Any, NamedTuple

LOG = logging.getLogger("porter.server")
_PATIENCE = 5.0  # seconds
_AT_ONCE = 16
_LOOK = 0.05  # seconds between two looks whether to end
_PAUSE = 0.1  # seconds, when no connection can be accepted
_PAGE = Path(__file__).with_name("page.html")
_PLAIN = "text/plain; charset=utf-8"
_SAFETY = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    "connect-src 'self'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}


class Views(NamedTuple):
    """What is shown. A text of `health` and `readiness` says what is wrong; an empty one says that nothing is."""

    metrics: Callable[[], bytes]
    health: Callable[[], str]
    readiness: Callable[[], str]


class Monitoring:
    """Serves until `close`, on a socket that listens already."""

    def __init__(self, listener: socket.socket, views: Views) -> None:
        listener.setblocking(False)  # other workers accept on it, too
        self._server = _Server(listener, views)
        serve = partial(self._server.serve_forever, _LOOK)
        self._thread = threading.Thread(target=serve, name="monitoring", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread, and close the socket."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Server(TCPServer):
    def __init__(self, listener: socket.socket, views: Views) -> None:
        self.address_family = listener.family
        super().__init__(listener.getsockname(), _Request, bind_and_activate=False)
        self.socket.close()
        self.socket = listener
        self.views = views
        self._free = threading.Semaphore(_AT_ONCE)

    def get_request(self) -> tuple[Any, Any]:
        """Accept a connection. Raise OSError if there is none, after a pause if there is no descriptor for it."""
        try:
            request, address = self.socket.accept()
        except BlockingIOError:
            raise
        except OSError:
            time.sleep(_PAUSE)
            raise
        request.setblocking(True)
        return request, address

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer in a thread, or not at all if sixteen are at work."""
        if not self._free.acquire(blocking=False):
            self.shutdown_request(request)
            return
        try:
            threading.Thread(target=self._answer, args=[request, client_address], name="view", daemon=True).start()
        except (RuntimeError, MemoryError):
            self._free.release()
            self.shutdown_request(request)

    def _answer(self, request: Any, client_address: Any) -> None:
        end = threading.Timer(_PATIENCE, request.shutdown, [socket.SHUT_RDWR])  # for one that sends byte by byte
        end.daemon = True
        try:
            end.start()
            self.finish_request(request, client_address)
        except OSError:
            pass  # the reader is gone, or too slow
        except Exception:
            LOG.exception("a page of the monitoring failed")
        finally:
            end.cancel()
            self.shutdown_request(request)
            self._free.release()


class _Request(BaseHTTPRequestHandler):
    timeout = _PATIENCE
    server: BaseServer
    server_version, sys_version = "Porter", ""

    def do_GET(self) -> None:
        assert isinstance(self.server, _Server)
        views = self.server.views
        match self.path.partition("?")[0]:
            case "/":
                self._send(HTTPStatus.OK, "text/html; charset=utf-8", _PAGE.read_bytes())
            case "/metrics":
                self._send(HTTPStatus.OK, "text/plain; version=0.0.4; charset=utf-8", views.metrics())
            case "/healthz":
                self._state(views.health())
            case "/readyz":
                self._state(views.readiness())
            case _:
                self._send(HTTPStatus.NOT_FOUND, _PLAIN, b"there are /, /metrics, /healthz and /readyz\n")

    do_HEAD = do_GET

    def _state(self, wrong: str) -> None:
        status = HTTPStatus.SERVICE_UNAVAILABLE if wrong else HTTPStatus.OK
        self._send(status, _PLAIN, f"{wrong or 'ok'}\n".encode())

    def _send(self, status: HTTPStatus, kind: str, body: bytes) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(body)), **_SAFETY}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Log nothing: those who watch come every few seconds."""
