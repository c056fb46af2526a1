"""What the calls that move money read and respond with."""

import re
from typing import Annotated, ClassVar, Final

import msgspec
from msgspec import Meta

from paidonce.clock import format_instant
from paidonce.http.fields import Fields
from paidonce.http.formats import Amount, Text, check_text, whole
from paidonce.payments.dispute_store import RecordedDispute
from paidonce.payments.model import Attempt, AttemptStatus
from paidonce.payments.providers import ACCOUNTS_MAX
from paidonce.provider_accounts.schemas import AccountId
from paidonce.redaction import passes_luhn

DIGITS: Final = re.compile(r"[0-9](?:[ _-]?[0-9]){11,18}")
REFUND_STATUS: Final = {AttemptStatus.SUCCEEDED: "SUCCEEDED", AttemptStatus.DECLINED: "FAILED"}

Token = Annotated[
    str,
    whole(
        r"[A-Za-z][A-Za-z0-9_-]{0,254}",
        "A token from the provider, never a card number. The simulator's are listed in its reference.",
    ),
]


def check_token(token: str) -> str | None:
    """Refuse what looks like a card number, so that none is ever stored. Here an unknown issuer is no excuse."""
    for found in DIGITS.finditer(token):
        if passes_luhn(re.sub(r"[ _-]", "", found[0])):
            return "This looks like a card number; send a token from the provider."
    return None


def check_accounts(accounts: list[str]) -> str | None:
    """Refuse an account that is named twice: none is tried again."""
    return None if len(set(accounts)) == len(accounts) else "An account is named twice."


class PayBody(Fields, frozen=True, kw_only=True):
    """How to pay; the whole body may be absent. Without a ``provider`` and an ``account``, the merchant's first active
    account that can take the payment is used, or the simulator where there is none. ``accounts`` are tried in their
    order: where a payment is proven not to have begun with one, it continues with the next. Without a
    ``paymentMethod`` the buyer pays on the provider's page; at the simulator it is ``tok_success``.
    """

    payment_method: Token | None = None
    provider: Annotated[str, whole(r"[a-z][a-z0-9_]{0,63}")] | None = None
    account: AccountId | None = None
    accounts: Annotated[list[AccountId], Meta(min_length=1, max_length=ACCOUNTS_MAX)] | None = None

    checks: ClassVar = {"paymentMethod": check_token, "accounts": check_accounts}


class CaptureBody(Fields, frozen=True, kw_only=True):
    """How much of the authorized amount to capture; without an amount, all of it."""

    amount: Amount | None = None


class CancelBody(Fields, frozen=True, kw_only=True):
    """The body may be absent or ``{}``."""


class RefundBody(Fields, frozen=True, kw_only=True):
    """How much to refund of what was captured; without an amount, all that is left."""

    amount: Amount | None = None
    reason: Text | None = None

    checks: ClassVar = {"reason": check_text}


class RefundResponse(msgspec.Struct, frozen=True, rename="camel"):
    """A refund. ``status`` is PENDING until the provider proves SUCCEEDED or FAILED; a refund that succeeded may fail
    later. ``initiatedBy`` is ``request``, or ``provider`` where it was made there, as in its dashboard.
    """

    id: str
    checkout_id: str
    merchant_id: str
    amount: int
    currency: str
    status: str
    mode: str
    initiated_by: str
    reason: str | None
    decline_code: str | None
    provider_reference: str | None
    created_at: str
    updated_at: str


class RefundList(msgspec.Struct, frozen=True):
    """All refunds of a checkout, oldest first."""

    data: list[RefundResponse]


class DisputeResponse(msgspec.Struct, frozen=True, rename="camel"):
    """A dispute. ``status`` is OPENED, WON or LOST; ``reason`` is the provider's code."""

    id: str
    checkout_id: str
    merchant_id: str
    amount: int
    currency: str
    status: str
    reason: str | None
    provider: str
    provider_reference: str
    created_at: str
    updated_at: str


class DisputeList(msgspec.Struct, frozen=True):
    """All disputes of a checkout, oldest first."""

    data: list[DisputeResponse]


def dispute_response(dispute: RecordedDispute) -> DisputeResponse:
    """Show a dispute."""
    return DisputeResponse(
        dispute.id,
        dispute.checkout_id,
        dispute.merchant_id,
        dispute.amount,
        dispute.currency,
        dispute.status,
        dispute.reason,
        dispute.provider,
        dispute.reference,
        format_instant(dispute.created_at),
        format_instant(dispute.updated_at),
    )


def refund_response(refund: Attempt) -> RefundResponse:
    """Show a refund."""
    return RefundResponse(
        refund.id,
        refund.checkout_id,
        refund.merchant_id,
        refund.amount,
        refund.currency,
        REFUND_STATUS.get(AttemptStatus(refund.status), "PENDING"),
        refund.mode,
        refund.initiated_by or "request",
        refund.reason,
        refund.decline_code,
        refund.provider_reference,
        format_instant(refund.created_at),
        format_instant(refund.updated_at),
    )
