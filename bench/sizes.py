"""Whether a large table is slower than a small one: the same calls, on a service with few and on one with many rows."""

import random
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import Final, NamedTuple

import uvloop

from bench.calls import Calls, Made
from bench.databases import fresh_databases
from bench.filling import (
    PROVIDER_OF_NOBODY,
    fill_postgresql,
    fill_sqlite,
    filled_checkout,
    require_space,
)
from bench.plan import PROVIDER_LATENCY_SECONDS, ROWS_SMALL
from bench.results import MILLISECONDS, Figure, Findings, Goal, Run, find
from bench.session import Session
from bench.subjects import SQLITE, Subject, paidonce_running, run_paidonce, service_settings
from bench.wire import Answer, Client, connect
from paidonce.clock import system_clock
from paidonce.database.engine import Database, open_database
from paidonce.database.schema import SCHEMA_VERSION
from paidonce.database_url import parse_database_url
from paidonce.payments.settle import ClaimAttempts, claim_attempts

LARGE_OF_SMALL_MAX: Final = 1.25
CALLS: Final = ("create", "get", "list", "pay", "claim")
CLAIMED_AT_ONCE: Final = 8
REST_SECONDS: Final = (
    PROVIDER_LATENCY_SECONDS + 0.5
)  # Until the payments of one measurement are out of the next one's way.


class Filled(NamedTuple):
    """A database with this many checkouts in it."""

    rows: int
    url: str


def measure_sizes(session: Session) -> Findings:
    """Measure each database with few and with many checkouts, one request at a time."""
    figures, goals = [], []
    for name in session.databases:
        with ExitStack() as stack:
            filled = [stack.enter_context(_filled(session, name, rows)) for rows in (ROWS_SMALL, session.plan.rows)]
            measured = _measure(session, name, filled)
        figures += measured
        for call in CALLS:
            small, large = (find(measured, label(call, one.rows), name) for one in filled)
            assert small is not None
            assert large is not None
            session.progress(
                f"{name}, {call}: {small.median:.2f} ms, with {session.plan.rows:,} checkouts {large.median:.2f} ms"
            )
            goals.append(
                Goal(
                    what=f"{call} p50, {session.plan.rows:,} checkouts / {ROWS_SMALL:,}",
                    subject=name,
                    unit="×",
                    reached=large.median / small.median,
                    bound=LARGE_OF_SMALL_MAX,
                )
            )
    return Findings(figures, goals=goals)


def label(call: str, rows: int) -> str:
    """Name a call among so many rows."""
    return f"{call} among {rows:,}"


@contextmanager
def _filled(session: Session, name: str, rows: int) -> Iterator[Filled]:
    """Yield a filled database: a kept file if there is one, else a new one."""
    if name == SQLITE:
        yield Filled(rows, f"file:{_filled_file(session, rows)}")
        return
    with fresh_databases([name], session.places, "filled") as databases:
        url = databases[name]
        _fill(session, rows, url, lambda: fill_postgresql(url, rows, session.progress))
        yield Filled(rows, url)


def _filled_file(session: Session, rows: int) -> Path:
    """Fill under another name, so that an unfinished file is never taken for a filled one."""
    folder = session.places.kept or session.places.folder
    path = folder / f"filled-{rows}-{SCHEMA_VERSION}.db"
    if path.exists():
        session.progress(f"{path.name} is there already")
        return path
    unfinished = path.with_suffix(".unfinished")
    for left in folder.glob(f"{unfinished.name}*"):
        left.unlink()
    _fill(session, rows, f"file:{unfinished}", lambda: fill_sqlite(unfinished, rows, session.progress))
    return unfinished.rename(path)


def _fill(session: Session, rows: int, url: str, fill: Callable[[], None]) -> None:
    require_space(session.places.kept or session.places.folder, rows)
    began = time.monotonic()
    run_paidonce("db", "upgrade", folder=session.places.folder, settings=service_settings(url))
    fill()
    session.progress(f"{rows:,} checkouts filled in {time.monotonic() - began:.0f} s")


def _measure(session: Session, name: str, filled: list[Filled]) -> list[Figure]:
    figures = {
        (call, one.rows): Figure(label(call, one.rows), name, MILLISECONDS, []) for call in CALLS for one in filled
    }
    with ExitStack() as stack:
        serving = [
            (
                one.rows,
                stack.enter_context(
                    paidonce_running(name, one.url, session.places.folder / f"{name.lower()}-{one.rows}")
                ),
            )
            for one in filled
        ]
        for _ in range(session.plan.runs):
            made: dict[int, list[Made]] = {}
            for call in ("create", "get", "list"):
                for rows, subject in serving:
                    run, created = uvloop.run(_call(call, subject, rows, session.plan.samples))
                    figures[call, rows].runs.append(run)
                    made[rows] = created or made[rows]
            for rows, subject in serving:
                figures["pay", rows].runs.append(uvloop.run(_pay(subject, made[rows])))
                time.sleep(REST_SECONDS)
    databases = [
        (one.rows, open_database(parse_database_url(one.url), clock=system_clock, exclusive=False)) for one in filled
    ]
    try:
        for _ in range(session.plan.runs):
            for rows, database in databases:
                figures["claim", rows].runs.append(_claim(database, session.plan.samples))
    finally:
        for _, database in databases:
            database.close()
    return list(figures.values())


async def _call(call: str, subject: Subject, rows: int, samples: int) -> tuple[Run, list[Made]]:
    """Make a call ``samples`` times, one after the other; returns also what was created."""
    calls = Calls(subject)
    requests: list[bytes]
    if call == "create":
        requests = list(calls.creates(samples))
    elif call == "get":
        requests = [calls.get(_anywhere(subject, rows)) for _ in range(samples)]
    else:
        requests = [calls.list(random.choice(subject.merchants)) for _ in range(samples)]
    async with connect(subject.url, 1) as client:
        run, answers = await _one_by_one(client, requests)
    return run, calls.made(answers) if call == "create" else []


async def _pay(subject: Subject, made: list[Made]) -> Run:
    calls = Calls(subject)
    async with connect(subject.url, 1) as client:
        run, _ = await _one_by_one(client, [calls.pay(one) for one in made])
    return run


async def _one_by_one(client: Client, requests: list[bytes]) -> tuple[Run, list[Answer]]:
    times, answers = [], []
    for request in requests:
        began = time.perf_counter()
        answers.append(await client.exchange(0, request))
        times.append(time.perf_counter() - began)
    refused = sum(1 for answer in answers if not answer.ok)
    return Run(value=1000 * median(times), errors={"status": refused} if refused else {}), answers


def _anywhere(subject: Subject, rows: int) -> Made:
    checkout_id, merchant = filled_checkout(random.randint(1, rows))
    return Made(checkout_id, subject.merchants[merchant])


def _claim(database: Database, samples: int) -> Run:
    """Claim as a worker does, but without a lease, so that there is always something to claim."""
    wish = ClaimAttempts(PROVIDER_OF_NOBODY, CLAIMED_AT_ONCE, 0)
    times, missing = [], 0
    for _ in range(samples):
        began = time.perf_counter()
        with database.write() as transaction:
            claimed = claim_attempts(transaction, [wish])[0]
        times.append(time.perf_counter() - began)
        missing += CLAIMED_AT_ONCE - len(claimed)
    return Run(value=1000 * median(times), errors={"missing": missing} if missing else {})
