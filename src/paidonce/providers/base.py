"""The Provider protocol: what moves the money, as this service sees it. A connector is one folder that keeps to it.

Every operation bears ``key``, our idempotency key, which was committed before the first call. An answer is evidence: a
type of its own for each thing that can be known. A time-out, a refused connection or a 500 is ``Unknown``, never an
exception that somebody may take for a failure.
"""

from collections.abc import Mapping
from typing import Literal, Protocol, TypeAlias

import msgspec

from paidonce.money import Money


class Capabilities(msgspec.Struct, frozen=True, kw_only=True):
    """What a provider can do; what may be done about an unknown outcome follows from it."""

    deduplicates_by_key: bool
    key_lifetime_seconds: int  # How long it remembers a key; after that a resend could charge again.
    can_be_asked_by_key: bool
    manual_capture: bool
    partial_refund: bool
    webhooks: bool


class ChargeRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A charge (``capture=True``) or an authorization that holds the money (``capture=False``)."""

    key: str
    money: Money
    payment_method: str
    capture: bool
    checkout_id: str
    merchant_id: str


class Modification(msgspec.Struct, frozen=True, kw_only=True):
    """A capture, void or refund of the charge that the provider calls ``charge_reference``."""

    key: str
    money: Money
    charge_reference: str


OperationKind: TypeAlias = Literal["charge", "capture", "void", "refund"]
"""What a provider was asked to do; an authorization is a charge that is not captured."""


class Succeeded(msgspec.Struct, frozen=True, tag=True):
    """Proof: it took place. ``reference`` is the provider's name for it.

    ``amount``, in minor units, ``currency`` and ``kind``, what it was that took place, are those that the provider
    tells; None where it does not tell.
    """

    reference: str
    amount: int | None = None
    currency: str | None = None
    kind: OperationKind | None = None


class Authorized(msgspec.Struct, frozen=True, tag=True):
    """Proof: the money is held, not taken. ``reference`` is the provider's name for the authorization.

    ``amount``, ``currency`` and ``kind`` are as with Succeeded.
    """

    reference: str
    amount: int | None = None
    currency: str | None = None
    kind: OperationKind | None = None


class Declined(msgspec.Struct, frozen=True, tag=True):
    """Proof: it did not take place and will not; ``code`` is the decline code. ``kind`` is as with Succeeded."""

    code: str
    reference: str | None = None
    kind: OperationKind | None = None


class Unknown(msgspec.Struct, frozen=True, tag=True):
    """No proof: a time-out, a lost answer, an error. It may or may not have taken place."""

    reason: str


class NotFound(msgspec.Struct, frozen=True, tag=True):
    """The provider, asked about a key, knows nothing of it now. A call on its way may still arrive: no proof either."""


class RequiresReview(msgspec.Struct, frozen=True, tag=True):
    """The provider says something that no rule here covers; a person must look."""

    reason: str


Evidence: TypeAlias = Succeeded | Authorized | Declined | Unknown | NotFound | RequiresReview


class Notice(msgspec.Struct, frozen=True):
    """A webhook that its provider signed: its own id, the key that it is about, and what it proves.

    ``key`` and ``evidence`` are None where it tells of something that is no news about money.
    """

    id: str
    key: str | None
    evidence: Evidence | None


class Provider(Protocol):
    """A payment provider. No method raises for what a provider or a network does: that is ``Unknown``.

    The same key again must be answered as the first time, where ``capabilities`` says that keys deduplicate.
    """

    @property
    def name(self) -> str:
        """The name in settings, rows and requests."""
        ...

    @property
    def capabilities(self) -> Capabilities:
        """What this provider can do."""
        ...

    async def charge(self, request: ChargeRequest) -> Evidence:
        """Charge or authorize."""
        ...

    async def capture(self, request: Modification) -> Evidence:
        """Take an authorized amount, or a part of it; what is not taken is let go."""
        ...

    async def void(self, request: Modification) -> Evidence:
        """Let go of an authorized amount."""
        ...

    async def refund(self, request: Modification) -> Evidence:
        """Give back what was charged, or a part of it."""
        ...

    async def look_up(self, key: str) -> Evidence:
        """Ask what became of the operation with this key."""
        ...

    def read_webhook(self, headers: Mapping[str, str], body: bytes) -> Notice | None:
        """Check a webhook's signature on its raw bytes and read it; None where that is missing, wrong or too old.

        Raises MalformedBody where the signature is right and nobody can read the body.
        """
        ...
