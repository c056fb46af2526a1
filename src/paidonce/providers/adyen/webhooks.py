"""Adyen's webhooks: their signatures, and what they tell.

From "Verify HMAC signatures" (docs.adyen.com/development-resources/webhooks/verify-hmac-signatures), the webhooks'
specification (github.com/Adyen/adyen-openapi: Webhooks-v1) and Adyen's SDK, read 2026-11. Each item is signed for
itself: the Base64 of the HMAC-SHA256, with a key in hexadecimal, of eight fields joined by colons.
"""

import base64
import hashlib
import hmac
from collections.abc import Sequence
from typing import Final, Literal

from paidonce.errors import MalformedBody
from paidonce.money import Money
from paidonce.providers.adyen.amounts import from_adyen
from paidonce.providers.adyen.decline_codes import decline_code, raw_code_of
from paidonce.providers.adyen.references import AUTHORIZATIONS, CHARGES, LINKS, Reference, read_reference
from paidonce.providers.adyen.responses import STRANGE_AMOUNT, proof_of_charge
from paidonce.providers.adyen.wire import Item, Webhook
from paidonce.providers.answers import read_object
from paidonce.providers.decline_codes import PROVIDER_REFUSED
from paidonce.providers.evidence import (
    AuthorizationEnded,
    Declined,
    Dispute,
    Evidence,
    ExternalChange,
    ExternalRefund,
    Notice,
    Succeeded,
)

# An event of a modification, and whether ``success`` means that it took place. One that failed was reported as a
# success before, and its event has ``success: true`` too.
MODIFICATION_OF: Final = {
    "CAPTURE": ("capture", True),
    "CAPTURE_FAILED": ("capture", False),
    "CANCELLATION": ("void", True),
    "TECHNICAL_CANCEL": ("void", True),
    "REFUND": ("refund", True),
    "REFUND_FAILED": ("refund", False),
    "REFUNDED_REVERSED": ("refund", False),
}
DISPUTES: Final[dict[str, Literal["opened", "won", "lost"]]] = {
    "CHARGEBACK": "opened",
    "CHARGEBACK_REVERSED": "won",
    "SECOND_CHARGEBACK": "lost",
    "PREARBITRATION_LOST": "lost",
}


def decode(body: bytes) -> Webhook:
    """Read a webhook; raises MalformedBody where it is not one of Adyen's."""
    webhook = read_object(body, Webhook)
    if webhook is None:
        raise MalformedBody("The webhook is not a standard notification of Adyen's.")
    if not webhook.notification_items:
        raise MalformedBody("The webhook holds no notification.")
    return webhook


def is_signed(hmac_key: str, item: Item) -> bool:
    """Return whether the signature of an item is valid."""
    amount = item.amount
    fields = (
        item.psp_reference,
        item.original_reference or "",
        item.merchant_account_code,
        item.merchant_reference or "",
        str(amount.value) if amount else "",
        amount.currency if amount else "",
        item.event_code,
        item.success,
    )
    expected = base64.b64encode(hmac.digest(bytes.fromhex(hmac_key), ":".join(fields).encode(), hashlib.sha256))
    return hmac.compare_digest(expected, item.additional_data.hmac_signature.encode())


def read(webhook: Webhook, merchant_account: str, *, live: bool) -> Sequence[Notice]:
    """Return what a webhook tells whose signatures are valid: a notice for each item."""
    is_of_mode = webhook.live == ("true" if live else "false")
    return [
        _notice(item, is_about_us=is_of_mode and item.merchant_account_code == merchant_account)
        for item in (holder.item for holder in webhook.notification_items)
    ]


def _notice(item: Item, *, is_about_us: bool) -> Notice:
    notice_id = f"{item.event_code}-{item.psp_reference}-{item.success}"
    reference = read_reference(item.merchant_reference or "") if is_about_us else None
    statement = _statement(item, reference) if reference else None
    return Notice(notice_id, reference.key if reference and statement else None, statement)


def _statement(item: Item, reference: Reference) -> Evidence | ExternalChange | None:
    """Return what an item tells about the operation with our reference, or about a charge that others changed."""
    if item.event_code == "AUTHORISATION":
        return _of_authorisation(item, reference) if reference.word in CHARGES else None
    if item.event_code in MODIFICATION_OF:
        kind, succeeds = MODIFICATION_OF[item.event_code]
        if reference.word == kind:
            return _of_modification(item, reference, succeeded=succeeds and item.succeeded)
    return _of_change(item) if reference.word in CHARGES else None


def _of_authorisation(item: Item, reference: Reference) -> Evidence | None:
    if item.succeeded:
        return proof_of_charge(item.psp_reference, item.amount, capture=reference.word not in AUTHORIZATIONS)
    if reference.word in LINKS:
        return None  # The link stays open: the buyer may try again, with another card.
    raw_code = raw_code_of(None, item.reason)
    return Declined(decline_code(raw_code), item.psp_reference, "charge", raw_code)


def _of_modification(item: Item, reference: Reference, *, succeeded: bool) -> Evidence:
    if not succeeded:
        raw_code = raw_code_of(None, item.reason) or item.event_code
        return Declined(decline_code(raw_code, PROVIDER_REFUSED), item.psp_reference, reference.kind, raw_code)
    if reference.kind == "void":  # It is told with the amount of the payment.
        return Succeeded(item.psp_reference, kind="void")
    money = _money(item)
    if item.amount is not None and money is None:
        return STRANGE_AMOUNT
    return Succeeded(item.psp_reference, money and money.amount, money and money.currency, reference.kind)


def _of_change(item: Item) -> ExternalChange | None:
    """Return what happened to a charge without a request of ours. Its event has the reference of the charge."""
    money = _money(item)
    if item.event_code == "CANCELLATION" and item.succeeded:
        return AuthorizationEnded("canceled")
    if item.event_code == "EXPIRE":
        return AuthorizationEnded("expired")
    if money is None:
        return None
    if item.event_code in {"REFUND", "REFUND_FAILED", "REFUNDED_REVERSED"}:
        failed = item.event_code != "REFUND" or not item.succeeded
        raw_code = (raw_code_of(None, item.reason) or item.event_code) if failed else None
        return ExternalRefund(
            item.psp_reference,
            "failed" if failed else "succeeded",
            money.amount,
            money.currency,
            decline_code(raw_code, PROVIDER_REFUSED) if failed else None,
            raw_code,
        )
    if item.event_code not in DISPUTES:
        return None
    reason = raw_code_of(None, item.reason)
    return Dispute(item.psp_reference, DISPUTES[item.event_code], money.amount, money.currency, reason)


def _money(item: Item) -> Money | None:
    return None if item.amount is None else from_adyen(item.amount.value, item.amount.currency)
