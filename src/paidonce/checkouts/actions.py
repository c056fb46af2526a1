"""Use cases for checkouts: create, load, list, cancel, expire. Each is one function over a batch."""

from collections.abc import Sequence
from typing import TypeAlias

import msgspec

from paidonce.checkouts import store
from paidonce.checkouts.list_store import CheckoutFilter, ExaminedRange, read_range
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
from paidonce.merchants.scoping import error_of_missing


class Created(msgspec.Struct, frozen=True):
    """The checkout was created by this request."""

    checkout: Checkout


class Replayed(msgspec.Struct, frozen=True):
    """The same request was processed before; this is the current checkout."""

    checkout: Checkout


CreateOutcome: TypeAlias = Created | Replayed | IdempotencyKeyReused


def create_checkouts(transaction: Transaction, requests: Sequence[NewCheckout]) -> list[CreateOutcome]:
    """Create checkouts. A merchant, a mode and an idempotency key identify one checkout for ever; with another body
    they are refused.

    The first request with a key creates the checkout, in this batch or in another. The others read it back and are
    compared with it.
    """
    inserted = store.insert_new(transaction, requests)
    transaction.events.extend(
        NewEvent(
            type=EventType.CHECKOUT_CREATED,
            cause=Cause.REQUEST,
            merchant_id=request.merchant_id,
            mode=request.mode,
            checkout_id=request.id,
            origin=request.origin,
        )
        for request in requests
        if request.id in inserted
    )
    repeated = {store.key_of(one) for one in requests if one.id not in inserted}
    stored = store.read_by_key(transaction, repeated) if repeated else {}
    return [
        Created(_created_checkout(request, transaction.now))
        if request.id in inserted
        else _compare(stored[store.key_of(request)], request)
        for request in requests
    ]


def _compare(stored: Checkout, request: NewCheckout) -> CreateOutcome:
    if stored.id == request.id:  # This request, from a commit whose result was lost.
        return Created(stored)
    differing = differing_fields(stored, request)
    return IdempotencyKeyReused(differing) if differing else Replayed(stored)


def _created_checkout(request: NewCheckout, now: Instant) -> Checkout:
    return Checkout(
        id=request.id,
        merchant_id=request.merchant_id,
        mode=request.mode,
        idempotency_key=request.idempotency_key,
        amount=request.amount,
        currency=request.currency,
        status=CheckoutStatus.PENDING,
        capture_method=request.capture_method,
        amount_captured=0,
        amount_refunded=0,
        amount_refund_pending=0,
        amount_disputed=0,
        attempt_count=0,
        description=request.description,
        metadata=request.metadata,
        success_url=request.success_url,
        cancel_url=request.cancel_url,
        created_at=now,
        updated_at=now,
        expires_at=now + request.expires_in_seconds * 1000,
    )


def load_checkouts(transaction: Transaction, requests: Sequence[TenantScopedId]) -> list[Checkout | PaidonceError]:
    """Load checkouts by id, each with its newest attempt."""
    found = store.find_by_id(transaction, set(requests))
    return [found.get(one) or error_of_missing(transaction, one, CheckoutNotFound()) for one in requests]


def load_checkouts_by_key(transaction: Transaction, keys: Sequence[store.CheckoutKey]) -> list[Checkout | None]:
    """Load the checkouts that were created with these keys; None for a key that created none."""
    found = store.read_by_key(transaction, set(keys))
    return [found.get(key) for key in keys]


def examine_checkouts(transaction: Transaction, requests: Sequence[CheckoutFilter]) -> list[ExaminedRange]:
    """Load the first checkouts of lists, as far as one read examines them."""
    return [read_range(transaction, request) for request in requests]


def load_timelines(
    transaction: Transaction, requests: Sequence[TenantScopedId]
) -> list[Sequence[Event] | CheckoutNotFound]:
    """Load the events of checkouts, oldest first. One whose events are deleted has none."""
    found = {request: events_of_checkout(transaction, request) for request in requests}
    missing = {request for request, events in found.items() if not events}
    existing = store.read_by_id(transaction, missing) if missing else {}
    return [found[one] if found[one] or one in existing else CheckoutNotFound() for one in requests]


class CancelCheckout(msgspec.Struct, frozen=True):
    """A request to cancel an unpaid checkout."""

    checkout: TenantScopedId
    origin: Origin = Origin()


def cancel_checkouts(transaction: Transaction, requests: Sequence[CancelCheckout]) -> list[Checkout | PaidonceError]:
    """Cancel unpaid checkouts. A canceled checkout is returned as it is. Of a concurrent cancel and pay, one wins."""
    seen = store.read_by_id(transaction, {request.checkout for request in requests})
    wanted = {
        checkout.id: _transition(checkout, CheckoutStatus.CANCELED, Cause.REQUEST, request.origin)
        for request in requests
        if (checkout := seen.get(request.checkout)) and checkout.status in PAYABLE
    }
    wanted |= {
        one.id: _expiration(one) for one in seen.values() if one.id in wanted and one.expires_at <= transaction.now
    }
    changed = store.apply_transitions(transaction, list(wanted.values()))
    if len(changed) < len(wanted):  # Another process changed one: start over.
        return cancel_checkouts(transaction, requests)
    now = store.read_by_id(transaction, seen)
    return [_cancel_outcome(now.get(request.checkout)) for request in requests]


def _cancel_outcome(checkout: Checkout | None) -> Checkout | PaidonceError:
    if checkout is None:
        return CheckoutNotFound()
    if checkout.status == CheckoutStatus.CANCELED:
        return checkout
    if checkout.status == CheckoutStatus.EXPIRED:
        return CheckoutExpired()
    return InvalidState(checkout.status, "canceled")


def expire_checkouts(transaction: Transaction, limits: Sequence[int]) -> list[list[str]]:
    """Expire checkouts that are due, at most ``limit`` for each request; returns their ids."""
    expired = []
    for limit in limits:
        due = [one for one in store.read_expired(transaction, limit) if one.status in PAYABLE]
        expired.append(sorted(store.apply_transitions(transaction, [_expiration(checkout) for checkout in due])))
    return expired


def _expiration(checkout: Checkout) -> CheckoutTransition:
    return _transition(checkout, CheckoutStatus.EXPIRED, Cause.CLOCK, Origin())


def _transition(checkout: Checkout, target: CheckoutStatus, cause: Cause, origin: Origin) -> CheckoutTransition:
    return CheckoutTransition(
        checkout_id=checkout.id,
        merchant_id=checkout.merchant_id,
        mode=checkout.mode,
        source=CheckoutStatus(checkout.status),
        target=target,
        seen_attempt_id=checkout.attempt.id if checkout.attempt else None,
        cause=cause,
        origin=origin,
    )
