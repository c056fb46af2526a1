"""Payments per second, from the first request to pay until the last checkout is settled."""

import asyncio
import time
from collections.abc import Sequence
from datetime import datetime
from typing import Final

import msgspec

from bench.plan import CONNECTIONS, MERCHANTS, PROVIDER_LATENCY_SECONDS
from bench.results import Run, total
from bench.wire import Calls, Client, connect, errors_of

SETTLED: Final = ("COMPLETED", "FAILED")
PILOT_PAYMENTS: Final = 500
PAYMENTS_MAX: Final = 60_000
WATCHED: Final = 64  # The last ones to be paid: asked again and again, so that the others need not be.
LOOK_SECONDS: Final = 0.05
STUCK_SECONDS: Final = 30.0  # After the last request to pay; the provider takes one second.


class Seen(msgspec.Struct, frozen=True, rename="camel"):
    """What every target tells of a checkout."""

    id: str
    status: str
    updated_at: datetime


seen: Final = msgspec.json.Decoder(Seen)


async def settle_for(url: str, key_prefix: str, seconds: float) -> Run:
    """Settle as many payments as take about ``seconds``; a small pilot tells how many those are."""
    pilot = await settle(url, f"{key_prefix}pilot-", PILOT_PAYMENTS)
    paying_seconds = max(PILOT_PAYMENTS / max(pilot.per_second, 1) - PROVIDER_LATENCY_SECONDS, 0.05)
    payments = PILOT_PAYMENTS / paying_seconds * max(seconds - PROVIDER_LATENCY_SECONDS, 1)
    return await settle(url, key_prefix, max(PILOT_PAYMENTS, min(PAYMENTS_MAX, round(payments))))


async def settle(url: str, key_prefix: str, payments: int) -> Run:
    """Create ``payments`` checkouts; then, timed, pay them all and wait until each is COMPLETED or FAILED."""
    calls = Calls(url)
    async with connect(url, CONNECTIONS) as client:
        created = await client.send_all(calls.creates(key_prefix, payments, merchants=MERCHANTS))
        ids = [seen.decode(answer.body).id for answer in created if answer.ok]
        began = time.time()
        answers = await client.send_all(calls.pay(checkout_id) for checkout_id in ids)
        paid = [checkout_id for checkout_id, answer in zip(ids, answers, strict=True) if answer.ok]
        watched = await _until_settled(client, calls, paid[-WATCHED:])
        watch_ended = time.time()
        settled = await _until_settled(client, calls, paid)
    # Two witnesses: what was watched, and what each checkout says of its own last change (by the same clock).
    ended = max([began, *(checkout.updated_at.timestamp() for checkout in settled)])
    if len(watched) == len(paid[-WATCHED:]):
        ended = max(ended, watch_ended)
    return Run(
        per_second=len(settled) / max(ended - began, LOOK_SECONDS),
        errors=total([errors_of(created), errors_of(answers), {"stuck": len(paid) - len(settled)}]),
        counts=total([{checkout.status: 1} for checkout in settled]),
    )


async def _until_settled(client: Client, calls: Calls, ids: Sequence[str]) -> list[Seen]:
    """Look at each until it is settled or ``STUCK_SECONDS`` have passed; returns the settled ones."""
    settled: list[Seen] = []
    give_up = time.monotonic() + STUCK_SECONDS
    waiting = list(ids)
    while waiting and time.monotonic() < give_up:
        answers = await client.send_all(calls.get(checkout_id) for checkout_id in waiting)
        found = [seen.decode(answer.body) for answer in answers if answer.ok]
        settled += (checkout for checkout in found if checkout.status in SETTLED)
        done = {checkout.id for checkout in settled}
        waiting = [checkout_id for checkout_id in waiting if checkout_id not in done]
        if waiting:
            await asyncio.sleep(LOOK_SECONDS)
    return settled
