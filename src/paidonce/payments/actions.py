"""What can be done with payments: start one, claim what is due, record what the provider said. Each over a batch."""

from collections.abc import Sequence
from typing import Final

import msgspec

from paidonce.checkouts import store as checkouts
from paidonce.checkouts.model import ATTEMPTS_MAX, PAYABLE, Checkout, CheckoutMove, CheckoutStatus, LatestAttempt
from paidonce.clock import Instant
from paidonce.database.transaction import Transaction
from paidonce.errors import (
    AttemptsExhausted,
    CheckoutExpired,
    CheckoutNotFound,
    InvalidState,
    PaidonceError,
    PaymentInProgress,
)
from paidonce.events.model import Cause, EventType, NewEvent, Origin
from paidonce.payments import store
from paidonce.payments.model import CHECKOUT_AFTER, Attempt, AttemptKind, AttemptStatus, LookupSchedule, Verdict, judge
from paidonce.payments.store import Held
from paidonce.providers.base import Evidence

# Each round decides at least the requests whose checkout nobody else moved meanwhile; more rounds than transitions
# that a checkout can make would be a defect.
ROUNDS_MAX: Final = 2 * ATTEMPTS_MAX + 2


class StartPayment(msgspec.Struct, frozen=True, kw_only=True):
    """A request to pay; with ``lease_ms`` the attempt is born in the hands of the process that took the request."""

    attempt_id: str
    checkout_id: str
    payment_method: str
    provider: str
    lease_ms: int = 0
    origin: Origin = Origin()


class PaymentStarted(msgspec.Struct, frozen=True):
    """A new attempt is committed."""

    checkout: Checkout
    attempt: Attempt


class PaymentReplayed(msgspec.Struct, frozen=True):
    """The same payment is under way already."""

    checkout: Checkout


StartOutcome = PaymentStarted | PaymentReplayed | PaidonceError


def start_payments(transaction: Transaction, requests: Sequence[StartPayment]) -> list[StartOutcome]:
    """Move checkouts to PROCESSING and commit their attempts. Of several pays of one checkout the first starts it."""
    outcomes: dict[int, StartOutcome] = {}
    for _ in range(ROUNDS_MAX):
        open_requests = [(index, one) for index, one in enumerate(requests) if index not in outcomes]
        if not open_requests:
            return [outcomes[index] for index in range(len(requests))]
        seen = checkouts.read_by_id(transaction, {one.checkout_id for _, one in open_requests})
        starting: dict[str, tuple[int, StartPayment]] = {}
        for index, request in open_requests:
            checkout = seen.get(request.checkout_id)
            if checkout is not None and checkout.status in PAYABLE and _refusal(checkout, transaction.now) is None:
                starting.setdefault(request.checkout_id, (index, request))
            else:
                outcomes[index] = _answer(checkout, request, transaction.now)
        outcomes |= _start(transaction, seen, starting)
    message = "a checkout changed its status more often than its table of transitions allows"
    raise RuntimeError(message)


def _refusal(checkout: Checkout, now: Instant) -> PaidonceError | None:
    if checkout.expires_at <= now:
        return CheckoutExpired()
    if checkout.attempt_count >= ATTEMPTS_MAX:
        return AttemptsExhausted(ATTEMPTS_MAX)
    return None


def _answer(checkout: Checkout | None, request: StartPayment, now: Instant) -> StartOutcome:
    if checkout is None:
        return CheckoutNotFound()
    if checkout.status in PAYABLE:
        refusal = _refusal(checkout, now)
        assert refusal is not None
        return refusal
    if checkout.status == CheckoutStatus.EXPIRED:
        return CheckoutExpired()
    attempt = checkout.attempt
    if checkout.status != CheckoutStatus.PROCESSING or attempt is None:
        return InvalidState(checkout.status, "paid")
    if attempt.id == request.attempt_id:  # Our own, from a commit whose answer was lost.
        return PaymentStarted(checkout, _new_attempt(checkout, request, attempt.created_at))
    if (attempt.payment_method, attempt.provider) != (request.payment_method, request.provider):
        return PaymentInProgress()
    return PaymentReplayed(checkout)


def _start(
    transaction: Transaction, seen: dict[str, Checkout], starting: dict[str, tuple[int, StartPayment]]
) -> dict[int, PaymentStarted]:
    moves = [
        CheckoutMove(
            checkout_id=request.checkout_id,
            merchant_id=seen[request.checkout_id].merchant_id,
            source=CheckoutStatus(seen[request.checkout_id].status),
            target=CheckoutStatus.PROCESSING,
            attempt_count=seen[request.checkout_id].attempt_count,
            attempt_id=request.attempt_id,
            new_attempt=True,
            cause=Cause.REQUEST,
            origin=request.origin,
        )
        for _, request in starting.values()
    ]
    moved = checkouts.move_checkouts(transaction, moves)
    attempts = {
        checkout_id: _new_attempt(seen[checkout_id], request, transaction.now)
        for checkout_id, (_, request) in starting.items()
        if checkout_id in moved
    }
    if attempts:
        store.insert_attempts(transaction, attempts.values())
    return {
        index: PaymentStarted(_processing(seen[checkout_id], attempts[checkout_id]), attempts[checkout_id])
        for checkout_id, (index, _) in starting.items()
        if checkout_id in moved
    }


def _new_attempt(checkout: Checkout, request: StartPayment, now: Instant) -> Attempt:
    leased = request.lease_ms > 0
    return Attempt(
        id=request.attempt_id,
        merchant_id=checkout.merchant_id,
        checkout_id=checkout.id,
        kind=AttemptKind.AUTHORIZE if checkout.capture_method == "manual" else AttemptKind.CHARGE,
        status=AttemptStatus.SENT if leased else AttemptStatus.READY,
        provider=request.provider,
        provider_key=request.attempt_id,
        payment_method=request.payment_method,
        amount=checkout.amount,
        currency=checkout.currency,
        due_at=now + request.lease_ms,
        fence=1 if leased else 0,
        lookup_count=0,
        provider_reference=None,
        decline_code=None,
        created_at=now,
        updated_at=now,
        settled_at=None,
    )


def _processing(checkout: Checkout, attempt: Attempt) -> Checkout:
    return msgspec.structs.replace(
        checkout,
        status=CheckoutStatus.PROCESSING,
        attempt_count=checkout.attempt_count + 1,
        updated_at=attempt.created_at,
        attempt=LatestAttempt(
            id=attempt.id,
            status=attempt.status,
            provider=attempt.provider,
            payment_method=attempt.payment_method,
            provider_reference=None,
            decline_code=None,
            created_at=attempt.created_at,
            settled_at=None,
        ),
    )


class ClaimAttempts(msgspec.Struct, frozen=True):
    """A worker's wish for work."""

    limit: int
    lease_ms: int


def claim_attempts(transaction: Transaction, requests: Sequence[ClaimAttempts]) -> list[list[Attempt]]:
    """Claim due attempts for workers: READY ones, and those whose lease is over, whoever had it."""
    return [
        store.claim_due(transaction, limit=one.limit, lease_until=transaction.now + one.lease_ms) for one in requests
    ]


class RecordEvidence(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker learned about the attempt that it holds; ``chance`` in [0, 1) spreads the next look-up."""

    held: Held
    evidence: Evidence
    cause: Cause
    schedule: LookupSchedule
    chance: float


def record_evidence(transaction: Transaction, requests: Sequence[RecordEvidence]) -> list[bool]:
    """Judge evidence and write what follows: attempt, checkout, event, all or none.

    True where something changed; False where the attempt had ended already or another worker holds it now.
    """
    attempts = store.read_attempts(transaction, [request.held for request in requests])
    judged = [(request, _judge(attempts.get(request.held.id), request, transaction.now)) for request in requests]
    verdicts = [(request, verdict) for request, verdict in judged if verdict is not None]
    applied = store.apply_verdicts(transaction, [(request.held, verdict) for request, verdict in verdicts])
    applied_verdicts = [(request, verdict) for request, verdict in verdicts if request.held.id in applied]
    _move_checkouts(transaction, attempts, applied_verdicts)
    return [verdict is not None and request.held.id in applied for request, verdict in judged]


def _judge(attempt: Attempt | None, request: RecordEvidence, now: Instant) -> Verdict | None:
    if attempt is None or attempt.fence != request.held.fence:
        return None
    return judge(attempt, request.evidence, now=now, schedule=request.schedule, chance=request.chance)


def _move_checkouts(
    transaction: Transaction, attempts: dict[str, Attempt], verdicts: Sequence[tuple[RecordEvidence, Verdict]]
) -> None:
    seen = checkouts.read_by_id(transaction, {attempts[request.held.id].checkout_id for request, _ in verdicts})
    moves = []
    for request, verdict in verdicts:
        attempt = attempts[request.held.id]
        target = CHECKOUT_AFTER.get((AttemptKind(attempt.kind), verdict.status))
        if target is None:
            transaction.events.append(_still_under_way(attempt, request, verdict))
            continue
        checkout = seen[attempt.checkout_id]
        moves.append(
            CheckoutMove(
                checkout_id=checkout.id,
                merchant_id=checkout.merchant_id,
                source=CheckoutStatus.PROCESSING,
                target=target,
                attempt_count=checkout.attempt_count,
                attempt_id=attempt.id,
                cause=request.cause,
                captured=attempt.amount if target is CheckoutStatus.COMPLETED else 0,
                detail=_detail(verdict),
            )
        )
    moved = checkouts.move_checkouts(transaction, moves)
    # The attempt was under way, so nothing else may have moved its checkout: the partial unique index sees to it.
    assert len(moved) == len(moves), "an attempt ended whose checkout was not PROCESSING"


def _detail(verdict: Verdict) -> dict[str, str]:
    told = {
        "providerReference": verdict.provider_reference,
        "declineCode": verdict.decline_code,
        "reason": verdict.reason,
    }
    return {name: value for name, value in told.items() if value is not None}


def _still_under_way(attempt: Attempt, request: RecordEvidence, verdict: Verdict) -> NewEvent:
    in_review = verdict.status is AttemptStatus.NEEDS_REVIEW
    return NewEvent(
        type=EventType.ATTEMPT_NEEDS_REVIEW if in_review else EventType.ATTEMPT_UNKNOWN,
        cause=request.cause,
        merchant_id=attempt.merchant_id,
        checkout_id=attempt.checkout_id,
        attempt_id=attempt.id,
        detail=_detail(verdict),
    )


def release_attempts(transaction: Transaction, requests: Sequence[Sequence[Held]]) -> list[None]:
    """Give leases back, so that another worker need not wait for their end."""
    store.release(transaction, [held for request in requests for held in request])
    return [None for _ in requests]


def release_all_attempts(transaction: Transaction, requests: Sequence[None]) -> list[None]:
    """Give back every lease: a process that is alone with its database knows that their owners are dead."""
    store.release_all(transaction)
    return list(requests)
