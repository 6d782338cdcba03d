"""The protocol of asyncio_protocol.py on uvloop, an event loop written in C."""

import uvloop

from benchmarks.peers.asyncio_protocol import main

if __name__ == "__main__":
    uvloop.run(main())
