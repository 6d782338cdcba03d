"""Handlers for the tests: one whose preparation never ends, one that is slow, and one that requests a reload."""

import os
import signal
import threading
from typing import Any

from server.handlers.echo import EchoHandler
from server.handlers.resources import Resources


class BlockingHandler(EchoHandler):
    @classmethod
    def prepare(cls, options: Any, resources: Resources) -> None:
        threading.Event().wait()


class ImpatientHandler(EchoHandler):
    @classmethod
    def prepare(cls, options: Any, resources: Resources) -> None:
        if threading.current_thread() is threading.main_thread():  # a reload runs in another thread
            is_worker = os.getpgid(0) == os.getpid()  # only a worker has a process group of its own
            os.kill(os.getppid() if is_worker else os.getpid(), signal.SIGHUP)


class SlowHandler(EchoHandler):
    """A mode whose preparation takes two seconds."""

    @classmethod
    def prepare(cls, options: Any, resources: Resources) -> None:
        threading.Event().wait(2)
