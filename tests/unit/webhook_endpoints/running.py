"""A sender that runs in the test's own loop, on a real database, and posts to a function instead of to the network."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Final, TypeAlias

from paidonce.database.batch import BeginTransaction
from paidonce.database.batcher import Batcher, threaded_batcher
from paidonce.encryption import Keyring
from paidonce.webhook_endpoints.model import Schedule
from paidonce.webhook_endpoints.receiver_messages import Answer
from paidonce.webhook_endpoints.sender import Sender, SenderSettings
from tests.unit.webhook_endpoints.conftest import Outgoing

KEYRING: Final = Keyring(lambda: [b"k" * 32], draw=secrets.token_bytes)

Post: TypeAlias = Callable[[str, dict[str, str], bytes], Awaitable[Answer]]


class Receiver:
    """Answers what ``post`` answers, and remembers what it was sent."""

    def __init__(self, post: Post) -> None:
        self._post = post
        self.posted: list[tuple[str, dict[str, str], bytes]] = []

    async def post(self, url: str, headers: dict[str, str], body: bytes) -> Answer:
        self.posted.append((url, headers, body))
        return await self._post(url, headers, body)


def answering(status: int, retry_after: str | None = None, beginning: bytes = b"hello") -> Receiver:
    """Make a receiver that always gives the same answer."""

    async def post(_url: str, _headers: dict[str, str], _body: bytes) -> Answer:
        return Answer(status, retry_after, beginning)

    return Receiver(post)


def batcher(begin: BeginTransaction) -> Batcher:
    return threaded_batcher(begin, name="test", queue_limit=1000, batch_limit=100, chance=lambda: 0.5)


@asynccontextmanager
async def running(
    outgoing: Outgoing,
    receiver: Receiver,
    *,
    writer: Callable[[Batcher], Any] = lambda batcher: batcher,
    keyring: Keyring = KEYRING,
    concurrency: int = 16,
    alone: bool = False,
    poll_seconds: float = 0.01,
    grace_seconds: float = 10,
) -> AsyncIterator[Sender]:
    """Run a sender; ``writer`` may put something between it and its batcher."""
    writes, reads = batcher(outgoing.database.write), batcher(outgoing.database.read)
    await writes.start()
    await reads.start()
    settings = SenderSettings(
        timeout_seconds=1, concurrency=concurrency, poll_seconds=poll_seconds, schedule=Schedule()
    )
    sender = Sender(writer(writes), reads, receiver, keyring, settings, clock=lambda: outgoing.now, chance=lambda: 0.5)
    await sender.start(alone=alone)
    try:
        yield sender
    finally:
        await sender.stop(grace_seconds=grace_seconds)
        await writes.stop()
        await reads.stop()


async def until(condition: Callable[[], bool]) -> None:
    """Look again and again until it holds."""
    async with asyncio.timeout(90):
        while not condition():  # noqa: ASYNC110 - a thread makes it come true
            await asyncio.sleep(0.005)
