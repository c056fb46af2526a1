"""Disputes: each is recorded and ended by itself, and its events tell all that is known of it."""

import json

from paidonce.providers.evidence import Dispute
from tests.support.payments import Payments


def test_the_end_of_one_dispute_leaves_the_other_of_the_same_checkout_open(payments: Payments) -> None:
    checkout = payments.paid()
    payments.change(Dispute("dp_1", "opened", 300, "USD", "fraudulent"))
    payments.change(Dispute("dp_2", "opened", 200, "USD", "duplicate"))
    payments.change(Dispute("dp_1", "won", 300, "USD", "fraudulent"))
    shown = {(one.reference, one.status, one.closed_at is None) for one in payments.disputes(checkout)}
    assert shown == {("dp_1", "WON", False), ("dp_2", "OPENED", True)}
    assert payments.checkout(checkout).amount_disputed == 200


def test_the_events_of_a_dispute_tell_what_it_is_about_and_what_was_known_before(payments: Payments) -> None:
    checkout = payments.paid()
    for status in ("opened", "lost"):
        payments.now += 1000
        payments.change(Dispute("dp_1", status, 300, "USD", "fraudulent"))
    (dispute,) = payments.disputes(checkout)
    about = {
        "disputeId": dispute.id,
        "providerReference": "dp_1",
        "amount": "300",
        "currency": "USD",
        "reason": "fraudulent",
    }
    opened, lost = payments.events(checkout)[-2:]
    assert [(one.cause, one.attempt_id) for one in (opened, lost)] == [("webhook", "att_1")] * 2
    details = [json.loads(one.detail or "") for one in (opened, lost)]
    assert details == [about, {**about, "previousStatus": "OPENED"}]
    assert (dispute.provider, dispute.account_id) == ("simulator", None)
    assert (dispute.closed_at, dispute.updated_at, dispute.created_at) == (
        payments.now,
        payments.now,
        payments.now - 1000,
    )
