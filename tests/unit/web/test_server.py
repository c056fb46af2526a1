"""The server, on real sockets: whom it takes, how it ends, and what clients that misbehave cost the others."""

import asyncio
import gc
import socket
import struct
import weakref
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

import pytest
import uvloop
from paidonce.web.application import Application
from paidonce.web.clients import Clients
from paidonce.web.reply import Channel, Reply
from paidonce.web.request import Request
from paidonce.web.routing import Route
from paidonce.web.server import CannotListen, Server

from paidonce.api.problems import answer_error
from tests.inside import clients_of

SECONDS_MAX: Final = 90.0
PIECE: Final = b"x" * 65_536


class Flood:
    """An answer without an end; ``taken`` counts the pieces."""

    def __init__(self) -> None:
        self.status = 200
        self.headers: list[bytes] = []
        self.taken = 0

    async def send_to(self, channel: Channel) -> None:
        leaving = asyncio.ensure_future(channel.gone())
        channel.begin(self.status, self.headers)
        while not leaving.done():
            await channel.write(PIECE)
            self.taken += 1
            await asyncio.sleep(0)


class Stand:
    """A server that runs, with a call that waits to be let go and one that floods."""

    def __init__(self) -> None:
        self.door = asyncio.Event()
        self.entered = asyncio.Event()
        self.cancelled = False
        self.asked = 0
        self.flood = Flood()
        routes = [
            Route("GET", "/", self.answer),
            Route("GET", "/slow", self.wait),
            Route("GET", "/large", self.show_much),
            Route("GET", "/flood", self.let_it_flow),
        ]
        self.clients: Clients = clients_of(Application(routes, None, answer_error=answer_error), connection_limit=10)
        self.writers: list[asyncio.StreamWriter] = []
        self.url = ""
        self.server: Server
        self.serving: asyncio.Task[None]

    async def answer(self, _request: Request, _context: object) -> Reply:
        return Reply(b"hello")

    async def show_much(self, _request: Request, _context: object) -> Reply:
        self.asked += 1
        return Reply(PIECE * 100)

    async def let_it_flow(self, _request: Request, _context: object) -> Flood:
        self.asked += 1
        return self.flood

    async def wait(self, _request: Request, _context: object) -> Reply:
        self.asked += 1
        self.entered.set()
        try:
            await self.door.wait()
        except asyncio.CancelledError:
            await turns(20)  # It has something to put in order.
            self.cancelled = True
            raise
        return Reply(b"waited")

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    async def connect(self, path: str = "") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect, and ask if there is a path."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        self.writers.append(writer)
        if path:
            writer.write(f"GET {path} HTTP/1.1\r\nHost: here\r\n\r\n".encode())
        return reader, writer

    async def until_nobody_is_there(self) -> None:
        await until_true(lambda: not self.clients.connections and not self.clients.tasks)


@asynccontextmanager
async def standing(*, grace_seconds: float = SECONDS_MAX, host: str = "127.0.0.1") -> AsyncIterator[Stand]:
    stand = Stand()
    listening = asyncio.Event()

    def announce(url: str) -> None:
        stand.url = url
        listening.set()

    stand.server = Server(stand.clients, host=host, port=0, grace_seconds=grace_seconds, announce=announce)
    stand.serving = asyncio.create_task(stand.server.serve())
    await listening.wait()
    try:
        yield stand
    finally:
        stand.door.set()
        stand.server.stop()
        for writer in stand.writers:
            writer.transport.abort()
        async with asyncio.timeout(SECONDS_MAX):
            await stand.serving


async def turns(count: int) -> None:
    """Let the loop go round so many times."""
    for _ in range(count):
        await asyncio.sleep(0)


async def until_true(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(SECONDS_MAX):
        while not condition():  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)


@pytest.fixture(params=[pytest.param(("asyncio", {"loop_factory": uvloop.new_event_loop}), id="uvloop")])
def anyio_backend(request: pytest.FixtureRequest) -> object:
    return request.param


async def heard(reader: asyncio.StreamReader) -> bytes:
    """Read to the end."""
    async with asyncio.timeout(SECONDS_MAX):
        return await reader.read()


async def until(reader: asyncio.StreamReader, part: bytes) -> bytes:
    async with asyncio.timeout(SECONDS_MAX):
        return await reader.readuntil(part)


async def test_at_the_end_resting_clients_go_at_once_nobody_new_comes_and_who_waits_is_answered() -> None:
    async with standing() as stand:
        resting, _ = await stand.connect("/")
        await until(resting, b"hello")
        waiting, _ = await stand.connect("/slow")
        await stand.entered.wait()
        stand.server.stop()
        assert await heard(resting) == b""
        assert not stand.serving.done()
        with pytest.raises(ConnectionError):
            await stand.connect()
        stand.door.set()
        answer = await heard(waiting)
        assert b"\r\nconnection: close\r\n" in answer
        assert answer.endswith(b"waited")
        await stand.serving
        assert not stand.cancelled


async def test_who_waits_longer_than_the_grace_is_cut_off_and_the_handler_hears_of_it() -> None:
    async with standing(grace_seconds=0.05) as stand:
        waiting, _ = await stand.connect("/slow")
        await stand.entered.wait()
        stand.server.stop()
        assert await heard(waiting) == b""
        await stand.serving
        assert stand.cancelled
        await stand.until_nobody_is_there()


async def test_a_client_that_does_not_read_holds_its_stream_up_and_no_memory() -> None:
    async with standing() as stand:
        _, writer = await stand.connect("/flood")
        writer.transport.pause_reading()  # type: ignore[attr-defined] # the one for both ways
        await until_true(lambda: stand.flood.taken > 0)
        before = 0
        while stand.flood.taken != before:  # As long as the sockets take more, each turn of the loop sends it.
            before = stand.flood.taken
            await turns(200)
        assert stand.flood.taken < 1000  # As much as the sockets hold.
        writer.transport.abort()
        await stand.until_nobody_is_there()


async def test_a_reset_in_the_middle_of_an_answer_ends_that_connection_and_nothing_else() -> None:
    async with standing() as stand:
        for number, path in enumerate(("/large", "/flood", "/slow")):
            with socket.create_connection(("127.0.0.1", stand.port)) as rude:
                rude.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                rude.send(f"GET {path} HTTP/1.1\r\nHost: here\r\n\r\n".encode() * 3)
                await until_true(lambda number=number: stand.asked > number)  # type: ignore[misc]
        stand.door.set()
        await stand.until_nobody_is_there()
        reader, _ = await stand.connect("/")
        await until(reader, b"hello")


async def test_a_half_closed_connection_is_answered_and_closed() -> None:
    async with standing() as stand:
        reader, writer = await stand.connect("/slow")
        writer.write(b"GET /large HTTP/1.1\r\nHost: here\r\n\r\n")
        writer.write_eof()
        await stand.entered.wait()
        stand.door.set()
        answers = await heard(reader)
        assert b"waited" in answers
        assert answers.endswith(PIECE)


async def test_what_a_client_leaves_behind_is_free_at_once_and_not_when_the_collector_comes() -> None:
    async with standing() as stand:
        _, writer = await stand.connect("/")
        await until_true(lambda: bool(stand.clients.connections))
        left = weakref.ref(next(iter(stand.clients.connections)))
        gc.disable()
        try:
            writer.transport.abort()
            await until_true(lambda: left() is None)
        finally:
            gc.enable()


async def test_who_is_one_too_many_is_told_so() -> None:
    async with standing() as stand:
        others = [await stand.connect("/") for _ in range(stand.clients.connection_limit)]
        for reader, _ in others:
            await until(reader, b"hello")
        one_too_many, _ = await stand.connect()
        assert (await heard(one_too_many)).startswith(b"HTTP/1.1 503 ")


async def test_the_date_goes_on() -> None:
    async with standing() as stand:
        first = stand.clients.date
        await until_true(lambda: stand.clients.date != first)


async def test_the_address_of_ipv6_is_told_so_that_it_can_be_asked() -> None:
    async with standing(host="::") as stand:
        assert stand.url == f"http://[::]:{stand.port}"


async def test_a_port_that_is_taken_is_an_error_at_once() -> None:
    async with standing() as stand:
        second = Server(stand.clients, host="127.0.0.1", port=stand.port, grace_seconds=1, announce=lambda _url: None)
        with pytest.raises(CannotListen, match="in use"):
            await second.serve()
