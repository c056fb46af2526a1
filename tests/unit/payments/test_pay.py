"""Paying: who may pay what, and that of several pays of one checkout one is started, whoever asks and when."""

from typing import Any

import pytest
from sqlalchemy import case, update

from paidonce.database.schema import checkout as checkout_table
from paidonce.database.transaction import Transaction
from paidonce.errors import (
    AttemptsExhausted,
    CheckoutExpired,
    CheckoutNotFound,
    InvalidState,
    PaymentInProgress,
    ProviderAccountWrongMode,
)
from paidonce.events.model import Origin
from paidonce.merchants.model import Mode, TenantScopedId
from paidonce.payments.capture import StartCancel, start_cancels
from paidonce.payments.model import as_latest
from paidonce.payments.pay import Repeated, Started, start_payments
from paidonce.payments.settle import record_evidence
from paidonce.providers.evidence import Authorized, Declined, Succeeded, Unknown
from tests.support.payments import DAY_MS, LEASE_MS, NOW, Payments, evidence_about, payment, told

ATTEMPTS_MAX = 5


@pytest.mark.parametrize(("manual", "kind"), [(False, "CHARGE"), (True, "AUTHORIZE")])
def test_a_pay_commits_an_attempt_before_the_provider_hears_of_it(
    payments: Payments, *, manual: bool, kind: str
) -> None:
    checkout = payments.create(manual=manual, amount=4321)
    payments.now += 7
    started = payments.pay(checkout, payment_method="tok_special", provider="elsewhere", origin=Origin("req_1"))
    assert isinstance(started, Started)
    assert started.attempt == payments.attempt("att_1")
    assert started.checkout == payments.checkout(checkout)
    attempt = started.attempt
    assert (attempt.kind, attempt.amount, attempt.currency, attempt.provider_key) == (kind, 4321, "USD", "att_1")
    assert (attempt.provider, attempt.payment_method) == ("elsewhere", "tok_special")
    assert (attempt.status, attempt.due_at, attempt.fence, started.is_owned_locally) == ("READY", NOW + 7, 0, False)
    assert (attempt.charge_reference, attempt.reason, attempt.created_at) == (None, None, NOW + 7)
    assert (started.checkout.status, started.checkout.attempt_count) == ("PROCESSING", 1)
    event = payments.events(checkout)[-1]
    assert (event.type, event.cause, event.attempt_id, event.request_id) == (
        ("checkout.processing", "request", "att_1", "req_1")
    )


def test_with_a_lease_the_attempt_is_born_in_the_hands_of_the_process_that_took_the_request(payments: Payments) -> None:
    started = payments.pay(payments.create(), lease_ms=LEASE_MS)
    assert started.is_owned_locally
    assert (started.attempt.status, started.attempt.due_at, started.attempt.fence) == ("SENT", NOW + LEASE_MS, 1)
    assert payments.attempt("att_1") == started.attempt


def test_what_is_not_there_or_another_s_is_not_paid(payments: Payments) -> None:
    checkout = payments.create()
    for name in (TenantScopedId("chk_none", "m"), TenantScopedId(checkout.id, "another")):
        assert isinstance(payments.pay(name), CheckoutNotFound)
    assert payments.status(checkout) == "PENDING"
    assert isinstance(payments.pay(TenantScopedId(checkout.id, None)), Started)


def test_the_same_pay_again_is_answered_with_the_attempt_that_is_under_way(payments: Payments) -> None:
    checkout = payments.create()
    payments.pay(checkout)
    again = payments.pay(checkout, "att_2")
    assert isinstance(again, Repeated)
    assert again.checkout == payments.checkout(checkout)
    assert payments.checkout(checkout).attempt == as_latest(payments.attempt("att_1"))
    for other in ({"payment_method": "tok_other"}, {"provider": "elsewhere"}):
        assert isinstance(payments.pay(checkout, "att_2", **other), PaymentInProgress)
    assert payments.history(checkout) == ["checkout.created", "checkout.processing"]


def test_a_batch_that_runs_again_after_a_lost_commit_finds_its_own_attempt(payments: Payments) -> None:
    checkout = payments.create()
    first = payments.pay(checkout, lease_ms=LEASE_MS)
    payments.now += 7
    again = payments.pay(checkout, lease_ms=LEASE_MS)
    assert isinstance(again, Started)
    assert again.attempt == first.attempt
    assert payments.history(checkout).count("checkout.processing") == 1


def test_of_several_pays_in_one_batch_the_first_starts_and_the_others_are_answered_with_it(payments: Payments) -> None:
    checkout, other = payments.create("1"), payments.create("2")
    outcomes = payments.do(
        start_payments,
        payment(checkout, "att_1"),
        payment(checkout, "att_2", payment_method="tok_other"),
        payment(other, "att_3"),
        payment(checkout, "att_4"),
        payment(TenantScopedId("chk_none", "m"), "att_5"),
    )
    assert [type(one) for one in outcomes] == [Started, PaymentInProgress, Started, Repeated, CheckoutNotFound]
    assert [one.attempt.id for one in (outcomes[0], outcomes[2])] == ["att_1", "att_3"]
    assert sorted(one.id for one in payments.claim()) == ["att_1", "att_3"]


def test_after_a_decline_it_can_be_paid_again_and_not_for_ever(payments: Payments) -> None:
    checkout = payments.create()
    for number in range(ATTEMPTS_MAX):
        started = payments.pay(checkout, f"att_{number}")
        assert isinstance(started, Started)
        assert started.checkout.attempt_count == number + 1
        payments.prove(f"att_{number}", Declined("do_not_honor"))
    assert told(payments.pay(checkout, "att_last")) == told(AttemptsExhausted(ATTEMPTS_MAX))
    assert (payments.status(checkout), payments.checkout(checkout).attempt_count) == ("FAILED", ATTEMPTS_MAX)


def test_a_payment_with_an_account_of_the_other_mode_is_refused(payments: Payments) -> None:
    checkout = payments.create()
    assert told(payments.pay(checkout, mode=Mode.LIVE)) == told(ProviderAccountWrongMode("test"))
    assert payments.history(checkout) == ["checkout.created"]


def test_a_pay_from_a_page_that_is_out_of_date_starts_nothing(payments: Payments) -> None:
    checkout = payments.create()
    payments.pay(checkout, "att_1", seen_attempt_count=0)
    payments.prove("att_1", Declined("do_not_honor"))
    assert isinstance(payments.pay(checkout, "att_2", seen_attempt_count=0), Repeated)
    assert (payments.status(checkout), payments.checkout(checkout).attempt_count) == ("FAILED", 1)
    assert isinstance(payments.pay(checkout, "att_3", seen_attempt_count=1), Started)


def test_captures_do_not_count_as_tries_to_pay(payments: Payments) -> None:
    checkout = payments.paid(manual=True)
    for number in range(2, 9):
        started = payments.capture(checkout, f"att_{number}")
        assert started.checkout.attempt_count == 1
        payments.prove(f"att_{number}", Declined("authorization_expired"))
    assert payments.checkout(checkout).attempt_count == 1


@pytest.mark.parametrize("declined", [False, True])
def test_a_checkout_whose_time_is_over_is_not_paid(payments: Payments, *, declined: bool) -> None:
    checkout = payments.create()
    if declined:
        payments.pay(checkout)
        payments.prove("att_1", Declined("do_not_honor"))
    payments.now = NOW + DAY_MS
    assert isinstance(payments.pay(checkout, "att_2"), CheckoutExpired)
    payments.now -= 1
    assert isinstance(payments.pay(checkout, "att_2"), Started)


def test_a_payment_whose_checkout_s_time_ends_while_it_is_under_way_is_answered_and_carried_out(
    payments: Payments,
) -> None:
    checkout = payments.create()
    payments.pay(checkout)
    payments.now = NOW + DAY_MS
    assert isinstance(payments.pay(checkout, "att_2"), Repeated)
    payments.prove("att_1", Succeeded("ch_1"))
    assert payments.status(checkout) == "COMPLETED"


@pytest.mark.parametrize("state", ["COMPLETED", "CANCELED", "AUTHORIZED", "capturing"])
def test_what_is_paid_held_being_captured_or_canceled_is_not_paid(payments: Payments, state: str) -> None:
    checkout = payments.create(manual=state in ("AUTHORIZED", "capturing"))
    if state == "CANCELED":
        payments.cancel(checkout)
    else:
        payments.pay(checkout)
        payments.prove("att_1", Succeeded("ch_1") if state == "COMPLETED" else Authorized("ch_1"))
    if state == "capturing":
        payments.capture(checkout)
        state = "PROCESSING"
    assert told(payments.pay(checkout, "att_3")) == told(InvalidState(state, "paid"))
    assert payments.status(checkout) == state


def test_a_checkout_that_is_being_paid_without_its_attempt_is_not_paid(payments: Payments) -> None:
    checkout = payments.create()
    payments.pay(checkout)
    payments.lose_attempt_of(checkout)
    assert told(payments.pay(checkout, "att_2")) == told(InvalidState("PROCESSING", "paid"))


def test_an_expired_checkout_says_that_it_is_expired(payments: Payments) -> None:
    checkout = payments.paid(manual=True)
    payments.now = NOW + DAY_MS
    payments.cancel(checkout)
    payments.prove("att_2", Succeeded("void_1"))
    assert payments.status(checkout) == "EXPIRED"
    assert isinstance(payments.pay(checkout, "att_3"), CheckoutExpired)


def test_an_unknown_outcome_is_under_way_still(payments: Payments) -> None:
    checkout = payments.create()
    payments.pay(checkout)
    payments.prove("att_1", Unknown("a 500"))
    again = payments.pay(checkout, "att_2")
    assert isinstance(again, Repeated)
    assert again.checkout.attempt == as_latest(payments.attempt("att_1"))


def test_a_pay_that_another_process_overtakes_is_answered_with_the_other_s_attempt(payments: Payments) -> None:
    checkout = payments.create()
    (outcome,) = payments.do_interrupted(
        start_payments, payment(checkout, "att_theirs"), start_payments, payment(checkout, "att_mine")
    )
    assert isinstance(outcome, Repeated)
    assert outcome.checkout.attempt == as_latest(payments.attempt("att_theirs"))
    assert payments.checkout(checkout).attempt_count == 1
    assert [one.id for one in payments.claim()] == ["att_theirs"]


def test_of_pays_in_one_batch_only_that_is_looked_at_again_which_another_process_overtakes(payments: Payments) -> None:
    first, second = payments.create("1"), payments.create("2")
    mine, others = payments.do_interrupted(
        start_payments, payment(second, "att_theirs"), start_payments, payment(first, "att_1"), payment(second, "att_2")
    )
    assert (type(mine), type(others)) == (Started, Repeated)
    assert sorted(one.id for one in payments.claim()) == ["att_1", "att_theirs"]


def test_a_pay_that_a_cancel_overtakes_is_refused(payments: Payments) -> None:
    checkout = payments.create()
    theirs = StartCancel(attempt_id="att_theirs", checkout=checkout)
    (outcome,) = payments.do_interrupted(start_cancels, theirs, start_payments, payment(checkout))
    assert told(outcome) == told(InvalidState("CANCELED", "paid"))
    assert payments.claim() == []


def test_a_pay_that_a_late_success_overtakes_is_refused(payments: Payments) -> None:
    checkout = payments.create()
    payments.pay(checkout)
    payments.prove("att_1", Declined("do_not_honor"))
    late = evidence_about("att_1", Succeeded("ch_1"))
    (outcome,) = payments.do_interrupted(record_evidence, late, start_payments, payment(checkout, "att_2"))
    assert told(outcome) == told(InvalidState("COMPLETED", "paid"))
    assert payments.sums(checkout) == (1000, 0, 0)


class Restless(Transaction):
    """A transaction in which after every read of a checkout its newest attempt is another one, which cannot be."""

    def rows(self, statement: Any, parameters: Any = None) -> Any:  # noqa: ANN401 - as Transaction's
        found = super().rows(statement, parameters)
        attempt_id = case((checkout_table.c.attempt_id.is_(None), "att_1"), else_=None)
        self.connection.execute(update(checkout_table).values(attempt_id=attempt_id))
        return found


def test_a_checkout_that_changes_for_ever_fails_the_pay_and_does_not_occupy_the_database(payments: Payments) -> None:
    checkout = payments.create()
    payments.pay(checkout)
    payments.prove("att_1", Declined("do_not_honor"))
    with payments.database.write() as transaction, pytest.raises(RuntimeError, match="changed its status more often"):
        start_payments(Restless(transaction.connection, NOW, []), [payment(checkout, "att_2")])
