from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from paidonce.checkouts.actions import create_checkouts
from paidonce.checkouts.model import NewCheckout
from paidonce.clock import system_clock
from paidonce.database.engine import Database, open_database
from paidonce.database.migrate import migrate
from paidonce.database_url import parse_database_url
from paidonce.events.model import Cause
from paidonce.events.store import write_events
from paidonce.merchants.model import OwnedId
from paidonce.payments.capture import StartCancel, StartCapture, start_cancels, start_captures
from paidonce.payments.model import LookupSchedule
from paidonce.payments.pay import Started, StartPayment, start_payments
from paidonce.payments.settle import RecordEvidence, record_evidence
from paidonce.providers.base import Authorized


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    database = open_database(parse_database_url(database_url), clock=system_clock, before_commit=write_events)
    migrate(database)
    yield database
    database.close()


def run(database: Database, action: Any, request: object) -> Any:  # noqa: ANN401 - whatever the action answers
    with database.write() as transaction:
        outcomes: Sequence[Any] = action(transaction, [request])
    return outcomes[0]


def hold_money(database: Database) -> None:
    wish = NewCheckout(
        id="chk_1", merchant_id="m", idempotency_key="k", amount=1000, currency="USD", capture_method="manual"
    )
    run(database, create_checkouts, wish)
    run(
        database,
        start_payments,
        StartPayment(attempt_id="att_1", checkout=OwnedId("chk_1", None), payment_method="tok", provider="simulator"),
    )
    proof = RecordEvidence(
        attempt_id="att_1",
        evidence=Authorized("ch_1"),
        cause=Cause.PROVIDER_ANSWER,
        schedule=LookupSchedule(),
        chance=0.5,
    )
    run(database, record_evidence, proof)


@pytest.mark.parametrize(
    ("action", "request_"),
    [
        (start_captures, StartCapture(attempt_id="att_2", checkout=OwnedId("chk_1", None), lease_ms=30_000)),
        (start_cancels, StartCancel(attempt_id="att_2", checkout=OwnedId("chk_1", None), lease_ms=30_000)),
    ],
    ids=["capture", "void"],
)
def test_a_batch_that_runs_again_after_a_lost_commit_finds_its_own_attempt(
    database: Database, action: object, request_: object
) -> None:
    hold_money(database)
    first, again = run(database, action, request_), run(database, action, request_)
    assert isinstance(first, Started)
    assert isinstance(again, Started)
    assert again.attempt == first.attempt
