"""Latency at a fixed rate: requests leave when they are due, whatever became of those before.

Each latency counts from when its request was due, so that a pause of the service is charged to all who would have come
during it. A closed loop would have waited politely and reported one slow answer (coordinated omission).
"""

import asyncio
import gc
import time
from collections.abc import Sequence
from itertools import cycle, islice
from typing import Final, NamedTuple

import uvloop

from bench.calls import Calls, create_some, fresh_prefix, seen
from bench.databases import write_out
from bench.load import load
from bench.plan import GET_IDS, HALF, PROVIDER_LATENCY_SECONDS, SHARES
from bench.results import MILLISECONDS, Figure, Findings, Goal, Latency, find, percentiles, total
from bench.session import Session
from bench.settling import PILOT_PAYMENTS, SETTLED, settle
from bench.subjects import LIMIT, Subject
from bench.throughput import CREATE, GET, PAY, SETTLE, merchants_file
from bench.wire import NO_ANSWER, Answer, Client, connect, errors_of

CONNECTIONS: Final = 256  # More than are needed below full throughput, unless the service pauses.
TICK_SECONDS: Final = 0.001  # The resolution of the timers. On average, half of it is in every latency.
WAIT_SECONDS: Final = 20  # The time limit for a pay, which is answered after the provider.
OVERHEAD_MS: Final = {"p50": 20.0, "p99": 150.0}  # In addition to the provider's latency, at half load.


def measure_latencies(session: Session, subjects: list[Subject], throughput: list[Figure]) -> Findings:
    """Measure creates, gets and payments at shares of each subject's own throughput, one subject after the other.

    A payment is a pay that waits for its end (``Prefer: wait``), less the provider's latency: what is added to it.
    """
    latencies = []
    for what, measured_as in ((CREATE, CREATE), (GET, GET), (PAY, SETTLE)):
        taking_part = [one for one in subjects if one.name != LIMIT and (what != PAY or one.is_paidonce)]
        rates = {one.name: _throughput(session, one, measured_as, throughput) for one in taking_part}
        for share in SHARES:
            for subject in taking_part:
                rate = max(1.0, share * rates[subject.name])
                write_out(session.places)
                latency = uvloop.run(_measure(subject, what, share, rate, session.plan.latency_seconds))
                latencies.append(latency)
                shown = ", ".join(f"{name} {value:.1f}" for name, value in latency.ms.items())
                session.progress(
                    f"{what} at {share:.0%}, {subject.name}: {rate:,.0f}/s, {shown} ms {latency.errors or ''}"
                )
    return Findings(latencies=latencies, goals=_overhead_goals(latencies))


def _overhead_goals(latencies: Sequence[Latency]) -> list[Goal]:
    return [
        Goal(
            what=f"overhead of a payment without the provider, {percentile}, at half load",
            subject=one.subject,
            unit=MILLISECONDS,
            reached=one.ms[percentile],
            bound=bound,
        )
        for one in latencies
        if one.what == PAY and one.share == HALF
        for percentile, bound in OVERHEAD_MS.items()
    ]


def _throughput(session: Session, subject: Subject, what: str, measured: list[Figure]) -> float:
    """Return the throughput that earlier sections found, or measure it during a warm-up."""
    known = find(measured, what, subject.name)
    if known is not None:
        return known.median
    merchants = str(merchants_file(session.places, subject))
    if what == CREATE:
        return load(subject.url, CREATE, fresh_prefix(), merchants, seconds=session.plan.warm_up_seconds).value
    if what == GET:  # A replay reads too, and is at hand; it is slower, so that the shares are rather too small.
        return load(subject.url, "replay", "the-same-key", merchants, seconds=session.plan.warm_up_seconds).value
    return uvloop.run(settle(subject, 2 * PILOT_PAYMENTS)).value


async def _measure(subject: Subject, what: str, share: float, rate: float, seconds: float) -> Latency:
    calls = Calls(subject)
    count = max(1, int(rate * seconds))
    connections = CONNECTIONS
    if what == CREATE:
        requests = list(calls.creates(count))
    elif what == GET:
        made = await create_some(subject, GET_IDS)
        requests = [calls.get(one) for one in islice(cycle(made), count)]
    else:
        made = await create_some(subject, count)
        requests = [calls.pay(one, wait_seconds=WAIT_SECONDS) for one in made]
        connections += round(2 * rate * PROVIDER_LATENCY_SECONDS)  # Each is in use while the provider works.
    async with connect(subject.url, connections) as client:
        gc.collect()
        gc.disable()  # A garbage collection here would look like a pause of the service.
        try:
            sent = await send_when_due(client, requests, rate)
        finally:
            gc.enable()
    errors = errors_of(sent.answers)
    latencies = sent.seconds
    if what == PAY:
        latencies = [latency - PROVIDER_LATENCY_SECONDS for latency in latencies]
        unsettled = [one for one in sent.answers if one.ok and seen.decode(one.body).status not in SETTLED]
        errors["stuck"] = len(unsettled)
    return Latency(
        what=what,
        subject=subject.name,
        share=share,
        per_second=rate,
        samples=count,
        ms={name: 1000 * value for name, value in percentiles(latencies).items()},
        late_ms=1000 * percentiles(sent.late_seconds)["p99"],
        errors=total([errors]),
    )


class Sent(NamedTuple):
    """The responses in the order of their requests, the seconds since each was due, and how late each was sent."""

    answers: list[Answer]
    seconds: list[float]
    late_seconds: list[float]


async def send_when_due(client: Client, requests: Sequence[bytes], rate: float) -> Sent:
    """Send ``rate`` requests a second."""
    due: asyncio.Queue[tuple[int, float] | None] = asyncio.Queue()
    answers = [NO_ANSWER] * len(requests)
    latencies = [0.0] * len(requests)
    late = []

    async def use(place: int) -> None:
        while (task := await due.get()) is not None:
            number, when = task
            answers[number] = await client.exchange(place, requests[number])
            latencies[number] = time.perf_counter() - when

    users = [asyncio.create_task(use(place)) for place in range(len(client.connections))]
    began = time.perf_counter()
    sent = 0
    while sent < len(requests):
        now = time.perf_counter()
        while sent < len(requests) and (when := began + sent / rate) <= now:
            due.put_nowait((sent, when))
            late.append(now - when)
            sent += 1
        await asyncio.sleep(TICK_SECONDS)
    for _ in users:
        due.put_nowait(None)
    await asyncio.gather(*users)
    return Sent(answers, latencies, late)
