"""Refunds that fail after they succeeded: what the reducer decides, and what follows on both databases."""

import itertools
from itertools import permutations

import pytest

from paidonce.payments.model import ALLOWED, AttemptKind, AttemptStatus, check_transition
from paidonce.payments.pay import Started
from paidonce.providers.evidence import Declined, Evidence, NotDone, Succeeded
from tests.support.payments import Payments, evidence_about
from tests.unit.payments.reducer_examples import status_after, transition_on


@pytest.mark.parametrize(
    ("kind", "after"),
    [(AttemptKind.REFUND, AttemptStatus.DECLINED), (AttemptKind.REVERSAL, AttemptStatus.NEEDS_REVIEW)],
)
def test_a_refund_that_fails_after_it_succeeded_has_failed_and_one_that_we_must_make_needs_a_person(
    kind: AttemptKind, after: AttemptStatus
) -> None:
    failed = Declined("expired_card", "ch_1", "refund", "expired_or_canceled_card")
    assert status_after(kind, AttemptStatus.SUCCEEDED, failed) is after


@pytest.mark.parametrize("kind", [AttemptKind.REFUND, AttemptKind.REVERSAL])
@pytest.mark.parametrize(
    "evidence",
    [
        Declined("expired_card", "ch_another", "refund"),
        Declined("expired_card", None, "refund"),
        Declined("expired_card", "ch_1", "charge"),
        NotDone("charge_already_refunded"),
    ],
    ids=["another refund", "no refund", "a charge", "no effect"],
)
def test_only_the_failure_of_the_same_refund_undoes_its_success(kind: AttemptKind, evidence: Evidence) -> None:
    assert transition_on(kind, AttemptStatus.SUCCEEDED, evidence) is None


def test_a_refund_that_failed_does_not_succeed_by_an_older_webhook_but_another_one_does() -> None:
    assert transition_on(AttemptKind.REFUND, AttemptStatus.DECLINED, Succeeded("ch_1")) is None
    assert status_after(AttemptKind.REFUND, AttemptStatus.DECLINED, Succeeded("ch_2")) is AttemptStatus.SUCCEEDED
    assert status_after(AttemptKind.CHARGE, AttemptStatus.DECLINED, Succeeded("ch_1")) is AttemptStatus.SUCCEEDED


@pytest.mark.parametrize("kind", sorted({*AttemptKind} - {AttemptKind.REFUND, AttemptKind.REVERSAL}))
def test_only_refunds_fail_after_they_succeeded(kind: AttemptKind) -> None:
    assert transition_on(kind, AttemptStatus.SUCCEEDED, Declined("expired_card", "ch_1")) is None


def test_the_table_of_transitions_has_every_status_and_lets_only_a_refund_leave_a_success() -> None:
    assert set(ALLOWED) == set(AttemptStatus)
    leaving = {
        (kind, target)
        for kind, target in itertools.product(AttemptKind, AttemptStatus)
        if is_allowed(AttemptStatus.SUCCEEDED, target, kind)
    }
    assert leaving == {
        (AttemptKind.REFUND, AttemptStatus.DECLINED),
        (AttemptKind.REVERSAL, AttemptStatus.NEEDS_REVIEW),
    }
    assert ALLOWED[AttemptStatus.DECLINED] == {AttemptStatus.SUCCEEDED}


def is_allowed(source: AttemptStatus, target: AttemptStatus, kind: AttemptKind) -> bool:
    try:
        check_transition(source, target, kind)
    except AssertionError:
        return False
    return True


def test_a_refund_of_ours_that_fails_late_gives_its_sum_back(payments: Payments) -> None:
    checkout = payments.paid()
    payments.refund(checkout, amount=300)
    payments.refund(checkout, "ref_2", amount=200)
    payments.prove("ref_1", Succeeded("re_1"))
    payments.prove("ref_2", Succeeded("re_2"))
    assert payments.sums(checkout) == (1000, 500, 0)
    payments.prove("ref_1", Declined("expired_card", "re_1", "refund", "expired_or_canceled_card"))
    assert payments.sums(checkout) == (1000, 200, 0)
    failed = payments.attempt("ref_1")
    assert (failed.status, failed.decline_code, failed.raw_decline_code) == (
        "DECLINED",
        "expired_card",
        "expired_or_canceled_card",
    )
    assert payments.history(checkout)[-1] == "refund.failed"
    assert isinstance(payments.refund(checkout, "ref_3", amount=800), Started)


@pytest.mark.parametrize("order", list(permutations(["succeeded", "failed"])))
def test_in_whatever_order_they_come_a_refund_of_ours_that_failed_has_failed(
    payments: Payments, order: tuple[str, ...]
) -> None:
    checkout = payments.paid()
    payments.refund(checkout, amount=300)
    told: dict[str, Evidence] = {
        "succeeded": Succeeded("re_1"),
        "failed": Declined("expired_card", "re_1", "refund"),
    }
    for one in (*order, *order):
        payments.prove("ref_1", told[one])
    assert (payments.sums(checkout), payments.attempt("ref_1").status) == ((1000, 0, 0), "DECLINED")


def test_refunds_that_end_and_one_that_fails_late_in_one_batch_come_to_the_right_sum(payments: Payments) -> None:
    checkout = payments.paid()
    payments.refund(checkout, amount=700)
    payments.prove("ref_1", Succeeded("re_1"))
    payments.refund(checkout, "ref_2", amount=300)
    payments.record(
        evidence_about("ref_1", Declined("expired_card", "re_1", "refund")),
        evidence_about("ref_2", Succeeded("re_2")),
    )
    assert payments.sums(checkout) == (1000, 300, 0)


def test_a_return_of_ours_that_fails_late_waits_for_a_person(payments: Payments) -> None:
    checkout = payments.create()
    payments.pay(checkout)
    payments.prove("att_1", Declined("do_not_honor"))
    payments.cancel(checkout)
    payments.prove("att_1", Succeeded("ch_1"))
    (reversal,) = payments.claim()
    payments.prove(reversal.id, Succeeded("re_1"))
    payments.prove(reversal.id, Declined("expired_card", "re_1", "refund"))
    assert payments.attempt(reversal.id).status == "NEEDS_REVIEW"
    assert payments.history(checkout)[-1] == "attempt.needs_review"
