"""The echo mode: every message back, whatever text it holds. It speaks no kinds, so any client can use it."""

from server.handlers.handler import Handler


class EchoHandler(Handler):
    """Never speaks first, asks nothing, knows nobody."""

    def converse(self) -> None:
        while (message := self.request.receive_message()) is not None:
            self.request.send_message(message)
            del message  # it may be long, and the next a long time coming
