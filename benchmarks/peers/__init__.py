"""Other servers with the same task: an echo of messages with a header of four bytes, on a given port.

They are short and follow the documentation of their libraries. Run one as `python -m benchmarks.peers.NAME PORT`;
0 is any free port. Once it listens, it prints its address as Porter does.
"""
