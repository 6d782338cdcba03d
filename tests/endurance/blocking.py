"""Handlers for the tests: one whose preparation never ends, and one that requests a reload during the start."""

import os
import signal
import threading
from typing import Any

from server.handlers.handler import Handler
from server.handlers.resources import Resources


class BlockingHandler(Handler):
    @classmethod
    def prepare(cls, options: Any, resources: Resources) -> None:
        threading.Event().wait()


class ImpatientHandler(Handler):
    @classmethod
    def prepare(cls, options: Any, resources: Resources) -> None:
        if threading.current_thread() is threading.main_thread():  # a reload runs in another thread
            os.kill(os.getpid(), signal.SIGHUP)
