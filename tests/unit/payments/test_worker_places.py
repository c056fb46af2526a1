"""The places of a payment worker: attempts that find none wait, and get the next one that is free."""

import asyncio

import pytest
from structlog.testing import capture_logs

from paidonce.database.batch import Action
from paidonce.errors import CheckoutNotFound, DatabaseUnavailable
from paidonce.merchants.model import TenantScopedId
from paidonce.payments.pay import Repeated, Started
from tests.proof.fake_provider import FakeOutcome
from tests.support.worker import TIMEOUT_SECONDS, WorkerHarness, run_with_worker


def test_what_finds_no_place_is_claimed_as_soon_as_there_is_one(sqlite_url: str) -> None:
    async def story(place: WorkerHarness) -> None:
        await place.worker.start(alone=False)
        place.outcomes.append(FakeOutcome.SILENT)
        first, second = place.payments.create("1"), place.payments.create("2")
        held, waiting = await place.pay(first, "att_1"), await place.pay(second, "att_2")
        assert isinstance(held, Started)
        assert isinstance(waiting, Started)
        assert (held.is_owned_locally, waiting.is_owned_locally) == (True, False)
        await place.until(lambda: place.payments.status(second) == "COMPLETED")
        assert place.loop.time() >= TIMEOUT_SECONDS

    run_with_worker(sqlite_url, story, concurrency=1)


def test_what_finds_no_place_never_waits_for_a_poll_while_places_become_free(sqlite_url: str) -> None:
    async def story(place: WorkerHarness) -> None:
        await place.worker.start(alone=False)
        place.answer_seconds = 1.0
        for number in range(6):
            await place.pay(place.payments.create(str(number)), f"att_{number}")
        await place.until(lambda: len(place.settled) == 6)
        assert place.loop.time() < 4  # Three rounds of one second, at two places.

    run_with_worker(sqlite_url, story, concurrency=2, poll_seconds=60)


def test_a_place_that_is_given_back_unused_goes_to_what_waits_for_one(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(place: WorkerHarness) -> None:
        submit = place.writer.submit

        async def submit_slowly(action: Action[object, object], request: object) -> object:
            outcome = await submit(action, request)
            await asyncio.sleep(1 if isinstance(outcome, Repeated) else 0)
            return outcome

        await place.worker.start(alone=False)
        await asyncio.sleep(1)  # Its first claim has ended.
        monkeypatch.setattr(place.writer, "submit", submit_slowly)
        repeated, waiting = place.payments.create("1"), place.payments.create("2")
        place.payments.pay(repeated, "att_0", lease_ms=600_000)  # In another process's hands.
        outcomes = await asyncio.gather(place.pay(repeated, "att_1"), place.pay(waiting, "att_2"))
        assert [type(one) for one in outcomes] == [Repeated, Started]
        await place.until(lambda: place.settled)
        assert place.loop.time() < 3

    run_with_worker(sqlite_url, story, concurrency=1, poll_seconds=60)


@pytest.mark.parametrize("trouble", ["refused", "repeated", "database away"])
def test_a_request_that_starts_nothing_gives_its_place_back(sqlite_url: str, trouble: str) -> None:
    async def story(place: WorkerHarness) -> None:
        await place.worker.start(alone=False)
        checkout = place.payments.create()
        if trouble == "refused":
            with pytest.raises(CheckoutNotFound):
                await place.pay(TenantScopedId("chk_none", "m"), "att_0")
        elif trouble == "repeated":
            place.payments.pay(checkout, "att_0", lease_ms=1000)  # In another process's hands.
            assert isinstance(await place.pay(checkout, "att_1"), Repeated)
        else:
            place.disk_is_full = True
            with pytest.raises(DatabaseUnavailable):
                await place.pay(checkout, "att_0")
            place.disk_is_full = False
        started = await place.pay(place.payments.create("2"), "att_2")
        assert isinstance(started, Started)
        assert started.is_owned_locally

    run_with_worker(sqlite_url, story, concurrency=1)


def test_a_claim_that_fails_gives_its_places_back(sqlite_url: str) -> None:
    async def story(place: WorkerHarness) -> None:
        checkout = place.payments.create()
        place.payments.pay(checkout)
        place.disk_is_full = True
        await place.worker.start(alone=False)
        with capture_logs() as lines:
            await place.until(lambda: place.refused >= 3)
        waits = {(one["poller"], one["cause"]) for one in lines if one["event"] == "poller_waits"}
        assert ("attempts at simulator", "database_unavailable") in waits
        place.disk_is_full = False
        await place.until(lambda: place.payments.status(checkout) == "COMPLETED")

    run_with_worker(sqlite_url, story, concurrency=1)


def test_a_claim_that_finds_less_than_there_are_places_gives_the_others_back(sqlite_url: str) -> None:
    async def story(place: WorkerHarness) -> None:
        place.outcomes.extend([FakeOutcome.SILENT, FakeOutcome.SILENT])
        for number in (1, 2):
            place.payments.pay(place.payments.create(str(number)), f"att_{number}")
        await place.worker.start(alone=False)
        await asyncio.sleep(1)  # Both are claimed, and one place is free.
        started = [await place.pay(place.payments.create(str(number)), f"att_{number}") for number in (3, 4)]
        assert [isinstance(one, Started) and one.is_owned_locally for one in started] == [True, False]

    run_with_worker(sqlite_url, story, concurrency=3)


def test_no_more_is_claimed_than_there_are_places(sqlite_url: str) -> None:
    async def story(place: WorkerHarness) -> None:
        place.outcomes.extend([FakeOutcome.SILENT] * 2)
        for number in range(3):
            place.payments.pay(place.payments.create(str(number)), f"att_{number}")
        await place.worker.start(alone=False)
        await asyncio.sleep(1)
        assert sorted(place.payments.attempt(f"att_{number}").status for number in range(3)) == [
            "READY",
            "SENT",
            "SENT",
        ]

    run_with_worker(sqlite_url, story, concurrency=2)


def test_a_refused_request_that_had_no_place_gives_none_back(database_url: str) -> None:
    async def story(place: WorkerHarness) -> None:
        await place.worker.start(alone=False)
        place.outcomes.append(FakeOutcome.SILENT)
        await place.pay(place.payments.create("1"), "att_1")
        with pytest.raises(CheckoutNotFound):
            await place.pay(TenantScopedId("chk_none", "m"), "att_0")
        waiting = await place.pay(place.payments.create("2"), "att_2")
        assert isinstance(waiting, Started)
        assert not waiting.is_owned_locally

    run_with_worker(database_url, story, concurrency=1)
