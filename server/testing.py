"""Two ways to test a mode of one's own: a conversation by script, without a socket, and a real server on a free port.

No part of a server imports this.
"""

import json
import tempfile
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from common.errors import ConversationOver, PeerClosed, PorterError
from common.wire.deadline import Deadline
from common.wire.framing import HEADER
from common.wire.kinds import Kind, compose
from server.configuration.loading import Source
from server.handlers.handler import Handler
from server.handlers.resources import Mode
from server.process.service import Service
from server.settings import Limits


class ScriptedRequest:
    """A connection whose user sends the given lines and then ends; `sent` is what the mode has said.

    It waits for nothing: `limits` and deadlines play no part.
    """

    def __init__(self, lines: Iterator[str]) -> None:
        self.max_message = Limits().max_message
        self.overall: Deadline | None = None
        self.opened_at = 0.0
        self.sent: list[str] = []
        self._messages = deque(compose(Kind.TEXT, line) for line in lines)
        self._error: PorterError | None = None

    def send_message(self, text: str) -> None:
        self.sent.append(text)

    def receive_message(self) -> str | None:
        if self._error is not None:
            raise self._error
        return self._messages.popleft() if self._messages else None

    def push(self, text: str) -> bool:
        self.sent.append(text)
        return True

    def push_frame(self, frame: bytes) -> bool:
        return self.push(frame[HEADER.size :].decode())

    def interrupt(self, error: PorterError) -> None:
        self._error = error

    def pardon(self) -> None:
        self._error = None

    def flush(self) -> None:
        """Do nothing: all is sent at once."""

    def check_peer(self) -> None:
        """Do nothing: the user is there until the script ends."""

    def step_aside(self) -> None:
        """Do nothing: nobody else waits."""


def talk(mode: type[Handler], *lines: str, shared: Any = None, **options: Any) -> list[str]:
    """Hold a conversation in which the user sends `lines`, then ends. Return the messages of the mode, with kinds.

    `shared` is what the mode's `prepare` would return. An error of the mode is raised here.
    """
    request = ScriptedRequest(iter(lines))
    handler = mode(request, ("127.0.0.1", 50000), None, Mode("test", mode.Options(**options), Limits(), shared))
    handler.setup()
    try:
        with suppress(PeerClosed, ConversationOver):
            if mode.converses:
                handler.handle()
            while mode.answers and (message := request.receive_message()) is not None:
                handler.received(message)
    finally:
        handler.finish()
    return request.sent


@contextmanager
def serving(**settings: Any) -> Iterator[int]:
    """Run a server in this process, inside, and give its port. The settings are those of conf/server.yaml.

    It has a free port, no TLS, and a store and a log in a folder of its own, unless the settings say otherwise.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "logging.yaml").write_text('{"version": 1, "disable_existing_loggers": false}')
        usual = {"port": 0, "tls": {"enabled": False}, "store": f"sqlite:///{folder}/porter.db"}
        usual["control"] = f"{folder}/control"
        file = folder / "server.yaml"
        file.write_text(json.dumps({**usual, "logging": str(folder / "logging.yaml"), **settings}))  # JSON is YAML
        service = Service(Source(file).load())
        try:
            yield service.port
        finally:
            service.stop_listening()
            service.drain()
            service.close()
