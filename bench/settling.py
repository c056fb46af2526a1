"""Payments per second, from the first request to pay until the last checkout is settled."""

import asyncio
import time
from collections.abc import Sequence
from typing import Final

from bench.calls import Calls, Made, Seen, create_on, seen
from bench.plan import CONNECTIONS, PROVIDER_LATENCY_SECONDS
from bench.results import Run, total
from bench.subjects import Subject
from bench.wire import Client, connect, errors_of

SETTLED: Final = ("COMPLETED", "FAILED")
PILOT_PAYMENTS: Final = 500
PAYMENTS_MAX: Final = 60_000
WATCHED: Final = 64  # The checkouts that are paid last are polled, so that the others need not be.
LOOK_SECONDS: Final = 0.05
STUCK_SECONDS: Final = 30.0  # After the last request to pay; the provider takes one second.


async def payments_lasting(subject: Subject, seconds: float) -> int:
    """Find out how many payments take about ``seconds``, with a small pilot run that is also the warm-up."""
    pilot = await settle(subject, PILOT_PAYMENTS)
    paying_seconds = max(PILOT_PAYMENTS / max(pilot.value, 1) - PROVIDER_LATENCY_SECONDS, 0.05)
    payments = PILOT_PAYMENTS / paying_seconds * max(seconds - PROVIDER_LATENCY_SECONDS, 1)
    return max(PILOT_PAYMENTS, min(PAYMENTS_MAX, round(payments)))


async def settle(subject: Subject, payments: int) -> Run:
    """Create ``payments`` checkouts; then, timed, pay them all and wait until each is COMPLETED or FAILED."""
    calls = Calls(subject)
    async with connect(subject.url, CONNECTIONS) as client:
        made = await create_on(client, subject, payments)
        began = time.time()
        answers = await client.send_all(calls.pay(one) for one in made)
        paid = [one for one, answer in zip(made, answers, strict=True) if answer.ok]
        watched = await _until_settled(client, calls, paid[-WATCHED:])
        watch_ended = time.time()
        settled = await _until_settled(client, calls, paid)
    # Measured in two ways: by polling, and by the time of the last change of each checkout (the same clock).
    ended = max([began, *(checkout.updated_at.timestamp() for checkout in settled)])
    if len(watched) == len(paid[-WATCHED:]):
        ended = max(ended, watch_ended)
    return Run(
        value=len(settled) / max(ended - began, LOOK_SECONDS),
        errors=total([errors_of(answers), {"stuck": len(paid) - len(settled)}]),
        counts=total([{checkout.status: 1} for checkout in settled]),
    )


async def _until_settled(client: Client, calls: Calls, made: Sequence[Made]) -> list[Seen]:
    """Poll each until it is settled or ``STUCK_SECONDS`` have passed; returns the settled ones."""
    settled: list[Seen] = []
    give_up = time.monotonic() + STUCK_SECONDS
    waiting = list(made)
    while waiting and time.monotonic() < give_up:
        answers = await client.send_all(calls.get(one) for one in waiting)
        found = [seen.decode(answer.body) for answer in answers if answer.ok]
        settled += (checkout for checkout in found if checkout.status in SETTLED)
        done = {checkout.id for checkout in settled}
        waiting = [one for one in waiting if one.id not in done]
        if waiting:
            await asyncio.sleep(LOOK_SECONDS)
    return settled
