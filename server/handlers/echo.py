"""The echo mode: it sends every message back, whatever its text. It uses no kinds, so any client can talk to it."""

from server.handlers.handler import Handler


class EchoHandler(Handler):
    """Never speaks first and asks nothing."""

    def converse(self) -> None:
        while (message := self.request.receive_message()) is not None:
            self.request.send_message(message)
            del message  # free a long message while the connection is idle
