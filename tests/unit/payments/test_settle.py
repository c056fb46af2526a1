"""What a worker knows when it has recorded evidence: the checkout as it is now, as if it were read."""

from collections.abc import Iterator
from typing import NamedTuple

import msgspec
import pytest

from paidonce.checkouts.actions import create_checkouts, load_checkouts
from paidonce.checkouts.model import Checkout, NewCheckout, ProviderRoute
from paidonce.clock import Instant
from paidonce.database.engine import Database, open_database
from paidonce.database_url import parse_database_url
from paidonce.events.model import Cause
from paidonce.events.store import write_events
from paidonce.merchants.model import TenantScopedId
from paidonce.payments.capture import StartCapture, start_captures
from paidonce.payments.model import Transition
from paidonce.payments.pay import Started, StartPayment, start_payments
from paidonce.payments.schedule import LookupSchedule
from paidonce.payments.settle import RecordEvidence, record_evidence
from paidonce.providers.evidence import Authorized, Declined, Evidence, Succeeded, Unknown
from tests.support.databases import make_schema

CHECKOUT = TenantScopedId("chk_1", "m")
LEASE_MS = 30_000


class Recorded(NamedTuple):
    """What came of evidence, and the checkout as its worker knows it then."""

    transition: Transition | None
    checkout: Checkout | None


class Shop:
    """One checkout on a database whose clock moves with every transaction."""

    def __init__(self, database_url: str) -> None:
        self.now: Instant = 1_700_000_000_000
        url = parse_database_url(database_url)
        self.database: Database = open_database(url, clock=self.clock, before_commit=write_events)
        make_schema(self.database)

    def clock(self) -> Instant:
        self.now += 7
        return self.now

    def create(self, capture_method: str) -> None:
        wish = NewCheckout(
            id="chk_1",
            merchant_id="m",
            idempotency_key="k",
            amount=1000,
            currency="USD",
            capture_method=capture_method,
            metadata='{"a":"b"}',
        )
        with self.database.write() as transaction:
            create_checkouts(transaction, [wish])

    def pay(self, attempt_id: str) -> Started:
        wish = StartPayment(
            attempt_id=attempt_id,
            checkout=CHECKOUT,
            payment_method="tok",
            route=ProviderRoute("simulator"),
            lease_ms=LEASE_MS,
        )
        with self.database.write() as transaction:
            (outcome,) = start_payments(transaction, [wish])
        assert isinstance(outcome, Started)
        return outcome

    def capture(self, attempt_id: str, amount: int) -> Started:
        wish = StartCapture(attempt_id=attempt_id, checkout=CHECKOUT, amount=amount, lease_ms=LEASE_MS)
        with self.database.write() as transaction:
            (outcome,) = start_captures(transaction, [wish])
        assert isinstance(outcome, Started)
        return outcome

    def record(self, *told: tuple[Started, Evidence]) -> list[Recorded]:
        with self.database.write() as transaction:
            settled = record_evidence(transaction, [evidence_of(started, evidence) for started, evidence in told])
        return [
            Recorded(one.transition, one.apply_to(started.checkout, started.attempt))
            for one, (started, _) in zip(settled, told, strict=True)
        ]

    def read(self) -> Checkout:
        with self.database.read() as transaction:
            (checkout,) = load_checkouts(transaction, [CHECKOUT])
        assert isinstance(checkout, Checkout)
        return checkout


def evidence_of(started: Started, evidence: Evidence) -> RecordEvidence:
    return RecordEvidence(
        attempt_id=started.attempt.id,
        evidence=evidence,
        cause=Cause.PROVIDER_ANSWER,
        schedule=LookupSchedule(),
        chance=0.5,
        fence=started.attempt.fence,
        attempt=started.attempt,
    )


@pytest.fixture
def shop(migrated_database_url: str) -> Iterator[Shop]:
    one = Shop(migrated_database_url)
    yield one
    one.database.close()


def test_the_checkout_that_is_handed_back_is_the_one_that_is_stored(shop: Shop) -> None:
    shop.create("automatic")
    for attempt_id, evidence, status in (
        ("att_1", Declined("do_not_honor", "ch_1"), "FAILED"),
        ("att_2", Declined("insufficient_funds"), "FAILED"),
        ("att_3", Succeeded("ch_3"), "COMPLETED"),
    ):
        (settled,) = shop.record((shop.pay(attempt_id), evidence))
        assert settled.checkout == shop.read()
        assert settled.checkout.status == status


def test_so_is_one_that_is_authorized_and_captured_in_part(shop: Shop) -> None:
    shop.create("manual")
    (held,) = shop.record((shop.pay("att_1"), Authorized("ch_1")))
    assert held.checkout == shop.read()
    (refused,) = shop.record((shop.capture("att_2", 600), Declined("authorization_expired")))
    assert refused.checkout == shop.read()
    assert refused.checkout.status == "AUTHORIZED"
    (captured,) = shop.record((shop.capture("att_3", 600), Succeeded("cg_3", 600)))
    assert captured.checkout == shop.read()
    assert captured.checkout.amount_captured == 600


def test_no_checkout_is_handed_back_by_whom_it_was_not_moved(shop: Shop) -> None:
    shop.create("automatic")
    started = shop.pay("att_1")
    (open_still,) = shop.record((started, Unknown("no answer")))
    assert open_still.checkout is None  # It is PROCESSING, and goes on.
    (other, late) = shop.record((started, Succeeded("ch_1")), (started, Succeeded("ch_1")))
    # The first wrote over what the worker did not know of, and read it; the second found it done.
    assert (other.checkout, late.checkout, late.transition) == (None, None, None)
    assert shop.read().status == "COMPLETED"


def test_of_two_that_tell_the_same_in_one_batch_only_the_one_that_wrote_is_handed_it(shop: Shop) -> None:
    shop.create("automatic")
    started = shop.pay("att_1")
    first, second = shop.record((started, Succeeded("ch_1")), (started, Succeeded("ch_1")))
    assert first.checkout == shop.read()
    assert second.checkout is None


def test_an_owner_whose_lease_was_taken_over_is_handed_nothing(shop: Shop) -> None:
    shop.create("automatic")
    started = shop.pay("att_1")
    stale = msgspec.structs.replace(started, attempt=msgspec.structs.replace(started.attempt, fence=7))
    (settled,) = shop.record((stale, Succeeded("ch_1")))
    assert settled.checkout is None
    assert shop.read().status == "PROCESSING"
