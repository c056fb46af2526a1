"""Refunds: several at once, in part, never more in all than was captured, also when they race."""

from collections.abc import Sequence

import msgspec

from paidonce.checkouts import store as checkouts
from paidonce.checkouts.model import CheckoutStatus
from paidonce.checkouts.store import RefundSums, id_of
from paidonce.database.transaction import Transaction
from paidonce.errors import (
    AmountExceedsRefundable,
    CheckoutNotFound,
    InvalidState,
    PaidonceError,
    RefundNotFound,
)
from paidonce.events.model import Cause, EventType, NewEvent, Origin
from paidonce.merchants.model import TenantScopedId
from paidonce.payments import store
from paidonce.payments.model import Attempt, AttemptKind, new_attempt
from paidonce.payments.pay import Started


class StartRefund(msgspec.Struct, frozen=True, kw_only=True):
    """A request to refund; without ``amount`` all that can still be refunded."""

    attempt_id: str
    checkout: TenantScopedId
    amount: int | None = None
    reason: str | None = None
    lease_ms: int = 0
    origin: Origin = Origin()


def start_refunds(transaction: Transaction, requests: Sequence[StartRefund]) -> list[Started | PaidonceError]:
    """Reserve refunds on their checkouts and commit their attempts."""
    return [_start_refund(transaction, request) for request in requests]


def _start_refund(transaction: Transaction, request: StartRefund) -> Started | PaidonceError:
    checkout = checkouts.read_by_id(transaction, [request.checkout]).get(request.checkout)
    if checkout is None:
        return CheckoutNotFound()
    existing = store.read_attempt(transaction, request.attempt_id, checkout.merchant_id)
    if existing is not None:  # From a commit whose answer was lost.
        return Started(checkout, existing)
    if checkout.status != CheckoutStatus.COMPLETED or checkout.attempt is None:
        return InvalidState(checkout.status, "refunded")
    amount = checkout.refundable if request.amount is None else request.amount
    if not 0 < amount <= checkout.refundable:
        return AmountExceedsRefundable(checkout.refundable)
    if not checkouts.add_refunds(transaction, [RefundSums(checkout=checkout, pending=amount)]):
        return _start_refund(transaction, request)  # Another process refunded meanwhile: look again.
    attempt = new_attempt(
        request.attempt_id,
        checkout,
        AttemptKind.REFUND,
        now=transaction.now,
        lease_ms=request.lease_ms,
        amount=amount,
        route=checkout.attempt.route,
        payment_method=checkout.attempt.payment_method,
        charge_reference=checkout.attempt.charge_reference or checkout.attempt.provider_reference,
        reason=request.reason,
    )
    store.insert_attempts(transaction, [attempt])
    transaction.events.append(_created(attempt, request.origin))
    return Started(checkout, attempt)


def _created(attempt: Attempt, origin: Origin) -> NewEvent:
    return NewEvent(
        type=EventType.REFUND_CREATED,
        cause=Cause.REQUEST,
        merchant_id=attempt.merchant_id,
        mode=attempt.mode,
        checkout_id=attempt.checkout_id,
        attempt_id=attempt.id,
        origin=origin,
        detail={"amount": str(attempt.amount)},
    )


def load_refunds_of_checkouts(
    transaction: Transaction, requests: Sequence[TenantScopedId]
) -> list[list[Attempt] | CheckoutNotFound]:
    """Read the refunds of checkouts, oldest first."""
    seen = checkouts.read_by_id(transaction, set(requests))
    return [
        store.read_refunds(transaction, id_of(seen[request])) if request in seen else CheckoutNotFound()
        for request in requests
    ]


def load_refunds(transaction: Transaction, requests: Sequence[TenantScopedId]) -> list[Attempt | RefundNotFound]:
    """Read refunds by id."""
    found = store.read_refunds_by_id(transaction, set(requests))
    return [found.get(request) or RefundNotFound() for request in requests]
