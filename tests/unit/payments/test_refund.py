"""Refunds: what may be refunded, by whom, and that two that race never give back more than was taken."""

from contextlib import closing
from threading import Thread
from typing import Any

import msgspec
import pytest

from paidonce.errors import AmountExceedsRefundable, CheckoutNotFound, InvalidState, RefundNotFound
from paidonce.events.model import Origin
from paidonce.merchants.model import TenantScopedId
from paidonce.payments.model import as_latest
from paidonce.payments.pay import Started
from paidonce.payments.refund import StartRefund, load_refunds, load_refunds_of_checkouts, start_refunds
from paidonce.payments.settle import record_evidence
from paidonce.payments.store import insert_attempts
from paidonce.providers.evidence import Declined, Evidence, Succeeded, Unknown
from tests.support.citus import waiting_for_locks
from tests.support.payments import LEASE_MS, NOW, AnyValue, Payments, evidence_about, told
from tests.support.service_process import wait_until

UNKNOWN = TenantScopedId("chk_none", "m")


def wish(
    checkout: TenantScopedId, attempt_id: str = "ref_1", amount: int | None = None, **said: AnyValue
) -> StartRefund:
    return StartRefund(attempt_id=attempt_id, checkout=checkout, amount=amount, **said)


def test_a_refund_of_a_charge_names_that_charge(payments: Payments) -> None:
    checkout = payments.paid(reference="ch_7")
    started = payments.refund(checkout, amount=300)
    assert isinstance(started, Started)
    assert started.attempt == payments.attempt("ref_1")
    assert (started.attempt.kind, started.attempt.amount, started.attempt.currency) == ("REFUND", 300, "USD")
    assert started.attempt.charge_reference == "ch_7"


def test_a_refund_of_captured_money_names_the_charge_and_not_the_capture(payments: Payments) -> None:
    checkout = payments.paid(manual=True, reference="ch_7")
    payments.capture(checkout)
    payments.prove("att_2", Succeeded("capture_8"))
    payments.refund(checkout)
    assert payments.attempt("ref_1").charge_reference == "ch_7"


def test_a_refund_goes_to_the_provider_and_the_payment_method_of_what_it_gives_back(payments: Payments) -> None:
    checkout = payments.create()
    payments.pay(checkout, payment_method="tok_special", provider="elsewhere")
    payments.prove("att_1", Succeeded("ch_1"))
    payments.refund(checkout)
    refund = payments.attempt("ref_1")
    assert (refund.provider, refund.payment_method, refund.provider_key) == ("elsewhere", "tok_special", "ref_1")


def test_a_refund_is_born_ready_or_in_the_hands_of_the_process_that_took_it(payments: Payments) -> None:
    checkout = payments.paid()
    (ready,) = payments.do(start_refunds, wish(checkout, "ref_1", 100))
    (leased,) = payments.do(start_refunds, wish(checkout, "ref_2", 100, lease_ms=LEASE_MS, reason="broken"))
    assert (ready.attempt.status, ready.attempt.due_at, ready.attempt.fence, ready.attempt.reason) == (
        ("READY", NOW, 0, None)
    )
    assert (leased.attempt.status, leased.attempt.due_at, leased.attempt.fence, leased.attempt.reason) == (
        ("SENT", NOW + LEASE_MS, 1, "broken")
    )
    assert (ready.is_owned_locally, leased.is_owned_locally) == (False, True)


def test_a_refund_without_an_amount_takes_all_that_is_left(payments: Payments) -> None:
    checkout = payments.paid()
    payments.refund(checkout, "ref_1", 300)
    payments.refund(checkout, "ref_2")
    assert payments.attempt("ref_2").amount == 700
    assert payments.sums(checkout) == (1000, 0, 1000)


@pytest.mark.parametrize(("amount", "accepted"), [(1, True), (999, True), (1000, True), (1001, False), (0, False)])
def test_no_more_is_refunded_than_was_taken_and_nothing_is_no_refund(
    payments: Payments, amount: int, *, accepted: bool
) -> None:
    checkout = payments.paid()
    outcome = payments.refund(checkout, amount=amount)
    assert isinstance(outcome, Started if accepted else AmountExceedsRefundable)
    assert payments.sums(checkout) == (1000, 0, amount if accepted else 0)


def test_what_is_being_refunded_is_not_refundable_and_is_again_once_it_was_declined(payments: Payments) -> None:
    checkout = payments.paid()
    payments.refund(checkout, "ref_1", 800)
    refused = payments.refund(checkout, "ref_2", 300)
    assert told(refused) == told(AmountExceedsRefundable(200))
    payments.prove("ref_1", Declined("refund_refused"))
    assert isinstance(payments.refund(checkout, "ref_2", 300), Started)
    payments.prove("ref_2", Succeeded("re_2"))
    assert payments.sums(checkout) == (1000, 300, 0)
    assert told(payments.refund(checkout, "ref_3", 701)) == told(AmountExceedsRefundable(700))


def test_refunds_of_one_batch_share_what_is_refundable(payments: Payments) -> None:
    checkout = payments.paid()
    outcomes = payments.do(start_refunds, *(wish(checkout, f"ref_{number}", 400) for number in range(3)))
    assert [type(one) for one in outcomes] == [Started, Started, AmountExceedsRefundable]
    assert payments.sums(checkout) == (1000, 0, 800)


@pytest.mark.parametrize("state", ["PENDING", "PROCESSING", "FAILED", "AUTHORIZED", "CANCELED"])
def test_only_what_is_completed_can_be_refunded(payments: Payments, state: str) -> None:
    checkout = payments.create(manual=state == "AUTHORIZED")
    if state == "CANCELED":
        payments.cancel(checkout)
    elif state != "PENDING":
        payments.pay(checkout)
        answers: dict[str, Evidence] = {
            "FAILED": Declined("do_not_honor"),
            "AUTHORIZED": Succeeded("ch_1"),
            "PROCESSING": Unknown("?"),
        }
        payments.prove("att_1", answers[state])
    assert payments.status(checkout) == state
    refused = payments.refund(checkout)
    assert told(refused) == told(InvalidState(state, "refunded"))
    assert payments.refunds(checkout) == []


def test_a_completed_checkout_without_its_attempt_is_not_refunded(payments: Payments) -> None:
    checkout = payments.paid()
    payments.lose_attempt_of(checkout)
    assert told(payments.refund(checkout)) == told(InvalidState("COMPLETED", "refunded"))
    assert payments.sums(checkout) == (1000, 0, 0)


def test_a_checkout_that_is_not_there_or_another_s_is_not_found(payments: Payments) -> None:
    checkout = payments.paid()
    for name in (UNKNOWN, TenantScopedId(checkout.id, "another")):
        assert isinstance(payments.refund(name), CheckoutNotFound)
        assert [type(one) for one in payments.do(load_refunds_of_checkouts, name)] == [CheckoutNotFound]
    assert isinstance(payments.refund(TenantScopedId(checkout.id, None)), Started)


def test_a_batch_that_runs_again_after_a_lost_commit_finds_its_own_refund(payments: Payments) -> None:
    checkout = payments.paid()
    first, again = payments.refund(checkout, amount=600), payments.refund(checkout, amount=600)
    assert isinstance(again, Started)
    assert again.attempt == first.attempt
    assert payments.sums(checkout) == (1000, 0, 600)
    assert payments.history(checkout).count("refund.created") == 1


def test_the_event_of_a_refund_tells_its_amount_and_its_request(payments: Payments) -> None:
    checkout = payments.paid()
    payments.do(start_refunds, wish(checkout, amount=250, origin=Origin("req_1", "key_1")))
    event = payments.events(checkout)[-1]
    assert (event.type, event.cause, event.attempt_id, event.request_id) == (
        ("refund.created", "request", "ref_1", "req_1")
    )
    assert msgspec.json.decode(event.detail or "") == {"amount": "250", "idempotencyKey": "key_1"}


def test_a_refund_leaves_the_checkout_completed_with_its_payment_as_newest_attempt(payments: Payments) -> None:
    checkout = payments.paid()
    started = payments.refund(checkout)
    assert started.checkout.attempt == as_latest(payments.attempt("att_1"))
    payments.prove("ref_1", Succeeded("re_1"))
    after = payments.checkout(checkout)
    assert (after.status, after.attempt) == ("COMPLETED", as_latest(payments.attempt("att_1")))


def test_refunds_are_read_by_checkout_the_oldest_first_and_by_id(payments: Payments) -> None:
    mine, other = payments.paid(), payments.paid("2", attempt_id="att_2")
    payments.refund(mine, "ref_1", 100)
    payments.refund(other, "ref_2", 100)
    payments.refund(mine, "ref_3", 100)
    payments.refund(mine, "ref_0", 100)
    assert [one.id for one in payments.refunds(mine)] == ["ref_0", "ref_1", "ref_3"]  # Ids sort by time.
    both = payments.do(load_refunds_of_checkouts, other, mine, UNKNOWN)
    assert [[one.id for one in found] for found in both[:2]] == [["ref_2"], ["ref_0", "ref_1", "ref_3"]]
    assert isinstance(both[2], CheckoutNotFound)
    names = [
        TenantScopedId("ref_1", "m"),
        TenantScopedId("ref_2", None),
        TenantScopedId("ref_3", "another"),
        TenantScopedId("att_1", "m"),
    ]
    found = payments.do(load_refunds, *names)
    assert [one.id for one in found[:2]] == ["ref_1", "ref_2"]
    assert [type(one) for one in found[2:]] == [RefundNotFound] * 2


def test_two_merchants_may_have_checkouts_with_one_id_and_read_each_their_own_refunds(payments: Payments) -> None:
    for number, merchant_id in enumerate(["m", "n"]):
        checkout = payments.paid(attempt_id=f"att_{number}", merchant_id=merchant_id)
        payments.refund(checkout, f"ref_{number}", 100)
    assert [one.id for one in payments.refunds(TenantScopedId("chk_1", "m"))] == ["ref_0"]
    assert [one.id for one in payments.refunds(TenantScopedId("chk_1", "n"))] == ["ref_1"]
    assert payments.sums(TenantScopedId("chk_1", "m")) == payments.sums(TenantScopedId("chk_1", "n")) == (1000, 0, 100)


def test_two_merchants_may_have_refunds_with_the_same_ids_and_find_each_their_own(payments: Payments) -> None:
    mine = payments.paid(attempt_id="att_1", merchant_id="m")
    payments.paid(attempt_id="att_2", merchant_id="n")
    refunds = [payments.refund(mine, refund_id, 100).attempt for refund_id in ("ref_1", "ref_2")]
    with payments.database.write() as transaction:
        insert_attempts(transaction, [msgspec.structs.replace(one, merchant_id="n") for one in refunds])
    for first, second in (("m", "n"), ("n", "m")):
        found = payments.do(load_refunds, TenantScopedId("ref_1", first), TenantScopedId("ref_2", second))
        assert [(one.id, one.merchant_id) for one in found] == [("ref_1", first), ("ref_2", second)]


@pytest.mark.parametrize("amount", [300, None], ids=["a part", "all"])
def test_a_refund_that_another_process_overtakes_looks_again_at_what_is_left(
    payments: Payments, amount: int | None
) -> None:
    checkout = payments.paid()
    theirs = wish(checkout, "ref_theirs", 600)
    (outcome,) = payments.do_interrupted(start_refunds, theirs, start_refunds, wish(checkout, "ref_mine", amount))
    assert isinstance(outcome, Started)
    assert outcome.attempt.amount == (amount or 400)
    assert payments.sums(checkout) == (1000, 0, 600 + outcome.attempt.amount)


def test_a_refund_that_another_process_leaves_nothing_for_is_refused_as_too_much(payments: Payments) -> None:
    checkout = payments.paid()
    theirs = wish(checkout, "ref_theirs", 700)
    (outcome,) = payments.do_interrupted(start_refunds, theirs, start_refunds, wish(checkout, "ref_mine", 700))
    assert told(outcome) == told(AmountExceedsRefundable(300))
    assert payments.sums(checkout) == (1000, 0, 700)


def test_a_refund_beside_which_another_turns_out_to_have_succeeded_is_refused_as_too_much(payments: Payments) -> None:
    checkout = payments.paid()
    payments.refund(checkout, "ref_late", 600)
    payments.prove("ref_late", Declined("refund_refused"))
    late = evidence_about("ref_late", Succeeded("re_1"))
    (outcome,) = payments.do_interrupted(record_evidence, late, start_refunds, wish(checkout, "ref_mine", 700))
    assert told(outcome) == told(AmountExceedsRefundable(400))
    assert payments.sums(checkout) == (1000, 600, 0)


def test_a_refund_is_a_change_of_its_checkout_when_it_begins_and_when_it_ends(payments: Payments) -> None:
    checkout = payments.paid()
    payments.now += 5
    payments.refund(checkout)
    assert payments.checkout(checkout).updated_at == NOW + 5
    payments.now += 5
    payments.prove("ref_1", Succeeded("re_1"))
    assert payments.checkout(checkout).updated_at == NOW + 10


def test_on_postgresql_of_two_processes_whose_refunds_race_one_is_refused_as_too_much(on_postgresql: Payments) -> None:
    payments = on_postgresql
    checkout = payments.paid()
    outcomes: list[Any] = []

    def refund_beside() -> None:
        with closing(payments.open()) as other, other.write() as transaction:
            outcomes.extend(start_refunds(transaction, [wish(checkout, "ref_2", 700)]))

    racing = Thread(target=refund_beside)
    with payments.database.write() as first:
        outcomes.extend(start_refunds(first, [wish(checkout, "ref_1", 700)]))
        racing.start()
        # It has read the checkout as it was before, and waits for its row: only the commit below lets it go on.
        wait_until(lambda: waiting_for_locks(payments.url) == 1)
    racing.join()
    assert [type(one) for one in outcomes] == [Started, AmountExceedsRefundable]
    assert payments.sums(checkout) == (1000, 0, 700)
