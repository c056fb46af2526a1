"""Runs a proof: starts everything, lets clients buy, injects faults at random, waits for the end, and compares."""

import asyncio
import time
from base64 import b64encode
from collections.abc import Callable
from typing import Any, Final

from paidonce.http_client import HttpClient, NoAnswer
from paidonce.ids import seeded
from paidonce.proving.clients import Clients
from paidonce.proving.fleet import Fleet
from paidonce.proving.oracle import Acknowledged, find_violations
from paidonce.proving.outcome import Outcome
from paidonce.proving.plan import FAULT_RATE, FAULTY_CALLS_MAX, LATENCY_MS, METHODS, Plan, environment
from paidonce.proving.processes import START_SECONDS_MAX, Process, free_port
from paidonce.proving.snapshot import take_snapshot
from paidonce.proving.verdict import sort_violations

FAULT_INTERVAL_SECONDS: Final = (
    0.45,
    1.4,
)  # From one fault to the next: 65 a minute, some of which only stop a worker.
UPTIME_SECONDS_MIN: Final = 0.3  # From the first response to the next fault, also on a slow machine.
READERS: Final = 16
MOVING: Final = "PROCESSING"

Progress = Callable[[str, float], None]
"""Called with what is going on, and the part of the time that has passed, from 0 to 1."""

Json = dict[str, Any]


async def prove(plan: Plan, progress: Progress) -> Outcome:
    """Run a proof and return what it found."""
    port, simulator_port = free_port(), free_port()
    secret = "whsec_" + b64encode(seeded(plan.seed).randbytes(32)).decode()
    url, simulator_url = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{simulator_port}"
    settings = environment(plan, port, simulator_url, secret)
    simulator = Process("simulator", _simulator_arguments(plan, simulator_port, port, secret), {}, plan.folder)
    http, provider = HttpClient(url), HttpClient(simulator_url)
    fleet = Fleet(plan, settings, lambda: _answers(http, "/health/ready"))
    clients = Clients(http, plan.seed, plan.clients)
    started = time.monotonic()
    try:
        progress("Starting", 0.0)
        await simulator.start()
        upgrade = Process("upgrade", ["db", "upgrade"], settings, plan.folder)
        await upgrade.start()
        await upgrade.wait_for_exit()
        await _answers(provider, "/health")
        await fleet.start()
        await _inject_faults(plan, fleet, clients, progress)
        progress("Waiting for the end", 1.0)
        faults_ended_at = time.monotonic()
        checkouts = await _wait_until_ended(http, clients, plan)
        end_seconds = time.monotonic() - faults_ended_at
        snapshot = await asyncio.to_thread(take_snapshot, plan.database_url, plan.books)
        faults = (await provider.request("GET", "/faults")).json()
    finally:
        await http.close()
        await provider.close()
        await fleet.end()
        await simulator.end()
    purchases = [one for one in clients.purchases if one.checkout_id]
    methods = _count([one.method for one in purchases if one.paid_at is not None])
    acknowledged = [fact for one in purchases for fact in one.acknowledged()]
    acknowledged += [Acknowledged(checkout_id=name, status=one["status"]) for name, one in checkouts.items()]
    return Outcome(
        seed=plan.seed,
        database="PostgreSQL" if plan.on_postgresql else "SQLite",
        seconds=time.monotonic() - started,
        struck_seconds=plan.seconds,
        checkouts=len(purchases),
        payments=sum(methods.values()),
        requests=clients.requests,
        repeats=clients.repeats,
        kills=sum(process.kills for process in fleet.processes),
        writer_kills=sum(process.writer_kills for process in fleet.processes),
        stops=sum(process.stops for process in fleet.processes),
        down_seconds=fleet.down_seconds,
        statuses=_count([one["status"] for one in checkouts.values()]),
        methods=methods,
        faults=faults["data"],
        missing=[
            *(kind for kind in faults["kinds"] if not faults["data"].get(kind)),
            *(method for method in METHODS if method not in methods),
        ],
        charges=len(snapshot.charges),
        refunds=sum(len(one.refund_ids) for one in purchases),
        end_seconds=end_seconds,
        end_seconds_max=plan.end_seconds_max,
        unexpected=clients.unexpected[:20],
        violations=sort_violations(find_violations(snapshot, acknowledged, may_need_review=False)),
    )


def _simulator_arguments(plan: Plan, port: int, service_port: int, secret: str) -> list[str]:
    return [
        "simulator",
        *("--port", str(port)),
        *("--database", str(plan.books)),
        *("--latency-ms", str(LATENCY_MS)),
        *("--webhook-url", f"http://127.0.0.1:{service_port}/providers/simulator/webhooks"),
        *("--webhook-secret", secret),
        *("--fault-rate", str(FAULT_RATE)),
        *("--faulty-calls", str(FAULTY_CALLS_MAX)),
        *("--seed", str(plan.seed)),
    ]


async def _inject_faults(plan: Plan, fleet: Fleet, clients: Clients, progress: Progress) -> None:
    """Let clients buy for the time of the plan while faults are injected."""
    buying = asyncio.create_task(clients.run())
    draw = seeded(plan.seed)
    begun = time.monotonic()
    due = begun + FAULT_INTERVAL_SECONDS[1]  # Time for the standbys to load.
    while due - begun < plan.seconds:
        await asyncio.sleep(due - time.monotonic())
        await fleet.inject_fault(draw)
        progress(f"{len(clients.purchases)} purchases", (due - begun) / plan.seconds)
        due = max(due + draw.uniform(*FAULT_INTERVAL_SECONDS), time.monotonic() + UPTIME_SECONDS_MIN)
    clients.stop()
    await fleet.recover()
    await asyncio.wait_for(buying, START_SECONDS_MAX + plan.end_seconds_max)


async def _wait_until_ended(http: HttpClient, clients: Clients, plan: Plan) -> dict[str, Json]:
    """Read every checkout until all have ended, or the time limit is reached; returns each."""
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
    return checkouts


def _has_ended(checkout: Json | None) -> bool:
    if checkout is None or checkout["status"] == MOVING:
        return False
    attempt = checkout["attempt"]
    if checkout["amountRefundPending"]:
        return False
    return attempt is None or attempt["settledAt"] is not None


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
