"""Sessions that a buyer pays: committing which one is charged, closing it, and asking when the buyer comes back."""

from collections.abc import Sequence

import msgspec

from paidonce.checkouts.model import Checkout
from paidonce.checkouts.store import read_by_id
from paidonce.database.transaction import Transaction
from paidonce.errors import CheckoutNotFound, DatabaseUnavailable
from paidonce.events.model import Cause, EventType, NewEvent, Origin
from paidonce.merchants.model import TenantScopedId
from paidonce.payments.model import Attempt, AttemptStatus, CloseReason, check_transition
from paidonce.payments.session_store import close_sessions, commit_sessions, make_due, read_by_return_token


class ChargeSession(msgspec.Struct, frozen=True):
    """A session that is about to be charged for an attempt, by the worker that holds its lease."""

    attempt: Attempt
    reference: str


def commit_charged_sessions(transaction: Transaction, requests: Sequence[ChargeSession]) -> list[Attempt | None]:
    """Commit sessions before they are charged; returns each attempt as it is then, None where the lease is lost."""
    applied = commit_sessions(transaction, [(one.attempt, one.reference) for one in requests])
    return [_charged(one) if one.attempt.id in applied else None for one in requests]


def _charged(request: ChargeSession) -> Attempt:
    status = check_transition(AttemptStatus(request.attempt.status), AttemptStatus.SENT)
    return msgspec.structs.replace(request.attempt, status=status, session_reference=request.reference, action=None)


def close_session(transaction: Transaction, checkout: Checkout, reason: CloseReason, origin: Origin) -> bool:
    """Have the session of a checkout closed that its buyer has not paid; False where it is not as it was seen, or is
    being closed already.

    The checkout changes when the provider has proven that the session takes no money.
    """
    assert checkout.attempt is not None, "a checkout that waits for its buyer has an attempt"
    attempt = TenantScopedId(checkout.attempt.id, checkout.merchant_id)
    if not close_sessions(transaction, [(attempt, reason)]):
        return False
    transaction.events.append(
        NewEvent(
            type=EventType.ATTEMPT_CLOSING,
            cause=Cause.REQUEST,
            merchant_id=checkout.merchant_id,
            mode=checkout.mode,
            checkout_id=checkout.id,
            attempt_id=attempt.id,
            origin=origin,
            detail={"reason": reason},
        )
    )
    return True


class ReplaceSession(msgspec.Struct, frozen=True):
    """A buyer's wish to pay in another way than the one that waits for them, which was their attempt of this number."""

    checkout: TenantScopedId
    attempt_count: int
    origin: Origin = Origin()


def replace_sessions(transaction: Transaction, requests: Sequence[ReplaceSession]) -> list[Checkout | CheckoutNotFound]:
    """Have sessions closed, so that their checkouts can be paid in another way; returns the checkouts as they were.

    Nothing happens where the attempt is not the newest any more, or does not wait for its buyer.
    """
    seen = read_by_id(transaction, {one.checkout for one in requests})
    for one in requests:
        checkout = seen.get(one.checkout)
        if checkout is not None and checkout.awaits_buyer and checkout.attempt_count == one.attempt_count:
            close_session(transaction, checkout, CloseReason.REPLACED, one.origin)
    return [seen.get(one.checkout) or CheckoutNotFound() for one in requests]


def find_returning(
    transaction: Transaction, return_tokens: Sequence[str]
) -> list[Attempt | DatabaseUnavailable | None]:
    """Find the attempts whose buyers come back with these tokens; None where there is none.

    DatabaseUnavailable where it may be stored on a node that does not respond.
    """
    missing = DatabaseUnavailable(is_of_one_node=True) if transaction.is_partial else None
    return [read_by_return_token(transaction, token) or missing for token in return_tokens]


def resume_attempts(transaction: Transaction, attempts: Sequence[Attempt]) -> list[None]:
    """Make attempts due whose buyers are back."""
    for attempt in attempts:
        make_due(transaction, attempt)
    return [None for _ in attempts]
