"""The Provider protocol, which every payment provider implements. A connector is one folder that implements it.

Every operation has a ``key``: our idempotency key, which was committed before the first call. A result is evidence
(``evidence.py``), also where a call fails.

A charge is made directly, by ``charge``, or through a session: the provider's object that a buyer pays, such as
Stripe's Checkout Session, PayPal's order or Mollie's payment. ``open`` creates the session and moves no money. Its
reference is committed before anything else happens. From then on the session, which is paid at most once, protects
from a second charge for longer than any idempotency key.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final, Literal, Protocol

import msgspec

from paidonce.clock import Clock, Instant
from paidonce.money import Money
from paidonce.providers.evidence import Evidence, Notice, OperationKind

HOSTED_PAGE: Final = "hosted"
"""The payment method of a buyer who chooses how to pay on the provider's own page."""

EMBEDDED: Final = "embedded"
"""The payment method of a buyer who pays in fields of the provider's that the merchant's own page embeds."""


class OperationSupport(msgspec.Struct, frozen=True, kw_only=True):
    """How an unknown outcome of one kind of operation can be resolved.

    ``key_lifetime_seconds`` is how long the provider remembers an idempotency key; after that, a resend could move
    money twice. It is 0 where the provider does not deduplicate. Where ``can_be_looked_up`` is false and the key is
    forgotten, only a webhook or a person can tell the outcome. Charges through a session do not depend on either: the
    session is always looked up by its reference.
    """

    key_lifetime_seconds: int
    can_be_looked_up: bool


class Capabilities(msgspec.Struct, frozen=True, kw_only=True):
    """What a provider supports."""

    charge: OperationSupport
    capture: OperationSupport
    void: OperationSupport
    refund: OperationSupport
    manual_capture: bool
    partial_refund: bool
    webhooks: bool

    def of(self, kind: OperationKind) -> OperationSupport:
        """Return how unknown outcomes of this kind of operation are resolved."""
        support: OperationSupport = getattr(self, kind)
        return support


class WantedCharge(msgspec.Struct, frozen=True, kw_only=True):
    """A charge (``capture=True``) or an authorization that holds the amount (``capture=False``).

    ``payment_method`` is a token of the provider, HOSTED_PAGE or EMBEDDED.
    """

    money: Money
    payment_method: str
    capture: bool


class ChargeRequest(WantedCharge, frozen=True, kw_only=True):
    """A request for a charge or an authorization.

    ``session_reference`` is the reference of the session that ``open`` created, once it is committed. ``call_number``
    counts the leases under which the attempt was called: where the session protects from a second charge, a connector
    may use another key for each.
    ``return_url`` and ``expires_at`` are for sessions: where the provider sends the buyer afterwards, and when the
    session is closed. ``description`` is what the buyer pays for; only ``open`` is given it.
    """

    key: str
    checkout_id: str
    merchant_id: str
    created_at: Instant
    call_number: int = 1
    session_reference: str | None = None
    return_url: str | None = None
    description: str | None = None
    expires_at: Instant | None = None


class Modification(msgspec.Struct, frozen=True, kw_only=True):
    """A capture, void or refund of the charge with the provider's reference ``charge_reference``.

    ``call_number`` counts the leases under which the attempt was called: where the provider captures or releases a
    charge at most once, a connector may use another key for each.
    """

    kind: Literal["capture", "void", "refund"]
    key: str
    money: Money
    charge_reference: str
    created_at: Instant
    call_number: int = 1


class Provider(Protocol):
    """A payment provider. No method raises an exception for an error of the provider or the network: that is
    ``Unknown``.

    A repeated key must return the first result, for as long as ``capabilities`` says that the provider remembers it.
    """

    @property
    def name(self) -> str:
        """The name in settings, rows and requests."""
        ...

    @property
    def capabilities(self) -> Capabilities:
        """What this provider supports."""
        ...

    def opens_session(self, payment_method: str) -> bool:
        """Tell whether a charge with this payment method is made through a session."""
        ...

    async def open(self, request: ChargeRequest) -> Evidence:
        """Open a session, and move no money. The same key opens the same session, or one that nobody ever sees."""
        ...

    async def charge(self, request: ChargeRequest) -> Evidence:
        """Charge or authorize: directly, or the session ``session_reference``."""
        ...

    async def close(self, request: ChargeRequest) -> Evidence:
        """Close the session ``session_reference``. Declined proves that it takes no money any more; where the buyer has
        paid meanwhile, the result is Succeeded or Authorized.
        """
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

    async def look_up(self, request: ChargeRequest | Modification) -> Evidence:
        """Look up the outcome of an operation that may have been sent before. It is asked only where
        ``can_be_looked_up`` is true, and of every session whose reference is committed.
        """
        ...

    async def check(self) -> Sequence[str]:
        """Call the provider with these credentials, without any effect; returns what is wrong, a sentence each."""
        ...

    async def disconnect(self) -> None:
        """Close the connections to the provider. No call follows."""
        ...

    async def read_webhook(self, headers: Mapping[str, str], body: bytes) -> Sequence[Notice] | None:
        """Check the signature of a webhook on its raw bytes, and read it; None where the signature is missing, wrong or
        too old.

        A provider whose webhooks are not signed is asked about what they name, and nothing else in them is believed.

        Raises MalformedBody where the signature is valid but the body cannot be read, and ProviderUnavailable or
        RateLimited where the provider cannot be asked now.
        """
        ...


class CredentialField(msgspec.Struct, frozen=True):
    """One value of a merchant's credentials with a provider. ``name`` is its JSON field, in camelCase.

    ``pattern`` is a regular expression that every valid value matches. A secret is never shown again.
    """

    name: str
    description: str
    pattern: str
    is_secret: bool = True
    is_required: bool = True


class Connection(msgspec.Struct, frozen=True, kw_only=True):
    """How to reach a provider with a merchant's credentials. ``url`` is empty for the provider's own host.

    ``mode`` is that of the account: a connector refuses credentials of the other mode where it can tell them apart.
    ``webhook_url`` is where the webhooks of this account arrive; empty where the service's own URL is not known.
    """

    credentials: Mapping[str, str]
    mode: Literal["test", "live"]
    url: str = ""
    webhook_url: str = ""
    timeout_seconds: float
    clock: Clock


class Connector(msgspec.Struct, frozen=True, kw_only=True):
    """A provider that merchants have accounts with: its name, its credentials, and how to open it.

    ``refusal`` names, for each credential field that does not fit the mode or the others, what is wrong.
    ``unsupported`` returns, without a call, why the provider cannot take a charge: ``currency_not_supported``,
    ``amount_not_supported`` or ``payment_method_not_supported``; None where nothing speaks against it. ``wallet`` is
    what buyers know the provider's page by, where they pay with nothing else there; empty where it takes cards.
    """

    name: str
    display_name: str
    credential_fields: tuple[CredentialField, ...]
    open: Callable[[Connection], Provider]
    refusal: Callable[[Mapping[str, str], Literal["test", "live"]], Mapping[str, str]] = lambda _credentials, _mode: {}
    unsupported: Callable[[WantedCharge], str | None] = lambda _charge: None
    wallet: str = ""
