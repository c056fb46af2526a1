"""Replies: a status, headers, and bytes that are made already."""

from collections.abc import Mapping
from typing import Final, Protocol

import msgspec

from paidonce.web.asgi import Send
from paidonce.web.request import Request

encode: Final = msgspec.json.Encoder().encode


class Answer(Protocol):
    """What a handler returns: something that sends itself. ``headers`` may be added to before it does."""

    status: int
    headers: list[tuple[bytes, bytes]]

    async def send_to(self, send: Send, request: Request) -> None:
        """Send it."""
        ...


class Reply:
    """Bytes with a status and headers; names of headers are in lower case."""

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
        self.headers: list[tuple[bytes, bytes]] = []
        if status != 204:  # noqa: PLR2004 - No Content
            self.headers = [(b"content-type", media_type), (b"content-length", b"%d" % len(body))]
        if headers:
            self.headers += [
                (name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()
            ]

    async def send_to(self, send: Send, request: Request) -> None:  # noqa: ARG002 - a reply that streams needs it
        """Send it."""
        await send({"type": "http.response.start", "status": self.status, "headers": self.headers})
        await send({"type": "http.response.body", "body": self.body, "more_body": False})


def reply(answer: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Reply:
    """Reply with an answer as JSON."""
    return Reply(encode(answer), status, headers)
