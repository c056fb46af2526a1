"""Latency at a fixed rate: requests leave when they are due, whatever became of those before.

Each latency counts from when its request was due, so that a pause of the service is charged to all who would have come
during it. A closed loop would have waited politely and reported one slow answer (coordinated omission).
"""

import asyncio
import gc
import time
from typing import Final

from bench.plan import MERCHANTS
from bench.results import Run, total
from bench.wire import Answer, Calls, Client, connect, errors_of

CONNECTIONS: Final = 256  # More than are ever needed at half the throughput, unless the service pauses.
TICK_SECONDS: Final = 0.001  # As fine as the timers are; half of it on average is in every latency.


async def create_at_rate(url: str, key_prefix: str, *, rate: float, seconds: float) -> Run:
    """Create ``rate`` checkouts a second for ``seconds``."""
    requests = list(Calls(url).creates(key_prefix, max(1, int(rate * seconds)), merchants=MERCHANTS))
    async with connect(url, CONNECTIONS) as client:
        gc.collect()
        gc.disable()  # A collection here would look like a pause there.
        try:
            answers, latencies = await _send_when_due(client, requests, rate)
        finally:
            gc.enable()
    latencies.sort()
    percentiles = {f"p{percent}": latencies[len(latencies) * percent // 100] * 1000 for percent in (50, 95, 99)}
    return Run(per_second=rate, errors=total([errors_of(answers)]), latency_ms=percentiles)


async def _send_when_due(client: Client, requests: list[bytes], rate: float) -> tuple[list[Answer], list[float]]:
    due: asyncio.Queue[tuple[float, bytes] | None] = asyncio.Queue()
    answers: list[Answer] = []
    latencies: list[float] = []

    async def use(place: int) -> None:
        while (task := await due.get()) is not None:
            when, request = task
            answer = await client.exchange(place, request)
            latencies.append(time.perf_counter() - when)
            answers.append(answer)

    users = [asyncio.create_task(use(place)) for place in range(len(client.connections))]
    began = time.perf_counter()
    sent = 0
    while sent < len(requests):
        now = time.perf_counter()
        while sent < len(requests) and (when := began + sent / rate) <= now:
            due.put_nowait((when, requests[sent]))
            sent += 1
        await asyncio.sleep(TICK_SECONDS)
    for _ in users:
        due.put_nowait(None)
    await asyncio.gather(*users)
    return answers, latencies
