"""One key, one effect, on both databases: in one batch, in two, after a lost result, and with a concurrent process."""

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any, Final
from unittest.mock import patch

import pytest
from sqlalchemy import func, select

from paidonce import ids
from paidonce.checkouts.actions import create_checkouts
from paidonce.checkouts.model import NewCheckout, ProviderRoute
from paidonce.clock import Instant
from paidonce.database.batcher import threaded_batcher
from paidonce.database.engine import Database, open_database
from paidonce.database.schema import attempt, idempotency_key
from paidonce.database_url import parse_database_url
from paidonce.errors import CheckoutNotFound, IdempotencyKeyInUse, IdempotencyKeyReused
from paidonce.events.model import Cause
from paidonce.events.store import write_events
from paidonce.idempotency import store
from paidonce.idempotency.actions import (
    IdempotentAction,
    delete_expired_keys,
    load_idempotency_records,
    with_idempotency,
)
from paidonce.idempotency.model import AlreadyProcessed, Claim, ClaimedRequest, Idempotency, ScopedKey, StoredResponse
from paidonce.merchants.model import TenantScopedId
from paidonce.payments import expiry
from paidonce.payments.attempt_queue import WorkerSettings
from paidonce.payments.expiry import DELETE_INTERVAL_MS
from paidonce.payments.pay import Started, StartPayment, start_payments
from paidonce.payments.providers import PaymentProviders
from paidonce.payments.refund import StartRefund, start_refunds
from paidonce.payments.schedule import LookupSchedule
from paidonce.payments.settle import RecordEvidence, record_evidence
from paidonce.payments.worker import PaymentWorker
from paidonce.providers.evidence import Succeeded
from tests.support.databases import make_schema

DAY_MS: Final = 86_400_000
NOW: Final = 1_700_000_000_000
SETTINGS: Final = WorkerSettings(
    lease_seconds=30, provider_timeout_seconds=20, provider_concurrency=1, poll_seconds=0.01, schedule=LookupSchedule()
)


def summarize(_request: object, outcome: Started) -> StoredResponse:
    return StoredResponse(202, f"/refunds/{outcome.attempt.id}", outcome.attempt.id)


class RefundHarness:
    """A database with a clock that stands still until it is moved, and a paid checkout of 10.00."""

    def __init__(self, url: str) -> None:
        self.now: Instant = NOW
        self.url = url
        self.database = self.open()
        make_schema(self.database)

    def open(self) -> Database:
        return open_database(
            parse_database_url(self.url), clock=lambda: self.now, before_commit=write_events, exclusive=False
        )

    def do(self, action: Any, *requests: object) -> list[Any]:  # noqa: ANN401 - any action
        with self.database.write() as transaction:
            return list(action(transaction, requests))

    def paid(self, name: str = "1") -> str:
        checkout_id, attempt_id = f"chk_{name}", f"att_{name}"
        command = NewCheckout(id=checkout_id, merchant_id="m", idempotency_key=name, amount=1000, currency="USD")
        self.do(create_checkouts, command)
        pay = StartPayment(
            attempt_id=attempt_id,
            checkout=TenantScopedId(checkout_id, None),
            payment_method="tok",
            route=ProviderRoute("simulator"),
        )
        self.do(start_payments, pay)
        proof = RecordEvidence(
            attempt_id=attempt_id,
            evidence=Succeeded("ch_1"),
            cause=Cause.PROVIDER_ANSWER,
            schedule=LookupSchedule(),
            chance=0.5,
        )
        self.do(record_evidence, proof)
        return checkout_id

    def refund(self, *requests: ClaimedRequest) -> list[Any]:
        return self.do(IdempotentAction(start_refunds, summarize), *requests)

    def refunds(self) -> int:
        with self.database.read() as transaction:
            return int(transaction.rows(select(func.count()).where(attempt.c.kind == "REFUND"))[0][0])

    def keys(self) -> list[str]:
        with self.database.read() as transaction:
            return sorted(row.key for row in transaction.rows(select(idempotency_key.c.key)))


@pytest.fixture
def harness(migrated_database_url: str) -> Iterator[RefundHarness]:
    harness = RefundHarness(migrated_database_url)
    yield harness
    harness.database.close()


def keyed(
    checkout_id: str,
    amount: int = 100,
    key: str = "k",
    path: str = "/refunds",
    *,
    merchant_id: str = "m",
    mode: str = "test",
) -> ClaimedRequest:
    command = StartRefund(attempt_id=ids.new_id(ids.REFUND), checkout=TenantScopedId(checkout_id, None), amount=amount)
    claim = Claim(
        id=ids.new_id(ids.CLAIM),
        name=ScopedKey(merchant_id, mode, key),
        path=path,
        fields={"amount": str(amount), "reason": "x"},
        retention_ms=30 * DAY_MS,
    )
    return ClaimedRequest(command, claim)


def kinds(outcomes: Sequence[object]) -> list[str]:
    return [type(outcome).__name__ for outcome in outcomes]


def test_of_the_same_requests_in_one_batch_and_after_it_one_takes_effect(harness: RefundHarness) -> None:
    checkout_id = harness.paid()
    first = harness.refund(*(keyed(checkout_id) for _ in range(5)))
    later = harness.refund(keyed(checkout_id))
    assert kinds(first + later) == ["Started", *["AlreadyProcessed"] * 5]
    assert {one.record.attempt_id for one in first[1:] + later} == {first[0].attempt.id}
    assert (first[1].record.status, first[1].record.resource) == (202, f"/refunds/{first[0].attempt.id}")
    assert harness.refunds() == 1


def test_another_body_or_path_is_refused_by_name_in_one_batch_and_after_it(harness: RefundHarness) -> None:
    checkout_id = harness.paid()
    in_one = harness.refund(keyed(checkout_id), keyed(checkout_id, 200), keyed(checkout_id, path="/pay"))
    later = harness.refund(keyed(checkout_id, 200), keyed(checkout_id, path="/pay"))
    refused = in_one[1:] + later
    assert all(isinstance(one, IdempotencyKeyReused) for one in refused)
    assert [one.fields for one in refused] == [["amount"], ["path"]] * 2
    assert harness.refunds() == 1


def test_other_keys_other_merchants_and_other_modes_do_not_know_each_other(harness: RefundHarness) -> None:
    checkout_id = harness.paid()
    others: list[dict[str, Any]] = [{}, {"merchant_id": "another"}, {"mode": "live"}, {"key": "another"}]
    assert kinds(harness.refund(*(keyed(checkout_id, **other) for other in others))) == ["Started"] * 4
    assert kinds(harness.refund(*(keyed(checkout_id, **other) for other in others))) == ["AlreadyProcessed"] * 4


def test_two_merchants_and_two_modes_with_the_same_key_each_read_back_their_own_answer(harness: RefundHarness) -> None:
    mine, theirs = harness.paid("1"), harness.paid("2")
    requests = [(mine, "m", "test"), (theirs, "another", "test"), (mine, "m", "live")]
    together, again = (
        harness.refund(*(keyed(paid, merchant_id=whose, mode=mode) for paid, whose, mode in requests)) for _ in range(2)
    )
    assert [one.record.attempt_id for one in again] == [one.attempt.id for one in together]
    assert len({one.record.attempt_id for one in again}) == 3


def test_what_fails_keeps_no_key_and_the_next_with_the_key_may_succeed(harness: RefundHarness) -> None:
    checkout_id = harness.paid()
    in_one = harness.refund(
        keyed("chk_none"), keyed(checkout_id, 5000), keyed(checkout_id, 700), keyed(checkout_id, 700)
    )
    assert kinds(in_one) == ["CheckoutNotFound", "AmountExceedsRefundable", "Started", "AlreadyProcessed"]
    assert isinstance(in_one[0], CheckoutNotFound)
    assert harness.keys() == ["k"]


def test_a_request_whose_result_was_lost_recognizes_its_own_work(harness: RefundHarness) -> None:
    checkout_id = harness.paid()
    batch = [keyed(checkout_id), keyed(checkout_id), keyed(checkout_id, key="another")]
    before, after = harness.refund(*batch), harness.refund(*batch)
    assert kinds(before) == kinds(after) == ["Started", "AlreadyProcessed", "Started"]
    assert before[0].attempt.id == after[0].attempt.id
    assert harness.refunds() == 2


def test_a_key_expires_after_thirty_days_even_if_it_was_not_deleted(harness: RefundHarness) -> None:
    checkout_id = harness.paid()
    harness.refund(keyed(checkout_id))
    harness.now = NOW + 30 * DAY_MS - 1
    assert kinds(harness.refund(keyed(checkout_id), keyed(checkout_id, 200))) == [
        "AlreadyProcessed",
        "IdempotencyKeyReused",
    ]
    assert harness.do(delete_expired_keys, 10) == [0]
    harness.now += 1
    assert kinds(harness.refund(keyed(checkout_id, 200), keyed(checkout_id, 200))) == ["Started", "AlreadyProcessed"]


def test_expired_keys_are_forgotten_a_batch_at_a_time_the_oldest_first(harness: RefundHarness) -> None:
    checkout_id = harness.paid()
    for number in range(5):
        harness.refund(keyed(checkout_id, key=f"k{number}"))
        harness.now += 1000
    harness.now = NOW + 30 * DAY_MS + 3000
    assert harness.do(delete_expired_keys, 3) == [3]
    assert harness.keys() == ["k3", "k4"]
    assert harness.do(delete_expired_keys, 3) == [1]
    assert harness.keys() == ["k4"]


def test_what_became_of_a_key_can_be_asked(harness: RefundHarness) -> None:
    checkout_id = harness.paid()
    (refund,) = harness.refund(keyed(checkout_id))
    found, missing = harness.do(
        load_idempotency_records, ScopedKey("m", "test", "k"), ScopedKey("another", "test", "k")
    )
    assert (found.attempt_id, found.path, found.expires_at) == (refund.attempt.id, "/refunds", NOW + 30 * DAY_MS)
    assert missing is None


def test_on_postgresql_at_two_processes_one_key_takes_effect_once(migrated_postgres_url: str) -> None:
    harness = RefundHarness(migrated_postgres_url)
    others = [harness.open() for _ in range(4)]
    with closing(harness.database), ThreadPoolExecutor(len(others)) as at_once:
        checkout_id = harness.paid()

        def refund(database: Database) -> list[Any]:
            outcomes: list[Any] = []
            for number in range(20):
                batch = [keyed(checkout_id, 1, f"k{number}"), keyed(checkout_id, 1, f"k{19 - number}")]
                with database.write() as transaction:
                    outcomes += IdempotentAction(start_refunds, summarize)(transaction, batch)
            return outcomes

        outcomes = [outcome for of_one in at_once.map(refund, others) for outcome in of_one]
        for other in others:
            other.close()
        assert sum(isinstance(outcome, Started) for outcome in outcomes) == 20
        assert all(isinstance(outcome, Started | AlreadyProcessed) for outcome in outcomes)
        assert harness.refunds() == 20


def test_on_postgresql_a_key_that_a_stalled_process_holds_is_in_use_and_holds_up_no_other(
    migrated_postgres_url: str,
) -> None:
    harness = RefundHarness(migrated_postgres_url)
    other = harness.open()
    with closing(harness.database), closing(other):
        checkout_id = harness.paid()
        with other.write() as stalled:
            # Not the checkout's row: that the same one is asked for would hold up the rest.
            IdempotentAction(_nothing, _told)(stalled, [keyed("chk_other", key="held")])
            began = time.monotonic()
            outcomes = harness.refund(
                keyed(checkout_id), keyed(checkout_id, key="held"), keyed(checkout_id, key="free")
            )
            took_seconds = time.monotonic() - began
        assert kinds(outcomes) == ["Started", "IdempotencyKeyInUse", "Started"]
        assert isinstance(outcomes[1], IdempotencyKeyInUse)
        assert took_seconds < 8  # Two waits; were they as long as for any other lock, it would be ten.
        assert harness.refunds() == 2


def test_a_key_that_another_process_is_claiming_is_in_use_and_its_request_is_not_run(
    harness: RefundHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = keyed(harness.paid())
    monkeypatch.setattr(store, "claim_keys", lambda _transaction, claims: (set(), {one.name for one in claims}))
    (outcome,) = harness.refund(held)
    assert isinstance(outcome, IdempotencyKeyInUse)
    assert harness.refunds() == 0


def _nothing(_transaction: object, requests: Sequence[object]) -> list[None]:
    return [None for _ in requests]


def _told(_request: object, _outcome: None) -> StoredResponse:
    return StoredResponse(200, "/nothing")


def test_without_a_key_an_action_is_run_as_it_is_and_with_one_a_batcher_finds_it_the_same_each_time() -> None:
    request = keyed("chk_1")
    assert with_idempotency(None, start_refunds, request.request) == (start_refunds, request.request)
    action, wrapped = with_idempotency(Idempotency(request.claim, summarize), start_refunds, request.request)
    assert wrapped == request
    assert {action} == {IdempotentAction(start_refunds, summarize)}  # A batcher groups by it.
    assert action.__name__ == "start_refunds"


async def test_the_worker_forgets_expired_keys_batch_after_batch(harness: RefundHarness) -> None:
    checkout_id = harness.paid()
    harness.refund(*(keyed(checkout_id, 1, f"k{number}") for number in range(5)))
    writer = threaded_batcher(harness.database.write, name="writer", queue_limit=10, batch_limit=4, chance=lambda: 0.5)
    await writer.start()
    worker = PaymentWorker(
        writer,
        writer,
        PaymentProviders({}),
        SETTINGS,
        clock=lambda: harness.now,
        chance=lambda: 0.5,
        settled=lambda *_: None,
    )
    with patch.object(expiry, "DELETE_MAX", 2):
        harness.now = NOW + 30 * DAY_MS - 1
        await worker.start(alone=False)
        assert len(harness.keys()) == 5
        harness.now += DELETE_INTERVAL_MS
        await _soon(lambda: harness.keys() == [])
    await worker.stop(grace_seconds=1)
    await writer.stop()


async def _soon(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(90):
        while not condition():  # noqa: ASYNC110 - the worker changes it in a thread of its own
            await asyncio.sleep(0.01)
