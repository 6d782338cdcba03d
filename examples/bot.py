"""The chat with a bot in it, which tells the time and counts who is there."""

import time

from server.handlers.chat import ChatHandler


class BotChat(ChatHandler):
    def reply(self, text: str) -> None:
        """is said to all in the room; `bot, time?` and `bot, who?` are answered"""
        super().reply(text)
        match text.casefold().replace(" ", ""):
            case "bot,time?":
                self.say_to_all(f"bot: it is {time.strftime('%H:%M')}")
            case "bot,who?":
                self.say_to_all(f"bot: {len(self.shared.names(self.room))} are here")
