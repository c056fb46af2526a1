"""Evidence: what a response, a look-up or a webhook of a provider proves. Each thing that can be known has a type.

A time-out, a refused connection or an HTTP 500 is ``Unknown``, and never an exception that could be taken for a
failure.
"""

from typing import Final, Literal, TypeAlias

import msgspec

from paidonce.clock import Instant

OperationKind: TypeAlias = Literal["charge", "capture", "void", "refund"]
"""What the provider was asked to do. An authorization is a charge without capture."""


class Redirect(msgspec.Struct, frozen=True, tag="redirect"):
    """The buyer must visit ``url``, before ``expires_at`` where that is known."""

    url: str
    expires_at: Instant | None = None


class ClientSecret(msgspec.Struct, frozen=True, tag="client_secret"):
    """The merchant's page must let the buyer pay, with the provider's script and this ``secret`` of one session.

    ``return_url`` is where the script sends the buyer afterwards. ``expires_at`` is as in Redirect.
    """

    secret: str
    return_url: str | None = None
    expires_at: Instant | None = None


BuyerAction: TypeAlias = Redirect | ClientSecret
"""What a buyer must do before a session is paid."""

_ACTION_DECODER: Final = msgspec.json.Decoder(BuyerAction)


def encode_action(action: BuyerAction) -> str:
    """Encode what a buyer must do as JSON text."""
    return msgspec.json.encode(action).decode()


def decode_action(text: str) -> BuyerAction:
    """Decode what ``encode_action`` encoded."""
    action: BuyerAction = _ACTION_DECODER.decode(text)
    return action


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

    ``amount``, ``currency`` and ``kind`` are as in Succeeded. ``capture_before`` is when the authorization lapses at
    the provider; None where the provider does not report it.
    """

    reference: str
    amount: int | None = None
    currency: str | None = None
    kind: OperationKind | None = None
    capture_before: Instant | None = None


class Declined(msgspec.Struct, frozen=True, tag=True):
    """Proof that the operation did not and will not take place. ``code`` is the decline code, and ``raw_code`` the
    provider's own; ``kind`` is as in Succeeded. For a session it is proof that it takes no money any more.

    A refund may be Succeeded first and Declined later, when the money could not be returned. It is the same refund if
    ``reference`` is that of Succeeded.
    """

    code: str
    reference: str | None = None
    kind: OperationKind | None = None
    raw_code: str | None = None


class Opened(msgspec.Struct, frozen=True, tag=True):
    """Proof that a session exists, that it has moved no money, and that ``charge`` may be called: it was just opened,
    or the buyer has approved. ``reference`` is the session's.
    """

    reference: str


class RequiresAction(msgspec.Struct, frozen=True, tag=True):
    """The session with this reference waits for the buyer. Money may move without another call from us."""

    reference: str
    action: BuyerAction


class Accepted(msgspec.Struct, frozen=True, tag=True):
    """The provider has accepted the operation, and its outcome will be known later. Nothing must be sent again."""

    reference: str | None = None


class NotDone(msgspec.Struct, frozen=True, tag=True):
    """Proof that this call had no effect: the provider refused it, or nothing was sent. It proves nothing about an
    earlier call with the same key.

    ``retryable``: a later call may succeed, as after a lost connection or HTTP 429. Otherwise the attempt ends with the
    decline code ``code``.
    """

    reason: str
    code: str = "provider_refused"
    retryable: bool = False


class Unknown(msgspec.Struct, frozen=True, tag=True):
    """No proof: a time-out, a lost response, or an error. The operation may or may not have taken place.

    ``replayed``: the provider has stored this response for the key, so the same call would get it again.
    """

    reason: str
    replayed: bool = False


class NotFound(msgspec.Struct, frozen=True, tag=True):
    """The provider knows no operation with the key. A call on its way may still arrive, so this is no proof either."""


class RequiresReview(msgspec.Struct, frozen=True, tag=True):
    """The provider reports something that no rule covers. A person must review it."""

    reason: str


Evidence: TypeAlias = (
    Succeeded
    | Authorized
    | Declined
    | Opened
    | RequiresAction
    | Accepted
    | NotDone
    | Unknown
    | NotFound
    | RequiresReview
)


class ExternalRefund(msgspec.Struct, frozen=True, tag=True):
    """A refund that was made without a request of ours, as in the provider's dashboard. It has no key of ours.

    ``reference`` is the provider's reference of the refund, ``amount`` is in minor units of ``currency``. A failed one
    has a decline code and the provider's own, as Declined does. One that succeeded may fail later; one that failed
    never succeeds.
    """

    reference: str
    status: Literal["pending", "succeeded", "failed"]
    amount: int
    currency: str
    code: str | None = None
    raw_code: str | None = None


class Dispute(msgspec.Struct, frozen=True, tag=True):
    """A dispute (a chargeback) of a charge: the buyer's bank takes ``amount`` back, or has decided not to.

    ``reference`` is the provider's reference of the dispute, ``amount`` is in minor units of ``currency``, and
    ``reason`` is the provider's own code. An inquiry, for which no money is taken, is no dispute.
    """

    reference: str
    status: Literal["opened", "won", "lost"]
    amount: int
    currency: str
    reason: str | None = None


class AuthorizationEnded(msgspec.Struct, frozen=True, tag=True):
    """Proof that an authorized amount is not held any more and was not captured: the authorization has expired, or was
    canceled, by us or in the provider's dashboard.
    """

    reason: Literal["expired", "canceled"]


class UnclearChange(msgspec.Struct, frozen=True, tag=True):
    """Something happened to a charge that no rule covers. A person must compare the provider's dashboard."""

    reason: str


ExternalChange: TypeAlias = ExternalRefund | Dispute | AuthorizationEnded | UnclearChange
"""What happened to a charge at the provider without a request of ours."""


class Notice(msgspec.Struct, frozen=True):
    """One statement of a webhook with a valid signature: the provider's id for it, and the evidence about an operation,
    or what happened to a charge without a request of ours. A webhook holds at least one; the ids of several differ.

    ``key`` is our key: of the operation that the evidence is about, or of the charge that was changed. Where the
    webhook holds none of ours, ``reference`` finds the operation, or the charge that was changed: it is the provider's
    reference of that, or of its session. Beside a key, it says of which session Declined is the end: the key may have
    opened several, of which the buyer sees one. ``evidence`` is None where the webhook does not concern a payment.

    A refund of ours has its key in the webhook, and is never an ExternalRefund.
    """

    id: str
    key: str | None
    evidence: Evidence | ExternalChange | None
    reference: str | None = None
