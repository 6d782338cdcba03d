"""A mode that pushes the time to all clients, and answers nothing."""

import threading
import time
import weakref
from typing import Any

from server.handler import Handler
from server.handlers.room import Room


class Clock(Handler):
    class Options(Handler.Options):
        seconds: float = 1.0

    @classmethod
    def prepare(cls, options: Any, resources: Any) -> "Room[Clock]":
        room: Room[Clock] = resources.kept("clock", lambda: started(options.seconds))  # a reload finds it again
        return room

    def setup(self) -> None:
        self.shared.join(self)

    def answer(self, text: str) -> None:
        self.say("I am only a clock.")


def started(seconds: float) -> "Room[Clock]":
    room: Room[Clock] = Room()
    threading.Thread(target=tick, args=[weakref.ref(room), seconds], name="clock", daemon=True).start()
    return room


def tick(reference: "weakref.ref[Room[Clock]]", seconds: float) -> None:
    """Push the time until the room is gone, with the server."""
    while (room := reference()) is not None:
        room.push(time.strftime("%H:%M:%S"))
        del room
        time.sleep(seconds)
