"""A handler of one's own that can never be prepared, since it waits for something that does not come."""

import threading
from typing import Any

from server.handler import Handler
from server.resources import Resources


class BlockingHandler(Handler):
    @classmethod
    def prepare(cls, options: Any, resources: Resources) -> None:
        threading.Event().wait()
