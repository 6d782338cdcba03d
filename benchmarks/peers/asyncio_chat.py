"""A chat on asyncio's streams: what one says, all hear. It has no accounts, no history and no limits."""

import asyncio
import struct
import sys

HEADER = struct.Struct("!I")
members: set[asyncio.StreamWriter] = set()


async def chat(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    name = f"member{len(members)}"
    members.add(writer)
    try:
        while True:
            (length,) = HEADER.unpack(await reader.readexactly(HEADER.size))
            line = (await reader.readexactly(length)).decode().removeprefix("TEXT ")
            body = f"TEXT {name}: {line}".encode()
            frame = HEADER.pack(len(body)) + body
            for member in members:
                member.write(frame)
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        members.discard(writer)
        writer.close()


async def main() -> None:
    server = await asyncio.start_server(chat, "127.0.0.1", int(sys.argv[1]), backlog=512)
    print(f"Listening on 127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
