"""Disputes that a provider tells of, on both databases."""

from itertools import permutations

import pytest

from paidonce.errors import AmountExceedsRefundable
from paidonce.payments.pay import Started
from paidonce.providers.evidence import Dispute, ExternalRefund, Succeeded
from tests.support.payments import Payments


def dispute(status: str = "opened", amount: int = 1000, reference: str = "dp_1", currency: str = "USD") -> Dispute:
    return Dispute(reference, status, amount, currency, "fraudulent")  # type: ignore[arg-type] # One of the three.


def test_a_dispute_is_recorded_once_told_and_counted_until_it_is_won(payments: Payments) -> None:
    checkout = payments.paid()
    assert [payments.change(dispute()), payments.change(dispute())] == ["CHANGED", "KNOWN"]
    assert payments.checkout(checkout).amount_disputed == 1000
    (opened,) = payments.disputes(checkout)
    assert (opened.status, opened.amount, opened.reason, opened.reference) == ("OPENED", 1000, "fraudulent", "dp_1")
    assert [payments.change(dispute("won")), payments.change(dispute("opened"))] == ["CHANGED", "KNOWN"]
    assert payments.checkout(checkout).amount_disputed == 0
    assert [one.status for one in payments.disputes(checkout)] == ["WON"]
    assert payments.history(checkout)[-2:] == ["dispute.opened", "dispute.won"]


@pytest.mark.parametrize("order", list(permutations(["opened", "lost", "opened again"])))
def test_in_whatever_order_they_come_a_lost_dispute_is_lost(payments: Payments, order: tuple[str, ...]) -> None:
    checkout = payments.paid()
    for one in order:
        payments.change(dispute(one.partition(" ")[0]))
    assert [one.status for one in payments.disputes(checkout)] == ["LOST"]
    assert payments.checkout(checkout).amount_disputed == 1000
    assert payments.history(checkout)[-1] == "dispute.lost"
    assert payments.sums(checkout) == (1000, 0, 0)


def test_a_dispute_that_a_bank_decides_again_follows_the_last_decision(payments: Payments) -> None:
    checkout = payments.paid()
    disputed = []
    for status in ("won", "lost", "won"):
        payments.change(dispute(status, 400))
        disputed.append(payments.checkout(checkout).amount_disputed)
    assert disputed == [0, 400, 0]


def test_what_is_disputed_is_not_refunded_a_second_time_by_us(payments: Payments) -> None:
    checkout = payments.paid()
    payments.change(dispute(amount=700))
    assert isinstance(payments.refund(checkout, amount=301), AmountExceedsRefundable)
    started = payments.refund(checkout)
    assert isinstance(started, Started)
    assert started.attempt.amount == 300
    payments.prove("ref_1", Succeeded("re_1"))
    # In the dashboard somebody refunded although it is disputed: it happened, so it is recorded.
    assert payments.change(ExternalRefund("re_2", "succeeded", 200, "USD")) == "CHANGED"
    assert payments.sums(checkout) == (1000, 500, 0)
    payments.change(dispute("won", 700))
    assert isinstance(payments.refund(checkout, "ref_2", amount=500), Started)


def test_a_dispute_in_another_currency_is_told_and_not_counted(payments: Payments) -> None:
    checkout = payments.paid()
    assert payments.change(dispute(currency="EUR")) == "CHANGED"
    assert (payments.checkout(checkout).amount_disputed, len(payments.disputes(checkout))) == (0, 1)


@pytest.mark.parametrize("amount", [0, -1, 10**15])
def test_a_dispute_of_no_amount_needs_review(payments: Payments, amount: int) -> None:
    checkout = payments.paid()
    assert payments.change(dispute(amount=amount)) == "NEEDS_REVIEW"
    assert (payments.disputes(checkout), payments.checkout(checkout).amount_disputed) == ([], 0)
