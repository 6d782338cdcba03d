"""The wire: bytes, frames, kinds of messages, and the sockets that carry them, with TLS and without."""
