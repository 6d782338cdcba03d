"""The server: accepts connections, runs a handler for each in a thread of its own, and enforces the limits."""
