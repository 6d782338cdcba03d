"""Other servers that do the same: an echo of messages with a header of four bytes, on the port they are given.

Short, and as their own documentation would have them written; run as `python -m benchmarks.peers.NAME PORT`.
"""
