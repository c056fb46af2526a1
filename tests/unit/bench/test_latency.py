"""Latency at a fixed rate, against a service that pauses."""

import asyncio
from typing import cast

from bench.latency import send_when_due
from bench.wire import connect

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
RATE = 200.0
REQUESTS = 100
PAUSE_SECONDS = 0.3
PAUSE_FROM = 20


class Pausing:
    """A service that answers at once, except for one pause, after which it answers all waiting requests."""

    def __init__(self) -> None:
        self.seen = 0
        self.waiting: list[asyncio.Transport] | None = None

    def ask(self, transport: asyncio.Transport) -> None:
        self.seen += 1
        if self.seen == PAUSE_FROM:
            self.waiting = []
            asyncio.get_running_loop().call_later(PAUSE_SECONDS, self.go_on)
        if self.waiting is None:
            transport.write(ANSWER)
        else:
            self.waiting.append(transport)

    def go_on(self) -> None:
        waiting, self.waiting = self.waiting or [], None
        for transport in waiting:
            transport.write(ANSWER)


class Exchange(asyncio.Protocol):
    """One connection. Each request arrives in one piece."""

    def __init__(self, service: Pausing) -> None:
        self.service = service

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        del data
        self.service.ask(self.transport)


async def test_a_pause_is_charged_to_all_who_would_have_come_during_it() -> None:
    service = Pausing()
    async with await asyncio.get_running_loop().create_server(lambda: Exchange(service), "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with connect(f"http://127.0.0.1:{port}", 2) as client:
            answers, latencies, _ = await send_when_due(client, [b"GET / HTTP/1.1\r\n\r\n"] * REQUESTS, RATE)
    assert [answer.status for answer in answers] == [200] * REQUESTS
    # A closed loop over two connections would have told of two slow answers; 60 were due during the pause.
    assert sum(1 for latency in latencies if latency > PAUSE_SECONDS / 4) >= RATE * PAUSE_SECONDS / 2
    assert max(latencies) >= 0.9 * PAUSE_SECONDS
