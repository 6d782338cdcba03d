"""The name under which handlers of your own import the base class; it lives in server/handlers/handler.py."""

from server.handlers.handler import Handler

__all__ = ["Handler"]
