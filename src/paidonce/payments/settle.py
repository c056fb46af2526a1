"""Settling: writing what evidence leads to: attempt, checkout, sums and event, all or none."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

import msgspec

from paidonce import ids
from paidonce.checkouts import store as checkouts
from paidonce.checkouts.model import EXPIRES_IN_SECONDS_MAX, Checkout, CheckoutStatus, CheckoutTransition
from paidonce.checkouts.store import RefundSums
from paidonce.clock import Instant
from paidonce.database.transaction import Transaction
from paidonce.events.model import PREVIOUS_STATUS, Cause, EventType, NewEvent
from paidonce.merchants.model import TenantScopedId
from paidonce.payments import store
from paidonce.payments.fallback import Ended, continue_payments, with_usable_fallbacks
from paidonce.payments.model import (
    AUTHORIZATION,
    CHECKOUT_AFTER,
    FINAL,
    Attempt,
    AttemptKind,
    AttemptStatus,
    CloseReason,
    Transition,
    as_latest,
    new_attempt,
)
from paidonce.payments.reducer import decide, review_after_success
from paidonce.payments.schedule import LookupSchedule
from paidonce.providers.evidence import Authorized, Evidence, NotDone


class RecordEvidence(msgspec.Struct, frozen=True):
    """Something learned about an attempt. A worker writes under its ``fence``; a webhook or an operator needs none.

    ``chance`` in [0, 1) spreads the next look-up. ``attempt`` is the attempt as its worker knows it: if it is still so,
    it need not be read.
    """

    attempt_id: str
    evidence: Evidence
    cause: Cause
    schedule: LookupSchedule
    chance: float
    fence: int | None = None
    attempt: Attempt | None = None


class Settled(msgspec.Struct, frozen=True):
    """The result of evidence at the time ``at``: the transition, or None where nothing changed.

    ``checkout_id`` and ``status`` are those of the attempt as it was before; None where there is no such attempt.
    ``was_unchanged`` tells whether the attempt was still as in the request, so that nothing had to be read.
    ``lapses_at`` is when the authorization lapses that it proved. ``review_reason`` tells why a person must look where
    nothing changed.
    """

    checkout_id: str | None
    status: str | None
    transition: Transition | None
    at: Instant
    was_unchanged: bool
    lapses_at: Instant | None = None
    review_reason: str | None = None

    def apply_to(self, checkout: Checkout, attempt: Attempt) -> Checkout | None:
        """Return a checkout, as it was when this attempt began, with the transition; None where it must be read.

        That the attempt was not ended before is the guard of the write; and while it was under way, nothing else of
        its checkout can have changed.
        """
        transition = self.transition
        if transition is None or not self.was_unchanged or attempt.status in FINAL or transition.fallback:
            return None
        target = CHECKOUT_AFTER.get((AttemptKind(attempt.kind), transition.status))
        if target is None:
            return None
        ended = msgspec.structs.replace(
            as_latest(attempt),
            status=transition.status,
            provider_reference=transition.provider_reference,
            decline_code=transition.decline_code,
            settled_at=self.at,
            lookup_count=transition.lookup_count,
            action=None,
        )
        return msgspec.structs.replace(
            checkout,
            status=CheckoutStatus.CANCELED if _is_canceled(attempt, transition) else target,
            amount_captured=checkout.amount_captured + _captured(attempt, target),
            updated_at=self.at,
            attempt=ended,
            **self._expiry(checkout),
        )

    def _expiry(self, checkout: Checkout) -> dict[str, Instant]:
        if self.lapses_at is None or checkout.expires_at <= self.lapses_at:
            return {}
        return {"expires_at": self.lapses_at, "expires_at_requested": checkout.expires_at}


def record_evidence(transaction: Transaction, requests: Sequence[RecordEvidence]) -> list[Settled]:
    """Record evidence and what follows from it. Where another worker holds the attempt by now, nothing follows."""
    attempts = {request.attempt_id: request.attempt for request in requests if request.attempt is not None}
    unknown = {request.attempt_id for request in requests} - attempts.keys()
    if unknown:
        attempts |= store.read_attempts(transaction, unknown)
    attempts |= _with_usable_fallbacks(transaction, requests, attempts)
    decided: dict[str, tuple[RecordEvidence, Attempt, Transition]] = {}
    outcomes = []
    for request in requests:
        attempt = attempts.get(request.attempt_id)
        transition = None if attempt is None else _decide(attempt, request, transaction)
        if attempt is not None and transition is not None:
            decided.setdefault(attempt.id, (request, attempt, transition))
        outcomes.append(_settled(request, attempt, transition, transaction))
    applied = store.apply_transitions(
        transaction, [(attempt, transition) for _, attempt, transition in decided.values()]
    )
    _follow(transaction, [one for attempt_id, one in decided.items() if attempt_id in applied])
    missed = [
        index
        for index, (request, outcome) in enumerate(zip(requests, outcomes, strict=True))
        if outcome.transition is not None
        and (request.attempt_id not in applied or decided[request.attempt_id][0] is not request)
    ]
    counting = [one for index, one in enumerate(zip(requests, outcomes, strict=True)) if index not in missed]
    _limit_expiry(transaction, counting, attempts)
    if missed:  # A second piece of evidence in this batch, or an attempt that is not as it was thought: look again.
        again = [msgspec.structs.replace(requests[index], attempt=None) for index in missed]
        for index, outcome in zip(missed, record_evidence(transaction, again), strict=True):
            outcomes[index] = outcome
    return outcomes


def _with_usable_fallbacks(
    transaction: Transaction, requests: Sequence[RecordEvidence], attempts: Mapping[str, Attempt]
) -> Mapping[str, Attempt]:
    """Look which of the accounts can still be used with which a payment may continue."""
    continuing = {
        attempt.id: attempt
        for request in requests
        if isinstance(request.evidence, NotDone) and (attempt := attempts.get(request.attempt_id)) and attempt.fallbacks
    }
    return with_usable_fallbacks(transaction, continuing.values()) if continuing else {}


def _settled(
    request: RecordEvidence, attempt: Attempt | None, transition: Transition | None, transaction: Transaction
) -> Settled:
    return Settled(
        checkout_id=attempt.checkout_id if attempt else None,
        status=attempt.status if attempt else None,
        transition=transition,
        at=transaction.now,
        was_unchanged=request.attempt is not None,
        lapses_at=_lapses_at(request, attempt),
        review_reason=review_after_success(attempt, request.evidence) if attempt else None,
    )


def _lapses_at(request: RecordEvidence, attempt: Attempt | None) -> Instant | None:
    """Tell when an authorization lapses that evidence proves. A time that none can have is not believed: it is written
    into the checkout, which could not be shown any more. One after the longest life of a checkout would shorten none.
    """
    if attempt is None or attempt.kind != AttemptKind.AUTHORIZE or not isinstance(request.evidence, Authorized):
        return None
    lapses_at, begun_at = request.evidence.capture_before, attempt.created_at
    is_possible = lapses_at is not None and begun_at <= lapses_at <= begun_at + EXPIRES_IN_SECONDS_MAX * 1000
    return lapses_at if is_possible else None


def _limit_expiry(
    transaction: Transaction, recorded: Sequence[tuple[RecordEvidence, Settled]], attempts: Mapping[str, Attempt]
) -> None:
    """Have checkouts expire when their authorization lapses. Evidence that comes second may be the first to say when.
    It may also be about an authorization that is released, because it was confirmed after another one had begun.
    """
    for request, settled in recorded:
        attempt = attempts.get(request.attempt_id)
        if attempt is None or settled.lapses_at is None or attempt.status == AttemptStatus.DECLINED:
            continue  # What was declined before limits its checkout where it moves it.
        if settled.transition is not None or _is_held(transaction, attempt, request.evidence):
            checkouts.limit_expiry(transaction, _checkout_of(attempt), settled.lapses_at)


def _is_held(transaction: Transaction, attempt: Attempt, evidence: Evidence) -> bool:
    """Whether what a checkout holds, where it is AUTHORIZED, is the authorization that evidence is about."""
    name = _checkout_of(attempt)
    newest = checkouts.read_by_id(transaction, [name])[name].attempt
    return isinstance(evidence, Authorized) and newest is not None and newest.held_reference == evidence.reference


def _decide(attempt: Attempt, request: RecordEvidence, transaction: Transaction) -> Transition | None:
    if request.fence is not None and request.fence != attempt.fence:
        return None
    return decide(attempt, request.evidence, now=transaction.now, schedule=request.schedule, chance=request.chance)


def _is_canceled(attempt: Attempt, transition: Transition) -> bool:
    """Whether its session was closed, and now provably takes no money, because the checkout is to be canceled."""
    return attempt.close_reason == CloseReason.CANCELED and transition.status is AttemptStatus.DECLINED


def _captured(attempt: Attempt, target: CheckoutStatus) -> int:
    return attempt.amount if target is CheckoutStatus.COMPLETED else 0


Decided = tuple[RecordEvidence, Attempt, Transition]


def _follow(transaction: Transaction, decided: Sequence[Decided]) -> None:
    """Write what transitions mean for checkouts: by the table where one is moved, by its sums where one is refunded."""
    moving: list[Decided] = []
    refunds: list[Decided] = []
    continuing: list[Ended] = []
    for one in decided:
        _, attempt, transition = one
        if transition.status not in FINAL:
            # That the buyer, or the provider, still has time is no news.
            if transition.status != attempt.status or transition.status is AttemptStatus.UNKNOWN:
                transaction.events.append(_event(EventType(f"attempt.{transition.status.lower()}"), one))
        elif transition.fallback is not None:
            continuing.append(Ended(attempt, transition, one[0].cause, _detail(transition)))
        elif attempt.kind == AttemptKind.REFUND:
            refunds.append(one)
        elif attempt.kind == AttemptKind.REVERSAL:
            transaction.events.append(_event(_refund_event(transition), one))
        else:
            moving.append(one)
    _add_refunds(transaction, refunds)
    _move_checkouts(transaction, moving)
    continue_payments(transaction, continuing)


def _move_checkouts(transaction: Transaction, decided: Sequence[Decided]) -> None:
    moves = []
    special = [one for one in decided if one[1].status == AttemptStatus.DECLINED or one[1].kind == AttemptKind.VOID]
    seen = checkouts.read_by_id(transaction, {_checkout_of(one[1]) for one in special}) if special else {}
    for one in decided:
        _, attempt, transition = one
        if attempt.status == AttemptStatus.DECLINED:
            _keep_late_success(transaction, seen[_checkout_of(attempt)], one)
        elif attempt.kind == AttemptKind.VOID:
            over = attempt.created_at >= seen[_checkout_of(attempt)].expires_at
            target = CheckoutStatus.EXPIRED if over else CheckoutStatus.CANCELED
            moves.append(_move(one, CheckoutStatus.AUTHORIZED, target))
        else:
            target = CHECKOUT_AFTER[AttemptKind(attempt.kind), transition.status]
            moves.append(_move(one, CheckoutStatus.PROCESSING, target))
    moved = checkouts.apply_transitions(transaction, moves)
    # The attempt was under way, so nothing else may have moved its checkout: the partial unique index sees to it.
    assert len(moved) == len(moves), "an attempt ended whose checkout was not waiting for it"
    canceled = [one for one in decided if _is_canceled(one[1], one[2])]
    checkouts.apply_transitions(
        transaction, [_move(one, CheckoutStatus.FAILED, CheckoutStatus.CANCELED) for one in canceled]
    )


def _keep_late_success(transaction: Transaction, checkout: Checkout, decided: Decided) -> None:
    """Move on a checkout whose last attempt was thought declined; where that is too late, give the money back."""
    request, attempt, transition = decided
    kind = AttemptKind(attempt.kind)
    left, target = CHECKOUT_AFTER[kind, AttemptStatus.DECLINED], CHECKOUT_AFTER[kind, AttemptStatus.SUCCEEDED]
    # Where another attempt is its newest by now, or it is canceled or expired, the checkout does not move.
    if checkouts.apply_transitions(transaction, [_move(decided, left, CheckoutStatus.PROCESSING)]):
        checkouts.apply_transitions(transaction, [_move(decided, CheckoutStatus.PROCESSING, target)])
        lapses_at = _lapses_at(request, attempt)
        if lapses_at is not None:
            checkouts.limit_expiry(transaction, _checkout_of(attempt), lapses_at)
        return
    is_held = isinstance(request.evidence, Authorized)
    reversal = new_attempt(
        ids.new_id(ids.ATTEMPT),
        checkout,
        AttemptKind.REVERSAL,
        now=transaction.now,
        lease_ms=0,
        amount=attempt.amount,
        route=attempt.route,
        payment_method=attempt.payment_method,
        charge_reference=attempt.charge_reference or transition.provider_reference,
        reason=f"the {AUTHORIZATION if is_held else 'charge'} was confirmed too late for the checkout",
        reverses=AUTHORIZATION if is_held else None,
    )
    store.insert_attempts(transaction, [reversal])
    transaction.events.append(_event(EventType.REFUND_CREATED, (request, reversal, transition)))


def _checkout_of(attempt: Attempt) -> TenantScopedId:
    return TenantScopedId(attempt.checkout_id, attempt.merchant_id)


def _move(decided: Decided, source: CheckoutStatus, target: CheckoutStatus) -> CheckoutTransition:
    request, attempt, transition = decided
    return CheckoutTransition(
        checkout_id=attempt.checkout_id,
        merchant_id=attempt.merchant_id,
        mode=attempt.mode,
        source=source,
        target=target,
        seen_attempt_id=attempt.id,
        attempt_id=attempt.id,
        cause=request.cause,
        captured=_captured(attempt, target),
        detail=_detail(transition),
    )


def _add_refunds(transaction: Transaction, decided: Sequence[Decided]) -> None:
    """Take ended refunds from what is pending and add those that succeeded, one row a checkout."""
    ended: defaultdict[TenantScopedId, list[Decided]] = defaultdict(list)
    for one in decided:
        ended[_checkout_of(one[1])].append(one)
        transaction.events.append(_event(_refund_event(one[2]), one))
    while ended:
        seen = checkouts.read_by_id(transaction, ended)
        sums = [_refund_sums(seen[name], group) for name, group in ended.items()]
        added = checkouts.add_refunds(transaction, sums)
        for name in [name for name in ended if name.id in added]:
            del ended[name]


def _refund_sums(checkout: Checkout, ended: Sequence[Decided]) -> RefundSums:
    """Sum up a checkout's ended refunds. One that was thought declined is no longer pending, and may not fit any more:
    then more was given back than was taken, which only the events tell. One that fails after it succeeded is given
    back.
    """
    pending = sum(attempt.amount for _, attempt, _ in ended if attempt.status not in FINAL)
    refunded = sum(attempt.amount for _, attempt, transition in ended if transition.status is AttemptStatus.SUCCEEDED)
    failed = sum(attempt.amount for _, attempt, _ in ended if attempt.status == AttemptStatus.SUCCEEDED)
    fitting = min(refunded, checkout.amount_left + pending + failed)
    return RefundSums(checkout=checkout, pending=-pending, refunded=fitting - min(failed, checkout.amount_refunded))


def _refund_event(transition: Transition) -> EventType:
    return EventType.REFUND_SUCCEEDED if transition.status is AttemptStatus.SUCCEEDED else EventType.REFUND_FAILED


def _event(kind: EventType, decided: Decided) -> NewEvent:
    request, attempt, transition = decided
    return NewEvent(
        type=kind,
        cause=request.cause,
        merchant_id=attempt.merchant_id,
        mode=attempt.mode,
        checkout_id=attempt.checkout_id,
        attempt_id=attempt.id,
        # Statistics need it, and the event of the outcome that it replaces may be deleted by then.
        detail=_detail(transition) | ({PREVIOUS_STATUS: attempt.status} if attempt.status in FINAL else {}),
    )


def _detail(transition: Transition) -> dict[str, str]:
    detail = {
        "providerReference": transition.provider_reference,
        "declineCode": transition.decline_code,
        "rawDeclineCode": transition.raw_decline_code,
        "reason": transition.reason,
    }
    return {name: value for name, value in detail.items() if value is not None}
