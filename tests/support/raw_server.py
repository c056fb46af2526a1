"""A server that answers each request with scripted bytes, and stores the requests."""

import asyncio
import re
import socket
import ssl
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final, TypeAlias

import msgspec


class Part(msgspec.Struct, frozen=True):
    """The bytes to send for a request, and whether the connection is closed or reset afterwards."""

    content: bytes = b""
    closing: bool = False
    resetting: bool = False


Script: TypeAlias = tuple[Part, ...]
"""The replies to the first request, the second, …. The last one is repeated."""


def answer(body: bytes, status: str = "200 OK", *headers: str) -> bytes:
    """Write a complete response."""
    lines = [f"HTTP/1.1 {status}", *headers, f"content-length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode() + body


OK: Final = Part(answer(b"{}"))
SILENCE: Final = Part()


class RawServer:
    """A server on loopback. ``requests`` are the complete requests in order of arrival."""

    def __init__(self, script: Script) -> None:
        self.port = 0
        self.requests: list[bytes] = []
        self._script = script
        self._came = asyncio.Condition()
        self._writers: list[asyncio.StreamWriter] = []
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def url(self) -> str:
        """Its URL."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def connections(self) -> int:
        """The number of connections."""
        return len(self._writers)

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Handle a connection."""
        self._writers.append(writer)
        self._tasks.append(asyncio.ensure_future(self._serve(reader, writer)))

    async def wait_for_requests(self, number: int) -> None:
        """Wait until this many requests have come."""
        async with self._came:
            await self._came.wait_for(lambda: len(self.requests) >= number)

    async def push(self, content: bytes) -> None:
        """Send unexpected bytes on the newest connection, and wait until a client in this loop could read them."""
        self._writers[-1].write(content)
        await self._writers[-1].drain()
        await turn_the_loop()

    async def hang_up(self) -> None:
        """Close the newest connection, and wait until a client in this loop could notice."""
        self._writers[-1].close()
        await self._writers[-1].wait_closed()
        await turn_the_loop()

    async def end(self) -> None:
        """Close open connections, and wait until all have ended."""
        for writer in self._writers:
            writer.close()
        await asyncio.gather(*self._tasks)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            while await self._answer_one(reader, writer):
                pass
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()

    async def _answer_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = await reader.readuntil(b"\r\n\r\n")
        size = re.search(rb"\r\ncontent-length: (\d+)", head, re.IGNORECASE)
        body = await reader.readexactly(int(size[1])) if size else b""
        part = self._script[min(len(self.requests), len(self._script) - 1)]
        async with self._came:
            self.requests.append(head + body)
            self._came.notify_all()
        writer.write(part.content)
        await writer.drain()
        if part.resetting:
            # A socket that may not linger is closed with a reset.
            no_time = struct.pack("ii", 1, 0)
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, no_time)
        return not (part.closing or part.resetting)


async def turn_the_loop() -> None:
    """Let the event loop read what has arrived."""
    for _ in range(10):
        await asyncio.sleep(0)


@asynccontextmanager
async def raw_server(*script: Part, tls: ssl.SSLContext | None = None) -> AsyncIterator[RawServer]:
    """Serve until the block ends."""
    server = RawServer(script or (OK,))
    listener = await asyncio.start_server(server.accept, "127.0.0.1", 0, ssl=tls)
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listener.close()
        await server.end()
        await turn_the_loop()
