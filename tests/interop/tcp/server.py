"""A TCP server of Python's own: prints its port.

A connection is greeted, then taken in to its end, and only then answered with the count of bytes and their SHA-256.
"""
import asyncio
import hashlib


async def serve(reader, writer):
    try:
        writer.write(b"hello\n")
        count, digest = 0, hashlib.sha256()
        while piece := await reader.read(65536):
            count += len(piece)
            digest.update(piece)
        writer.write(f"{count} {digest.hexdigest()}\n".encode())
        await writer.drain()
    except ConnectionError:
        pass
    finally:
        writer.close()


async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


asyncio.run(main())
