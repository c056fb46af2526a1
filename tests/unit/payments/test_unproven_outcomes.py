"""Outcomes that nobody proves are told of: in the log while the service runs, and by the doctor; on both databases."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import pytest
from sqlalchemy import insert, text
from structlog.testing import capture_logs

from paidonce.database.batch import BatchRunner
from paidonce.database.batcher import Batcher, threaded_batcher
from paidonce.database.engine import Database, open_database
from paidonce.database.schema import attempt, checkout, merchant
from paidonce.database.transaction import Transaction
from paidonce.database_url import parse_database_url
from paidonce.doctor.waiting import check_unproven
from paidonce.errors import DatabaseUnavailable
from paidonce.payments.unproven_outcomes import (
    PERIOD_SECONDS,
    UNKNOWN_MS_MAX,
    Unproven,
    UnprovenOutcomeMonitor,
    measure_unproven,
)
from tests.proof.virtual_time import VirtualLoop, run
from tests.support.databases import make_schema
from tests.support.worker import LoopExecutor

NOW = 1_767_323_045_678
OLD = UNKNOWN_MS_MAX + 5000


@pytest.fixture
def database(migrated_database_url: str) -> Iterator[Database]:
    database = open_database(parse_database_url(migrated_database_url), clock=lambda: NOW)
    make_schema(database)
    yield database
    database.close()


def have(database: Database, status: str, *, age_ms: int, count: int = 1) -> None:
    """Have attempts with this status, each of a checkout of its own."""
    settled = status in ("SUCCEEDED", "DECLINED")
    begun = {"created_at": NOW - age_ms, "updated_at": NOW}
    with database.writes.begin() as connection:
        if not connection.execute(text("SELECT count(*) FROM merchant")).scalar():
            connection.execute(insert(merchant).values(id="m", event_sequence=0, created_at=NOW))
        for number in range(count):
            name = f"{status}-{age_ms}-{number}"
            money = {"amount": 1000, "currency": "USD"}
            bought = {"capture_method": "automatic", "attempt_count": 1, "expires_at": NOW}
            row = {"id": name, "merchant_id": "m", "idempotency_key": name, "status": "PROCESSING"}
            connection.execute(insert(checkout).values(**row, **money, **bought, **begun))
            asked = {
                "kind": "CHARGE",
                "provider": "simulator",
                "provider_key": name,
                "payment_method": "tok",
                "fence": 1,
            }
            ended = {
                "due_at": NOW if status in ("SENT", "UNKNOWN") else None,
                "settled_at": NOW if settled else None,
                "decline_code": "no" if status == "DECLINED" else None,
            }
            row = {"id": name, "merchant_id": "m", "checkout_id": name, "status": status}
            connection.execute(insert(attempt).values(**row, **asked, **money, **ended, **begun))


def measured(database: Database) -> Unproven:
    with database.read() as transaction:
        return measure_unproven(transaction, [None])[0]


async def logged(database: Database) -> list[tuple[str, str, int, int]]:
    reader = threaded_batcher(database.read, name="reader", queue_limit=9, batch_limit=9, chance=lambda: 0.5)
    await reader.start()
    try:
        with capture_logs() as lines:
            await UnprovenOutcomeMonitor(reader, clock=lambda: NOW).look()
    finally:
        await reader.stop()
    return [(one["log_level"], one["event"], one["attempts"], one["oldest_seconds"]) for one in lines]


async def test_what_is_proven_under_way_or_unknown_since_lately_is_no_alarm(database: Database) -> None:
    assert measured(database) == Unproven()
    for status in ("SUCCEEDED", "DECLINED", "SENT"):
        have(database, status, age_ms=OLD)
    have(database, "UNKNOWN", age_ms=UNKNOWN_MS_MAX)
    assert measured(database) == Unproven(unknown=1, unknown_since=NOW - UNKNOWN_MS_MAX)
    assert await logged(database) == []


async def test_the_number_and_the_age_of_what_nobody_has_proven_are_logged_once_however_many(
    database: Database,
) -> None:
    have(database, "UNKNOWN", age_ms=1000, count=3)
    have(database, "UNKNOWN", age_ms=OLD)
    have(database, "NEEDS_REVIEW", age_ms=7000, count=2)
    assert await logged(database) == [
        ("error", "attempts_need_review", 2, 7),
        ("warning", "outcomes_unknown_for_long", 4, OLD // 1000),
    ]


async def test_an_attempt_in_review_is_logged_where_no_outcome_is_unknown(database: Database) -> None:
    have(database, "NEEDS_REVIEW", age_ms=7000)
    assert await logged(database) == [("error", "attempts_need_review", 1, 7)]


def looking(
    begin: Callable[[], AbstractContextManager[Transaction]],
    story: Callable[[UnprovenOutcomeMonitor, list[Any]], Awaitable[None]],
) -> None:
    """Run a scenario of a monitor on a virtual clock, with the lines that it logs."""

    async def tell(_loop: VirtualLoop) -> None:
        reader = Batcher(LoopExecutor(BatchRunner(begin, limit=9, chance=lambda: 0.5)), limit=9)
        await reader.start()
        with capture_logs() as lines:
            await story(UnprovenOutcomeMonitor(reader, clock=lambda: NOW), lines)

    run(tell)


def test_the_monitor_looks_when_it_starts_and_every_ten_minutes_until_it_is_stopped(database: Database) -> None:
    have(database, "NEEDS_REVIEW", age_ms=7000)

    async def story(monitor: UnprovenOutcomeMonitor, lines: list[Any]) -> None:
        monitor.start()
        await asyncio.sleep(PERIOD_SECONDS - 1)
        assert len(lines) == 1
        await asyncio.sleep(2)
        assert len(lines) == 2
        await monitor.stop()
        await asyncio.sleep(2 * PERIOD_SECONDS)
        assert len(lines) == 2

    looking(database.read, story)


def test_a_monitor_that_waits_for_the_database_is_named_in_the_log() -> None:
    async def story(monitor: UnprovenOutcomeMonitor, lines: list[Any]) -> None:
        monitor.start()
        await asyncio.sleep(1)
        await monitor.stop()
        assert [one["poller"] for one in lines if one["event"] == "poller_waits"] == ["unproven outcomes"]

    def unavailable() -> AbstractContextManager[Transaction]:
        raise DatabaseUnavailable

    looking(unavailable, story)


async def test_more_than_a_thousand_outcomes_are_not_counted_further(database: Database) -> None:
    have(database, "UNKNOWN", age_ms=OLD)
    have(database, "UNKNOWN", age_ms=1000, count=1000)
    assert measured(database) == Unproven(unknown=1000, unknown_since=NOW - OLD)
    assert check_unproven(measured(database), NOW).found.startswith("at least 1000 outcomes unknown, ")


@pytest.mark.parametrize(
    ("found", "level"),
    [
        (Unproven(), "ok"),
        (Unproven(unknown=2, unknown_since=NOW - UNKNOWN_MS_MAX), "ok"),
        (Unproven(unknown=2, unknown_since=NOW - OLD), "warning"),
        (Unproven(unknown=2, unknown_since=NOW - OLD, in_review=1, in_review_since=NOW), "problem"),
    ],
)
def test_the_doctor_judges_the_oldest(found: Unproven, level: str) -> None:
    finding = check_unproven(found, NOW)
    assert (finding.level, bool(finding.remedy)) == (level, level != "ok")
