"""Adyen's objects, with the fields that are read here. Fields that are not named are ignored.

From Adyen's OpenAPI specifications (github.com/Adyen/adyen-openapi: CheckoutService-v72, Webhooks-v1).
"""

from typing import Final

import msgspec

API_VERSION: Final = "v72"  # Pinned by the path.

CHECKOUT: Final = "paidonce_checkout"  # The names of our metadata; Adyen takes at most 20 characters.
MERCHANT: Final = "paidonce_merchant"


class Amount(msgspec.Struct, frozen=True):
    """An amount, in Adyen's unit."""

    value: int
    currency: str


class PaymentLink(msgspec.Struct, frozen=True, kw_only=True):
    """A payment link. One that is not reusable is paid once at most."""

    id: str
    status: str
    reference: str
    url: str | None = None
    expires_at: str | None = msgspec.field(name="expiresAt", default=None)


class Payment(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The response to a payment."""

    result_code: str
    psp_reference: str | None = None
    merchant_reference: str | None = None
    amount: Amount | None = None
    refusal_reason: str | None = None
    refusal_reason_code: str | None = None


class ModificationReceipt(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The response to a capture, a cancellation or a refund: it was received, and a webhook will tell the outcome."""

    status: str
    psp_reference: str
    payment_psp_reference: str
    reference: str | None = None


class PaymentMethods(msgspec.Struct, frozen=True, rename="camel"):
    """The response to a request for the payment methods of a merchant account."""

    payment_methods: list[msgspec.Raw] = []


class ApiError(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """An error of the API."""

    error_code: str = ""
    error_type: str = ""
    message: str = ""


class AdditionalData(msgspec.Struct, frozen=True):
    """What a webhook adds to an item. Nothing but the signature itself is read, because nothing else here is signed."""

    hmac_signature: str = msgspec.field(name="hmacSignature", default="")


class Item(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One notification of a webhook. ``reason`` is not signed."""

    event_code: str
    psp_reference: str
    merchant_account_code: str = ""
    merchant_reference: str | None = None
    original_reference: str | None = None
    amount: Amount | None = None
    success: str = ""
    reason: str | None = None
    additional_data: AdditionalData = AdditionalData()

    @property
    def succeeded(self) -> bool:
        """Whether what the event is about took place."""
        return self.success == "true"


class ItemHolder(msgspec.Struct, frozen=True):
    """The wrapper of an item."""

    item: Item = msgspec.field(name="NotificationRequestItem")


class Webhook(msgspec.Struct, frozen=True, rename="camel"):
    """A webhook, with one or more items."""

    live: str
    notification_items: list[ItemHolder]
