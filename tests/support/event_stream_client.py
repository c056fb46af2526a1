"""A client that follows a merchant's events over HTTP, like a browser's EventSource."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final

import httpx

from tests.support.merchant_client import Json

SECONDS_MAX: Final = 90.0


class EventStreamClient:
    """What was received so far. ``position`` is sent as Last-Event-ID to resume; ``done``: the stream has ended."""

    def __init__(self) -> None:
        self.events: list[Json] = []
        self.position = ""
        self.done = False
        self._changed = asyncio.Event()

    @property
    def sequences(self) -> list[int]:
        return [event["sequence"] for event in self.events]

    def take(self, line: str) -> None:
        """Process a line of the stream."""
        name, _, value = line.partition(": ")
        if name == "id":
            self.position = value
        elif name == "data":
            self.events.append(json.loads(value))
            assert str(self.events[-1]["sequence"]) == self.position
        self._changed.set()

    def end(self) -> None:
        self.done = True
        self._changed.set()

    async def until(self, condition: Callable[[], Any]) -> None:
        """Wait until a condition on the received events is true."""
        async with asyncio.timeout(SECONDS_MAX):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    async def until_told(self, kind: str, times: int = 1) -> None:
        await self.until(lambda: sum(event["type"] == kind for event in self.events) >= times)

    async def until_told_number(self, sequence: int) -> None:
        await self.until(lambda: self.position == str(sequence))

    async def until_done(self) -> None:
        await self.until(lambda: self.done)


@asynccontextmanager
async def follow_events(
    http: httpx.AsyncClient, merchant_id: str, **parameters: str
) -> AsyncIterator[EventStreamClient]:
    """Follow a merchant's events; ``position`` is sent as Last-Event-ID. A server that is overloaded is asked again."""
    told = EventStreamClient()
    position = parameters.pop("position", None)
    headers = {"Last-Event-ID": position} if position else {}
    wanted = {"merchantId": merchant_id, **parameters}
    async with AsyncExitStack() as stack:
        answer = await _open(stack, http, wanted, headers)
        while answer.status_code == httpx.codes.SERVICE_UNAVAILABLE:
            answer = await _open(stack, http, wanted, headers)
        assert answer.status_code == 200, await answer.aread()
        assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
        reading = asyncio.create_task(_read(answer, told))
        await told.until(lambda: told.position or told.done)
        try:
            yield told
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)


async def _open(
    stack: AsyncExitStack, http: httpx.AsyncClient, wanted: dict[str, str], headers: dict[str, str]
) -> httpx.Response:
    return await stack.enter_async_context(http.stream("GET", "/events/stream", params=wanted, headers=headers))


async def _read(answer: httpx.Response, told: EventStreamClient) -> None:
    try:
        async for line in answer.aiter_lines():
            told.take(line)
    except httpx.TransportError:
        pass
    finally:
        told.end()
