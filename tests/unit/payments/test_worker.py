"""The worker: what it claims, asks and records, what it gives back, and what it does while the database is away."""

import asyncio

import pytest
from structlog.testing import capture_logs

from paidonce.checkouts.actions import expire_checkouts
from paidonce.checkouts.model import ProviderRoute
from paidonce.errors import AmountExceedsRefundable
from paidonce.jobs.poller import IDLE_FACTOR
from paidonce.merchants.model import TenantScopedId
from paidonce.money import Money
from paidonce.payments import attempt_queue
from paidonce.payments.circuit_breaker import UNKNOWN_IN_A_ROW_MAX
from paidonce.payments.claiming import claim_attempts
from paidonce.payments.pay import Started
from paidonce.payments.refund import StartRefund, start_refunds
from paidonce.providers.base import ChargeRequest
from paidonce.providers.evidence import Evidence, Succeeded
from tests.proof.fake_provider import FakeOutcome
from tests.support.payments import DAY_MS
from tests.support.worker import LEASE_SECONDS, POLL_SECONDS, WorkerHarness, run_with_worker


def test_a_payment_is_born_in_the_hands_of_the_process_that_took_it_and_its_end_is_told(sqlite_url: str) -> None:
    async def story(place: WorkerHarness) -> None:
        await place.worker.start(alone=False)
        checkout = place.payments.create()
        started = await place.pay(checkout, "att_1")
        assert isinstance(started, Started)
        assert started.is_owned_locally
        assert place.payments.attempt("att_1").due_at == place.loop.clock() + LEASE_SECONDS * 1000
        began = place.loop.time()
        await place.until(lambda: place.settled)
        assert place.loop.time() - began < POLL_SECONDS  # Nobody had to claim it.
        assert place.settled == [(checkout.id, place.payments.checkout(checkout))]
        assert place.payments.status(checkout) == "COMPLETED"
        assert place.payments.events(checkout)[-1].cause == "provider_answer"

    run_with_worker(sqlite_url, story)


def test_a_worker_with_places_is_woken_for_what_another_could_not_take(sqlite_url: str) -> None:
    async def story(place: WorkerHarness) -> None:
        await place.worker.start(alone=False)
        await asyncio.sleep(1)
        checkout = place.payments.create()
        # Born READY: at this provider the process has no places of its own.
        outcome = await place.worker.begin(
            start_refunds, refund_of(await paid(place, checkout)), ProviderRoute("elsewhere")
        )
        assert isinstance(outcome, Started)
        assert not outcome.is_owned_locally
        began = place.loop.time()
        await place.until(lambda: place.payments.attempt("ref_1").status == "SUCCEEDED")
        assert place.loop.time() - began < POLL_SECONDS

    run_with_worker(sqlite_url, story)


async def paid(place: WorkerHarness, checkout: TenantScopedId) -> TenantScopedId:
    await place.pay(checkout, "att_1")
    await place.until(lambda: place.payments.status(checkout) == "COMPLETED")
    return checkout


def refund_of(checkout: TenantScopedId, amount: int | None = None, attempt_id: str = "ref_1") -> StartRefund:
    return StartRefund(attempt_id=attempt_id, checkout=checkout, amount=amount)


def test_before_it_is_started_and_while_it_stops_a_worker_takes_nothing_into_its_hands(sqlite_url: str) -> None:
    async def story(place: WorkerHarness) -> None:
        before = await place.pay(place.payments.create("1"), "att_1")
        await place.worker.start(alone=False)
        await place.until(lambda: len(place.settled) == 1)
        await place.worker.stop(grace_seconds=1)
        after = await place.pay(place.payments.create("2"), "att_2")
        assert isinstance(before, Started)
        assert isinstance(after, Started)
        assert (before.is_owned_locally, after.is_owned_locally) == (False, False)
        assert place.payments.attempt("att_2").status == "READY"

    run_with_worker(sqlite_url, story)


def test_a_refusal_of_an_action_is_raised_and_not_returned(sqlite_url: str) -> None:
    async def story(place: WorkerHarness) -> None:
        await place.worker.start(alone=False)
        checkout = await paid(place, place.payments.create())
        with pytest.raises(AmountExceedsRefundable):
            await place.worker.begin(start_refunds, refund_of(checkout, 1001), ProviderRoute("simulator"))

    run_with_worker(sqlite_url, story)


@pytest.mark.parametrize("due", [5, 2])
def test_only_after_a_full_claim_a_worker_claims_again_at_once(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch, due: int
) -> None:
    monkeypatch.setattr(attempt_queue, "CLAIM_MAX", 3)

    async def story(place: WorkerHarness) -> None:
        for number in range(due):
            place.payments.pay(place.payments.create(str(number)), f"att_{number}")
        await place.worker.start(alone=False)
        await place.until(lambda: len(place.settled) == due)
        assert place.loop.time() < POLL_SECONDS
        place.payments.pay(place.payments.create("late"), "att_late")
        await asyncio.sleep(1)
        assert len(place.settled) == due  # By now it rests.

    run_with_worker(sqlite_url, story)


def test_a_worker_that_found_nothing_looks_again_after_a_while_and_not_before(sqlite_url: str) -> None:
    async def story(place: WorkerHarness) -> None:
        await place.worker.start(alone=False)
        await asyncio.sleep(1)
        checkout = place.payments.create()
        place.payments.pay(checkout)
        await asyncio.sleep(POLL_SECONDS - 1.5)
        assert place.payments.attempt("att_1").status == "READY"
        await place.until(lambda: place.payments.status(checkout) == "COMPLETED")
        assert place.loop.time() <= POLL_SECONDS + 1

    run_with_worker(sqlite_url, story)


def test_an_attempt_whose_worker_died_is_taken_over_when_its_lease_is_over_and_asked_about_first(
    sqlite_url: str,
) -> None:
    async def story(place: WorkerHarness) -> None:
        checkout = place.payments.create()
        started = place.payments.pay(checkout, lease_ms=30_000)
        booked = await place.provider.charge(charge_of(started))  # And then it died.
        await place.worker.start(alone=False)
        await place.until(lambda: place.payments.status(checkout) == "COMPLETED")
        assert 30 <= place.loop.time() <= 30 + POLL_SECONDS * IDLE_FACTOR + 1
        assert place.payments.events(checkout)[-1].cause == "lookup"
        assert isinstance(booked, Succeeded)
        assert place.payments.attempt("att_1").provider_reference == booked.reference
        assert len(place.provider.charges) == 1

    run_with_worker(sqlite_url, story)


def charge_of(started: Started) -> ChargeRequest:
    attempt = started.attempt
    return ChargeRequest(
        key=attempt.provider_key,
        money=Money(attempt.amount, attempt.currency),
        payment_method=attempt.payment_method,
        capture=True,
        checkout_id=attempt.checkout_id,
        merchant_id=attempt.merchant_id,
        created_at=attempt.created_at,
    )


def test_a_process_that_is_alone_takes_over_at_once(sqlite_url: str) -> None:
    async def story(place: WorkerHarness) -> None:
        checkout = place.payments.create()
        place.payments.pay(checkout, lease_ms=30_000)
        await place.worker.start(alone=True)
        await place.until(lambda: place.payments.status(checkout) == "COMPLETED")
        assert place.loop.time() < POLL_SECONDS

    run_with_worker(sqlite_url, story)


def test_an_outcome_that_cannot_be_recorded_is_kept_until_it_can_and_nobody_is_asked_twice(sqlite_url: str) -> None:
    async def story(place: WorkerHarness) -> None:
        await place.worker.start(alone=False)
        checkout = place.payments.create()
        place.payments.pay(checkout)
        place.answer_seconds = 2.0
        await place.until(lambda: place.payments.attempt("att_1").status == "SENT")
        place.disk_is_full = True
        await asyncio.sleep(12)
        assert place.settled == []
        place.disk_is_full = False
        await place.until(lambda: place.settled)
        assert place.payments.status(checkout) == "COMPLETED"
        assert place.payments.attempt("att_1").fence == 1
        assert place.provider.calls == 1

    run_with_worker(sqlite_url, story)


def test_an_outcome_that_cannot_be_recorded_within_the_lease_is_left_to_whoever_asks_again(sqlite_url: str) -> None:
    async def story(place: WorkerHarness) -> None:
        await place.worker.start(alone=False)
        checkout = place.payments.create()
        started = place.pay(checkout, "att_1")
        place.answer_seconds = 2.0
        await started
        place.disk_is_full = True
        await asyncio.sleep(LEASE_SECONDS + 2 * POLL_SECONDS)
        place.disk_is_full = False
        await place.until(lambda: place.settled)
        assert place.payments.status(checkout) == "COMPLETED"
        assert place.payments.attempt("att_1").fence == 2
        assert place.payments.events(checkout)[-1].cause == "lookup"
        assert len(place.provider.charges) == 1

    run_with_worker(sqlite_url, story, concurrency=1)


def test_a_defect_in_one_attempt_is_logged_and_costs_no_place(sqlite_url: str) -> None:
    async def story(place: WorkerHarness) -> None:
        place.defects.append(KeyError("a defect"))
        await place.worker.start(alone=False)
        with capture_logs() as lines:
            await place.pay(place.payments.create("1"), "att_1")
            await asyncio.sleep(1)
        assert [(one["event"], one["job_id"]) for one in lines if one["log_level"] == "error"] == (
            [("job_failed", "att_1")]
        )
        started = await place.pay(place.payments.create("2"), "att_2")
        assert isinstance(started, Started)
        assert started.is_owned_locally

    run_with_worker(sqlite_url, story, concurrency=1)


def test_a_provider_that_proves_nothing_for_long_is_given_no_more_for_a_while(sqlite_url: str) -> None:
    async def story(place: WorkerHarness) -> None:
        await place.worker.start(alone=False)
        place.outcomes.extend([FakeOutcome.LOST] * UNKNOWN_IN_A_ROW_MAX)
        for number in range(UNKNOWN_IN_A_ROW_MAX):
            await place.pay(place.payments.create(str(number)), f"att_{number}")
        await place.until(lambda: len(place.settled) == UNKNOWN_IN_A_ROW_MAX)
        started = await place.pay(place.payments.create("last"), "att_last")
        assert isinstance(started, Started)
        assert not started.is_owned_locally

    run_with_worker(sqlite_url, story, concurrency=200)


def test_what_is_in_flight_when_a_worker_stops_is_waited_for(sqlite_url: str) -> None:
    async def story(place: WorkerHarness) -> None:
        await place.worker.start(alone=False)
        checkout = place.payments.create()
        place.answer_seconds = 2.0
        await place.pay(checkout, "att_1")
        await place.worker.stop(grace_seconds=5)
        assert place.payments.status(checkout) == "COMPLETED"
        assert place.loop.time() == pytest.approx(2.0, abs=0.1)

    run_with_worker(sqlite_url, story)


def test_what_is_being_claimed_when_a_worker_stops_is_carried_out(sqlite_url: str) -> None:
    async def story(place: WorkerHarness) -> None:
        checkout = place.payments.create()
        place.payments.pay(checkout)
        await place.worker.start(alone=False)
        await asyncio.sleep(0)  # It has asked for work, and has not been answered.
        assert place.payments.attempt("att_1").status == "READY"
        await place.worker.stop(grace_seconds=5)
        assert place.payments.status(checkout) == "COMPLETED"

    run_with_worker(sqlite_url, story)


def test_a_worker_that_was_never_started_can_be_stopped(sqlite_url: str) -> None:
    async def story(place: WorkerHarness) -> None:
        await place.worker.stop(grace_seconds=1)
        assert place.loop.time() == 0

    run_with_worker(sqlite_url, story)


def test_what_is_not_done_in_time_when_a_worker_stops_is_given_back_for_others_to_take_at_once(sqlite_url: str) -> None:
    async def story(place: WorkerHarness) -> None:
        await place.worker.start(alone=False)
        checkout = place.payments.create()
        place.outcomes.append(FakeOutcome.SILENT)
        await place.pay(checkout, "att_1")
        with capture_logs() as lines:
            await place.worker.stop(grace_seconds=3)
        assert [(one["event"], one["jobs"]) for one in lines] == [("leases_released", 1)]
        assert place.loop.time() == pytest.approx(3.0, abs=0.1)
        assert place.payments.attempt("att_1").due_at == place.loop.clock()
        other = place.another_worker()
        await other.start(alone=False)
        await place.until(lambda: place.payments.status(checkout) == "COMPLETED")
        assert place.loop.time() < 3 + POLL_SECONDS
        await other.stop(grace_seconds=1)

    run_with_worker(sqlite_url, story)


def test_a_worker_that_cannot_give_its_leases_back_leaves_them_to_lapse(sqlite_url: str) -> None:
    async def story(place: WorkerHarness) -> None:
        await place.worker.start(alone=False)
        place.outcomes.append(FakeOutcome.SILENT)
        await place.pay(place.payments.create(), "att_1")
        place.disk_is_full = True
        with capture_logs() as lines:
            await place.worker.stop(grace_seconds=1)
        place.disk_is_full = False
        logged = [(one["event"], one["jobs"]) for one in lines if one["event"].startswith("leases_")]
        assert logged == [("leases_not_released", 1)]

    run_with_worker(sqlite_url, story)


def test_a_defect_while_it_looks_for_work_does_not_end_a_worker(sqlite_url: str) -> None:
    async def story(place: WorkerHarness) -> None:
        broken = [True]
        claim = place.writer.submit

        async def submit(action: object, request: object) -> object:
            if broken.pop() if broken else False:
                raise KeyError("a defect")
            return await claim(action, request)  # type: ignore[arg-type]

        place.writer.submit = submit  # type: ignore[method-assign,assignment]
        checkout = place.payments.create()
        place.payments.pay(checkout)
        with capture_logs() as lines:
            await place.worker.start(alone=False)
            await place.until(lambda: place.payments.status(checkout) == "COMPLETED")
        assert [one["event"] for one in lines if one["log_level"] == "error"] == ["poller_failed"]

    run_with_worker(sqlite_url, story, concurrency=1)


@pytest.mark.parametrize("failing", [claim_attempts, expire_checkouts])
def test_a_defect_in_one_thing_that_a_worker_does_keeps_it_from_no_other(sqlite_url: str, failing: object) -> None:
    async def story(place: WorkerHarness) -> None:
        submit = place.writer.submit

        async def refuse(action: object, request: object) -> object:
            if action is failing:
                raise ZeroDivisionError
            return await submit(action, request)  # type: ignore[arg-type]

        place.writer.submit = refuse  # type: ignore[method-assign,assignment]
        held = place.payments.paid("held", manual=True, expires_in_seconds=300)
        unpaid = place.payments.create("unpaid", expires_in_seconds=300)
        paid = place.payments.create("paid", expires_in_seconds=9000)
        place.payments.pay(paid, "att_paid")
        await place.worker.start(alone=False)
        await place.until(lambda: place.loop.time() > 301)
        await place.until(lambda: "attempt.started" in place.payments.history(held))
        await place.until(lambda: failing is claim_attempts or place.payments.status(paid) == "COMPLETED")
        await place.until(lambda: failing is expire_checkouts or place.payments.status(unpaid) == "EXPIRED")

    with capture_logs() as lines:
        run_with_worker(sqlite_url, story, poll_seconds=60)
    assert "poller_failed" in {one["event"] for one in lines}


def test_money_that_is_held_captured_and_refunded_goes_through_the_provider_three_times(sqlite_url: str) -> None:
    async def story(place: WorkerHarness) -> None:
        await place.worker.start(alone=False)
        checkout = place.payments.create(manual=True)
        await place.pay(checkout, "att_1")
        await place.until(lambda: place.payments.status(checkout) == "AUTHORIZED")
        place.payments.capture(checkout, "att_2", 700)
        await place.until(lambda: place.payments.status(checkout) == "COMPLETED")
        await place.worker.begin(start_refunds, refund_of(checkout, 500), ProviderRoute("simulator"))
        await place.until(lambda: place.payments.sums(checkout) == (700, 500, 0))
        (line,) = place.provider.charges
        assert (line.amount_captured, line.amount_refunded) == (700, 500)

    run_with_worker(sqlite_url, story)


@pytest.mark.parametrize("when", ["the answer", "a look-up"])
def test_a_provider_that_tells_of_another_kind_of_operation_ends_nothing(sqlite_url: str, when: str) -> None:
    async def story(place: WorkerHarness) -> None:
        async def tell_of_a_refund(_asked: object) -> Evidence:
            return Succeeded("re_1", 1000, "USD", "refund")

        checkout = place.payments.create()
        place.provider.charge = place.provider.look_up = tell_of_a_refund  # type: ignore[method-assign,assignment]
        if when == "the answer":
            await place.worker.start(alone=False)
            await place.pay(checkout, "att_1")
        else:
            place.payments.pay(checkout, lease_ms=1000)
            await place.worker.start(alone=True)
        await place.until(lambda: place.payments.attempt("att_1").status == "NEEDS_REVIEW")
        event = place.payments.events(checkout)[-1]
        assert (event.type, event.cause) == (
            ("attempt.needs_review", "provider_answer" if when == "the answer" else "lookup")
        )
        assert event.detail == '{"reason":"the provider reported a refund; a charge was requested"}'
        assert place.payments.status(checkout) == "PROCESSING"
        await asyncio.sleep(DAY_MS / 1000)
        assert place.payments.attempt("att_1").status == "NEEDS_REVIEW"

    run_with_worker(sqlite_url, story, poll_seconds=3600)
