import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import pytest
import uvloop

from paidonce.web.client import Answer, HttpClient, Unanswered

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def server(serve: Serve, *, timeout_seconds: float = 90.0) -> AsyncIterator[HttpClient]:
    async def serve_and_close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await serve(reader, writer)
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
        served.set()

    served = asyncio.Event()
    listener = await asyncio.start_server(serve_and_close, "127.0.0.1", 0)
    client = HttpClient(f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}", timeout_seconds=timeout_seconds)
    try:
        yield client
    finally:
        client.close()
        await served.wait()
        listener.close()
        await asyncio.sleep(0.01)  # The last connection's end is told to both sides.


async def head_of(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    """Read the lines of a request's head; there are none where the client has closed."""
    while (line := await reader.readline()) not in (b"", b"\r\n"):
        yield line


async def test_requests_one_after_the_other_share_a_connection_and_those_at_once_do_not() -> None:
    connections = 0

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        while head := b"".join([line async for line in head_of(reader)]):
            size = next(int(line[15:]) for line in head.split(b"\r\n") if line.startswith(b"content-length:"))
            body = await reader.readexactly(size)
            writer.write(b"HTTP/1.1 201 Created\r\ntransfer-encoding: chunked\r\n\r\n")
            await writer.drain()
            for part in (body[:3], body[3:]):
                writer.write(f"{len(part):x}\r\n".encode() + part + b"\r\n")
            writer.write(b"0\r\n\r\n")

    async with server(echo) as client:
        for number in range(3):
            answer = await client.request("POST", "/x", {"number": number}, headers={"prefer": "wait=1"})
            assert (answer.status, answer.json()) == (201, {"number": number})
        assert connections == 1
        assert len(await asyncio.gather(*(client.request("POST", "/x", [1]) for _ in range(4)))) == 4
        assert connections == 4


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhal", b"nonsense\r\n\r\n"])
async def test_a_connection_that_breaks_is_no_answer_and_the_next_request_takes_another(said: bytes) -> None:
    answers = [said, b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}"]

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answers.pop(0))

    async with server(serve) as client:
        with pytest.raises(Unanswered):
            await client.request("GET", "/x")
        assert await client.request("GET", "/x") == Answer(200, b"{}")


async def test_silence_and_a_closed_port_are_no_answers() -> None:
    async def say_nothing(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with server(say_nothing, timeout_seconds=0.1) as client:
        with pytest.raises(Unanswered):
            await client.request("GET", "/x")
    with pytest.raises(Unanswered):
        await client.request("GET", "/x")


def test_it_works_in_the_event_loop_that_the_service_runs_in() -> None:
    async def ask() -> Answer:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(
                b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}"
            )

        async with server(serve) as client:
            return await client.request("GET", "/x")

    assert uvloop.run(ask()) == Answer(200, b"{}")
