"""Decides what follows when a charge was changed at the provider without a request of ours. Nothing is written here."""

from collections.abc import Sequence
from typing import TypeAlias

import msgspec

from paidonce.checkouts.model import Checkout, CheckoutStatus
from paidonce.clock import Instant
from paidonce.money import AMOUNT_MAX
from paidonce.payments.model import AUTHORIZATION, Attempt, AttemptKind, AttemptStatus
from paidonce.providers.evidence import Accepted, AuthorizationEnded, Declined, Evidence, ExternalRefund, Succeeded


class RecordRefund(msgspec.Struct, frozen=True):
    """Record the refund as an attempt that has ended."""

    status: AttemptStatus


class RecordVoid(msgspec.Struct, frozen=True):
    """Record the release as an attempt that has ended; the checkout has this status from then on."""

    target: CheckoutStatus


class SettleAttempt(msgspec.Struct, frozen=True):
    """It is evidence about an attempt that is committed."""

    attempt_id: str
    evidence: Evidence


class Postpone(msgspec.Struct, frozen=True):
    """Decide again later: something that is under way comes first."""

    reason: str


class Review(msgspec.Struct, frozen=True):
    """No rule covers it, so a person must look."""

    reason: str


class NoChange(msgspec.Struct, frozen=True):
    """Nothing follows."""


RefundDecision: TypeAlias = RecordRefund | SettleAttempt | Postpone | Review | NoChange
ReleaseDecision: TypeAlias = RecordVoid | SettleAttempt | Postpone | NoChange


def decide_refund(
    change: ExternalRefund, *, charge: Attempt, checkout: Checkout, returned: Sequence[Attempt]
) -> RefundDecision:
    """Decide what follows from a refund that was made at the provider.

    ``returned`` are the checkout's refunds and reversals, ours and recorded ones. A pending refund is recorded when its
    outcome is known: until then it has returned nothing. A failed one is recorded so that a success that is reported
    after it changes nothing.
    """
    if not has_valid_amount(change.amount):
        return Review(f"the provider reported a refund of {change.amount} {change.currency}")
    known = next((one for one in returned if one.provider_reference == change.reference), None)
    if known is not None:
        return SettleAttempt(known.id, _evidence_of(change))
    if change.status == "pending":
        return NoChange()
    if change.currency != checkout.currency:
        return Review(f"the provider reported a refund in {change.currency}; the charge is in {checkout.currency}")
    if change.status == "failed":
        return RecordRefund(AttemptStatus.DECLINED)
    reversal = next((one for one in returned if one.kind == AttemptKind.REVERSAL and _is_of(charge, one)), None)
    if reversal is not None:
        if reversal.settled_at is None and reversal.amount == change.amount:
            return SettleAttempt(reversal.id, _evidence_of(change))
        return Review("the provider reported a refund of a charge that we return")
    return _decide_amount(change, charge, checkout)


def _decide_amount(change: ExternalRefund, charge: Attempt, checkout: Checkout) -> RefundDecision:
    if checkout.status != CheckoutStatus.COMPLETED or not _holds(checkout, charge):
        return Postpone("the checkout is not known to be paid by this charge")
    if change.amount > checkout.amount_captured - checkout.amount_refunded:
        return Review("the provider reported more refunds than were captured")
    if change.amount > checkout.amount_left:
        return Postpone("a refund of ours is under way and would not fit any more")
    return RecordRefund(AttemptStatus.SUCCEEDED)


def decide_release(
    change: AuthorizationEnded, *, charge: Attempt, checkout: Checkout, returned: Sequence[Attempt], now: Instant
) -> ReleaseDecision:
    """Decide what follows where an authorized amount is not held any more.

    A void or a reversal of ours that is under way has succeeded with it. A capture that is under way has an outcome of
    its own, which comes first. After a capture it tells of the rest, which was released.
    ``returned`` are the checkout's refunds and reversals.
    """
    for one in returned:
        if one.reverses == AUTHORIZATION and one.settled_at is None and _is_of(charge, one):
            return SettleAttempt(one.id, Succeeded(one.charge_reference or "", kind="void"))
    newest = checkout.attempt
    if newest is None or not _holds(checkout, charge):
        return NoChange()
    if checkout.status == CheckoutStatus.PROCESSING:
        return Postpone("the outcome of the attempt that is under way comes first")
    if checkout.status != CheckoutStatus.AUTHORIZED:
        return NoChange()
    if not newest.ended:
        reference = newest.charge_reference or newest.provider_reference or ""
        return SettleAttempt(newest.id, Succeeded(reference, kind="void"))
    is_over = change.reason == "expired" or checkout.expires_at <= now
    return RecordVoid(CheckoutStatus.EXPIRED if is_over else CheckoutStatus.CANCELED)


def has_valid_amount(amount: int) -> bool:
    """Whether it is an amount that money can have here, in minor units."""
    return 0 < amount <= AMOUNT_MAX


def _evidence_of(change: ExternalRefund) -> Evidence:
    match change.status:
        case "succeeded":
            return Succeeded(change.reference, change.amount, change.currency, "refund")
        case "failed":
            return Declined(change.code or "declined", change.reference, "refund", change.raw_code)
        case "pending":
            return Accepted(change.reference)


def _is_of(charge: Attempt, change: Attempt) -> bool:
    return change.charge_reference in (charge.provider_reference, charge.charge_reference)


def _holds(checkout: Checkout, charge: Attempt) -> bool:
    """Whether a charge is the one that the checkout is paid by, or was paid by last: a capture names it, too."""
    newest = checkout.attempt
    if newest is None:
        return False
    named = {newest.provider_reference, newest.charge_reference} - {None}
    return newest.id == charge.id or not named.isdisjoint((charge.provider_reference, charge.charge_reference))
