"""asyncio's protocols, with an own parser: the fastest way in asyncio. The bytes are not decoded to text.

It uses TLS if the files of a certificate and its key follow the port on the command line.
"""

import asyncio
import ssl
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
    port, *files = sys.argv[1:]
    context = None
    if files:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*files)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Echo, "127.0.0.1", int(port), backlog=512, ssl=context)
    print(f"Listening on 127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
