"""Runs a proof: starts everything, lets clients buy, injects faults at random, waits for the end, and compares."""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

from paidonce.clock import system_clock
from paidonce.http_client import HttpClient, NoAnswer
from paidonce.ids import seeded
from paidonce.proving.behavior import behaviors_of
from paidonce.proving.buyers import Browsers, page_of
from paidonce.proving.clients import Clients, Purchase
from paidonce.proving.fleet import Fleet
from paidonce.proving.lifetimes import expire
from paidonce.proving.oracle import Acknowledged, Rule, Violation, find_violations
from paidonce.proving.outcome import Outcome
from paidonce.proving.plan import Plan, environment
from paidonce.proving.processes import START_SECONDS_MAX, Process, free_port
from paidonce.proving.provider import ProofProvider
from paidonce.proving.violations import sort_violations

FAULT_INTERVAL_SECONDS: Final = (
    0.45,
    1.4,
)  # From one fault to the next: 65 a minute, some of which only stop a worker.
UPTIME_SECONDS_MIN: Final = 0.3  # From the first response to the next fault, also on a slow machine,
UPTIME_SHARE_MIN: Final = 0.5  # and so long as a share of the time that the restart took.
READERS: Final = 16
MOVING: Final = "PROCESSING"
EXPIRE_INTERVAL_SECONDS: Final = 1.0
LATE_PAYMENT_SECONDS: Final = 2.0  # How long a payment that must not take place is waited for.

Progress = Callable[[str, float], None]
"""Called with what is going on, and the part of the time that has passed, from 0 to 1."""

Json = dict[str, Any]


async def prove(plan: Plan, progress: Progress) -> Outcome:
    """Run a proof and return what it found."""
    port = free_port()
    provider = ProofProvider(plan, port)
    settings = environment(plan, port) | provider.settings
    http = HttpClient(f"http://127.0.0.1:{port}")
    fleet = Fleet(plan, settings, lambda: _answers(http, "/health/ready"))
    browsers = Browsers(plan.kit, plan.shares, provider.http, http)
    clients = Clients(http, plan.kit, browsers, shares=plan.shares, seed=plan.seed, concurrency=plan.clients)
    started = time.monotonic()
    try:
        progress("Starting", 0.0)
        await provider.start(_answers)
        upgrade = Process("upgrade", ["db", "upgrade"], settings, plan.folder)
        await upgrade.start()
        await upgrade.wait_for_exit()
        await fleet.start()
        await provider.add_accounts(http)
        await _inject_faults(plan, fleet, clients, progress)
        progress("Waiting for the end", 1.0)
        faults_ended_at = time.monotonic()
        checkouts = await _wait_until_ended(http, clients, plan)
        end_seconds = time.monotonic() - faults_ended_at
        late = await _pay_late(provider, browsers, plan, {name for name, one in checkouts.items() if _has_ended(one)})
        snapshot = await provider.snapshot()
        faults = await provider.faults()
    finally:
        await http.close()
        await fleet.end()
        await provider.end()
    purchases = [one for one in clients.purchases if one.checkout_id]
    methods = _count([name for one in purchases if one.paid_at is not None for name in _methods(one)])
    acknowledged = [fact for one in purchases for fact in one.acknowledged()]
    acknowledged += [Acknowledged(checkout_id=name, status=one["status"]) for name, one in checkouts.items()]
    known = behaviors_of(plan.kit)
    shares = zip(known, plan.shares.of_behaviors(known), strict=True)
    wanted = [*plan.kit.tokens, *(one for one, share in shares if share)]
    return Outcome(
        command=plan.command,
        seed=plan.seed,
        provider=plan.kit.title,
        database="PostgreSQL" if plan.on_postgresql else "SQLite",
        seconds=time.monotonic() - started,
        struck_seconds=plan.seconds,
        checkouts=len(purchases),
        payments=sum(one.paid_at is not None for one in purchases),
        requests=clients.requests,
        repeats=clients.repeats,
        kills=sum(process.kills for process in fleet.processes),
        writer_kills=sum(process.writer_kills for process in fleet.processes),
        stops=sum(process.stops for process in fleet.processes),
        down_seconds=fleet.down_seconds,
        statuses=_count([one["status"] for one in checkouts.values()]),
        methods=methods,
        faults=faults.data,
        missing=[
            *(kind for kind in faults.kinds if not faults.data.get(kind) and kind not in plan.kit.never_occurring),
            *(name for name in wanted if name not in methods),
        ],
        charges=len(snapshot.charges),
        refunds=sum(len(one.refund_ids) for one in purchases),
        end_seconds=end_seconds,
        end_seconds_max=plan.end_seconds_max,
        unexpected=clients.unexpected[:20],
        violations=sort_violations([*find_violations(snapshot, acknowledged, may_need_review=False), *late]),
    )


def _methods(purchase: Purchase) -> list[str]:
    """Return what is counted of a purchase: its payment method, and what its buyer did on a page."""
    return [purchase.method, *([purchase.behavior] if purchase.behavior else [])]


async def _inject_faults(plan: Plan, fleet: Fleet, clients: Clients, progress: Progress) -> None:
    """Let clients buy for the time of the plan while faults are injected."""
    buying = asyncio.create_task(clients.run())
    expiring = asyncio.create_task(_expire_abandoned(plan, clients))
    try:
        draw = seeded(plan.seed)
        begun = time.monotonic()
        due = begun + FAULT_INTERVAL_SECONDS[1]  # Time for the standbys to load.
        while due - begun < plan.seconds:
            await asyncio.sleep(due - time.monotonic())
            down_seconds = fleet.down_seconds
            await fleet.inject_fault(draw)
            uptime = max(UPTIME_SECONDS_MIN, UPTIME_SHARE_MIN * (fleet.down_seconds - down_seconds))
            progress(f"{len(clients.purchases)} purchases", (due - begun) / plan.seconds)
            due = max(due + draw.uniform(*FAULT_INTERVAL_SECONDS), time.monotonic() + uptime)
        clients.stop()
        await fleet.recover()
        await asyncio.wait_for(buying, START_SECONDS_MAX + plan.end_seconds_max)
    finally:
        expiring.cancel()
        buying.cancel()


async def _expire_abandoned(plan: Plan, clients: Clients) -> None:
    """Let the checkouts expire that their buyers have left, every now and then."""
    while True:
        await asyncio.sleep(EXPIRE_INTERVAL_SECONDS)
        await _expire(plan, list(clients.abandoned))
        clients.abandoned.clear()


async def _expire(plan: Plan, checkout_ids: Sequence[str]) -> None:
    if checkout_ids:
        await asyncio.to_thread(expire, plan.database_url, checkout_ids, system_clock())


async def _wait_until_ended(http: HttpClient, clients: Clients, plan: Plan) -> dict[str, Json]:
    """Read every checkout until all have ended, or the time limit is reached; returns each.

    Nobody comes back any more: what waits for a buyer expires.
    """
    checkouts: dict[str, Json] = {}
    wanted = [one.checkout_id for one in clients.purchases if one.checkout_id]
    deadline = time.monotonic() + plan.end_seconds_max

    async def read(checkout_ids: list[str]) -> None:
        for checkout_id in checkout_ids:
            try:
                answer = await http.request("GET", f"/checkouts/{checkout_id}")
            except NoAnswer:
                continue
            if answer.status < 400:  # noqa: PLR2004 - any 2xx
                checkouts[checkout_id] = answer.json()

    while wanted and time.monotonic() < deadline:
        await asyncio.gather(*(read(wanted[number::READERS]) for number in range(READERS)))
        wanted = [one for one in wanted if not _has_ended(checkouts.get(one))]
        await _expire(plan, [one for one in wanted if one in checkouts and page_of(checkouts[one])])
    return checkouts


def _has_ended(checkout: Json | None) -> bool:
    if checkout is None or checkout["status"] == MOVING:
        return False
    attempt = checkout["attempt"]
    if checkout["amountRefundPending"]:
        return False
    return attempt is None or attempt["settledAt"] is not None


async def _pay_late(provider: ProofProvider, browsers: Browsers, plan: Plan, ended: set[str]) -> list[Violation]:
    """Approve on every page again whose payment has ended: no page must take money any more."""
    before = len(await provider.movements())
    await browsers.approve_again(ended, seeded(f"{plan.seed}/late"))
    if browsers.shown:
        await asyncio.sleep(LATE_PAYMENT_SECONDS)
    return [
        Violation(
            Rule.ENDED_WITHOUT_MONEY,
            f"{one['checkoutId']} had ended, and its page has taken a {one['kind']} of {one['amount']}",
        )
        for one in (await provider.movements())[before:]
    ]


async def _answers(http: HttpClient, path: str) -> None:
    deadline = time.monotonic() + START_SECONDS_MAX
    while time.monotonic() < deadline:
        try:
            if (await http.request("GET", path)).status < 400:  # noqa: PLR2004 - any 2xx
                return
        except NoAnswer:
            pass
        await asyncio.sleep(0.02)
    message = f"{path} does not answer; see the logs in the folder that --keep names"
    raise TimeoutError(message)


def _count(names: list[str]) -> dict[str, int]:
    return {name: names.count(name) for name in sorted(set(names))}
