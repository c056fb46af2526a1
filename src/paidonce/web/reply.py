"""Replies: a status, headers, and bytes that are made already."""

import re
from collections.abc import Mapping
from typing import Final, Protocol

import msgspec

encode: Final = msgspec.json.Encoder().encode

LARGE_BYTES_MIN: Final = 4096  # Of a body whose sending is waited for.
UNFIT: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


class Channel(Protocol):
    """Where an answer goes: all of it at once, or as it comes; to a client that has gone, nothing goes."""

    def send(self, status: int, headers: list[bytes], body: bytes) -> None:
        """Send an answer that is complete; ``headers`` are whole lines, and tell the body's length."""
        ...

    def begin(self, status: int, headers: list[bytes]) -> None:
        """Send the head of an answer whose body comes in pieces; what is not ended is cut off, so that it shows."""
        ...

    async def write(self, piece: bytes) -> None:
        """Send a piece, and wait as long as the client takes in less than it is sent."""
        ...

    def end(self) -> None:
        """Say that this was all of the body."""
        ...

    async def gone(self) -> None:
        """Wait until the client has gone."""
        ...


class Answer(Protocol):
    """What a handler returns: something that sends itself. Before it does, ``headers`` may be added to: whole lines."""

    status: int
    headers: list[bytes]

    async def send_to(self, channel: Channel) -> None:
        """Send it."""
        ...


class Reply:
    """Bytes with a status and headers."""

    __slots__ = ("body", "headers", "status")

    def __init__(
        self,
        body: bytes = b"",
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        media_type: bytes = b"application/json",
    ) -> None:
        self.body = body
        self.status = status
        self.headers: list[bytes] = []
        if status != 204:  # noqa: PLR2004 - No Content
            self.headers.append(b"content-type: %b\r\ncontent-length: %d\r\n" % (media_type, len(body)))
        if headers:
            self.headers += [header_line(name, value) for name, value in headers.items()]

    async def send_to(self, channel: Channel) -> None:
        """Send it. A large one is over when its client has taken it in, or has gone, and is not kept here meanwhile."""
        body, self.body = self.body, b""
        is_large = len(body) >= LARGE_BYTES_MIN
        channel.send(self.status, self.headers, body)
        del body
        if is_large:
            await channel.write(b"")


def reply(answer: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Reply:
    """Reply with an answer as JSON."""
    return Reply(encode(answer), status, headers)


def header_line(name: str, value: str) -> bytes:
    """Write a header as the line that it is on the wire; raises ValueError for a value that would be more than that."""
    if UNFIT.search(value):
        raise ValueError("A header's value has no control characters.")
    return f"{name.lower()}: {value}\r\n".encode("latin-1")
