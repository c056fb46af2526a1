"""Everything that is known of a payment: its attempts, disputes and events."""

from collections.abc import Sequence
from typing import Final

import msgspec
from sqlalchemy import bindparam, select

from paidonce.checkouts import store as checkouts
from paidonce.checkouts.model import Checkout
from paidonce.checkouts.store import id_of
from paidonce.database.schema import attempt
from paidonce.database.transaction import Transaction
from paidonce.errors import CheckoutNotFound
from paidonce.events.model import Event
from paidonce.events.store import events_of_checkout
from paidonce.merchants.model import TenantScopedId
from paidonce.payments.dispute_store import RecordedDispute, read_disputes
from paidonce.payments.external_store import read_returned
from paidonce.payments.model import Attempt, AttemptKind

ATTEMPTS_MAX: Final = 200  # The newest. Only refunds can be as many.

_ATTEMPTS: Final = (
    select(*(attempt.c[name] for name in Attempt.__struct_fields__))
    .where(attempt.c.checkout_id == bindparam("of_checkout"), attempt.c.merchant_id == bindparam("tenant"))
    .order_by(attempt.c.created_at.desc(), attempt.c.id.desc())
    .limit(ATTEMPTS_MAX)
)


class PaymentHistory(msgspec.Struct, frozen=True):
    """A checkout with its newest attempts, its disputes and its events, each oldest first."""

    checkout: Checkout
    attempts: list[Attempt]
    disputes: list[RecordedDispute]
    events: Sequence[Event]


def load_histories(
    transaction: Transaction, requests: Sequence[TenantScopedId]
) -> list[PaymentHistory | CheckoutNotFound]:
    """Load the histories of payments."""
    found = checkouts.read_by_id(transaction, set(requests))
    return [_history(transaction, found[one]) if one in found else CheckoutNotFound() for one in requests]


def _history(transaction: Transaction, checkout: Checkout) -> PaymentHistory:
    name = id_of(checkout)
    rows = transaction.rows(_ATTEMPTS, {"of_checkout": checkout.id, "tenant": checkout.merchant_id})
    return PaymentHistory(
        checkout,
        [Attempt(*row) for row in reversed(rows)],
        read_disputes(transaction, name),
        events_of_checkout(transaction, name),
    )


def find_paid_back(transaction: Transaction, requests: Sequence[Checkout]) -> list[bool]:
    """Tell of each checkout whether a charge was confirmed too late for it, and was or is being paid back."""
    return [
        any(one.kind == AttemptKind.REVERSAL and one.reverses is None for one in read_returned(transaction, checkout))
        for checkout in requests
    ]
