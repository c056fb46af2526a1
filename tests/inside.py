"""The web layer without a socket: a pretended transport, and through it httpx."""

import asyncio
from typing import Any, Final

import httptools
import httpx
from paidonce.web.application import Application
from paidonce.web.clients import Clients
from paidonce.web.connection import Connection
from paidonce.web.proxies import Proxies

from paidonce.api.problems import tell_problem

ANSWER_SECONDS_MAX: Final = 90.0


class Wire(asyncio.Transport):
    """Keeps what is written, and notes what is done to it. An end of it is told to the connection at once."""

    def __init__(self, connection: Connection, address: str = "192.0.2.1") -> None:
        super().__init__(extra={"peername": (address, 1)})
        self.written = b""
        self.done: list[str] = []
        self._connection = connection
        self._changed = asyncio.Event()
        connection.connection_made(self)

    def write(self, data: Any) -> None:  # noqa: ANN401 - any bytes
        self.written += data
        self._changed.set()

    def is_closing(self) -> bool:
        return "close" in self.done or "abort" in self.done

    def close(self) -> None:
        self._note("close")

    def abort(self) -> None:
        self._note("abort")

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Take them; who wants to be a client that does not read calls ``pause_writing``."""

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self._note("eof")

    def pause_reading(self) -> None:
        self._note("pause")

    def resume_reading(self) -> None:
        self._note("resume")

    def _note(self, what: str) -> None:
        self.done.append(what)
        self._changed.set()

    def hang_up(self) -> None:
        """Be a client that goes away."""
        self.done.append("abort")
        self._connection.connection_lost(None)

    def take(self) -> bytes:
        """Take what was written since the last time."""
        taken, self.written = self.written, b""
        return taken

    async def until(self, *parts: bytes) -> bytes:
        """Wait until all of these were written, in this order; returns all that was, and takes it."""
        async with asyncio.timeout(ANSWER_SECONDS_MAX):
            while not _has(self.written, parts):
                await self.change()
        return self.take()

    async def until_done(self, what: str) -> None:
        """Wait until this was done to it."""
        async with asyncio.timeout(ANSWER_SECONDS_MAX):
            while what not in self.done:
                await self.change()

    async def change(self) -> None:
        """Wait until something more is written or done."""
        self._changed.clear()
        await self._changed.wait()


def _has(written: bytes, parts: tuple[bytes, ...]) -> bool:
    for part in parts:
        _, found, written = written.partition(part)
        if not found:
            return False
    return True


class Heard:
    """What a client hears: one answer, or as much of it as it wants."""

    def __init__(self, *, head_only: bool = False, beginning_only: bool = False) -> None:
        self.parser = httptools.HttpResponseParser(self)
        self.headers: list[tuple[bytes, bytes]] = []
        self.body = b""
        self.is_enough = False
        self._head_only = head_only
        self._beginning_only = beginning_only

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        self.is_enough = self._head_only

    def on_body(self, piece: bytes) -> None:
        self.body += piece
        self.is_enough = self.is_enough or self._beginning_only

    def on_message_complete(self) -> None:
        self.is_enough = True


class Inside(httpx.AsyncBaseTransport):
    """Hands each request to an application, through a connection of its own.

    At a stream of events the client hangs up when it has heard its beginning: else its answer would have no end.
    """

    def __init__(self, application: Application, address: str = "192.0.2.1") -> None:
        self._application = application
        self._address = address

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        content = await request.aread()
        lines = [b"%b %b HTTP/1.1" % (request.method.encode(), request.url.raw_path)]
        lines += [b"%b: %b" % header for header in request.headers.raw]
        clients = clients_of(self._application)
        connection = Connection(clients)
        wire = Wire(connection, self._address)
        connection.data_received(b"\r\n".join([*lines, b"", content]))
        heard = Heard(head_only=request.method == "HEAD", beginning_only=request.url.path == "/events/stream")
        async with asyncio.timeout(ANSWER_SECONDS_MAX):
            while not heard.is_enough:
                heard.parser.feed_data(await wire.until(b"\r\n"))
        wire.hang_up()
        if clients.tasks:
            await asyncio.wait(clients.tasks)
        return httpx.Response(heard.parser.get_status_code(), headers=heard.headers, content=heard.body)


def clients_of(
    application: Application, *, connection_limit: int = 1, connections_per_address: int = 1000, proxies: str = ""
) -> Clients:
    """Make what the connections to an application share."""
    clients = Clients(
        application.answer,
        tell_problem,
        header_seconds=10.0,
        body_seconds=30.0,
        connection_limit=connection_limit,
        connections_per_address=connections_per_address,
        proxies=Proxies(proxies) if proxies else None,
    )
    clients.tell_time(0)
    return clients
