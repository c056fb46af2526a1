"""When a worker looks for what is due: at once for what this process makes due, and otherwise when it is due.

What ``place.payments`` does itself is committed as by another process.
"""

import asyncio
from typing import Final

import pytest
from sqlalchemy import select

from paidonce.database.schema import attempt
from paidonce.events.model import Cause
from paidonce.merchants.model import TenantScopedId
from paidonce.payments.capture import StartCancel, start_cancels
from paidonce.payments.schedule import LookupSchedule
from paidonce.payments.settle import RecordEvidence, record_evidence
from paidonce.providers.evidence import Declined, Redirect, RequiresAction, Succeeded
from tests.proof.fake_provider import FakeOutcome
from tests.support.worker import WorkerHarness, run_with_worker

RARELY_SECONDS: Final = 600.0
SOON_MS: Final = 300  # The harness looks four times a second.
TOKEN: Final = "T" * 32


def awaiting_buyer(place: WorkerHarness) -> TenantScopedId:
    """Create a checkout whose buyer was sent to the provider's page."""
    payments = place.payments
    checkout = payments.create()
    payments.pay(checkout, payment_method="hosted_page", return_url=f"https://pay.example/return/{TOKEN}")
    payments.claim()
    payments.prove("att_1", RequiresAction("ses_1", Redirect("https://provider.example/ses_1")), fence=1)
    return checkout


def claims_of_reversals(place: WorkerHarness) -> list[int]:
    with place.payments.database.read() as transaction:
        found = transaction.rows(select(attempt.c.fence).where(attempt.c.kind == "REVERSAL"))
    return [fence for (fence,) in found]


def test_an_unknown_outcome_is_looked_up_when_the_look_up_is_due_although_the_worker_has_become_idle(
    migrated_database_url: str,
) -> None:
    async def story(place: WorkerHarness) -> None:
        place.outcomes.append(FakeOutcome.UNANSWERED)
        await place.worker.start(alone=False)
        await place.pay(place.payments.create(), "att_1")
        await place.until(lambda: place.payments.attempt("att_1").status == "UNKNOWN")
        due_at = place.payments.attempt("att_1").due_at
        assert due_at is not None
        await place.until(lambda: place.payments.attempt("att_1").status == "SUCCEEDED")
        settled_at = place.payments.attempt("att_1").settled_at
        assert settled_at is not None
        assert 0 <= settled_at - due_at < SOON_MS

    run_with_worker(migrated_database_url, story, poll_seconds=0.5)


def test_an_attempt_of_a_worker_that_died_is_taken_over_when_its_lease_ends(migrated_database_url: str) -> None:
    async def story(place: WorkerHarness) -> None:
        await place.worker.start(alone=False)
        await asyncio.sleep(3.3)
        place.payments.pay(place.payments.create(), "att_1", lease_ms=30_000)
        due_at = place.payments.attempt("att_1").due_at
        assert due_at is not None
        await place.until(lambda: place.payments.attempt("att_1").fence == 2)
        assert 0 <= place.loop.clock() - due_at < SOON_MS

    run_with_worker(migrated_database_url, story, poll_seconds=0.5)


def test_a_checkout_expires_when_it_is_due_although_the_worker_has_become_idle(migrated_database_url: str) -> None:
    async def story(place: WorkerHarness) -> None:
        await place.worker.start(alone=False)
        await asyncio.sleep(3.3)
        checkout = place.payments.create(expires_in_seconds=300)
        await place.until(lambda: place.payments.status(checkout) == "EXPIRED")
        over = place.payments.events(checkout)[-1].created_at - place.payments.checkout(checkout).expires_at
        assert 0 <= over < SOON_MS

    run_with_worker(migrated_database_url, story, poll_seconds=0.5)


def test_held_money_is_released_when_its_checkout_expires(migrated_database_url: str) -> None:
    async def story(place: WorkerHarness) -> None:
        await place.worker.start(alone=False)
        checkout = place.payments.create(manual=True, expires_in_seconds=300)
        await place.pay(checkout, "att_1")
        await place.until(lambda: place.payments.status(checkout) == "EXPIRED")
        over = place.payments.events(checkout)[-1].created_at - place.payments.checkout(checkout).expires_at
        assert 0 <= over < SOON_MS

    run_with_worker(migrated_database_url, story, poll_seconds=0.5)


@pytest.mark.parametrize("cause", [Cause.WEBHOOK, Cause.OPERATOR])
def test_a_reversal_that_evidence_starts_is_sent_at_once_however_rarely_the_worker_polls(
    migrated_database_url: str, cause: Cause
) -> None:
    async def story(place: WorkerHarness) -> None:
        payments = place.payments
        checkout = payments.create()
        payments.pay(checkout, "att_1")
        payments.claim()
        payments.prove("att_1", Declined("card_declined"), fence=1)
        payments.pay(checkout, "att_2")
        payments.claim()
        payments.prove("att_2", Succeeded("ch_2"), fence=1)
        await place.worker.start(alone=False)
        await asyncio.sleep(10)
        late = RecordEvidence("att_1", Succeeded("ch_1"), cause, LookupSchedule(), 0.5)
        await place.writer.submit(record_evidence, late)
        began = place.loop.time()
        await place.until(lambda: claims_of_reversals(place) == [1])
        assert place.loop.time() - began < SOON_MS / 1000

    run_with_worker(migrated_database_url, story, poll_seconds=RARELY_SECONDS)


def test_the_session_of_a_canceled_checkout_is_closed_at_once_however_rarely_the_worker_polls(
    migrated_database_url: str,
) -> None:
    async def story(place: WorkerHarness) -> None:
        await place.worker.start(alone=False)
        await asyncio.sleep(10)
        checkout = awaiting_buyer(place)
        await place.writer.submit(start_cancels, StartCancel(attempt_id="att_2", checkout=checkout))
        began = place.loop.time()
        await place.until(lambda: place.payments.attempt("att_1").fence >= 3)  # One for the order, one for the claim.
        assert place.loop.time() - began < SOON_MS / 1000

    run_with_worker(migrated_database_url, story, poll_seconds=RARELY_SECONDS)


@pytest.mark.parametrize("after_seconds", [0.5, 10])
def test_a_buyer_who_comes_back_is_asked_about_as_soon_as_that_is_allowed(
    migrated_database_url: str, after_seconds: float
) -> None:
    async def story(place: WorkerHarness) -> None:
        await place.worker.start(alone=False)
        await asyncio.sleep(10)
        awaiting_buyer(place)
        asked_at = place.payments.attempt("att_1").updated_at
        await asyncio.sleep(after_seconds)
        assert await place.worker.resume(TOKEN) is not None
        came_at = place.loop.clock()
        await place.until(lambda: place.payments.attempt("att_1").fence == 2)
        assert 0 <= place.loop.clock() - max(came_at, asked_at + 1500) < SOON_MS

    run_with_worker(migrated_database_url, story, poll_seconds=RARELY_SECONDS)
