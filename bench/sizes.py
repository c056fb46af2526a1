"""Whether a large table is slower than a small one: the same requests with few and with many rows."""

import random
import time
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, ExitStack, contextmanager
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
from paidonce.payments.claiming import ClaimAttempts, claim_attempts

LARGE_OF_SMALL_MAX: Final = 1.25
CALLS: Final = ("create", "get", "get again", "list", "pay", "claim")
CLAIMED_AT_ONCE: Final = 8
REST_SECONDS: Final = (
    PROVIDER_LATENCY_SECONDS + 0.5
)  # Until the payments of one measurement no longer disturb the next one.


class Filled(NamedTuple):
    """A database with this many checkouts."""

    rows: int
    url: str


def measure_sizes(session: Session) -> Findings:
    """Measure each database with few and with many checkouts, one request at a time."""
    figures, goals = [], []
    for name in session.databases:
        with ExitStack() as stack:
            filled = [
                stack.enter_context(filled_database(session, name, rows)) for rows in (ROWS_SMALL, session.plan.rows)
            ]
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
    """Name a request with the number of rows."""
    return f"{call} among {rows:,}"


@contextmanager
def filled_database(session: Session, name: str, rows: int) -> Iterator[Filled]:
    """Yield a filled database: a kept file if there is one, else a new one."""
    if name == SQLITE:
        path = _filled_file(session, rows)
        yield Filled(rows, f"file:{path}")
        if session.places.kept is None:  # The next database needs the disk space.
            path.unlink()
        return
    with fresh_databases([name], session.places, "filled") as databases:
        url = databases[name]
        _fill(session, rows, url, lambda: fill_postgresql(url, rows, session.progress))
        yield Filled(rows, url)


def _filled_file(session: Session, rows: int) -> Path:
    """Fill under a temporary name, so that an unfinished file is never used."""
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
    """Send requests in turn, so that a disturbance affects all sizes."""
    figures = {call: [Figure(label(call, one.rows), name, MILLISECONDS, []) for one in filled] for call in CALLS}
    with ExitStack() as stack:
        folder = session.places.folder
        serving = [
            stack.enter_context(paidonce_running(name, one.url, folder / f"{name.lower()}-{one.rows}"))
            for one in filled
        ]
        for _ in range(session.plan.runs):
            uvloop.run(_call_each(figures, serving, filled, session.plan.samples))
            time.sleep(REST_SECONDS)
    with ExitStack() as stack:
        databases = [stack.enter_context(_opened(one.url)) for one in filled]
        for _ in range(session.plan.runs):
            _claim(figures["claim"], databases, session.plan.samples)
    return [figure for theirs in figures.values() for figure in theirs]


async def _call_each(
    figures: dict[str, list[Figure]], serving: list[Subject], filled: list[Filled], samples: int
) -> None:
    """Send each request ``samples`` times to each service. The created checkouts are paid at the end."""
    calls = [Calls(subject) for subject in serving]
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(connect(subject.url, 1)) for subject in serving]

        async def take_turns(call: str, requests: list[list[bytes]]) -> list[list[Answer]]:
            runs, answers = await _take_turns(clients, requests)
            for figure, run in zip(figures[call], runs, strict=True):
                figure.runs.append(run)
            return answers

        answers = await take_turns("create", [list(one.creates(samples)) for one in calls])
        made = [one.made(theirs) for one, theirs in zip(calls, answers, strict=True)]
        looked_for = zip(calls, serving, filled, strict=True)
        gets = [[c.get(_anywhere(s, one.rows)) for _ in range(samples)] for c, s, one in looked_for]
        await take_turns("get", gets)  # For a large table, each read comes from the disk,
        await take_turns("get again", gets)  # and this time from memory.
        pairs = zip(calls, serving, strict=True)
        await take_turns("list", [[c.list(random.choice(s.merchants)) for _ in range(samples)] for c, s in pairs])
        await take_turns("pay", [[c.pay(one) for one in theirs] for c, theirs in zip(calls, made, strict=True)])


async def _take_turns(clients: list[Client], requests: list[list[bytes]]) -> tuple[list[Run], list[list[Answer]]]:
    """Send the first request to each service, then the second, and so on, one at a time."""
    times: list[list[float]] = [[] for _ in clients]
    answers: list[list[Answer]] = [[] for _ in clients]
    for turn in zip(*requests, strict=True):
        for place, request in enumerate(turn):
            began = time.perf_counter()
            answers[place].append(await clients[place].exchange(0, request))
            times[place].append(time.perf_counter() - began)
    refused = [sum(1 for answer in theirs if not answer.ok) for theirs in answers]
    return [
        Run(value=1000 * median(taken), errors={"status": wrong} if wrong else {})
        for taken, wrong in zip(times, refused, strict=True)
    ], answers


def _anywhere(subject: Subject, rows: int) -> Made:
    checkout_id, merchant = filled_checkout(random.randint(1, rows))
    return Made(checkout_id, subject.merchants[merchant])


@contextmanager
def _opened(url: str) -> Iterator[Database]:
    database = open_database(parse_database_url(url), clock=system_clock, exclusive=False)
    try:
        yield database
    finally:
        database.close()


def _claim(figures: list[Figure], databases: list[Database], samples: int) -> None:
    """Claim as a worker does, but without a lease, so that there is always something to claim."""
    command = ClaimAttempts(PROVIDER_OF_NOBODY, CLAIMED_AT_ONCE, 0)
    times: list[list[float]] = [[] for _ in databases]
    missing = [0] * len(databases)
    for _ in range(samples):
        for place, database in enumerate(databases):
            began = time.perf_counter()
            with database.write() as transaction:
                claimed = claim_attempts(transaction, [command])[0]
            times[place].append(time.perf_counter() - began)
            missing[place] += CLAIMED_AT_ONCE - len(claimed)
    for figure, taken, gone in zip(figures, times, missing, strict=True):
        figure.runs.append(Run(value=1000 * median(taken), errors={"missing": gone} if gone else {}))
