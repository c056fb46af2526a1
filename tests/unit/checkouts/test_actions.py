"""The use cases for checkouts on both databases: create, load, list, cancel, expire."""

from collections.abc import Sequence
from typing import Any

import pytest

from paidonce.checkouts.actions import (
    CancelCheckout,
    Created,
    Replayed,
    cancel_checkouts,
    create_checkouts,
    expire_checkouts,
    load_checkouts,
    load_checkouts_by_key,
    load_timelines,
)
from paidonce.checkouts.list_store import CheckoutFilter
from paidonce.checkouts.model import Checkout, NewCheckout
from paidonce.checkouts.store import CheckoutKey
from paidonce.database.transaction import Transaction
from paidonce.errors import CheckoutExpired, CheckoutNotFound, IdempotencyKeyReused, InvalidState
from paidonce.events.model import Origin
from paidonce.merchants.model import TenantScopedId
from paidonce.payments.model import as_latest
from paidonce.payments.pay import StartPayment, start_payments
from paidonce.payments.settle import Settled, record_evidence
from paidonce.providers.evidence import Authorized, Declined, Succeeded
from tests.support.payments import DAY_MS, NOW, AnyValue, Payments, evidence_about, payment, told


def command(name: str = "1", **changed: AnyValue) -> NewCheckout:
    fields: dict[str, Any] = {
        "merchant_id": "m",
        "idempotency_key": f"key_{name}",
        "amount": 1000,
        "currency": "USD",
        **changed,
    }
    return NewCheckout(id=f"chk_{name}", **fields)


def test_what_is_created_is_what_was_asked_for_and_what_is_read_back(payments: Payments) -> None:
    asked = command(
        amount=4321,
        currency="EUR",
        expires_in_seconds=600,
        capture_method="manual",
        description="A book",
        metadata='{"a":"b"}',
        success_url="https://host/yes",
        cancel_url="https://host/no",
        origin=Origin("req_1", "key_1"),
    )
    (created,) = payments.do(create_checkouts, asked)
    expected = Checkout(
        id="chk_1",
        merchant_id="m",
        mode="test",
        idempotency_key="key_1",
        amount=4321,
        currency="EUR",
        status="PENDING",
        capture_method="manual",
        amount_captured=0,
        amount_refunded=0,
        amount_refund_pending=0,
        amount_disputed=0,
        attempt_count=0,
        description="A book",
        metadata='{"a":"b"}',
        success_url="https://host/yes",
        cancel_url="https://host/no",
        created_at=NOW,
        updated_at=NOW,
        expires_at=NOW + 600_000,
        attempt=None,
    )
    assert created == Created(expected)
    assert payments.checkout(TenantScopedId("chk_1", "m")) == expected
    (event,) = payments.events(TenantScopedId("chk_1", "m"))
    assert (event.type, event.cause, event.merchant_id, event.attempt_id) == ("checkout.created", "request", "m", None)
    assert (event.request_id, event.detail) == ("req_1", '{"idempotencyKey":"key_1"}')


def test_what_is_not_said_has_its_default(payments: Payments) -> None:
    (created,) = payments.do(create_checkouts, command())
    checkout = created.checkout
    assert (checkout.capture_method, checkout.expires_at) == ("automatic", NOW + DAY_MS)
    assert (checkout.description, checkout.metadata, checkout.success_url, checkout.cancel_url) == (None,) * 4
    assert payments.checkout(TenantScopedId("chk_1", "m")) == checkout


def test_the_same_key_gives_the_same_checkout_in_one_batch_and_after_it_as_it_stands_then(payments: Payments) -> None:
    first, second = payments.do(create_checkouts, command("1"), command("2", idempotency_key="key_1"))
    payments.pay(TenantScopedId("chk_1", "m"))
    (third,) = payments.do(create_checkouts, command("3", idempotency_key="key_1"))
    assert first == Created(second.checkout)
    assert second == Replayed(first.checkout)
    assert third == Replayed(payments.checkout(TenantScopedId("chk_1", "m")))
    assert third.checkout.status == "PROCESSING"
    (missing,) = payments.do(load_checkouts, TenantScopedId("chk_2", "m"))
    assert isinstance(missing, CheckoutNotFound)
    assert payments.history(TenantScopedId("chk_1", "m")) == ["checkout.created", "checkout.processing"]


def test_the_same_key_with_another_body_is_refused_by_the_names_of_what_differs(payments: Payments) -> None:
    payments.do(create_checkouts, command("1"))
    (refused,) = payments.do(create_checkouts, command("2", idempotency_key="key_1", amount=1, currency="EUR"))
    assert told(refused) == told(IdempotencyKeyReused(["amount", "currency"]))


def test_two_merchants_with_the_same_key_get_each_their_own(payments: Payments) -> None:
    mine, theirs = payments.do(
        create_checkouts, command("1", idempotency_key="k"), command("2", idempotency_key="k", merchant_id="n")
    )
    assert (type(mine), type(theirs)) == (Created, Created)
    asked = (("n", "k"), ("m", "k"), ("m", "other"), ("o", "k"))
    keys = [CheckoutKey(merchant_id, "test", key) for merchant_id, key in asked]
    assert payments.do(load_checkouts_by_key, *keys) == [theirs.checkout, mine.checkout, None, None]


def test_the_same_key_in_both_modes_is_two_checkouts_in_one_batch_and_after_it(payments: Payments) -> None:
    batch = [command("1", idempotency_key="k"), command("2", idempotency_key="k", mode="live", amount=1)]
    test, live = payments.do(create_checkouts, *batch)
    assert (type(test), type(live)) == (Created, Created)
    assert (test.checkout.mode, live.checkout.mode) == ("test", "live")
    again = payments.do(create_checkouts, command("3", idempotency_key="k", mode="live", amount=1))
    assert again == [Replayed(live.checkout)]
    found = payments.do(load_checkouts_by_key, *(CheckoutKey("m", mode, "k") for mode in ("live", "test")))
    assert found == [live.checkout, test.checkout]


def test_a_checkout_of_one_mode_is_not_there_for_the_other(payments: Payments) -> None:
    payments.do(create_checkouts, command("1", mode="live"))
    live, test, either = (TenantScopedId("chk_1", "m", mode) for mode in ("live", "test", None))
    assert payments.checkout(live) == payments.checkout(either)
    for action in (load_checkouts, load_timelines):
        assert [type(one) for one in payments.do(action, test)] == [CheckoutNotFound]
    assert [type(one) for one in payments.do(cancel_checkouts, CancelCheckout(test))] == [CheckoutNotFound]
    assert [one.mode for one in payments.events(live)] == ["live"]


def test_a_batch_that_runs_again_after_a_lost_commit_finds_what_it_created(payments: Payments) -> None:
    batch = [command("1"), command("2"), command("3", idempotency_key="key_1")]
    before, after = payments.do(create_checkouts, *batch), payments.do(create_checkouts, *batch)
    assert [type(one) for one in before] == [type(one) for one in after] == [Created, Created, Replayed]
    assert [one.checkout for one in after] == [one.checkout for one in before]
    assert payments.history(TenantScopedId("chk_1", "m")) == ["checkout.created"]


def test_a_checkout_is_read_by_its_id_and_by_its_own_merchant(payments: Payments) -> None:
    payments.do(create_checkouts, command("1"), command("2", merchant_id="n"))
    names = [
        TenantScopedId("chk_2", "n"),
        TenantScopedId("chk_1", None),
        TenantScopedId("chk_1", "n"),
        TenantScopedId("chk_9", "m"),
    ]
    found = payments.do(load_checkouts, *names)
    assert [one.id for one in found[:2]] == ["chk_2", "chk_1"]
    assert [type(one) for one in found[2:]] == [CheckoutNotFound] * 2
    timelines = payments.do(load_timelines, *names)
    assert [[one.checkout_id for one in events] for events in timelines[:2]] == [["chk_2"], ["chk_1"]]
    assert [type(one) for one in timelines[2:]] == [CheckoutNotFound] * 2


def test_two_merchants_may_have_checkouts_with_one_id_and_what_one_does_is_not_the_other_s(payments: Payments) -> None:
    payments.do(create_checkouts, command("1"), command("1", merchant_id="n"))
    mine, theirs = TenantScopedId("chk_1", "m"), TenantScopedId("chk_1", "n")
    payments.pay(mine, "att_1")
    assert payments.do(cancel_checkouts, CancelCheckout(theirs))[0].status == "CANCELED"
    assert (payments.status(mine), payments.status(theirs)) == ("PROCESSING", "CANCELED")
    assert payments.history(mine) == ["checkout.created", "checkout.processing"]


def test_a_checkout_is_read_with_its_newest_attempt_of_its_own_merchant(payments: Payments) -> None:
    mine = payments.paid("1", attempt_id="att_1", merchant_id="m")
    theirs = payments.create("2", merchant_id="n")
    payments.pay(theirs, "att_1")
    found, other = payments.checkout(mine), payments.checkout(theirs)
    assert found.attempt is not None
    assert (found.attempt.id, found.attempt.status, found.attempt.kind) == ("att_1", "SUCCEEDED", "CHARGE")
    assert other.attempt is not None
    assert other.attempt.status == "READY"
    assert (found.attempt.ended, other.attempt.ended) == (True, False)
    assert payments.listing(CheckoutFilter(limit=10)) == ([other, found], False)


def test_of_several_attempts_the_newest_is_shown(payments: Payments) -> None:
    checkout, other = payments.create("1"), payments.paid("2", attempt_id="att_3")
    for attempt_id in ("att_1", "att_2"):
        payments.pay(checkout, attempt_id)
        payments.prove(attempt_id, Declined("do_not_honor"))
    for name, newest in ((checkout, "att_2"), (other, "att_3")):
        assert payments.checkout(name).attempt == as_latest(payments.attempt(newest))
    page, _ = payments.listing(CheckoutFilter(limit=10))
    assert [one.id for one in page] == ["chk_2", "chk_1"]


# Cancel.


def test_a_cancel_of_what_nobody_paid_cancels_it_once(payments: Payments) -> None:
    checkout = payments.create()
    payments.now += 7
    request = CancelCheckout(checkout, Origin("req_1"))
    (canceled,) = payments.do(cancel_checkouts, request)
    assert canceled == payments.checkout(checkout)
    assert (canceled.status, canceled.updated_at, canceled.attempt_count) == ("CANCELED", NOW + 7, 0)
    event = payments.events(checkout)[-1]
    assert (event.type, event.cause, event.request_id) == ("checkout.canceled", "request", "req_1")
    assert payments.do(cancel_checkouts, request, request) == [canceled, canceled]
    assert payments.history(checkout) == ["checkout.created", "checkout.canceled"]


def test_of_two_cancels_in_one_batch_both_are_answered_with_the_one(payments: Payments) -> None:
    checkout, other = payments.create("1"), payments.create("2")
    outcomes = payments.do(
        cancel_checkouts,
        CancelCheckout(checkout),
        CancelCheckout(TenantScopedId("chk_9", "m")),
        CancelCheckout(checkout),
    )
    assert (outcomes[0], type(outcomes[1]), outcomes[2]) == (
        (payments.checkout(checkout), CheckoutNotFound, payments.checkout(checkout))
    )
    assert (payments.status(checkout), payments.status(other)) == ("CANCELED", "PENDING")


def test_what_was_declined_can_be_canceled_and_keeps_its_newest_attempt(payments: Payments) -> None:
    checkout = payments.create()
    payments.pay(checkout)
    payments.prove("att_1", Declined("do_not_honor"))
    (canceled,) = payments.do(cancel_checkouts, CancelCheckout(checkout))
    assert (canceled.status, canceled.attempt) == ("CANCELED", as_latest(payments.attempt("att_1")))


@pytest.mark.parametrize("state", ["PROCESSING", "COMPLETED", "AUTHORIZED"])
def test_what_is_paid_or_may_be_is_not_canceled_without_the_provider(payments: Payments, state: str) -> None:
    checkout = payments.create(manual=state == "AUTHORIZED")
    payments.pay(checkout)
    if state != "PROCESSING":
        payments.prove("att_1", Authorized("ch_1") if state == "AUTHORIZED" else Succeeded("ch_1"))
    (refused,) = payments.do(cancel_checkouts, CancelCheckout(checkout))
    assert told(refused) == told(InvalidState(state, "canceled"))
    assert payments.status(checkout) == state


@pytest.mark.parametrize(("late_ms", "status"), [(-1, "CANCELED"), (0, "EXPIRED")])
def test_a_cancel_of_what_is_over_expires_it(payments: Payments, late_ms: int, status: str) -> None:
    checkout = payments.create()
    payments.now = NOW + DAY_MS + late_ms
    (outcome,) = payments.do(cancel_checkouts, CancelCheckout(checkout, Origin("req_1")))
    assert payments.status(checkout) == status
    event = payments.events(checkout)[-1]
    if status == "EXPIRED":
        assert isinstance(outcome, CheckoutExpired)
        assert (event.type, event.cause, event.request_id) == ("checkout.expired", "clock", None)
    else:
        assert (event.type, event.cause, event.request_id) == ("checkout.canceled", "request", "req_1")


def test_of_cancels_in_one_batch_only_those_whose_time_is_over_expire(payments: Payments) -> None:
    over, open_ = payments.create("1", expires_in_seconds=300), payments.create("2", expires_in_seconds=301)
    held = payments.paid("3", attempt_id="att_1", manual=True, expires_in_seconds=300)
    payments.now = NOW + 300_000
    outcomes = payments.do(cancel_checkouts, *(CancelCheckout(one) for one in (over, open_, held)))
    assert (type(outcomes[0]), outcomes[1], type(outcomes[2])) == (
        (CheckoutExpired, payments.checkout(open_), InvalidState)
    )
    assert [payments.status(one) for one in (over, open_, held)] == ["EXPIRED", "CANCELED", "AUTHORIZED"]


def test_a_cancel_of_one_that_another_process_overtakes_still_cancels_the_other(payments: Payments) -> None:
    first, second = payments.create("1"), payments.create("2")
    outcomes = payments.do_interrupted(
        start_payments, payment(first), cancel_checkouts, CancelCheckout(first), CancelCheckout(second)
    )
    assert told(outcomes[0]) == told(InvalidState("PROCESSING", "canceled"))
    assert outcomes[1] == payments.checkout(second)
    assert payments.history(second) == ["checkout.created", "checkout.canceled"]


def test_a_cancel_that_a_declined_payment_overtakes_is_carried_out_all_the_same(payments: Payments) -> None:
    checkout = payments.create()

    def pay_in_vain(other: Transaction, requests: Sequence[StartPayment]) -> list[Settled]:
        start_payments(other, requests)
        return record_evidence(other, [evidence_about("att_1", Declined("do_not_honor"))])

    (canceled,) = payments.do_interrupted(pay_in_vain, payment(checkout), cancel_checkouts, CancelCheckout(checkout))
    assert (canceled.status, canceled.attempt_count) == ("CANCELED", 1)
    assert payments.history(checkout)[-2:] == ["checkout.failed", "checkout.canceled"]


# Expire.


def test_what_nobody_paid_in_time_expires(payments: Payments) -> None:
    checkout = payments.create()
    payments.now = NOW + DAY_MS - 1
    assert payments.do(expire_checkouts, 10) == [[]]
    payments.now += 1
    assert payments.do(expire_checkouts, 10) == [["chk_1"]]
    assert payments.status(checkout) == "EXPIRED"
    event = payments.events(checkout)[-1]
    assert (event.type, event.cause, event.request_id, event.attempt_id) == ("checkout.expired", "clock", None, None)
    assert payments.do(expire_checkouts, 10) == [[]]
    assert payments.history(checkout) == ["checkout.created", "checkout.expired"]


def test_only_what_is_open_and_that_nothing_moves_expires(payments: Payments) -> None:
    declined, under_way, held = payments.create("1"), payments.create("2"), payments.paid("3", manual=True)
    taken, canceled = payments.paid("4", attempt_id="att_4"), payments.create("5")
    for number, checkout in ((5, declined), (6, under_way)):
        payments.pay(checkout, f"att_{number}")
    payments.prove("att_5", Declined("do_not_honor"))
    payments.cancel(canceled)
    payments.now = NOW + DAY_MS
    assert payments.do(expire_checkouts, 10) == [["chk_1"]]
    assert [payments.status(one) for one in (declined, under_way, held, taken, canceled)] == (
        ["EXPIRED", "PROCESSING", "AUTHORIZED", "COMPLETED", "CANCELED"]
    )


def test_the_longest_over_expire_first_and_no_more_than_are_asked_for(payments: Payments) -> None:
    for number, seconds in enumerate([303, 300, 302, 301, 304]):
        payments.create(str(number), expires_in_seconds=seconds)
    payments.now = NOW + DAY_MS
    assert payments.do(expire_checkouts, 2, 1) == [["chk_1", "chk_3"], ["chk_2"]]
    assert payments.do(expire_checkouts, 10) == [["chk_0", "chk_4"]]


def test_what_another_process_moves_meanwhile_does_not_expire(payments: Payments) -> None:
    checkout = payments.create()
    payments.now = NOW + DAY_MS
    (expired,) = payments.do_interrupted(cancel_checkouts, CancelCheckout(checkout), expire_checkouts, 10)
    assert expired == []
    assert payments.history(checkout) == ["checkout.created", "checkout.expired"]
