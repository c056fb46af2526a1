"""What evidence comes to: the attempt, its checkout, the sums of its refunds and the event, whoever brings it."""

import re
from typing import Any

import msgspec
import pytest

from paidonce.events.model import Cause
from paidonce.ids import ATTEMPT, pattern
from paidonce.merchants.model import TenantScopedId
from paidonce.payments.model import AttemptStatus, as_latest
from paidonce.payments.pay import Started, start_payments
from paidonce.payments.refund import StartRefund, start_refunds
from paidonce.payments.schedule import LOOKUP_DELAYS_SECONDS
from paidonce.payments.settle import record_evidence
from paidonce.providers.evidence import Declined, Evidence, NotFound, RequiresReview, Succeeded, Unknown
from tests.support.payments import LEASE_MS, NOW, Payments, evidence_about, payment

DECLINE = Declined("do_not_honor", "ch_no")


def last_event(payments: Payments, checkout: TenantScopedId) -> tuple[str, str, str | None, Any]:
    event = payments.events(checkout)[-1]
    return event.type, event.cause, event.attempt_id, msgspec.json.decode(event.detail or "null")


def test_a_charge_that_succeeds_completes_its_checkout(payments: Payments) -> None:
    checkout = payments.create()
    payments.pay(checkout)
    payments.now += 7
    settled = payments.prove("att_1", Succeeded("ch_1"), cause=Cause.LOOKUP)
    assert settled.transition is not None
    assert settled.transition.status is AttemptStatus.SUCCEEDED
    attempt = payments.attempt("att_1")
    assert (attempt.status, attempt.provider_reference, attempt.decline_code) == ("SUCCEEDED", "ch_1", None)
    assert (attempt.due_at, attempt.settled_at, attempt.updated_at) == (None, NOW + 7, NOW + 7)
    after = payments.checkout(checkout)
    assert (after.status, after.attempt, after.updated_at) == ("COMPLETED", as_latest(attempt), NOW + 7)
    assert payments.sums(checkout) == (1000, 0, 0)
    assert last_event(payments, checkout) == ("checkout.completed", "lookup", "att_1", {"providerReference": "ch_1"})


def test_a_charge_that_is_declined_takes_nothing_and_says_why(payments: Payments) -> None:
    checkout = payments.create()
    payments.pay(checkout)
    payments.prove("att_1", DECLINE, cause=Cause.WEBHOOK)
    attempt = payments.attempt("att_1")
    assert (attempt.status, attempt.provider_reference, attempt.decline_code) == ("DECLINED", "ch_no", "do_not_honor")
    assert (payments.status(checkout), payments.sums(checkout)) == ("FAILED", (0, 0, 0))
    detail = {"providerReference": "ch_no", "declineCode": "do_not_honor"}
    assert last_event(payments, checkout) == ("checkout.failed", "webhook", "att_1", detail)


def test_held_money_is_not_captured_money(payments: Payments) -> None:
    checkout = payments.paid(manual=True)
    assert (payments.status(checkout), payments.sums(checkout)) == ("AUTHORIZED", (0, 0, 0))
    assert last_event(payments, checkout)[0] == "checkout.authorized"


def test_an_unknown_outcome_moves_nothing_and_is_asked_about_on_the_schedule(payments: Payments) -> None:
    checkout = payments.create()
    payments.pay(checkout)
    for count, delay_seconds in enumerate(LOOKUP_DELAYS_SECONDS[:3], start=1):
        payments.prove("att_1", Unknown(f"a 500 for the {count}. time"))
        attempt = payments.attempt("att_1")
        assert (attempt.status, attempt.lookup_count) == ("UNKNOWN", count)
        assert attempt.due_at == payments.now + delay_seconds * 1000
        assert attempt.settled_at is None
        told = {"reason": f"a 500 for the {count}. time"}
        assert last_event(payments, checkout) == ("attempt.unknown", "provider_answer", "att_1", told)
        payments.now = attempt.due_at
    assert payments.status(checkout) == "PROCESSING"


def test_what_makes_no_sense_waits_for_a_person_who_can_end_it(payments: Payments) -> None:
    checkout = payments.create()
    payments.pay(checkout)
    payments.prove("att_1", NotFound())
    payments.prove("att_1", RequiresReview("a dispute"))
    attempt = payments.attempt("att_1")
    assert (attempt.status, attempt.due_at, attempt.lookup_count) == ("NEEDS_REVIEW", None, 1)
    detail = {"reason": "a dispute"}
    assert last_event(payments, checkout) == ("attempt.needs_review", "provider_answer", "att_1", detail)
    assert payments.status(checkout) == "PROCESSING"
    payments.prove("att_1", Succeeded("ch_1"), cause=Cause.OPERATOR)
    assert (payments.status(checkout), last_event(payments, checkout)[1]) == ("COMPLETED", "operator")


def test_evidence_about_an_attempt_that_is_not_there_changes_nothing(payments: Payments) -> None:
    checkout = payments.create()
    payments.pay(checkout)
    nothing, something = payments.record(
        evidence_about("att_none", Succeeded("ch_1")), evidence_about("att_1", Succeeded("ch_1"))
    )
    assert (nothing.checkout_id, nothing.status, nothing.transition) == (None, None, None)
    assert something.transition is not None
    assert payments.status(checkout) == "COMPLETED"


@pytest.mark.parametrize(("fence", "heard"), [(None, True), (2, True), (1, False), (3, False), (0, False)])
def test_a_worker_writes_under_its_own_fence_only_and_others_need_none(
    payments: Payments, fence: int | None, *, heard: bool
) -> None:
    checkout = payments.create()
    payments.pay(checkout, lease_ms=LEASE_MS)
    payments.now += LEASE_MS
    payments.claim()  # Another worker took it over: its fence is 2 now.
    settled = payments.prove("att_1", Succeeded("ch_1"), fence=fence)
    assert settled.checkout_id == checkout.id
    assert (settled.transition is not None) is heard
    assert payments.status(checkout) == ("COMPLETED" if heard else "PROCESSING")


def test_a_worker_that_was_overtaken_between_its_look_and_its_write_changes_nothing(payments: Payments) -> None:
    checkout = payments.create()
    started = payments.pay(checkout, lease_ms=LEASE_MS)
    payments.now += LEASE_MS
    payments.claim()
    # It still has the attempt as it was, with its own fence, and need not read it.
    late = evidence_about("att_1", Succeeded("ch_1"), fence=1, attempt=started.attempt)
    (settled,) = payments.record(late)
    assert settled.transition is None
    assert settled.apply_to(started.checkout, started.attempt) is None
    assert payments.attempt("att_1").fence == 2
    assert payments.status(checkout) == "PROCESSING"


def test_several_pieces_of_evidence_about_one_attempt_in_one_batch_are_heard_in_their_order(payments: Payments) -> None:
    checkout = payments.create()
    payments.pay(checkout)
    outcomes = payments.record(
        evidence_about("att_1", Unknown("a 500")),
        evidence_about("att_1", DECLINE),
        evidence_about("att_1", Succeeded("ch_1")),
        evidence_about("att_1", DECLINE),
    )
    assert [one.transition and one.transition.status for one in outcomes] == ["UNKNOWN", "DECLINED", "SUCCEEDED", None]
    assert payments.history(checkout)[2:] == [
        "attempt.unknown",
        "checkout.failed",
        "checkout.processing",
        "checkout.completed",
    ]
    assert payments.sums(checkout) == (1000, 0, 0)


def test_evidence_about_many_attempts_in_one_batch_goes_to_each_its_own(payments: Payments) -> None:
    names = [payments.create(str(number)) for number in range(4)]
    for number, name in enumerate(names):
        payments.pay(name, f"att_{number}")
    told: list[Evidence] = [Succeeded("ch_0"), DECLINE, Unknown("a 500"), Succeeded("ch_3")]
    outcomes = payments.record(*(evidence_about(f"att_{number}", one) for number, one in enumerate(told)))
    assert [one.checkout_id for one in outcomes] == [name.id for name in names]
    assert [payments.status(name) for name in names] == ["COMPLETED", "FAILED", "PROCESSING", "COMPLETED"]


def test_evidence_of_a_worker_and_of_a_webhook_in_one_batch_is_recorded(payments: Payments) -> None:
    known, unknown = payments.create("1"), payments.create("2")
    started = payments.pay(known, "att_1", lease_ms=LEASE_MS)
    payments.pay(unknown, "att_2")
    payments.record(
        evidence_about("att_1", Succeeded("ch_1"), fence=1, attempt=started.attempt),
        evidence_about("att_2", Succeeded("ch_2"), cause=Cause.WEBHOOK),
    )
    assert (payments.status(known), payments.status(unknown)) == ("COMPLETED", "COMPLETED")


# A success that is proven after the decline.


def test_a_success_after_the_decline_completes_the_checkout_if_nothing_came_between(payments: Payments) -> None:
    checkout = payments.create()
    payments.pay(checkout)
    payments.prove("att_1", DECLINE)
    payments.now += 7
    payments.prove("att_1", Succeeded("ch_1"), cause=Cause.WEBHOOK)
    attempt = payments.attempt("att_1")
    assert (attempt.status, attempt.provider_reference, attempt.decline_code) == ("SUCCEEDED", "ch_1", None)
    assert (payments.status(checkout), payments.sums(checkout)) == ("COMPLETED", (1000, 0, 0))
    assert payments.history(checkout)[-2:] == ["checkout.processing", "checkout.completed"]
    assert last_event(payments, checkout)[1] == "webhook"
    assert payments.checkout(checkout).attempt_count == 1
    assert payments.claim() == []


def test_a_capture_s_success_after_its_decline_takes_its_own_amount(payments: Payments) -> None:
    checkout = payments.paid(manual=True)
    payments.capture(checkout, "att_2", 600)
    payments.prove("att_2", DECLINE)
    payments.prove("att_2", Succeeded("capture_1"))
    assert (payments.status(checkout), payments.sums(checkout)) == ("COMPLETED", (600, 0, 0))


@pytest.mark.parametrize("meanwhile", ["paid again", "being paid again", "declined again", "canceled"])
def test_a_charge_that_is_proven_too_late_for_its_checkout_is_given_back(payments: Payments, meanwhile: str) -> None:
    checkout = payments.create()
    payments.pay(checkout, provider="elsewhere", payment_method="tok_special")
    payments.prove("att_1", DECLINE)
    if meanwhile == "canceled":
        payments.cancel(checkout)
    else:
        payments.pay(checkout, "att_2")
    if meanwhile != "being paid again":
        payments.prove("att_2", DECLINE if meanwhile == "declined again" else Succeeded("ch_2"))
    before = payments.checkout(checkout)
    payments.now += 7
    payments.prove("att_1", Succeeded("ch_1"), cause=Cause.WEBHOOK)
    after = payments.checkout(checkout)
    assert (after.status, after.amount_captured, after.updated_at) == (
        (before.status, before.amount_captured, before.updated_at)
    )
    assert payments.refunds(checkout) == []  # It is not the merchant's refund, and not in the checkout's sums.
    event = payments.events(checkout)[-1]
    assert (event.type, event.cause, event.attempt_kind) == ("refund.created", "webhook", "REVERSAL")
    reversal = payments.attempt(event.attempt_id or "")
    assert (reversal.status, reversal.due_at, reversal.fence) == ("READY", payments.now, 0)
    assert (reversal.amount, reversal.currency, reversal.provider) == (1000, "USD", "elsewhere")
    assert (reversal.payment_method, reversal.charge_reference) == ("tok_special", "ch_1")
    assert re.fullmatch(pattern(ATTEMPT), reversal.id)
    assert reversal.reason == "the charge was confirmed too late for the checkout"
    assert payments.attempt("att_1").status == "SUCCEEDED"


def test_a_partial_capture_that_is_proven_too_late_gives_back_its_own_amount_of_the_charge(payments: Payments) -> None:
    checkout = payments.paid(manual=True, reference="ch_7")
    payments.capture(checkout, "att_2", 600)
    payments.prove("att_2", Declined("authorization_expired"))
    payments.capture(checkout, "att_3", 300)
    payments.prove("att_2", Succeeded("capture_8"))
    (reversal,) = [one for one in payments.claim() if one.kind == "REVERSAL"]
    assert (reversal.amount, reversal.charge_reference) == (600, "ch_7")


def test_a_reversal_is_proven_like_a_refund_and_adds_nothing_to_the_checkout_s_sums(payments: Payments) -> None:
    checkout = payments.create()
    payments.pay(checkout)
    payments.prove("att_1", DECLINE)
    payments.cancel(checkout)
    payments.prove("att_1", Succeeded("ch_1"))
    (reversal,) = payments.claim()
    payments.prove(reversal.id, Declined("refund_refused"))
    assert payments.attempt(reversal.id).status == "NEEDS_REVIEW"
    told = {"reason": "the provider declined to return the money: refund_refused"}
    assert last_event(payments, checkout) == ("attempt.needs_review", "provider_answer", reversal.id, told)
    payments.prove(reversal.id, Succeeded("re_1"), cause=Cause.OPERATOR)
    assert payments.attempt(reversal.id).status == "SUCCEEDED"
    told = {"providerReference": "re_1"}
    assert last_event(payments, checkout) == ("refund.succeeded", "operator", reversal.id, told)
    assert (payments.status(checkout), payments.sums(checkout)) == ("CANCELED", (0, 0, 0))


def test_a_late_success_that_another_process_s_payment_overtakes_is_given_back(payments: Payments) -> None:
    checkout = payments.create()
    payments.pay(checkout)
    payments.prove("att_1", DECLINE)
    # The attempt is known, so that the first thing read is the checkout.
    late = evidence_about("att_1", Succeeded("ch_1"), attempt=payments.attempt("att_1"))
    payments.do_interrupted(start_payments, payment(checkout, "att_2"), record_evidence, late)
    assert (payments.status(checkout), payments.sums(checkout)) == ("PROCESSING", (0, 0, 0))
    assert sorted(one.kind for one in payments.claim()) == ["CHARGE", "REVERSAL"]


def test_no_checkout_is_handed_back_for_a_success_that_comes_too_late_for_it(payments: Payments) -> None:
    checkout = payments.create()
    before = payments.pay(checkout).checkout
    payments.prove("att_1", DECLINE)
    payments.cancel(checkout)
    declined = payments.attempt("att_1")
    settled = payments.prove("att_1", Succeeded("ch_1"), attempt=declined)
    assert settled.transition is not None
    assert settled.apply_to(before, declined) is None
    assert payments.status(checkout) == "CANCELED"


def test_late_successes_of_two_checkouts_in_one_batch_end_each_as_it_must(payments: Payments) -> None:
    first, second = payments.create("1"), payments.create("2")
    for name, attempt_id in ((first, "att_1"), (second, "att_2")):
        payments.pay(name, attempt_id)
        payments.prove(attempt_id, DECLINE)
    payments.cancel(second)
    payments.record(evidence_about("att_1", Succeeded("ch_1")), evidence_about("att_2", Succeeded("ch_2")))
    assert (payments.status(first), payments.status(second)) == ("COMPLETED", "CANCELED")
    assert [(one.kind, one.checkout_id, one.charge_reference) for one in payments.claim()] == (
        [("REVERSAL", second.id, "ch_2")]
    )


# Refunds.


def test_a_refund_that_succeeds_is_taken_from_what_is_pending_and_counted(payments: Payments) -> None:
    checkout = payments.paid()
    payments.refund(checkout, "ref_1", 600)
    payments.refund(checkout, "ref_2", 300)
    payments.prove("ref_1", Succeeded("re_1"), cause=Cause.LOOKUP)
    assert payments.sums(checkout) == (1000, 600, 300)
    assert last_event(payments, checkout) == ("refund.succeeded", "lookup", "ref_1", {"providerReference": "re_1"})
    assert payments.status(checkout) == "COMPLETED"


def test_a_refund_that_is_declined_is_taken_from_what_is_pending_and_not_counted(payments: Payments) -> None:
    checkout = payments.paid()
    payments.refund(checkout, "ref_1", 600)
    payments.refund(checkout, "ref_2", 300)
    payments.prove("ref_1", Declined("refund_refused"))
    assert payments.sums(checkout) == (1000, 0, 300)
    assert last_event(payments, checkout) == (
        ("refund.failed", "provider_answer", "ref_1", {"declineCode": "refund_refused"})
    )


def test_a_refund_whose_outcome_is_unknown_stays_pending(payments: Payments) -> None:
    checkout = payments.paid()
    payments.refund(checkout, "ref_1", 600)
    payments.prove("ref_1", Unknown("a 500"))
    assert payments.sums(checkout) == (1000, 0, 600)
    assert last_event(payments, checkout) == ("attempt.unknown", "provider_answer", "ref_1", {"reason": "a 500"})


@pytest.mark.parametrize("pending", [0, 300, 400])
def test_a_refund_that_succeeds_after_its_decline_is_recorded_alone_and_beside_another(
    payments: Payments, pending: int
) -> None:
    checkout = payments.paid()
    payments.refund(checkout, "ref_1", 600)
    payments.prove("ref_1", Declined("refund_refused"))
    if pending:
        payments.refund(checkout, "ref_2", pending)
    payments.prove("ref_1", Succeeded("re_1"))
    assert payments.sums(checkout) == (1000, 600, pending)
    assert payments.attempt("ref_1").status == "SUCCEEDED"
    assert payments.history(checkout)[-1] == "refund.succeeded"


def test_a_refund_that_succeeds_after_its_decline_and_does_not_fit_any_more_is_counted_as_far_as_it_does(
    payments: Payments,
) -> None:
    checkout = payments.paid()
    payments.refund(checkout, "ref_1", 600)
    payments.prove("ref_1", Declined("refund_refused"))
    payments.refund(checkout, "ref_2", 900)
    payments.prove("ref_1", Succeeded("re_1"))
    assert payments.sums(checkout) == (1000, 100, 900)
    payments.prove("ref_2", Succeeded("re_2"))
    assert payments.sums(checkout) == (1000, 1000, 0)


def test_refunds_that_end_in_one_batch_are_summed_up_for_each_checkout(payments: Payments) -> None:
    first, second = payments.paid("1"), payments.paid("2", attempt_id="att_2")
    for attempt_id, amount in (("ref_1", 100), ("ref_2", 200), ("ref_3", 400)):
        payments.refund(first, attempt_id, amount)
    payments.refund(second, "ref_4", 50)
    payments.record(
        evidence_about("ref_1", Succeeded("re_1")),
        evidence_about("ref_4", Succeeded("re_4")),
        evidence_about("ref_2", Declined("refund_refused")),
        evidence_about("ref_3", Succeeded("re_3")),
    )
    assert payments.sums(first) == (1000, 500, 0)
    assert payments.sums(second) == (1000, 50, 0)
    assert payments.history(first)[-3:] == ["refund.succeeded", "refund.failed", "refund.succeeded"]


def test_a_refund_that_ends_while_another_process_begins_one_is_summed_up_on_what_is_there(payments: Payments) -> None:
    first, second = payments.paid("1"), payments.paid("2", attempt_id="att_2")
    refunds = [payments.refund(first, "ref_1", 600), payments.refund(second, "ref_2", 600)]
    theirs = StartRefund(attempt_id="ref_3", checkout=first, amount=300)
    told = [evidence_about(one.attempt.id, Succeeded("re_1"), attempt=one.attempt) for one in refunds]
    payments.do_interrupted(start_refunds, theirs, record_evidence, *told)
    assert payments.sums(first) == (1000, 600, 300)
    assert payments.sums(second) == (1000, 600, 0)


def test_an_attempt_that_is_not_as_its_worker_knows_it_is_read_and_judged_again(payments: Payments) -> None:
    checkout = payments.create()
    started = payments.pay(checkout, lease_ms=LEASE_MS)
    assert isinstance(started, Started)
    payments.prove("att_1", Unknown("a webhook that says nothing"))
    told = evidence_about("att_1", Unknown("a 500"), fence=1, attempt=started.attempt)
    (settled,) = payments.record(told)
    assert settled.transition is not None
    assert settled.transition.lookup_count == 2  # The worker knew of none.
    assert payments.attempt("att_1").lookup_count == 2
