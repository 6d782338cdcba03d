"""The module from which your own handlers import the base class. The class is in server/handlers/handler.py."""

from server.handlers.handler import Handler

__all__ = ["Handler"]
