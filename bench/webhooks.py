"""Webhooks, measured: what writing deliveries costs a batch, and how long an event is on its way among dead receivers.

``python -m bench.webhooks cost`` · ``python -m bench.webhooks scale [seconds] [postgresql://…]``
"""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random
from statistics import median, quantiles
from tempfile import TemporaryDirectory
from typing import Final

import httpx

from paidonce import ids
from paidonce.clock import parse_instant, system_clock
from paidonce.database.engine import Database, open_database
from paidonce.database.migrate import migrate
from paidonce.database_url import DatabaseUrl, parse_database_url
from paidonce.encryption import Keyring, read_keys, write_key
from paidonce.events.model import Cause, EventType, NewEvent
from paidonce.events.store import write_events
from paidonce.webhook_endpoints.actions import CreateEndpoint, create_endpoints
from paidonce.webhook_endpoints.outbox import write_events_and_deliveries
from paidonce.webhook_endpoints.secrets import seal_secret

ENDPOINTS: Final = 10_000
HANGING: Final = 1_000
EVENTS_PER_SECOND: Final = 200
BUYERS: Final = 32
KEY: Final = write_key(bytes(range(32)))
START_SECONDS_MAX: Final = 60.0


def measure_cost() -> None:
    """Print what deliveries add to a batch, in microseconds, by batch size."""
    print("batch  events alone  no endpoint  one endpoint each, µs for the batch")
    for size in (1, 16, 64, 256):
        took = [_time_batches(size, endpoints=endpoints) for endpoints in (None, 0, size)]
        print(f"{size:>5}  {took[0]:>12.0f}  {took[1]:>11.0f}  {took[2]:>17.0f}")


def _time_batches(size: int, *, endpoints: int | None) -> float:
    """Time the last statements of a batch of events, each of another merchant; returns the median, in microseconds."""
    database = open_database(DatabaseUrl("sqlite"), clock=system_clock, before_commit=write_events_and_deliveries)
    migrate(database)
    if endpoints:
        make_endpoints(database, [(f"m{number}", "https://shop.example/") for number in range(endpoints)])
    step = write_events if endpoints is None else write_events_and_deliveries
    times = []
    for _ in range(max(50, 20_000 // size // 4)):
        with database.write() as transaction:
            transaction.events.extend(
                NewEvent(type=EventType.CHECKOUT_CREATED, cause=Cause.REQUEST, merchant_id=f"m{number}", mode="test")
                for number in range(size)
            )
            began = time.perf_counter()
            step(transaction)
            times.append(time.perf_counter() - began)
            transaction.events.clear()
    database.close()
    return median(times) * 1e6


def make_endpoints(database: Database, owners: list[tuple[str, str]]) -> None:
    """Create an endpoint for each merchant, at its URL."""
    ring = Keyring(lambda: read_keys(KEY), draw=ids.secret_bytes)
    for first in range(0, len(owners), 250):
        commands = []
        for merchant_id, url in owners[first : first + 250]:
            endpoint_id = ids.new_id(ids.ENDPOINT)
            sealed = seal_secret(ring, ids.secret_bytes(32), merchant_id=merchant_id, endpoint_id=endpoint_id)
            commands.append(
                CreateEndpoint(
                    id=endpoint_id,
                    merchant_id=merchant_id,
                    url=url,
                    event_types=None,
                    description=None,
                    secret=sealed,
                )
            )
        with database.write() as transaction:
            create_endpoints(transaction, commands)


class Receiver(asyncio.Protocol):
    """Answers 204 and records the latency of the event. A POST to /hang is never answered."""

    def __init__(self, ways_ms: dict[str, int]) -> None:
        self._ways_ms = ways_ms
        self._heard = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Store the connection."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer when the body is complete."""
        self._heard += data
        head, separator, body = self._heard.partition(b"\r\n\r\n")
        if not separator or head.startswith(b"POST /hang") or not body.endswith(b"}}"):
            return
        event = json.loads(body)
        self._ways_ms.setdefault(event["data"]["id"], system_clock() - parse_instant(event["timestamp"]))
        assert isinstance(self._transport, asyncio.Transport)
        self._transport.write(b"HTTP/1.1 204 None\r\nConnection: close\r\n\r\n")
        self._transport.close()


async def receive() -> None:
    """Serve until the end of standard input, then print the results."""
    ways_ms: dict[str, int] = {}
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Receiver(ways_ms), "127.0.0.1", 0, backlog=1000)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)
    print(json.dumps(list(ways_ms.values())), flush=True)
    os._exit(0)  # Hanging connections need no clean end.


@contextmanager
def running(*arguments: str, **settings: str) -> Iterator[subprocess.Popen[str]]:
    """Run a program of this environment; it is stopped on leaving."""
    process = subprocess.Popen(
        [sys.executable, "-m", *arguments],
        env={**os.environ, **settings},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


async def buy(url: str, merchants: list[str], seconds: float, chance: Random) -> int:
    """Create checkouts, each of which is one event, at an even pace; returns how many were acknowledged."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    numbers = iter(range(round(seconds * EVENTS_PER_SECOND)))

    async def buyer() -> int:
        made = 0
        async with httpx.AsyncClient(base_url=url, timeout=30) as client:
            for number in numbers:
                await asyncio.sleep(max(0.0, began + number / EVENTS_PER_SECOND - loop.time()))
                body = {
                    "merchantId": chance.choice(merchants),
                    "amount": 1000,
                    "currency": "USD",
                    "idempotencyKey": f"k{number}",
                }
                made += (await client.post("/checkouts", json=body)).status_code == httpx.codes.CREATED
        return made

    return sum(await asyncio.gather(*(buyer() for _ in range(BUYERS))))


def measure_scale(seconds: float, url: str) -> None:
    """Print the latency of events to receivers that answer, while a tenth of all receivers never do."""
    chance = Random(1)
    with TemporaryDirectory() as folder, running("bench.webhooks", "receive") as receiver:
        assert receiver.stdout is not None
        port = int(receiver.stdout.readline())
        place = url or f"file:{folder}/paidonce.db"
        merchants = [f"m{number}" for number in range(ENDPOINTS)]
        database = open_database(
            parse_database_url(place), clock=system_clock, before_commit=write_events_and_deliveries
        )
        migrate(database)
        paths = ["hang"] * HANGING + ["ok"] * (ENDPOINTS - HANGING)
        make_endpoints(
            database,
            [(one, f"http://127.0.0.1:{port}/{path}") for one, path in zip(merchants, paths, strict=True)],
        )
        database.close()
        settings = {
            "DATABASE_URL": place,
            "PORT": "0",
            "PAIDONCE_ENCRYPTION_KEYS": KEY,
            "PAIDONCE_WEBHOOK_ALLOW_PRIVATE": "true",
            "PAIDONCE_SIMULATOR_DATABASE": f"file:{folder}/books.db",
            "PAIDONCE_LOG_LEVEL": "warning",
        }
        with running("paidonce", "serve", **settings) as service:
            assert service.stdout is not None
            address = next(line for line in service.stdout if "paidonce is at" in line).split()[-1]
            began = time.monotonic()
            made = asyncio.run(buy(address, merchants, seconds, chance))
            took = time.monotonic() - began
            time.sleep(10)  # Time for the last events to arrive.
        ways_ms = json.loads(receiver.communicate(timeout=START_SECONDS_MAX)[0])
        cuts = quantiles(ways_ms, n=1000)
        print(
            f"{made} events in {took:.1f} s, {len(ways_ms)} arrived at {ENDPOINTS - HANGING} receivers that answer, "
            f"of {ENDPOINTS}; on their way p50 {cuts[499]:.0f} ms, p99 {cuts[989]:.0f} ms, p99.9 {cuts[998]:.0f} ms, "
            f"max {max(ways_ms)} ms"
        )


if __name__ == "__main__":
    what, *rest = sys.argv[1:]
    if what == "receive":
        asyncio.run(receive())
    elif what == "cost":
        measure_cost()
    else:
        measure_scale(float(rest[0]) if rest else 60.0, rest[1] if len(rest) > 1 else "")
