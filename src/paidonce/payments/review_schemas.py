"""What the calls about attempts read and respond with."""

from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from paidonce import ids
from paidonce.clock import format_instant
from paidonce.http.fields import Fields
from paidonce.http.formats import Limit, whole
from paidonce.http.tenancy import TenantFields
from paidonce.payments.model import Attempt

# A refund is an attempt, too, and its id is its own.
ATTEMPT_ID_PATTERN: Final = rf"({ids.ATTEMPT}|{ids.REFUND})_[0-9a-v]{{26}}"
AttemptId = Annotated[str, whole(ATTEMPT_ID_PATTERN)]
Reference = Annotated[str, whole(r"[!-~]{1,255}", "The provider's reference of what took place.")]
DeclineCode = Annotated[str, whole(r"[a-z][a-z0-9_]{0,63}", "Why it was declined, such as `generic_decline`.")]


class ListAttemptsParameters(TenantFields, frozen=True, kw_only=True):
    """Which attempts to list, oldest first."""

    status: Annotated[
        Literal["NEEDS_REVIEW", "UNKNOWN", "ACCEPTED"],
        Meta(
            description="`NEEDS_REVIEW`: a person must ask the provider. `UNKNOWN`: look-ups continue. `ACCEPTED`: the "
            "provider has accepted it and tells the outcome later."
        ),
    ] = "NEEDS_REVIEW"
    limit: Limit = 10
    starting_after: AttemptId | None = None


class ResolveAttemptBody(Fields, frozen=True, kw_only=True):
    """What the provider confirmed of an attempt. ``reference`` goes with SUCCEEDED, ``declineCode`` with DECLINED."""

    outcome: Annotated[
        Literal["SUCCEEDED", "DECLINED"],
        Meta(description="`SUCCEEDED`: it took place. `DECLINED`: it did not and will not take place."),
    ]
    reference: Reference | None = None
    decline_code: DeclineCode | None = None


class ReviewedAttemptResponse(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """An attempt: one call to a provider that moves money, or gives it back. ``lookups`` counts how often the provider
    was asked for its outcome.
    """

    id: str
    kind: str
    status: str
    checkout_id: str
    merchant_id: str
    mode: str
    provider: str
    account: str | None
    amount: int
    currency: str
    lookups: int
    provider_reference: str | None
    charge_reference: str | None
    session_reference: str | None
    decline_code: str | None
    created_at: str
    updated_at: str
    next_lookup_at: str | None


class AttemptPage(msgspec.Struct, frozen=True, rename="camel"):
    """A page of attempts, oldest first."""

    data: list[ReviewedAttemptResponse]
    has_more: bool


def attempt_response(attempt: Attempt) -> ReviewedAttemptResponse:
    """Show an attempt."""
    return ReviewedAttemptResponse(
        id=attempt.id,
        kind=attempt.kind,
        status=attempt.status,
        checkout_id=attempt.checkout_id,
        merchant_id=attempt.merchant_id,
        mode=attempt.mode,
        provider=attempt.provider,
        account=attempt.account_id,
        amount=attempt.amount,
        currency=attempt.currency,
        lookups=attempt.lookup_count,
        provider_reference=attempt.provider_reference,
        charge_reference=attempt.charge_reference,
        session_reference=attempt.session_reference,
        decline_code=attempt.decline_code,
        created_at=format_instant(attempt.created_at),
        updated_at=format_instant(attempt.updated_at),
        next_lookup_at=None if attempt.due_at is None else format_instant(attempt.due_at),
    )
