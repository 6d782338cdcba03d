"""The server: accepts connections, hands each to a handler in a thread of its own, and keeps its limits."""
