"""The way of a message: bytes, frames, kinds, and the sockets that carry them, with TLS and without."""
