"""Handlers of one's own: one that can never be prepared, one that has a reload asked for amid the start."""

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
        if threading.current_thread() is threading.main_thread():  # which reloads are not done in
            os.kill(os.getpid(), signal.SIGHUP)
