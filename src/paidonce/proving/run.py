"""Running a proof: start everything, let clients buy, kill at random, let it end, and compare."""

import asyncio
import signal
import time
from base64 import b64encode
from collections.abc import Callable
from typing import Any, Final

import httpx
import msgspec

from paidonce.ids import seeded
from paidonce.proving.clients import Clients
from paidonce.proving.plan import LATENCY_MS, LEASE_SECONDS, Plan, environment
from paidonce.proving.processes import START_SECONDS_MAX, Process, free_port
from paidonce.proving.verdict import ENDED, Violations, judge_purchases

FAULT_RATE: Final = 0.1
LIFE_SECONDS: Final = (0.05, 0.7)  # From the moment a process answers to the next blow.
STOP_SHARE: Final = 0.15  # Of the blows at a worker, how many stop it past its lease instead of killing it.

Progress = Callable[[str, float], None]
"""Is told what goes on, and which part of the time is over, from 0 to 1."""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What a proof found."""

    seed: int
    database: str
    seconds: float
    checkouts: int
    payments: int
    requests: int
    repeats: int
    kills: int
    stops: int
    statuses: dict[str, int]
    methods: dict[str, int]
    faults: dict[str, int]
    charges: int
    refunds: int
    end_seconds: float
    end_seconds_max: float
    unexpected: list[str]
    violations: Violations

    @property
    def holds(self) -> bool:
        """Whether every promise was kept."""
        return not self.violations.count and not self.unexpected and self.end_seconds <= self.end_seconds_max


async def prove(plan: Plan, progress: Progress) -> Outcome:
    """Run a proof and return what it found."""
    port, simulator_port = free_port(), free_port()
    url, simulator_url = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{simulator_port}"
    secret = "whsec_" + b64encode(seeded(plan.seed).randbytes(32)).decode()
    settings = environment(plan, port, simulator_url, secret)
    simulator = Process("simulator", _simulator_arguments(plan, simulator_port, url, secret), {}, plan.folder)
    targets = _service(plan, settings)
    clients = Clients(url, plan.seed, plan.clients)
    started = time.monotonic()
    try:
        progress("Starting", 0.0)
        await simulator.start()
        await _answers(f"{simulator_url}/health")
        upgrade = Process("upgrade", ["db", "upgrade"], settings, plan.folder)
        await upgrade.start()
        await upgrade.end_by_itself()
        for process in targets:
            await process.start()
        await _answers(f"{url}/health/ready")
        await _disturb(plan, targets, url, clients, progress)
        progress("Letting it end", 1.0)
        calm = time.monotonic()
        statuses, checkouts = await _let_it_end(url, clients, plan)
        end_seconds = time.monotonic() - calm
        charges = await _get(simulator_url, "/charges")
        faults = await _get(simulator_url, "/faults")
    finally:
        await clients.close()
        for process in [*targets, simulator]:
            await process.end()
    purchases = [one for one in clients.purchases if one.checkout_id]
    return Outcome(
        seed=plan.seed,
        database="PostgreSQL" if plan.on_postgresql else "SQLite",
        seconds=time.monotonic() - started,
        checkouts=len(purchases),
        payments=sum(one.paid_at is not None for one in purchases),
        requests=clients.requests,
        repeats=clients.repeats,
        kills=sum(process.kills for process in targets),
        stops=sum(process.stops for process in targets),
        statuses=statuses,
        methods=_count([one.method for one in purchases]),
        faults=faults["data"],
        charges=len(charges["data"]),
        refunds=sum(len(one.refund_ids) for one in purchases),
        end_seconds=end_seconds,
        end_seconds_max=plan.end_seconds_max,
        unexpected=clients.unexpected[:20],
        violations=judge_purchases(purchases, checkouts, charges["data"]),
    )


def _simulator_arguments(plan: Plan, port: int, url: str, secret: str) -> list[str]:
    return [
        "simulator",
        *("--port", str(port)),
        *("--database", str(plan.folder / "simulator.db")),
        *("--latency-ms", str(LATENCY_MS)),
        *("--webhook-url", f"{url}/providers/simulator/webhooks"),
        *("--webhook-secret", secret),
        *("--fault-rate", str(FAULT_RATE)),
        *("--seed", str(plan.seed)),
    ]


def _service(plan: Plan, settings: dict[str, str]) -> list[Process]:
    if not plan.on_postgresql:
        return [Process("server", ["serve"], settings, plan.folder)]
    server = Process("server", ["serve", "--no-worker"], settings, plan.folder)
    workers = [Process(f"worker-{number}", ["worker"], settings, plan.folder) for number in range(plan.workers)]
    return [server, *workers]


async def _disturb(plan: Plan, targets: list[Process], url: str, clients: Clients, progress: Progress) -> None:
    """Let clients buy for the plan's time while processes are killed, or stopped past their lease and continued."""
    buying = asyncio.create_task(clients.run())
    draw = seeded(plan.seed)
    begun = time.monotonic()
    waking: set[asyncio.Task[None]] = set()
    while (elapsed := time.monotonic() - begun) < plan.seconds:
        progress(f"{len(clients.purchases)} purchases", elapsed / plan.seconds)
        target = draw.choice(targets)
        if target.name.startswith("worker") and draw.random() < STOP_SHARE:
            target.send(signal.SIGSTOP)
            waking.add(asyncio.create_task(_continue_later(target)))
        else:
            await target.kill()
            await target.start()
            if target.name == "server":
                await _answers(f"{url}/health/live")
        await asyncio.sleep(draw.uniform(*LIFE_SECONDS))
    clients.stop()
    await asyncio.gather(*waking)
    for target in targets:
        if not target.running:
            await target.start()
    await asyncio.wait_for(buying, START_SECONDS_MAX + plan.end_seconds_max)


async def _continue_later(process: Process) -> None:
    await asyncio.sleep(LEASE_SECONDS * 1.5)
    process.send(signal.SIGCONT)


async def _let_it_end(url: str, clients: Clients, plan: Plan) -> tuple[dict[str, int], dict[str, Any]]:
    """Read every checkout until all have ended, or until they should have; returns the count by status, and each."""
    wanted = {one.checkout_id for one in clients.purchases if one.checkout_id}
    checkouts: dict[str, Any] = {}
    deadline = time.monotonic() + plan.end_seconds_max
    async with httpx.AsyncClient(base_url=url, timeout=10.0) as http:
        while wanted:
            for checkout_id in sorted(filter(None, wanted)):
                response = await http.get(f"/checkouts/{checkout_id}")
                if response.is_success:
                    checkouts[checkout_id] = response.json()
            wanted = {one for one in wanted if not one or not _has_ended(checkouts.get(one))}
            if time.monotonic() > deadline:
                break
    return _count([one["status"] for one in checkouts.values()]), checkouts


def _has_ended(checkout: dict[str, Any] | None) -> bool:
    if checkout is None or checkout["status"] not in ENDED:
        return False
    attempt = checkout["attempt"]
    if checkout["amountRefundPending"]:
        return False
    return attempt is None or attempt["settledAt"] is not None


async def _answers(url: str) -> None:
    async with httpx.AsyncClient() as http:
        deadline = time.monotonic() + START_SECONDS_MAX
        while time.monotonic() < deadline:
            try:
                if (await http.get(url)).is_success:
                    return
            except httpx.HTTPError:
                pass
            await asyncio.sleep(0.02)
    message = f"{url} does not answer; see the logs in the folder that --keep names"
    raise TimeoutError(message)


async def _get(url: str, path: str) -> Any:  # noqa: ANN401 - JSON
    async with httpx.AsyncClient(base_url=url, timeout=60.0) as http:
        return (await http.get(path)).raise_for_status().json()


def _count(names: list[str]) -> dict[str, int]:
    return {name: names.count(name) for name in sorted(set(names))}
