"""Held money: capturing it, and letting it go because a client cancels or the checkout expires."""

from collections.abc import Sequence

import msgspec
import structlog

from paidonce.checkouts import store as checkouts
from paidonce.checkouts.actions import CancelCheckout, cancel_checkouts
from paidonce.checkouts.model import Checkout, CheckoutStatus, CheckoutTransition, LatestAttempt
from paidonce.checkouts.store import id_of
from paidonce.clock import Instant
from paidonce.database.transaction import Transaction
from paidonce.errors import (
    AmountExceedsCapturable,
    CheckoutExpired,
    CheckoutNotFound,
    InvalidState,
    PaymentInProgress,
)
from paidonce.events.model import Cause, Origin
from paidonce.ids import ATTEMPT, NewId
from paidonce.merchants.model import TenantScopedId
from paidonce.payments import store
from paidonce.payments.model import Attempt, AttemptKind, CloseReason, as_latest, new_attempt
from paidonce.payments.pay import Repeated, Started, StartOutcome, processing
from paidonce.payments.sessions import close_session

log = structlog.get_logger()


class StartCapture(msgspec.Struct, frozen=True, kw_only=True):
    """A request to capture; without ``amount`` all that is held. What is not captured is let go by the provider."""

    attempt_id: str
    checkout: TenantScopedId
    amount: int | None = None
    lease_ms: int = 0
    origin: Origin = Origin()


class StartCancel(msgspec.Struct, frozen=True, kw_only=True):
    """A request to cancel: a checkout whose money is held is canceled when the void is proven."""

    attempt_id: str
    checkout: TenantScopedId
    lease_ms: int = 0
    origin: Origin = Origin()


class VoidExpired(msgspec.Struct, frozen=True):
    """A request to void the authorizations of expired checkouts, at most ``limit`` of them."""

    limit: int
    new_id: NewId


def start_captures(transaction: Transaction, requests: Sequence[StartCapture]) -> list[StartOutcome]:
    """Move AUTHORIZED checkouts to PROCESSING and commit the attempts that capture."""
    return [_start_capture(transaction, request) for request in requests]


def _start_capture(transaction: Transaction, request: StartCapture) -> StartOutcome:
    checkout = checkouts.read_by_id(transaction, [request.checkout]).get(request.checkout)
    if checkout is None or checkout.attempt is None:
        return InvalidState(checkout.status, "captured") if checkout else CheckoutNotFound()
    if checkout.attempt.id == request.attempt_id:
        return _ours(transaction, checkout, request.attempt_id)
    amount = checkout.amount if request.amount is None else request.amount
    if checkout.status == CheckoutStatus.PROCESSING and checkout.attempt.kind == AttemptKind.CAPTURE:
        # The same again is answered with what is under way; another amount comes too late.
        return Repeated(checkout) if checkout.attempt.amount == amount else InvalidState(checkout.status, "captured")
    if checkout.status != CheckoutStatus.AUTHORIZED:
        return InvalidState(checkout.status, "captured")
    if not checkout.attempt.ended:
        return PaymentInProgress()  # A void is under way.
    if checkout.expires_at <= transaction.now:
        return CheckoutExpired()
    if amount > checkout.amount:
        return AmountExceedsCapturable(checkout.amount)
    attempt = _change(
        checkout,
        AttemptKind.CAPTURE,
        attempt_id=request.attempt_id,
        now=transaction.now,
        lease_ms=request.lease_ms,
        amount=amount,
    )
    if not _commit(
        transaction, checkout, attempt, CheckoutStatus.PROCESSING, cause=Cause.REQUEST, origin=request.origin
    ):
        return _start_capture(transaction, request)  # Another process moved it meanwhile: look again.
    return Started(processing(checkout, attempt), attempt)


def start_cancels(transaction: Transaction, requests: Sequence[StartCancel]) -> list[StartOutcome]:
    """Cancel checkouts; for those whose money is held commit the attempts that void."""
    return [_start_cancel(transaction, request) for request in requests]


def _start_cancel(transaction: Transaction, request: StartCancel) -> StartOutcome:
    checkout = checkouts.read_by_id(transaction, [request.checkout]).get(request.checkout)
    if checkout is not None and checkout.status == CheckoutStatus.PROCESSING and checkout.attempt is not None:
        if checkout.attempt.close_reason == CloseReason.CANCELED:
            return Repeated(checkout)
        if checkout.awaits_buyer:
            is_closing = close_session(transaction, checkout, CloseReason.CANCELED, request.origin)
            return Repeated(checkout) if is_closing else _start_cancel(transaction, request)  # As below: look again.
    if checkout is None or checkout.status != CheckoutStatus.AUTHORIZED or checkout.attempt is None:
        outcome = cancel_checkouts(transaction, [CancelCheckout(request.checkout, request.origin)])[0]
        return Repeated(outcome) if isinstance(outcome, Checkout) else outcome
    if checkout.attempt.id == request.attempt_id:
        return _ours(transaction, checkout, request.attempt_id)
    if not checkout.attempt.ended:  # A void is under way already.
        return Repeated(checkout)
    cause = Cause.CLOCK if checkout.expires_at <= transaction.now else Cause.REQUEST
    started = _start_void(transaction, checkout, request, cause)
    return started or _start_cancel(transaction, request)  # Another process moved it meanwhile: look again.


def _ours(transaction: Transaction, checkout: Checkout, attempt_id: str) -> Started:
    """Find the attempt that this very request committed, when the answer to its commit was lost."""
    ours = store.read_attempt(transaction, attempt_id, checkout.merchant_id)
    assert ours is not None, "the checkout names it"
    return Started(checkout, ours)


def void_expired(transaction: Transaction, requests: Sequence[VoidExpired]) -> list[int]:
    """Commit the voids of checkouts that hold money and whose time is over; returns how many for each request."""
    counts = []
    for request in requests:
        expired = checkouts.read_expired(transaction, request.limit)
        held = [one for one in expired if one.status == CheckoutStatus.AUTHORIZED and _is_held(one)]
        voids = [StartCancel(attempt_id=request.new_id(ATTEMPT), checkout=id_of(one)) for one in held]
        started = [
            _start_void(transaction, checkout, void, Cause.CLOCK) for checkout, void in zip(held, voids, strict=True)
        ]
        counts.append(sum(one is not None for one in started))
    return counts


def _is_held(checkout: Checkout) -> bool:
    """Tell whether there is the attempt that holds the money. A row without it must not keep others from an end."""
    if checkout.attempt is None:
        log.error("held_money_without_attempt", checkout_id=checkout.id)
    return checkout.attempt is not None


def _start_void(transaction: Transaction, checkout: Checkout, request: StartCancel, cause: Cause) -> Started | None:
    attempt = _change(
        checkout,
        AttemptKind.VOID,
        attempt_id=request.attempt_id,
        now=transaction.now,
        lease_ms=request.lease_ms,
        amount=checkout.amount,
    )
    if not _commit(transaction, checkout, attempt, CheckoutStatus.AUTHORIZED, cause=cause, origin=request.origin):
        return None
    voided = msgspec.structs.replace(checkout, updated_at=attempt.created_at, attempt=as_latest(attempt))
    return Started(voided, attempt)


def _change(
    checkout: Checkout,
    kind: AttemptKind,
    *,
    attempt_id: str,
    now: Instant,
    lease_ms: int,
    amount: int,
) -> Attempt:
    newest = _newest_attempt(checkout)
    return new_attempt(
        attempt_id,
        checkout,
        kind,
        now=now,
        lease_ms=lease_ms,
        amount=amount,
        route=newest.route,
        payment_method=newest.payment_method,
        charge_reference=newest.held_reference,
    )


def _newest_attempt(checkout: Checkout) -> LatestAttempt:
    assert checkout.attempt is not None, "held money has the attempt that holds it"
    return checkout.attempt


def _commit(
    transaction: Transaction,
    checkout: Checkout,
    attempt: Attempt,
    target: CheckoutStatus,
    *,
    cause: Cause,
    origin: Origin,
) -> bool:
    """Commit an attempt that changes held money; False where the checkout is not as it was seen."""
    move = CheckoutTransition(
        checkout_id=checkout.id,
        merchant_id=checkout.merchant_id,
        mode=checkout.mode,
        source=CheckoutStatus.AUTHORIZED,
        target=target,
        seen_attempt_id=_newest_attempt(checkout).id,
        attempt_id=attempt.id,
        starts=True,
        cause=cause,
        origin=origin,
        detail={"kind": attempt.kind},
    )
    moved = bool(checkouts.apply_transitions(transaction, [move]))
    if moved:
        store.insert_attempts(transaction, [attempt])
    return moved
