"""What operators read about a change at the provider that could not be recorded, or not yet."""

import json
from collections.abc import Callable
from typing import Final

import pytest

from paidonce.merchants.model import TenantScopedId
from paidonce.payments.external_changes import ChangeOutcome, record_changes
from paidonce.providers.evidence import (
    AuthorizationEnded,
    Declined,
    Dispute,
    ExternalChange,
    ExternalRefund,
    Succeeded,
    UnclearChange,
)
from tests.support.payments import Payments, external

REFUND: Final = ExternalRefund("re_1", "succeeded", 400, "USD")


def outcome_of(payments: Payments, change: ExternalChange) -> ChangeOutcome:
    (outcome,) = payments.do(record_changes, external(payments.attempt("att_1"), change))
    assert isinstance(outcome, ChangeOutcome)
    return outcome


def unproven(payments: Payments) -> None:
    payments.pay(payments.create())


def refunding(payments: Payments) -> None:
    payments.refund(payments.paid())


def returning(payments: Payments) -> None:
    checkout = payments.create()
    payments.pay(checkout)
    payments.prove("att_1", Declined("do_not_honor"))
    payments.cancel(checkout)
    payments.prove("att_1", Succeeded("ch_1"))


def capturing(payments: Payments) -> None:
    payments.capture(payments.paid(manual=True))


def without_attempt(payments: Payments) -> None:
    payments.lose_attempt_of(payments.paid())


def held_without_attempt(payments: Payments) -> None:
    payments.lose_attempt_of(payments.paid(manual=True))


@pytest.mark.parametrize(
    ("prepare", "change", "result", "reason"),
    [
        (unproven, REFUND, "POSTPONED", "the checkout is not known to be paid by this charge"),
        (without_attempt, REFUND, "POSTPONED", "the checkout is not known to be paid by this charge"),
        (refunding, REFUND, "POSTPONED", "a refund of ours is under way and would not fit any more"),
        (returning, REFUND, "NEEDS_REVIEW", "the provider reported a refund of a charge that we return"),
        (
            Payments.paid,
            ExternalRefund("re_1", "succeeded", 0, "USD"),
            "NEEDS_REVIEW",
            "the provider reported a refund of 0 USD",
        ),
        (
            Payments.paid,
            ExternalRefund("re_1", "succeeded", 400, "EUR"),
            "NEEDS_REVIEW",
            "the provider reported a refund in EUR; the charge is in USD",
        ),
        (
            Payments.paid,
            ExternalRefund("re_1", "succeeded", 1001, "USD"),
            "NEEDS_REVIEW",
            "the provider reported more refunds than were captured",
        ),
        (
            Payments.paid,
            Dispute("dp_1", "opened", 0, "USD"),
            "NEEDS_REVIEW",
            "the provider reported a dispute of 0 USD",
        ),
        (Payments.paid, UnclearChange("nobody knows"), "NEEDS_REVIEW", "nobody knows"),
        (
            capturing,
            AuthorizationEnded("expired"),
            "POSTPONED",
            "the outcome of the attempt that is under way comes first",
        ),
        (held_without_attempt, AuthorizationEnded("expired"), "KNOWN", None),
        (Payments.paid, REFUND, "CHANGED", None),
    ],
)
def test_what_is_not_recorded_has_its_reason(
    payments: Payments,
    prepare: Callable[[Payments], TenantScopedId | None],
    change: ExternalChange,
    result: str,
    reason: str | None,
) -> None:
    prepare(payments)
    outcome = outcome_of(payments, change)
    assert (str(outcome.result), outcome.reason) == (result, reason)


def test_what_is_recorded_of_a_charge_names_its_provider_and_account(payments: Payments) -> None:
    payments.add_account("fake", "pac_1")
    checkout = payments.create()
    payments.pay(checkout, provider="fake", account_id="pac_1")
    payments.prove("att_1", Succeeded("ch_1"))
    payments.change(REFUND)
    payments.change(Dispute("dp_1", "opened", 400, "USD"))
    (refund,), (dispute,) = payments.refunds(checkout), payments.disputes(checkout)
    assert [(one.provider, one.account_id) for one in (refund, dispute)] == [("fake", "pac_1")] * 2
    created, succeeded = payments.events(checkout)[-3:-1]
    about = {"amount": "400", "initiatedBy": "provider", "providerReference": "re_1"}
    assert [(one.type, one.attempt_id) for one in (created, succeeded)] == [
        ("refund.created", refund.id),
        ("refund.succeeded", refund.id),
    ]
    assert [json.loads(one.detail or "") for one in (created, succeeded)] == [about, about]
