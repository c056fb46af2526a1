"""Large responses go out in pieces, so that a client that does not read is noticed, and let go."""

import asyncio
from typing import Final

import structlog
from starlette.types import Send

log = structlog.get_logger()

PIECE_BYTES: Final = 16 * 1024
STALL_SECONDS: Final = 30.0  # For a client that does not take a piece.


async def send_in_pieces(body: bytes, send: Send, *, path: str, stall_seconds: float = STALL_SECONDS) -> None:
    """Send a whole body in pieces: servers wait between two pieces for a client that is slow, and never in one."""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(None) as patience:
            for start in range(0, len(body), PIECE_BYTES):
                patience.reschedule(loop.time() + stall_seconds)
                piece = body[start : start + PIECE_BYTES]
                more_body = start + PIECE_BYTES < len(body)
                await send({"type": "http.response.body", "body": piece, "more_body": more_body})
    except TimeoutError:
        log.info("slow_reader_disconnected", path=path)  # It is not ended: the server cuts it off.
