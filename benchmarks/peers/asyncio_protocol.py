"""asyncio's protocols, with a parser of one's own: as quick as asyncio gets. No text is made of the bytes."""

import asyncio
import struct
import sys
from typing import Any

HEADER = struct.Struct("!I")


class Echo(asyncio.Protocol):
    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.rest = b""

    def data_received(self, data: bytes) -> None:
        data = self.rest + data
        answers = []
        start = 0
        while start + HEADER.size <= len(data):
            (length,) = HEADER.unpack_from(data, start)
            end = start + HEADER.size + length
            if end > len(data):
                break
            answers.append(data[start:end])
            start = end
        self.rest = data[start:]
        if answers:
            self.transport.write(b"".join(answers))


async def main() -> None:
    server = await asyncio.get_running_loop().create_server(Echo, "127.0.0.1", int(sys.argv[1]), backlog=512)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
