"""What can be done with checkouts: create, read, list, cancel, expire. Each is one function over a batch."""

from collections.abc import Sequence
from typing import TypeAlias

import msgspec

from paidonce.checkouts import store
from paidonce.checkouts.model import (
    PAYABLE,
    Checkout,
    CheckoutStatus,
    CheckoutTransition,
    NewCheckout,
    differing_fields,
)
from paidonce.clock import Instant
from paidonce.database.transaction import Transaction
from paidonce.errors import CheckoutExpired, CheckoutNotFound, IdempotencyKeyReused, InvalidState, PaidonceError
from paidonce.events.model import Cause, Event, EventType, NewEvent, Origin
from paidonce.events.store import events_of_checkout
from paidonce.merchants.model import TenantScopedId


class Created(msgspec.Struct, frozen=True):
    """The checkout is new."""

    checkout: Checkout


class Replayed(msgspec.Struct, frozen=True):
    """The same request was answered before; this is the checkout as it stands now."""

    checkout: Checkout


CreateOutcome: TypeAlias = Created | Replayed | IdempotencyKeyReused


def create_checkouts(transaction: Transaction, requests: Sequence[NewCheckout]) -> list[CreateOutcome]:
    """Create checkouts; the same merchant and key give the same checkout for ever, with another body they are refused.

    Whichever request of a key comes first creates it, in this batch or any other. The rest read it back and compare.
    """
    inserted = store.insert_new(transaction, requests)
    transaction.events.extend(
        NewEvent(
            type=EventType.CHECKOUT_CREATED,
            cause=Cause.REQUEST,
            merchant_id=request.merchant_id,
            checkout_id=request.id,
            origin=request.origin,
        )
        for request in requests
        if request.id in inserted
    )
    repeated = {(one.merchant_id, one.idempotency_key) for one in requests if one.id not in inserted}
    stored = store.read_by_key(transaction, repeated) if repeated else {}
    return [
        Created(_as_created(request, transaction.now))
        if request.id in inserted
        else _compare(stored[request.merchant_id, request.idempotency_key], request)
        for request in requests
    ]


def _compare(stored: Checkout, request: NewCheckout) -> CreateOutcome:
    if stored.id == request.id:  # Our own, from a commit whose answer was lost.
        return Created(stored)
    differing = differing_fields(stored, request)
    return IdempotencyKeyReused(differing) if differing else Replayed(stored)


def _as_created(request: NewCheckout, now: Instant) -> Checkout:
    return Checkout(
        id=request.id,
        merchant_id=request.merchant_id,
        idempotency_key=request.idempotency_key,
        amount=request.amount,
        currency=request.currency,
        status=CheckoutStatus.PENDING,
        capture_method=request.capture_method,
        amount_captured=0,
        amount_refunded=0,
        amount_refund_pending=0,
        attempt_count=0,
        description=request.description,
        metadata=request.metadata,
        success_url=request.success_url,
        cancel_url=request.cancel_url,
        created_at=now,
        updated_at=now,
        expires_at=now + request.expires_in_seconds * 1000,
    )


def read_checkouts(transaction: Transaction, requests: Sequence[TenantScopedId]) -> list[Checkout | CheckoutNotFound]:
    """Read checkouts by id, each with its newest attempt."""
    found = store.read_by_id(transaction, set(requests))
    return [found.get(request) or CheckoutNotFound() for request in requests]


def find_by_key(transaction: Transaction, keys: Sequence[tuple[str, str]]) -> list[Checkout | None]:
    """Read the checkouts that these keys, each a merchant's id and its key, created; None for one that created none."""
    found = store.read_by_key(transaction, set(keys))
    return [found.get(key) for key in keys]


def list_checkouts(
    transaction: Transaction, requests: Sequence[store.CheckoutFilter]
) -> list[tuple[list[Checkout], bool]]:
    """Read pages of checkouts, newest first, and whether more lies beyond each."""
    return [store.read_page(transaction, request) for request in requests]


def read_timelines(
    transaction: Transaction, requests: Sequence[TenantScopedId]
) -> list[Sequence[Event] | CheckoutNotFound]:
    """Read what happened to checkouts, oldest first. Every checkout has at least the event of its creation."""
    return [
        events_of_checkout(transaction, request.id, request.merchant_id) or CheckoutNotFound() for request in requests
    ]


class CancelCheckout(msgspec.Struct, frozen=True):
    """A request to cancel a checkout that nobody has paid."""

    checkout: TenantScopedId
    origin: Origin = Origin()


def cancel_checkouts(transaction: Transaction, requests: Sequence[CancelCheckout]) -> list[Checkout | PaidonceError]:
    """Cancel checkouts that are not paid; a canceled one stays so. Against a pay at the same time one wins."""
    seen = store.read_by_id(transaction, {request.checkout for request in requests})
    wanted = {
        checkout.id: _move(checkout, CheckoutStatus.CANCELED, Cause.REQUEST, request.origin)
        for request in requests
        if (checkout := seen.get(request.checkout)) and checkout.status in PAYABLE
    }
    wanted |= {one.id: _expiry(one) for one in seen.values() if one.id in wanted and one.expires_at <= transaction.now}
    moved = store.apply_transitions(transaction, list(wanted.values()))
    if len(moved) < len(wanted):  # Another process moved one meanwhile: look again.
        return cancel_checkouts(transaction, requests)
    now = store.read_by_id(transaction, seen)
    return [_canceled(now.get(request.checkout)) for request in requests]


def _canceled(checkout: Checkout | None) -> Checkout | PaidonceError:
    if checkout is None:
        return CheckoutNotFound()
    if checkout.status == CheckoutStatus.CANCELED:
        return checkout
    if checkout.status == CheckoutStatus.EXPIRED:
        return CheckoutExpired()
    return InvalidState(checkout.status, "canceled")


def expire_checkouts(transaction: Transaction, limits: Sequence[int]) -> list[list[str]]:
    """Expire checkouts whose time is over, at most ``limit`` for each request; returns their ids."""
    expired = []
    for limit in limits:
        over = [one for one in store.read_expired(transaction, limit) if one.status in PAYABLE]
        expired.append(sorted(store.apply_transitions(transaction, [_expiry(checkout) for checkout in over])))
    return expired


def _expiry(checkout: Checkout) -> CheckoutTransition:
    return _move(checkout, CheckoutStatus.EXPIRED, Cause.CLOCK, Origin())


def _move(checkout: Checkout, target: CheckoutStatus, cause: Cause, origin: Origin) -> CheckoutTransition:
    return CheckoutTransition(
        checkout_id=checkout.id,
        merchant_id=checkout.merchant_id,
        source=CheckoutStatus(checkout.status),
        target=target,
        seen_attempt_id=checkout.attempt.id if checkout.attempt else None,
        cause=cause,
        origin=origin,
    )
