"""asyncio's streams: one coroutine for each connection, one read for the header and one for the body."""

import asyncio
import struct
import sys

HEADER = struct.Struct("!I")


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            (length,) = HEADER.unpack(await reader.readexactly(HEADER.size))
            text = (await reader.readexactly(length)).decode()
            body = text.encode()
            writer.write(HEADER.pack(len(body)) + body)
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


async def main() -> None:
    server = await asyncio.start_server(echo, "127.0.0.1", int(sys.argv[1]), backlog=512)
    print(f"Listening on 127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
