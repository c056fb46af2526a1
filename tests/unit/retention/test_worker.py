"""The retention worker: which steps it takes, in which order, and how a defect is survived, on both databases."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final
from unittest.mock import patch

import pytest
from sqlalchemy import insert, select

from paidonce import ids
from paidonce.checkouts.actions import create_checkouts
from paidonce.checkouts.model import NewCheckout
from paidonce.clock import DAY_MS, Instant
from paidonce.database.batcher import threaded_batcher
from paidonce.database.engine import open_database
from paidonce.database.schema import audit_entry, event
from paidonce.database.transaction import Transaction
from paidonce.database_url import parse_database_url
from paidonce.events.store import write_events
from paidonce.merchants.model import Tenant
from paidonce.retention import store
from paidonce.retention.actions import DeleteEntries, delete_old_entries
from paidonce.retention.model import EVENTS_MAX, Deletion, LogStart, RetentionPeriods, periods_of
from paidonce.retention.worker import RetentionWorker
from paidonce.settings import Settings
from paidonce.statistics.rollup import Rollup

NOW: Final = 1_700_000_000_000
MONTH: Final = RetentionPeriods(event_ms=30 * DAY_MS)


class Process:
    """A process that writes events and deletes old ones. Its clock stands still until it is moved."""

    def __init__(self, url: str) -> None:
        self.now: Instant = NOW
        self.database = open_database(parse_database_url(url), clock=self.clock, before_commit=write_events)
        self.writer, self.reader = (
            threaded_batcher(begin, name=name, queue_limit=10_000, batch_limit=64, chance=lambda: 0.5)
            for begin, name in ((self.database.write, "writer"), (self.database.read, "reader"))
        )

    def clock(self) -> Instant:
        return self.now

    def worker(self, periods: RetentionPeriods = MONTH) -> RetentionWorker:
        return RetentionWorker(self.writer, self.reader, periods, poll_seconds=600, clock=self.clock)

    async def create(self, merchant_id: str, count: int = 1) -> None:
        """Create checkouts, each with its event, and count them."""
        for _ in range(count):
            command = NewCheckout(
                id=ids.new_id(ids.CHECKOUT),
                merchant_id=merchant_id,
                idempotency_key=ids.new_id("key"),
                amount=1000,
                currency="USD",
            )
            await self.writer.submit(create_checkouts, command)
        await Rollup(self.writer, self.reader, poll_seconds=600).catch_up()

    def events(self) -> list[tuple[str, int]]:
        with self.database.read() as transaction:
            wanted = select(event.c.merchant_id, event.c.sequence).order_by(event.c.merchant_id, event.c.sequence)
            return [(row[0], row[1]) for row in transaction.rows(wanted)]


@asynccontextmanager
async def running(url: str) -> AsyncIterator[Process]:
    process = Process(url)
    await process.writer.start()
    await process.reader.start()
    try:
        yield process
    finally:
        await process.writer.stop()
        await process.reader.stop()
        process.database.close()


async def until_done(worker: RetentionWorker) -> int:
    """Take steps until nothing more is to be deleted; returns how many."""
    steps = 1
    while await worker.delete_from_logs():
        steps += 1
    return steps


async def test_logs_take_turns_until_nothing_old_is_left(migrated_database_url: str) -> None:
    async with running(migrated_database_url) as process:
        await process.create("m1", EVENTS_MAX + 1)
        await process.create("m2", 2)
        process.now += 31 * DAY_MS
        await process.create("m1")
        worker = process.worker()
        for _ in range(3):  # It finds both, and takes a step of each.
            assert await worker.delete_from_logs()
        assert process.events() == [("m1", EVENTS_MAX + 1), ("m1", EVENTS_MAX + 2)]
        await until_done(worker)
        assert process.events() == [("m1", EVENTS_MAX + 2)]


async def test_every_merchant_is_looked_at_a_page_at_a_time(migrated_database_url: str) -> None:
    async with running(migrated_database_url) as process:
        for number in range(5):
            await process.create(f"m{number}")
        process.now += 31 * DAY_MS
        with patch("paidonce.retention.worker.MERCHANTS_MAX", 2):
            await until_done(process.worker())
        assert process.events() == []


async def test_a_log_that_cannot_be_deleted_from_keeps_no_other_waiting(migrated_database_url: str) -> None:
    def fail_for_one(transaction: Transaction, deletion: Deletion) -> None:
        if deletion.tenant.merchant_id == "m1":
            raise ValueError
        delete_events(transaction, deletion)

    delete_events: Callable[[Transaction, Deletion], None] = store.delete_events
    async with running(migrated_database_url) as process:
        for number in range(3):
            await process.create(f"m{number}")
        process.now += 31 * DAY_MS
        with patch.object(store, "delete_events", fail_for_one):
            await until_done(process.worker())
        assert process.events() == [("m1", 1)]
        await until_done(process.worker())
        assert process.events() == []


async def test_nothing_is_deleted_by_a_worker_with_the_default_settings(migrated_database_url: str) -> None:
    assert periods_of(Settings()) == RetentionPeriods()
    async with running(migrated_database_url) as process:
        await process.create("m1")
        process.now += 36_500 * DAY_MS
        worker = process.worker(periods_of(Settings()))
        assert worker.polls == []
        await until_done(worker)
        assert process.events() == [("m1", 1)]


@pytest.mark.parametrize(
    ("days", "periods"),
    [
        ({"event_days": 30.0}, RetentionPeriods(event_ms=30 * DAY_MS)),
        ({"delivery_days": 0.5}, RetentionPeriods(delivery_ms=DAY_MS // 2)),
        ({"audit_days": 365.0}, RetentionPeriods(audit_ms=365 * DAY_MS)),
    ],
)
def test_periods_are_set_in_days(days: dict[str, float], periods: RetentionPeriods) -> None:
    assert periods_of(Settings(**days)) == periods  # type: ignore[arg-type] # Each is a number of days.


async def test_only_what_has_a_period_is_polled_for(migrated_sqlite_url: str) -> None:
    async with running(migrated_sqlite_url) as process:
        polls = [
            process.worker(one).polls for one in (MONTH, RetentionPeriods(delivery_ms=1), RetentionPeriods(audit_ms=1))
        ]
    assert polls == [["old events"], ["old events"], ["old entries of the audit log"]]


def test_entries_of_the_audit_log_are_deleted_when_they_are_older_than_their_period(
    migrated_database_url: str,
) -> None:
    now = NOW
    database = open_database(parse_database_url(migrated_database_url), clock=lambda: now)

    def entry(made_at: Instant) -> dict[str, Any]:
        made = ids.lowest_id(ids.AUDIT_ENTRY, made_at)
        return {"id": made, "merchant_id": "", "type": "user.login", "address": "", "created_at": made_at}

    def kept() -> Sequence[int]:
        with database.read() as transaction:
            return [row[0] for row in transaction.rows(select(audit_entry.c.created_at).order_by(audit_entry.c.id))]

    def delete() -> int:
        with database.write() as transaction:
            return delete_old_entries(transaction, [DeleteEntries(DAY_MS, 2)])[0]

    times = [NOW - 2 * DAY_MS, NOW - DAY_MS - 2, NOW - DAY_MS - 1, NOW - DAY_MS, NOW]
    with database.writes.begin() as connection:
        connection.execute(insert(audit_entry), [entry(one) for one in times])
    assert (delete(), kept()) == (2, times[2:])
    assert (delete(), kept()) == (1, times[3:])
    assert (delete(), kept()) == (0, times[3:])
    database.close()


def test_a_process_does_not_wait_for_another_that_is_deleting_from_the_same_log(migrated_postgres_url: str) -> None:
    first, second = (
        open_database(parse_database_url(migrated_postgres_url), clock=lambda: NOW, exclusive=False) for _ in range(2)
    )

    start = LogStart(Tenant("m1", "test"))
    try:
        with first.write() as transaction:
            assert store.lock_start(transaction, start)
        stored = LogStart(start.tenant, is_stored=True)
        with first.write() as one, second.write() as other:
            assert store.lock_start(one, stored)
            assert not store.lock_start(other, stored)
    finally:
        first.close()
        second.close()
