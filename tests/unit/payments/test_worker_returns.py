"""What a worker does when a buyer comes back from a provider's page."""

from typing import Final

from paidonce.payments.model import AttemptStatus
from paidonce.providers.base import HOSTED_PAGE
from paidonce.providers.evidence import Redirect, RequiresAction, Succeeded
from tests.support.payments import Payments
from tests.support.worker import WorkerHarness, run_with_worker

TOKEN: Final = "T" * 32
RETURN_URL: Final = f"https://pay.example/return/{TOKEN}"


def await_buyer(payments: Payments) -> str:
    """Create a checkout whose buyer was sent to the provider's page; returns its id."""
    checkout = payments.create()
    payments.pay(checkout, payment_method=HOSTED_PAGE, return_url=RETURN_URL)
    payments.prove("att_1", RequiresAction("ses_1", Redirect("https://provider.example/pay/ses_1")))
    return checkout.id


def test_the_checkout_of_a_buyer_who_comes_back_is_found_and_asked_about_sooner(sqlite_url: str) -> None:
    async def story(place: WorkerHarness) -> None:
        checkout_id = await_buyer(place.payments)
        due_at = place.payments.attempt("att_1").due_at
        found = await place.worker.resume(TOKEN)
        assert found is not None
        assert (found.id, found.merchant_id) == (checkout_id, "m")
        resumed_at = place.payments.attempt("att_1").due_at
        assert due_at is not None
        assert resumed_at is not None
        assert resumed_at < due_at

    run_with_worker(sqlite_url, story)


def test_a_buyer_who_comes_back_after_the_outcome_finds_their_checkout_and_makes_nothing_due(sqlite_url: str) -> None:
    async def story(place: WorkerHarness) -> None:
        checkout_id = await_buyer(place.payments)
        place.payments.prove("att_1", Succeeded("ch_1"))
        found = await place.worker.resume(TOKEN)
        assert found is not None
        assert found.id == checkout_id
        settled = place.payments.attempt("att_1")
        assert (settled.status, settled.due_at) == (AttemptStatus.SUCCEEDED, None)

    run_with_worker(sqlite_url, story)


def test_who_comes_back_with_an_unknown_token_finds_no_checkout(sqlite_url: str) -> None:
    async def story(place: WorkerHarness) -> None:
        await_buyer(place.payments)
        assert await place.worker.resume("t" * 32) is None

    run_with_worker(sqlite_url, story)
