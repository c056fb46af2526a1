"""Batches in a separate process, started from a separate interpreter, because a test process has threads and cannot
fork.

Run as ``python -m tests.unit.database.process_harness URL HOW``; prints the results. ``HOW`` is "one thread", "lanes",
or "broken lanes", whose threads fail.
"""

import asyncio
import json
import logging
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, NoReturn

import structlog
from sqlalchemy import text

from paidonce.clock import system_clock
from paidonce.database.batch import BatchRunner, CommitNotice, Job
from paidonce.database.batcher import Batcher
from paidonce.database.citus.lanes import NodeLanes
from paidonce.database.engine import open_database
from paidonce.database.process import ProcessExecutor, fork_executor
from paidonce.database.transaction import Transaction
from paidonce.database_url import parse_database_url
from paidonce.errors import IdempotencyKeyReused
from paidonce.events.model import Cause, EventType, NewEvent


def insert_numbers(transaction: Transaction, requests: Sequence[int]) -> Sequence[int]:
    """Insert numbers. The table rejects 13."""
    for number in requests:
        transaction.run(text("INSERT INTO kept VALUES (:number)"), {"number": number})
        merchant = f"m{number % 2}"
        transaction.events.append(
            NewEvent(
                type=EventType.CHECKOUT_CREATED,
                cause=Cause.REQUEST,
                merchant_id=merchant,
                mode="test",
                checkout_id="chk",
            )
        )
    return requests


def refuse(_transaction: Transaction, requests: Sequence[str]) -> list[IdempotencyKeyReused]:
    """Return an error of ours."""
    return [IdempotencyKeyReused([one]) for one in requests]


def tell_pid(_transaction: Transaction, requests: Sequence[object]) -> list[int]:
    """Return the process id."""
    return [os.getpid() for _ in requests]


class BrokenRunner(BatchRunner):
    """Has a defect."""

    def run(self, jobs: Sequence[Job]) -> NoReturn:
        """Fail."""
        raise AssertionError(jobs)


@contextmanager
def opened(url: str, how: str) -> Iterator[BatchRunner | NodeLanes]:
    """Open the database in the child process."""
    database = open_database(parse_database_url(url), clock=system_clock, exclusive=False)
    kind = BrokenRunner if how == "broken lanes" else BatchRunner
    make_runner = partial(kind, database.write, limit=16, chance=lambda: 0.0)
    if how == "one thread":
        yield make_runner()
    else:
        yield NodeLanes(lambda _node, _shard_of: make_runner(), lambda _merchants: {})
    database.close()


def shown(outcome: object) -> Any:  # noqa: ANN401 - what JSON can show
    return f"{type(outcome).__name__}: {outcome}" if isinstance(outcome, Exception) else outcome


async def look(url: str, executor: ProcessExecutor) -> dict[str, Any]:
    """Submit actions that succeed and actions that fail."""
    database = open_database(parse_database_url(url), clock=system_clock)
    with database.writes.begin() as connection:
        connection.execute(text("CREATE TABLE kept (number INTEGER PRIMARY KEY CHECK (number <> 13))"))
    one = Batcher(executor, limit=100)
    news: list[CommitNotice] = []
    one.add_commit_listener(news.append)
    await one.start()
    numbers = await asyncio.gather(*(one.submit(insert_numbers, n) for n in range(40)), return_exceptions=True)
    refused, nameless, pid = await asyncio.gather(
        one.submit(refuse, "amount"),
        one.submit(lambda _transaction, requests: requests, 1),
        one.submit(tell_pid, None),
        return_exceptions=True,
    )
    last = [asyncio.create_task(one.submit(insert_numbers, n)) for n in range(100, 160)]
    await asyncio.sleep(0)
    await one.stop()
    with database.read() as transaction:
        kept = [number for (number,) in transaction.rows(text("SELECT number FROM kept ORDER BY number"))]
    database.close()
    return {
        "numbers": [shown(outcome) for outcome in numbers],
        "kept": kept,
        "refused": [shown(refused), getattr(refused, "fields", None)],
        "nameless": shown(nameless),
        "in_other_process": pid != os.getpid(),
        "last": [task.result() for task in last],
        "notified_merchants": sorted({tenant.merchant_id for one in news for tenant in one.tenants}),
    }


if __name__ == "__main__":
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))  # Drawing takes seconds.
    where, way = sys.argv[1:]
    with fork_executor(lambda: opened(where, way), prepare=lambda: None) as made:
        sys.stdout.write(json.dumps(asyncio.run(look(where, made))))
