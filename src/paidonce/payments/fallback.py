"""Fallback: a payment that is proven not to have begun with one account continues with the next.

Which accounts were not tried yet stands in the attempt since it was committed. The end of one attempt and the beginning
of the next are one transaction, so a crash leaves either the one or the other.
"""

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from paidonce import ids
from paidonce.checkouts import store as checkouts
from paidonce.checkouts.model import CheckoutStatus, CheckoutTransition
from paidonce.database.transaction import Transaction
from paidonce.events.model import Cause, EventType, NewEvent
from paidonce.merchants.model import Mode, TenantScopedId
from paidonce.payments import store
from paidonce.payments.model import (
    Attempt,
    AttemptKind,
    Fallback,
    Transition,
    decode_fallbacks,
    encode_fallbacks,
    new_attempt,
)
from paidonce.provider_accounts.model import AccountName
from paidonce.provider_accounts.store import read_accounts


class Ended(msgspec.Struct, frozen=True):
    """An attempt that has ended without effect, and the transition that says with which account to continue."""

    attempt: Attempt
    transition: Transition
    cause: Cause
    detail: dict[str, str]


def with_usable_fallbacks(transaction: Transaction, attempts: Iterable[Attempt]) -> Mapping[str, Attempt]:
    """Return, by their ids, attempts with those fallbacks alone whose accounts are still active."""
    found = [(attempt, decode_fallbacks(attempt.fallbacks)) for attempt in attempts]
    names = {_name(attempt, one) for attempt, fallbacks in found for one in fallbacks}
    accounts = read_accounts(transaction, names)
    active = {name for name, account in accounts.items() if account.is_active}
    return {
        attempt.id: msgspec.structs.replace(
            attempt, fallbacks=encode_fallbacks([one for one in fallbacks if _name(attempt, one) in active])
        )
        for attempt, fallbacks in found
    }


def _name(attempt: Attempt, fallback: Fallback) -> AccountName:
    return AccountName(fallback.account_id, attempt.merchant_id, Mode(attempt.mode))


def continue_payments(transaction: Transaction, ended: Sequence[Ended]) -> None:
    """Commit the attempts that continue payments, with keys of their own. The checkouts stay PROCESSING."""
    if not ended:
        return
    seen = checkouts.read_by_id(transaction, {_checkout_of(one.attempt) for one in ended})
    started = []
    for one in ended:
        fallback = one.transition.fallback
        assert fallback is not None, "only what has an account to continue with comes here"
        transaction.events.append(_event(EventType.ATTEMPT_DECLINED, one))
        started.append(
            new_attempt(
                ids.new_id(ids.ATTEMPT),
                seen[_checkout_of(one.attempt)],
                AttemptKind(one.attempt.kind),
                now=transaction.now,
                lease_ms=0,
                amount=one.attempt.amount,
                route=fallback.route,
                payment_method=one.attempt.payment_method,
                return_url=fallback.return_url,
                fallbacks=decode_fallbacks(one.attempt.fallbacks)[1:],
            )
        )
    moved = checkouts.apply_transitions(
        transaction, [_move(one, attempt) for one, attempt in zip(ended, started, strict=True)]
    )
    # The attempt was under way, so nothing else may have moved its checkout: the partial unique index sees to it.
    assert len(moved) == len(ended), "an attempt ended whose checkout was not waiting for it"
    store.insert_attempts(transaction, started)


def _move(ended: Ended, started: Attempt) -> CheckoutTransition:
    return CheckoutTransition(
        checkout_id=started.checkout_id,
        merchant_id=started.merchant_id,
        mode=started.mode,
        source=CheckoutStatus.PROCESSING,
        target=CheckoutStatus.PROCESSING,
        seen_attempt_id=ended.attempt.id,
        attempt_id=started.id,
        starts=True,
        cause=ended.cause,
        detail={"kind": started.kind, "provider": started.provider, "accountId": started.account_id or ""},
    )


def _event(kind: EventType, ended: Ended) -> NewEvent:
    attempt = ended.attempt
    return NewEvent(
        type=kind,
        cause=ended.cause,
        merchant_id=attempt.merchant_id,
        mode=attempt.mode,
        checkout_id=attempt.checkout_id,
        attempt_id=attempt.id,
        detail={**ended.detail, "provider": attempt.provider, "accountId": attempt.account_id or ""},
    )


def _checkout_of(attempt: Attempt) -> TenantScopedId:
    return TenantScopedId(attempt.checkout_id, attempt.merchant_id)
