"""The echo mode: it sends every message back, whatever its text. It uses no kinds, so any client can talk to it."""

from server.handlers.handler import Handler


class EchoHandler(Handler):
    """Never speaks first and asks nothing."""

    def received(self, message: str) -> None:
        self.request.send_message(message)
