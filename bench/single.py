"""One connection: a create over HTTP compared with the driver's insert and fsync into the same table."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from statistics import median
from typing import Any, Final

import uvloop
from pysqlite3 import dbapi2 as sqlite

from bench.calls import Calls, fresh_prefix
from bench.databases import fresh_databases
from bench.results import MILLISECONDS, Figure, Findings, Run
from bench.session import Session
from bench.subjects import SQLITE, Subject, run_paidonce, service_settings
from bench.wire import connect
from paidonce import ids

CREATE_ALONE: Final = "create, one connection"
INSERT_ALONE: Final = "insert and commit, bare driver"

COLUMNS: Final = (
    "id, merchant_id, idempotency_key, amount, currency, status, capture_method, created_at, updated_at, expires_at"
)
PRAGMAS: Final = ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON")  # As database/engine.py sets them.

Insert = Callable[[], None]


def measure_one_connection(session: Session, subjects: list[Subject]) -> Findings:
    """Compare creates over one connection with inserts by the driver alone."""
    own = [subject for subject in subjects if subject.is_paidonce]
    figures = []
    with fresh_databases([subject.name for subject in own], session.places, "bare") as databases:
        for subject in own:
            with _bare_insert(subject.name, databases[subject.name], session.places.folder) as insert:
                over_http = Figure(CREATE_ALONE, subject.name, MILLISECONDS, [])
                bare = Figure(INSERT_ALONE, subject.name, MILLISECONDS, [])
                for _ in range(session.plan.runs):
                    uvloop.run(_take_turns(subject, insert, over_http, bare, session.plan.samples))
            ratio = over_http.median / bare.median
            session.progress(
                f"{subject.name}: create {over_http.median:.2f} ms, insert {bare.median:.2f} ms: ×{ratio:.2f}"
            )
            figures += [over_http, bare]
    return Findings(figures)


async def _take_turns(subject: Subject, insert: Insert, over_http: Figure, bare: Figure, samples: int) -> None:
    """Create one over HTTP, insert one with the driver, and so on, one at a time."""
    created, inserted, refused = [], [], 0
    async with connect(subject.url, 1) as client:
        for request in Calls(subject).creates(samples):
            began = time.perf_counter()
            answer = await client.exchange(0, request)
            answered = time.perf_counter()
            insert()
            inserted.append(time.perf_counter() - answered)
            created.append(answered - began)
            refused += not answer.ok
    over_http.runs.append(Run(value=1000 * median(created), errors={"status": refused} if refused else {}))
    bare.runs.append(Run(value=1000 * median(inserted)))


@contextmanager
def _bare_insert(name: str, database_url: str, folder: Path) -> Iterator[Insert]:
    """Yield a function that inserts one checkout and returns when it is on disk."""
    run_paidonce("db", "upgrade", folder=folder, settings=service_settings(database_url))
    prefix, numbers = fresh_prefix(), count()

    def row() -> tuple[Any, ...]:
        now = time.time_ns() // 1_000_000
        key = f"{prefix}{next(numbers)}"
        return (ids.new_id(ids.CHECKOUT), "m0", key, 1000, "USD", "PENDING", "automatic", now, now, now + 86_400_000)

    if name == SQLITE:
        connection = sqlite.connect(database_url.removeprefix("file:"), isolation_level=None)
        for pragma in PRAGMAS:
            connection.execute(f"PRAGMA {pragma}")
        statement = f"INSERT INTO checkout ({COLUMNS}) VALUES ({', '.join('?' * 10)})"

        def insert() -> None:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute(statement, row())
            connection.execute("COMMIT")

        try:
            yield insert
        finally:
            connection.close()
        return

    import psycopg  # noqa: PLC0415 - SQLite is measured without it too

    with psycopg.connect(database_url, autocommit=True) as server:
        yield lambda: _insert_on_server(
            server, f"INSERT INTO checkout ({COLUMNS}) VALUES ({', '.join(['%s'] * 10)})", row()
        )


def _insert_on_server(server: Any, statement: str, row: tuple[Any, ...]) -> None:  # noqa: ANN401 - psycopg is imported late
    server.execute(statement, row)
