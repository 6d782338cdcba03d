"""`end` raises an exception, so nothing after it runs. What was sent before it still arrives."""

from server.handlers.echo import EchoHandler


class Shout(EchoHandler):
    def received(self, message: str) -> None:
        self.request.send_message(message.upper())
        if message == "bye":
            self.end()
