"""Writing answers: the head, and a body that is whole or comes in pieces."""

import asyncio
from collections.abc import Callable
from http import HTTPStatus
from typing import Final

from paidonce.web.clients import Clients
from paidonce.web.reply import LARGE_BYTES_MIN
from paidonce.web.request import Request

STATUS_LINES: Final = {status.value: b"HTTP/1.1 %d %b\r\n" % (status, status.phrase.encode()) for status in HTTPStatus}
INVITATION: Final = STATUS_LINES[100] + b"\r\n"
CLOSE: Final = b"connection: close\r\n"
CHUNKED: Final = b"transfer-encoding: chunked\r\n"


class AnswerChannel:
    """Takes the answer to the request that it is open for; one connection's, for one request after the other.

    ``is_last`` says that the connection ends behind this answer, ``has_ended`` that all of it is written. ``listen``
    makes sure that it is heard of when the client goes.
    """

    def __init__(self, transport: asyncio.Transport, clients: Clients, listen: Callable[[], None]) -> None:
        self.is_last = False
        self.has_ended = False
        self.is_flowing = asyncio.Event()
        self.is_flowing.set()
        self.has_left = asyncio.Event()
        self._transport = transport
        self._clients = clients
        self._listen: Callable[[], None] | None = listen
        self._has_begun = False
        self._is_chunked = False
        self._has_body = True

    def open(self, request: Request, *, is_last: bool) -> None:
        """Begin with another request."""
        self.is_last = is_last
        self.has_ended = self._has_begun = False
        self._is_chunked = request.takes_chunks
        self._has_body = request.method != "HEAD"

    def close(self) -> None:
        """Note that the client has gone, and let go of its connection."""
        self._listen = None
        self.has_left.set()
        self.is_flowing.set()

    def send(self, status: int, headers: list[bytes], body: bytes) -> None:
        """Send an answer that is complete."""
        self._write_head(status, headers, body)
        self.has_ended = True

    def begin(self, status: int, headers: list[bytes]) -> None:
        """Send the head of an answer whose body comes in pieces."""
        self._write_head(status, [*headers, CHUNKED] if self._is_chunked else headers, b"")

    def _write_head(self, status: int, headers: list[bytes], body: bytes) -> None:
        assert not self._has_begun, "a request has one answer"
        self._has_begun = True
        if self._transport.is_closing():
            return
        lines = [STATUS_LINES[status], self._clients.date, *headers]
        if self.is_last:
            lines.append(CLOSE)
        lines.append(b"\r\n")
        if self._has_body and len(body) >= LARGE_BYTES_MIN:
            self._transport.writelines([b"".join(lines), body])  # Not copied.
            return
        if self._has_body:
            lines.append(body)
        self._transport.write(b"".join(lines))

    async def write(self, piece: bytes) -> None:
        """Send a piece of a body, and wait as long as the client takes in less than it is sent."""
        if piece and self._has_body and not self._transport.is_closing():
            self._transport.write(b"%x\r\n%b\r\n" % (len(piece), piece) if self._is_chunked else piece)
        await self.is_flowing.wait()

    def end(self) -> None:
        """Say that this was all of the body."""
        self.has_ended = True
        if self._is_chunked and self._has_body and not self._transport.is_closing():
            self._transport.write(b"0\r\n\r\n")

    async def gone(self) -> None:
        """Wait until the client has gone, or has nothing more to say: which of the two, nobody can tell."""
        if self._listen is not None:
            self._listen()
        await self.has_left.wait()
