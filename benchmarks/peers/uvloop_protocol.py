"""The same protocol on uvloop, whose loop is written in C."""

import uvloop

from benchmarks.peers.asyncio_protocol import main

if __name__ == "__main__":
    uvloop.run(main())
