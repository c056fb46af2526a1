"""Large responses go out in pieces, so that a client that does not read is noticed, and let go."""

import asyncio
from typing import Final

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

log = structlog.get_logger()

PIECE_BYTES: Final = 16 * 1024
STALL_SECONDS: Final = 30.0  # For a client that does not take a piece.


class LargeResponses:
    """Sends a large body in pieces: servers wait between two pieces for a client that is slow, and never in one."""

    def __init__(self, app: ASGIApp, *, stall_seconds: float = STALL_SECONDS) -> None:
        self._app = app
        self._stall_seconds = stall_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""

        async def send_in_pieces(message: Message) -> None:
            body = message.get("body", b"")
            if len(body) <= PIECE_BYTES or message.get("more_body", False):
                await send(message)
                return
            try:
                await self._send_pieces(body, send)
            except TimeoutError:
                log.info("slow_reader_disconnected", path=scope["path"])  # It is not ended: the server cuts it off.

        await self._app(scope, receive, send_in_pieces)

    async def _send_pieces(self, body: bytes, send: Send) -> None:
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(None) as patience:
            for start in range(0, len(body), PIECE_BYTES):
                patience.reschedule(loop.time() + self._stall_seconds)
                piece = body[start : start + PIECE_BYTES]
                more_body = start + PIECE_BYTES < len(body)
                await send({"type": "http.response.body", "body": piece, "more_body": more_body})
