"""Refunds, releases and disputes that nobody requested here, and refunds that fail late, on both databases."""

from itertools import permutations

import msgspec
import pytest
from sqlalchemy.exc import IntegrityError

from paidonce.errors import AmountExceedsRefundable
from paidonce.money import AMOUNT_MAX
from paidonce.payments.external_changes import record_changes
from paidonce.payments.external_reducer import has_valid_amount
from paidonce.payments.pay import Started
from paidonce.payments.settle import record_evidence
from paidonce.payments.store import insert_attempts
from paidonce.providers.evidence import AuthorizationEnded, Authorized, Declined, ExternalRefund, Succeeded
from tests.support.payments import Payments, evidence_about, external


def refund(
    amount: int = 300, reference: str = "re_1", status: str = "succeeded", currency: str = "USD"
) -> ExternalRefund:
    return ExternalRefund(
        reference,
        status,  # type: ignore[arg-type] # One of the three.
        amount,
        currency,
        code="expired_card" if status == "failed" else None,
    )


# Refunds


def test_a_refund_of_the_dashboard_is_recorded_once_with_its_events(payments: Payments) -> None:
    checkout = payments.paid()
    assert [payments.change(refund()), payments.change(refund())] == ["CHANGED", "KNOWN"]
    assert payments.sums(checkout) == (1000, 300, 0)
    (recorded,) = payments.refunds(checkout)
    assert (recorded.kind, recorded.status, recorded.initiated_by) == ("REFUND", "SUCCEEDED", "provider")
    assert (recorded.amount, recorded.provider_reference, recorded.charge_reference) == (300, "re_1", "ch_1")
    assert payments.history(checkout)[-2:] == ["refund.created", "refund.succeeded"]
    assert {event.cause for event in payments.events(checkout)[-2:]} == {"webhook"}


def test_two_refunds_of_the_dashboard_are_two_and_ours_are_limited_to_the_rest(payments: Payments) -> None:
    checkout = payments.paid()
    payments.change(refund(300))
    payments.change(refund(200, "re_2"))
    assert payments.sums(checkout) == (1000, 500, 0)
    assert isinstance(payments.refund(checkout, amount=501), AmountExceedsRefundable)
    assert isinstance(payments.refund(checkout), Started)
    assert payments.sums(checkout) == (1000, 500, 500)


def test_a_refund_of_a_captured_amount_is_found_by_the_authorization_and_by_the_capture(payments: Payments) -> None:
    checkout = payments.paid(manual=True)
    payments.capture(checkout, amount=600)
    payments.prove("att_2", Succeeded("cp_1"))
    assert payments.change(refund(100), "att_1") == "CHANGED"
    assert payments.change(refund(200, "re_2"), "att_2") == "CHANGED"
    assert payments.sums(checkout) == (600, 300, 0)
    assert [one.charge_reference for one in payments.refunds(checkout)] == ["ch_1", "ch_1"]


def test_a_pending_refund_of_the_dashboard_has_returned_nothing_yet(payments: Payments) -> None:
    checkout = payments.paid()
    assert payments.change(refund(status="pending")) == "KNOWN"
    assert (payments.sums(checkout), payments.refunds(checkout)) == ((1000, 0, 0), [])
    assert payments.change(refund()) == "CHANGED"
    assert payments.sums(checkout) == (1000, 300, 0)


@pytest.mark.parametrize("order", list(permutations(["succeeded", "failed", "succeeded again"])))
def test_in_whatever_order_they_come_a_failed_refund_of_the_dashboard_has_returned_nothing(
    payments: Payments, order: tuple[str, ...]
) -> None:
    checkout = payments.paid()
    for one in order:
        payments.change(refund(status=one.partition(" ")[0]))
    assert payments.sums(checkout) == (1000, 0, 0)
    (recorded,) = payments.refunds(checkout)
    assert (recorded.status, recorded.decline_code) == ("DECLINED", "expired_card")
    assert payments.history(checkout)[-1] == "refund.failed"


def test_a_refund_of_the_dashboard_waits_for_ours_that_is_under_way(payments: Payments) -> None:
    checkout = payments.paid()
    payments.refund(checkout)
    assert payments.change(refund(400)) == "POSTPONED"
    assert payments.sums(checkout) == (1000, 0, 1000)
    payments.prove("ref_1", Declined("amount_exceeds_charge"))
    assert payments.change(refund(400)) == "CHANGED"
    assert payments.sums(checkout) == (1000, 400, 0)


def test_a_refund_of_the_dashboard_that_fits_beside_ours_does_not_wait(payments: Payments) -> None:
    checkout = payments.paid()
    payments.refund(checkout, amount=600)
    assert payments.change(refund(400)) == "CHANGED"
    assert payments.sums(checkout) == (1000, 400, 600)
    payments.prove("ref_1", Succeeded("re_9"))
    assert payments.sums(checkout) == (1000, 1000, 0)


def test_a_refund_that_is_ours_by_its_reference_is_not_recorded_again(payments: Payments) -> None:
    checkout = payments.paid()
    payments.refund(checkout, amount=300)
    payments.prove("ref_1", Succeeded("re_1"))
    assert payments.change(refund(300, "re_1")) == "KNOWN"
    assert payments.change(refund(300, "re_1", "failed")) == "CHANGED"
    assert payments.sums(checkout) == (1000, 0, 0)
    assert [one.status for one in payments.refunds(checkout)] == ["DECLINED"]


@pytest.mark.parametrize(
    ("amount", "is_valid"), [(-1, False), (0, False), (1, True), (AMOUNT_MAX, True), (AMOUNT_MAX + 1, False)]
)
def test_an_amount_is_positive_and_at_most_the_greatest_that_a_checkout_can_have(
    amount: int, *, is_valid: bool
) -> None:
    assert has_valid_amount(amount) is is_valid


@pytest.mark.parametrize(
    "change",
    [refund(1001), refund(0), refund(-5), refund(10**15), refund(currency="EUR")],
    ids=["more than was captured", "nothing", "less than nothing", "more than there is", "another currency"],
)
def test_a_refund_that_cannot_be_needs_review_and_changes_nothing(payments: Payments, change: ExternalRefund) -> None:
    checkout = payments.paid()
    assert payments.change(change) == "NEEDS_REVIEW"
    assert (payments.sums(checkout), payments.refunds(checkout)) == ((1000, 0, 0), [])


def test_a_refund_that_overtakes_the_proof_of_its_charge_waits_for_it(payments: Payments) -> None:
    checkout = payments.create()
    payments.pay(checkout)
    assert payments.change(refund()) == "POSTPONED"
    payments.prove("att_1", Succeeded("ch_1"))
    assert payments.change(refund()) == "CHANGED"
    assert payments.sums(checkout) == (1000, 300, 0)


def test_a_refund_of_the_dashboard_of_a_charge_that_we_return_ends_our_return(payments: Payments) -> None:
    checkout = payments.create()
    payments.pay(checkout)
    payments.prove("att_1", Declined("do_not_honor"))
    payments.cancel(checkout)
    payments.prove("att_1", Succeeded("ch_1"))
    assert payments.change(refund(400)) == "NEEDS_REVIEW"
    assert payments.change(refund(1000, "re_2")) == "CHANGED"
    assert payments.history(checkout)[-1] == "refund.succeeded"
    assert (payments.status(checkout), payments.refunds(checkout), payments.claim()) == ("CANCELED", [], [])
    (reversal,) = [one.attempt_id for one in payments.events(checkout)][-1:]
    assert payments.attempt(str(reversal)).status == "SUCCEEDED"
    # The answer to our own call, which was on its way, is no failure of that refund.
    payments.prove(str(reversal), Declined("charge_already_refunded"))
    assert payments.attempt(str(reversal)).status == "SUCCEEDED"


def test_a_refund_that_another_process_starts_meanwhile_is_counted(payments: Payments) -> None:
    checkout = payments.paid()
    payments.refund(checkout, amount=600)
    ours = evidence_about("ref_1", Succeeded("re_9"))
    wanted = external(payments.attempt("att_1"), refund(400))
    (outcome,) = payments.do_interrupted(record_evidence, ours, record_changes, wanted)
    assert str(outcome.result) == "CHANGED"
    assert payments.sums(checkout) == (1000, 1000, 0)


def test_a_refund_that_another_process_records_meanwhile_is_recorded_once(payments: Payments) -> None:
    checkout = payments.paid()
    wanted = external(payments.attempt("att_1"), refund(400))
    (outcome,) = payments.do_interrupted(record_changes, wanted, record_changes, wanted)
    assert str(outcome.result) == "KNOWN"
    assert (payments.sums(checkout), len(payments.refunds(checkout))) == ((1000, 400, 0), 1)


def test_the_database_refuses_a_second_record_of_one_refund(payments: Payments) -> None:
    checkout = payments.paid()
    payments.change(refund())
    (recorded,) = payments.refunds(checkout)
    again = msgspec.structs.replace(recorded, id="ref_again")
    with pytest.raises(IntegrityError), payments.database.write() as transaction:
        insert_attempts(transaction, [again])
    # Two providers' references may be the same for what was requested here.
    with payments.database.write() as transaction:
        insert_attempts(transaction, [msgspec.structs.replace(again, initiated_by=None)])


# Authorizations


@pytest.mark.parametrize(("reason", "status"), [("canceled", "CANCELED"), ("expired", "EXPIRED")])
def test_an_authorization_that_ended_at_the_provider_ends_its_checkout_with_an_attempt_that_says_so(
    payments: Payments, reason: str, status: str
) -> None:
    checkout = payments.paid(manual=True)
    ended = AuthorizationEnded(reason)  # type: ignore[arg-type] # One of the two.
    assert [payments.change(ended), payments.change(ended)] == ["CHANGED", "KNOWN"]
    assert payments.status(checkout) == status
    assert payments.history(checkout)[-2:] == ["attempt.started", f"checkout.{status.lower()}"]
    latest = payments.checkout(checkout).attempt
    assert latest is not None
    assert (latest.kind, latest.status) == ("VOID", "SUCCEEDED")
    assert latest.id.startswith("att_")
    assert (payments.attempt(latest.id).initiated_by, payments.claim()) == ("provider", [])


def test_the_end_of_an_authorization_that_a_declined_capture_names_is_recorded_for_its_charge(
    payments: Payments,
) -> None:
    checkout = payments.paid(manual=True, reference="ch_1")
    payments.capture(checkout)
    payments.prove("att_2", Declined("declined", "cap_1"))
    assert payments.change(AuthorizationEnded("expired"), "att_2") == "CHANGED"
    latest = payments.checkout(checkout).attempt
    assert latest is not None
    assert (latest.kind, latest.provider_reference, payments.status(checkout)) == ("VOID", "ch_1", "EXPIRED")


def test_a_void_of_ours_has_succeeded_where_the_provider_says_that_nothing_is_held(payments: Payments) -> None:
    checkout = payments.paid(manual=True)
    payments.cancel(checkout)
    assert payments.change(AuthorizationEnded("canceled")) == "CHANGED"
    assert (payments.status(checkout), payments.attempt("att_2").status) == ("CANCELED", "SUCCEEDED")
    assert payments.attempt("att_2").initiated_by is None
    assert payments.attempt("att_2").provider_reference == "ch_1"


def test_a_reversal_of_an_authorization_has_succeeded_where_the_provider_says_that_nothing_is_held(
    payments: Payments,
) -> None:
    checkout = payments.create(manual=True)
    payments.pay(checkout)
    payments.prove("att_1", Declined("session_expired"))
    payments.pay(checkout, "att_2")
    payments.prove("att_2", Authorized("ch_2"))
    payments.prove("att_1", Authorized("ch_1"))
    (reversal,) = [one for one in payments.claim() if one.kind == "REVERSAL"]
    assert payments.change(AuthorizationEnded("expired"), "att_1") == "CHANGED"
    assert payments.attempt(reversal.id).status == "SUCCEEDED"
    assert payments.status(checkout) == "AUTHORIZED"  # By the other one, which is still held.
    assert payments.change(AuthorizationEnded("expired"), "att_1") == "KNOWN"
    assert payments.change(AuthorizationEnded("expired"), "att_2") == "CHANGED"
    assert payments.status(checkout) == "EXPIRED"


def test_an_authorization_that_ends_while_a_capture_is_under_way_waits_for_its_outcome(payments: Payments) -> None:
    checkout = payments.paid(manual=True)
    payments.capture(checkout)
    assert payments.change(AuthorizationEnded("expired")) == "POSTPONED"
    payments.prove("att_2", Declined("authorization_expired"))
    assert payments.status(checkout) == "AUTHORIZED"
    assert payments.change(AuthorizationEnded("expired")) == "CHANGED"
    assert payments.status(checkout) == "EXPIRED"


def test_the_rest_that_a_partial_capture_releases_ends_nothing(payments: Payments) -> None:
    checkout = payments.paid(manual=True)
    payments.capture(checkout, amount=600)
    payments.prove("att_2", Succeeded("ch_1", 600))
    assert payments.change(AuthorizationEnded("expired")) == "KNOWN"
    assert (payments.status(checkout), payments.sums(checkout)) == ("COMPLETED", (600, 0, 0))


def test_a_capture_that_another_process_starts_meanwhile_comes_first(payments: Payments) -> None:
    checkout = payments.paid(manual=True)
    wanted = external(payments.attempt("att_1"), AuthorizationEnded("expired"))
    ended = AuthorizationEnded("canceled")
    (outcome,) = payments.do_interrupted(
        record_changes, external(payments.attempt("att_1"), ended), record_changes, wanted
    )
    assert str(outcome.result) == "KNOWN"
    assert payments.status(checkout) == "CANCELED"
