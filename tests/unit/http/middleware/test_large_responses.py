"""Large responses go out in pieces, whole and in order, and stop where the client takes nothing."""

import asyncio

import pytest
from starlette.types import Message

from paidonce.http.middleware.large_responses import PIECE_BYTES, send_in_pieces

BODIES = [b"a" * PIECE_BYTES, bytes(range(256)) * 1000, b"b" * (2 * PIECE_BYTES)]


class Client:
    """Takes so many messages, and then nothing more."""

    def __init__(self, takes: int = 1000) -> None:
        self.messages: list[Message] = []
        self._takes = takes

    async def __call__(self, message: Message) -> None:
        if len(self.messages) == self._takes:
            await asyncio.Event().wait()
        self.messages.append(message)

    @property
    def pieces(self) -> list[bytes]:
        return [message["body"] for message in self.messages]


async def ask(body: bytes, client: Client, *, stall_seconds: float = 600) -> None:
    await send_in_pieces(body, client, path="/", stall_seconds=stall_seconds)


@pytest.mark.parametrize("body", BODIES, ids=len)
async def test_a_body_goes_out_whole_and_in_pieces_of_bounded_size(body: bytes) -> None:
    client = Client()
    await ask(body, client)
    assert b"".join(client.pieces) == body
    assert max(len(piece) for piece in client.pieces) <= PIECE_BYTES
    more = [message.get("more_body", False) for message in client.messages]
    assert more == [True] * (len(more) - 1) + [False]


async def test_a_client_that_takes_nothing_more_is_let_go_without_a_proper_end() -> None:
    client = Client(takes=2)
    async with asyncio.timeout(90) as patience:
        await ask(bytes(10 * PIECE_BYTES), client, stall_seconds=0.01)
    assert not patience.expired()
    assert len(client.messages) == 2
    assert client.messages[-1]["more_body"]
