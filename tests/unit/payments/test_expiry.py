"""What becomes due by time alone while a worker runs: checkouts, held money, idempotency keys."""

import asyncio

import pytest
from sqlalchemy import func, select
from structlog.testing import capture_logs

from paidonce.database.schema import idempotency_key
from paidonce.idempotency.model import Claim, ScopedKey
from paidonce.idempotency.store import claim_keys
from paidonce.payments import expiry
from tests.support.worker import POLL_SECONDS, WorkerHarness, run_with_worker


def have_expired_keys(place: WorkerHarness, *names: str) -> None:
    claims = [
        Claim(name=ScopedKey("m", "test", name), id=name, path="/checkouts", fields={}, retention_ms=0)
        for name in names
    ]
    with place.payments.database.write() as transaction:
        claim_keys(transaction, claims)


def keys_left(place: WorkerHarness) -> int:
    with place.payments.database.read() as transaction:
        return int(transaction.rows(select(func.count()).select_from(idempotency_key))[0][0])


def test_expired_idempotency_keys_are_deleted_batch_after_batch_and_then_looked_for_once_a_minute(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(expiry, "DELETE_MAX", 2)

    async def story(place: WorkerHarness) -> None:
        have_expired_keys(place, "1", "2", "3", "4", "5")
        await place.worker.start(alone=False)
        await place.until(lambda: keys_left(place) == 0)
        assert place.loop.time() <= 2 * POLL_SECONDS + 1  # Two full batches and the rest.
        have_expired_keys(place, "late")
        ended = place.loop.time()
        await place.until(lambda: keys_left(place) == 0)
        assert 50 <= place.loop.time() - ended <= 60 + POLL_SECONDS

    run_with_worker(database_url, story)


def test_checkouts_expire_and_held_money_is_released_at_once_and_waiting_clients_are_notified(
    database_url: str,
) -> None:
    async def story(place: WorkerHarness) -> None:
        await place.worker.start(alone=False)
        unpaid = place.payments.create("unpaid", expires_in_seconds=300)
        held = place.payments.create("held", manual=True, expires_in_seconds=300)
        # The second payment waits for the place of the first. When it has ended, the worker claims once more, and from
        # then on halfway between two looks for what expires.
        place.answer_seconds = 1.25 * POLL_SECONDS
        await place.pay(held, "att_1")
        await place.pay(place.payments.create("paid"), "att_2")
        await place.until(lambda: place.payments.attempt("att_2").status == "SUCCEEDED")
        assert place.payments.status(held) == "AUTHORIZED"
        place.answer_seconds = 0.0
        place.settled.clear()
        await place.until(lambda: place.payments.status(held) == "EXPIRED")
        assert place.payments.status(unpaid) == "EXPIRED"
        assert sorted(checkout_id for checkout_id, _ in place.settled) == ["chk_held", "chk_unpaid"]
        assert (unpaid.id, None) in place.settled
        assert 300 <= place.loop.time() <= 300 + POLL_SECONDS + 1
        begun, ended = place.payments.events(held)[-2:]
        assert (begun.type, ended.type) == ("attempt.started", "checkout.expired")
        assert ended.created_at - begun.created_at < 1000  # The void was claimed as soon as it was committed.

    run_with_worker(database_url, story, concurrency=1)


def test_while_more_checkouts_have_expired_than_one_step_takes_every_poll_takes_some(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(expiry, "EXPIRE_MAX", 1)

    async def story(place: WorkerHarness) -> None:
        names = ["1", "2", "3", "4"]
        unpaid = [place.payments.create(name, expires_in_seconds=300) for name in names]
        await asyncio.sleep(301)
        began = place.loop.time()
        await place.worker.start(alone=False)
        await place.until(lambda: all(place.payments.status(one) == "EXPIRED" for one in unpaid))
        assert place.loop.time() - began <= (len(names) - 1) * POLL_SECONDS + 1

    run_with_worker(database_url, story)


def test_the_log_names_each_poller_that_waits_for_the_database(sqlite_url: str) -> None:
    async def story(place: WorkerHarness) -> None:
        place.disk_is_full = True
        await place.worker.start(alone=False)
        with capture_logs() as lines:
            await place.until(lambda: place.refused >= 4)
            await asyncio.sleep(1)
        place.disk_is_full = False
        assert {one["poller"] for one in lines if one["event"] == "poller_waits"} == {
            "due attempts",
            "attempts at simulator",
            "expired checkouts",
            "voids of expired checkouts",
            "expired idempotency keys",
        }

    run_with_worker(sqlite_url, story)


def test_a_worker_that_has_stopped_expires_nothing_more(database_url: str) -> None:
    async def story(place: WorkerHarness) -> None:
        await place.worker.start(alone=False)
        checkout = place.payments.create(expires_in_seconds=300)
        await asyncio.sleep(1)
        await place.worker.stop(grace_seconds=1)
        await asyncio.sleep(300 + 2 * POLL_SECONDS)
        assert place.payments.status(checkout) == "PENDING"

    run_with_worker(database_url, story)
