"""What a worker does with a request that its idempotency key shows to be a repetition."""

from paidonce.idempotency.model import AlreadyProcessed, Claim, Idempotency, ScopedKey
from paidonce.payments.http import summarize_attempt
from paidonce.payments.pay import Started
from tests.support.worker import WorkerHarness, run_with_worker


def idempotency(claim_id: str) -> Idempotency:
    name = ScopedKey("m", "test", "key_1")
    claim = Claim(id=claim_id, name=name, path="/checkouts/chk_1/pay", fields={}, retention_ms=60_000)
    return Idempotency(claim, summarize_attempt)


def test_a_repeated_request_starts_nothing_and_keeps_no_place_from_others(sqlite_url: str) -> None:
    async def story(place: WorkerHarness) -> None:
        await place.worker.start(alone=False)
        checkout = place.payments.create("1")
        first = await place.pay(checkout, "att_1", idempotency=idempotency("clm_1"))
        assert isinstance(first, Started)
        await place.until(lambda: place.payments.status(checkout) == "COMPLETED")
        again = await place.pay(checkout, "att_2", idempotency=idempotency("clm_2"))
        assert isinstance(again, AlreadyProcessed)
        assert again.record.attempt_id == "att_1"
        other = await place.pay(place.payments.create("2"), "att_3")
        assert isinstance(other, Started)
        assert other.is_owned_locally

    run_with_worker(sqlite_url, story, concurrency=1)
