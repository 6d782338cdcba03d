"""The echo: give every message back in capital letters. After `bye` say BYE, and end the connection.

The handler's base class has `self.request.send_message(text)` and `self.end()`.
"""

from server.handlers.echo import EchoHandler


class Shout(EchoHandler):
    def received(self, message: str) -> None:
        super().received(message)
