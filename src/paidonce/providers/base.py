"""The Provider protocol, which every payment provider implements. A connector is one folder that implements it.

Every operation has a ``key``: our idempotency key, which was committed before the first call. A result is evidence,
with one type for each thing that can be known. A time-out, a refused connection or an HTTP 500 is ``Unknown``, and
never an exception that could be taken for a failure.
"""

from collections.abc import Mapping
from typing import Literal, Protocol, TypeAlias

import msgspec

from paidonce.money import Money


class Capabilities(msgspec.Struct, frozen=True, kw_only=True):
    """What a provider supports. It decides how an unknown outcome is handled."""

    deduplicates_by_key: bool
    key_lifetime_seconds: int  # How long it remembers a key. After that, a resend could charge twice.
    can_be_asked_by_key: bool
    manual_capture: bool
    partial_refund: bool
    webhooks: bool


class ChargeRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A charge (``capture=True``) or an authorization that holds the amount (``capture=False``)."""

    key: str
    money: Money
    payment_method: str
    capture: bool
    checkout_id: str
    merchant_id: str


class Modification(msgspec.Struct, frozen=True, kw_only=True):
    """A capture, void or refund of the charge with the provider's reference ``charge_reference``."""

    key: str
    money: Money
    charge_reference: str


OperationKind: TypeAlias = Literal["charge", "capture", "void", "refund"]
"""What the provider was asked to do. An authorization is a charge without capture."""


class Succeeded(msgspec.Struct, frozen=True, tag=True):
    """Proof that the operation took place. ``reference`` is the provider's reference.

    ``amount`` (in minor units), ``currency`` and ``kind`` are what the provider reports about the operation; None where
    it does not.
    """

    reference: str
    amount: int | None = None
    currency: str | None = None
    kind: OperationKind | None = None


class Authorized(msgspec.Struct, frozen=True, tag=True):
    """Proof that the amount is authorized and not captured. ``reference`` is the provider's reference.

    ``amount``, ``currency`` and ``kind`` are as in Succeeded.
    """

    reference: str
    amount: int | None = None
    currency: str | None = None
    kind: OperationKind | None = None


class Declined(msgspec.Struct, frozen=True, tag=True):
    """Proof that the operation did not and will not take place. ``code`` is the decline code; ``kind`` is as in
    Succeeded.
    """

    code: str
    reference: str | None = None
    kind: OperationKind | None = None


class Unknown(msgspec.Struct, frozen=True, tag=True):
    """No proof: a time-out, a lost response, or an error. The operation may or may not have taken place."""

    reason: str


class NotFound(msgspec.Struct, frozen=True, tag=True):
    """The provider knows no operation with the key. A call on its way may still arrive, so this is no proof either."""


class RequiresReview(msgspec.Struct, frozen=True, tag=True):
    """The provider reports something that no rule covers. A person must review it."""

    reason: str


Evidence: TypeAlias = Succeeded | Authorized | Declined | Unknown | NotFound | RequiresReview


class Notice(msgspec.Struct, frozen=True):
    """A webhook with a valid signature: the provider's id for it, the key of the operation, and the evidence.

    ``key`` and ``evidence`` are None where the webhook does not concern a payment.
    """

    id: str
    key: str | None
    evidence: Evidence | None


class Provider(Protocol):
    """A payment provider. No method raises an exception for an error of the provider or the network: that is
    ``Unknown``.

    A repeated key must return the first result, where ``capabilities`` says that the provider deduplicates keys.
    """

    @property
    def name(self) -> str:
        """The name in settings, rows and requests."""
        ...

    @property
    def capabilities(self) -> Capabilities:
        """What this provider supports."""
        ...

    async def charge(self, request: ChargeRequest) -> Evidence:
        """Charge or authorize."""
        ...

    async def capture(self, request: Modification) -> Evidence:
        """Capture an authorized amount, or a part of it. The rest is released."""
        ...

    async def void(self, request: Modification) -> Evidence:
        """Release an authorized amount."""
        ...

    async def refund(self, request: Modification) -> Evidence:
        """Refund a charge, or a part of it."""
        ...

    async def look_up(self, key: str) -> Evidence:
        """Look up the outcome of the operation with this key."""
        ...

    def read_webhook(self, headers: Mapping[str, str], body: bytes) -> Notice | None:
        """Check the signature of a webhook on its raw bytes, and read it; None where the signature is missing, wrong or
        too old.

        Raises MalformedBody where the signature is valid but the body cannot be read.
        """
        ...
