"""Paying: a checkout goes to PROCESSING and its attempt is committed, before the provider is called."""

from collections.abc import Sequence
from typing import Final, TypeAlias

import msgspec

from paidonce.checkouts import store as checkouts
from paidonce.checkouts.model import (
    ATTEMPTS_MAX,
    PAYABLE,
    Checkout,
    CheckoutStatus,
    CheckoutTransition,
    LatestAttempt,
    ProviderRoute,
)
from paidonce.clock import Instant
from paidonce.database.transaction import Transaction
from paidonce.errors import (
    AttemptsExhausted,
    CheckoutExpired,
    CheckoutNotFound,
    InvalidState,
    PaidonceError,
    PaymentInProgress,
    ProviderAccountWrongMode,
)
from paidonce.events.model import Cause, Origin
from paidonce.merchants.model import Mode, TenantScopedId
from paidonce.payments import store
from paidonce.payments.model import (
    Attempt,
    AttemptKind,
    AttemptStatus,
    CloseReason,
    Fallback,
    as_latest,
    new_attempt,
)
from paidonce.payments.sessions import close_session

# Each round decides at least the requests whose checkout nobody else moved meanwhile; more rounds than transitions
# that a checkout can make would be a defect.
ROUNDS_MAX: Final = 2 * ATTEMPTS_MAX + 2


class Started(msgspec.Struct, frozen=True):
    """A new attempt is committed; ``checkout`` is as it is now."""

    checkout: Checkout
    attempt: Attempt

    @property
    def is_owned_locally(self) -> bool:
        """Whether it was born in the hands of the process that took the request; else a worker is to claim it."""
        return self.attempt.status == AttemptStatus.SENT


class Repeated(msgspec.Struct, frozen=True):
    """The same was asked for before, and is under way or has ended; ``checkout`` is as it is now."""

    checkout: Checkout


StartOutcome: TypeAlias = Started | Repeated | PaidonceError


class StartPayment(msgspec.Struct, frozen=True):
    """A request to pay; with ``lease_ms`` the attempt is born in the hands of the process that took the request.

    With a ``return_url``, to which the provider sends the buyer back, it is paid through a session. ``fallbacks`` are
    the accounts with which it continues, in this order, if it is proven not to have begun with the one before.
    ``mode`` is that of the accounts; only a checkout of this mode is paid.

    ``seen_attempt_count`` is the number of attempts that a buyer's page was shown after. Where it is given, a payment
    starts only if there was none since; one that is under way is joined, however it is made.
    """

    attempt_id: str
    checkout: TenantScopedId
    payment_method: str
    route: ProviderRoute
    return_url: str | None = None
    mode: str = Mode.TEST.value
    lease_ms: int = 0
    origin: Origin = Origin()
    fallbacks: tuple[Fallback, ...] = ()
    seen_attempt_count: int | None = None

    def fits(self, attempt: LatestAttempt) -> bool:
        """Whether an attempt that is under way is what this asks for: with any of the accounts that it may use."""
        if self.seen_attempt_count is not None:
            return True
        routes = (self.route, *(one.route for one in self.fallbacks))
        return attempt.payment_method == self.payment_method and attempt.route in routes


def start_payments(transaction: Transaction, requests: Sequence[StartPayment]) -> list[StartOutcome]:
    """Move checkouts to PROCESSING and commit their attempts. Of several pays of one checkout the first starts it."""
    outcomes: dict[int, StartOutcome] = {}
    for _ in range(ROUNDS_MAX):
        undecided = [(index, one) for index, one in enumerate(requests) if index not in outcomes]
        if not undecided:
            return [outcomes[index] for index in range(len(requests))]
        seen = checkouts.read_by_id(transaction, {one.checkout for _, one in undecided})
        starting: dict[str, tuple[int, StartPayment, Checkout]] = {}
        for index, request in undecided:
            checkout = seen.get(request.checkout)
            if checkout is None:
                outcomes[index] = CheckoutNotFound()
            elif (outcome := _decide(checkout, request, transaction.now)) is not None:
                outcomes[index] = outcome
                if isinstance(outcome, PaymentInProgress) and checkout.awaits_buyer:
                    # What is in the way only waits for its buyer: it ends, and then this can be tried again.
                    outcomes[index] = PaymentInProgress(is_ended=True)
                    close_session(transaction, checkout, CloseReason.REPLACED, request.origin)
            else:
                starting.setdefault(checkout.id, (index, request, checkout))
        outcomes |= _start(transaction, starting)
    raise RuntimeError("a checkout changed its status more often than its table of transitions allows")


def _decide(checkout: Checkout, request: StartPayment, now: Instant) -> StartOutcome | None:
    """Answer a pay, or None where a new attempt is to be made."""
    if checkout.mode != request.mode:
        return ProviderAccountWrongMode(checkout.mode)
    if checkout.status in PAYABLE:
        if checkout.expires_at <= now:
            return CheckoutExpired()
        if request.seen_attempt_count not in (None, checkout.attempt_count):
            return Repeated(checkout)
        return AttemptsExhausted(ATTEMPTS_MAX) if checkout.attempt_count >= ATTEMPTS_MAX else None
    if checkout.status == CheckoutStatus.EXPIRED:
        return CheckoutExpired()
    attempt = checkout.attempt
    if checkout.status != CheckoutStatus.PROCESSING or attempt is None or attempt.kind == AttemptKind.CAPTURE:
        return InvalidState(checkout.status, "paid")
    if attempt.id == request.attempt_id:  # Our own, from a commit whose answer was lost.
        return Started(checkout, _attempt(checkout, request, attempt.created_at))
    return Repeated(checkout) if request.fits(attempt) else PaymentInProgress()


def _start(
    transaction: Transaction, starting: dict[str, tuple[int, StartPayment, Checkout]]
) -> dict[int, StartOutcome]:
    moves = [_move(checkout, request) for _, request, checkout in starting.values()]
    moved = checkouts.apply_transitions(transaction, moves)
    attempts = {
        checkout.id: _attempt(checkout, request, transaction.now)
        for _, request, checkout in starting.values()
        if checkout.id in moved
    }
    store.insert_attempts(transaction, attempts.values())
    return {
        index: Started(processing(checkout, attempts[checkout.id]), attempts[checkout.id])
        for index, _, checkout in starting.values()
        if checkout.id in moved
    }


def _move(checkout: Checkout, request: StartPayment) -> CheckoutTransition:
    return CheckoutTransition(
        checkout_id=checkout.id,
        merchant_id=checkout.merchant_id,
        mode=checkout.mode,
        source=CheckoutStatus(checkout.status),
        target=CheckoutStatus.PROCESSING,
        seen_attempt_id=checkout.attempt.id if checkout.attempt else None,
        attempt_id=request.attempt_id,
        starts=True,
        counts=True,
        cause=Cause.REQUEST,
        origin=request.origin,
    )


def _attempt(checkout: Checkout, request: StartPayment, now: Instant) -> Attempt:
    return new_attempt(
        request.attempt_id,
        checkout,
        AttemptKind.AUTHORIZE if checkout.capture_method == "manual" else AttemptKind.CHARGE,
        now=now,
        lease_ms=request.lease_ms,
        amount=checkout.amount,
        payment_method=request.payment_method,
        route=request.route,
        return_url=request.return_url,
        fallbacks=request.fallbacks,
    )


def processing(checkout: Checkout, attempt: Attempt) -> Checkout:
    """Show a checkout as it is when this attempt has just been committed."""
    return msgspec.structs.replace(
        checkout,
        status=CheckoutStatus.PROCESSING,
        attempt_count=checkout.attempt_count + (attempt.kind in (AttemptKind.CHARGE, AttemptKind.AUTHORIZE)),
        updated_at=attempt.created_at,
        attempt=as_latest(attempt),
    )
