"""Raw HTTP requests, byte by byte, as no well-behaved client sends them."""

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple
from urllib.parse import urlsplit

ANSWER_SECONDS_MAX = 20.0


class Answer(NamedTuple):
    """A response: its status, headers and body. The status is 0 where the connection was closed without a response."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def problem(self) -> dict[str, Any]:
        decoded: dict[str, Any] = json.loads(self.body)
        return decoded


NOTHING = Answer(0, {}, b"")


class RawHttpConnection:
    """A connection."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        assert parts.hostname is not None
        self.socket = socket.create_connection((parts.hostname, parts.port or 80), ANSWER_SECONDS_MAX)
        self._received = b""

    def send(self, data: bytes) -> None:
        """Send as much as the other side accepts."""
        try:
            self.socket.sendall(data)
        except ConnectionError:
            return

    def answer(self, *, to_head: bool = False) -> Answer:
        """Read one response, or none. A response to HEAD has a length and no body."""
        while b"\r\n\r\n" not in self._received:
            if not self._receive():
                return NOTHING
        head, _, self._received = self._received.partition(b"\r\n\r\n")
        status_line, *lines = head.decode().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        length = 0 if to_head else int(headers.get("content-length", 0))
        while len(self._received) < length:
            assert self._receive(), "the connection was closed within a body"
        body, self._received = self._received[:length], self._received[length:]
        return Answer(int(status_line.split()[1]), headers, body)

    def is_closed(self) -> bool:
        """Wait for the end of the connection; False where something else is received."""
        return not self._received and not self._receive()

    def _receive(self) -> bool:
        try:
            data = self.socket.recv(65536)
        except ConnectionError:
            return False
        self._received += data
        return bool(data)


@contextmanager
def connect(url: str) -> Iterator[RawHttpConnection]:
    """Connect, and close the connection at the end."""
    wire = RawHttpConnection(url)
    with wire.socket:
        yield wire
