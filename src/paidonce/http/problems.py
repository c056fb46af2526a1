"""Maps each error to its HTTP response, an RFC 9457 problem. A test fails on an error that is missing here."""

from collections.abc import Callable
from typing import Final, NamedTuple, TypeAlias

import msgspec
import structlog
from starlette.responses import Response
from starlette.types import Scope

from paidonce import errors
from paidonce.errors import PaidonceError
from paidonce.http.context import context_in, prefix_in

log = structlog.get_logger()

ErrorResponse: TypeAlias = Callable[[Exception, Scope], Response]
"""Turns what was raised for a request into its response."""

PROBLEM_JSON: Final = "application/problem+json"
RETRY_AFTER_SECONDS: Final = "1"


class ProblemType(NamedTuple):
    """The HTTP status and the title of an error; the title is the same for every occurrence."""

    status: int
    title: str


class InternalError(PaidonceError):
    """A defect in the service; the log shows it under the same request id."""

    code = "internal_error"
    retryable = True

    def __init__(self) -> None:
        super().__init__("An unexpected error occurred. It is safe to retry with the same idempotency key.")


PROBLEM_TYPES: Final[dict[type[PaidonceError], ProblemType]] = {
    errors.MalformedRequest: ProblemType(400, "Malformed HTTP request"),
    errors.MalformedBody: ProblemType(400, "Invalid JSON body"),
    errors.InvalidRequest: ProblemType(400, "Invalid request"),
    errors.InvalidIdempotencyKey: ProblemType(400, "Invalid idempotency key"),
    errors.InvalidSignature: ProblemType(401, "Invalid signature"),
    errors.Unauthenticated: ProblemType(401, "Invalid API key"),
    errors.InsufficientScope: ProblemType(403, "Insufficient scope"),
    errors.WrongMerchant: ProblemType(403, "Belongs to another merchant"),
    errors.WrongMode: ProblemType(403, "Belongs to the other mode"),
    errors.ProviderAccountWrongMode: ProblemType(403, "Belongs to another mode"),
    errors.NotLoggedIn: ProblemType(403, "Not logged in"),
    errors.InsufficientRole: ProblemType(403, "Not permitted"),
    errors.InvalidCsrfToken: ProblemType(403, "Form not accepted"),
    errors.InvalidLogin: ProblemType(403, "Log-in failed"),
    errors.InvalidLink: ProblemType(403, "Link not valid"),
    errors.UserNotFound: ProblemType(404, "User not found"),
    errors.EmailTaken: ProblemType(409, "E-mail address taken"),
    errors.LastOperator: ProblemType(409, "Last operator"),
    errors.RouteNotFound: ProblemType(404, "Path not found"),
    errors.CheckoutNotFound: ProblemType(404, "Checkout not found"),
    errors.MerchantNotFound: ProblemType(404, "Merchant not found"),
    errors.LogoNotFound: ProblemType(404, "Logo not found"),
    errors.KeyNotFound: ProblemType(404, "API key not found"),
    errors.RefundNotFound: ProblemType(404, "Refund not found"),
    errors.IdempotencyKeyNotFound: ProblemType(404, "Idempotency key not found"),
    errors.EventNotFound: ProblemType(404, "Event not found"),
    errors.ProviderNotFound: ProblemType(404, "Provider not found"),
    errors.WebhookEndpointNotFound: ProblemType(404, "Webhook endpoint not found"),
    errors.DeliveryNotFound: ProblemType(404, "Delivery not found"),
    errors.ProviderAccountNotFound: ProblemType(404, "Provider account not found"),
    errors.AttemptNotFound: ProblemType(404, "Attempt not found"),
    errors.ProviderWebhookNotFound: ProblemType(404, "Provider webhook not found"),
    errors.MethodNotAllowed: ProblemType(405, "Method not allowed"),
    errors.RequestTimeout: ProblemType(408, "Request timeout"),
    errors.InvalidState: ProblemType(409, "Invalid checkout status"),
    errors.AttemptOutcomeKnown: ProblemType(409, "Outcome already known"),
    errors.ProviderWebhookPending: ProblemType(409, "Provider webhook pending"),
    errors.ProviderWebhookChanged: ProblemType(409, "Provider webhook changed"),
    errors.PaymentInProgress: ProblemType(409, "Payment in progress"),
    errors.KeyNotActive: ProblemType(409, "API key not active"),
    errors.IdempotencyKeyInUse: ProblemType(409, "Idempotency key in use"),
    errors.AttemptsExhausted: ProblemType(409, "Payment attempts exhausted"),
    errors.ProviderAccountDisabled: ProblemType(409, "Provider account disabled"),
    errors.TooManyWebhookEndpoints: ProblemType(409, "Too many webhook endpoints"),
    errors.TooManyRedeliveries: ProblemType(409, "Too many pending redeliveries"),
    errors.CheckoutExpired: ProblemType(410, "Checkout expired"),
    errors.EventsDeleted: ProblemType(410, "Events deleted"),
    errors.BodyTooLarge: ProblemType(413, "Request body too large"),
    errors.TargetTooLong: ProblemType(414, "Path and query too long"),
    errors.UnsupportedMediaType: ProblemType(415, "Unsupported media type"),
    errors.IdempotencyKeyReused: ProblemType(422, "Idempotency key reused"),
    errors.AmountExceedsCapturable: ProblemType(422, "Amount exceeds the authorized amount"),
    errors.AmountExceedsRefundable: ProblemType(422, "Amount exceeds the refundable amount"),
    errors.CurrencyNotSupported: ProblemType(422, "Currency not supported"),
    errors.AmountNotSupported: ProblemType(422, "Amount not supported"),
    errors.PaymentMethodNotSupported: ProblemType(422, "Payment method not supported"),
    errors.RateLimited: ProblemType(429, "Too many requests"),
    errors.HeadersTooLarge: ProblemType(431, "Request headers too large"),
    InternalError: ProblemType(500, "Internal error"),
    errors.EncryptionKeyMissing: ProblemType(501, "Encryption key not configured"),
    errors.Overloaded: ProblemType(503, "Service overloaded"),
    errors.ProviderUnavailable: ProblemType(503, "Provider unavailable"),
    errors.DatabaseUnavailable: ProblemType(503, "Database unavailable"),
}

# Errors of the process, not of a request: they end a command and never reach a client.
PROCESS_ERRORS: Final = frozenset(
    {
        errors.InvalidSettings,
        errors.DatabaseInUse,
        errors.DatabaseNotSupported,
        errors.SchemaOutdated,
        errors.CannotDistribute,
        errors.NotDurable,
    }
)


class ProblemField(msgspec.Struct, frozen=True):
    """An error in one field. ``pointer`` is a JSON pointer into the body, or the name of a parameter."""

    pointer: str
    code: str
    detail: str


class Problem(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """An RFC 9457 problem, with a stable ``code``, the request id, and whether the same call may succeed later."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    code: str
    request_id: str
    retryable: bool
    errors: list[ProblemField] = []
    current_status: str | None = None
    fields: list[str] = []
    first_sequence: int | None = None


# After these errors the remaining bytes may not be a new request, so the connection is closed.
CLOSING: Final = (
    errors.MalformedRequest,
    errors.RequestTimeout,
    errors.BodyTooLarge,
    errors.TargetTooLong,
    errors.HeadersTooLarge,
)


def problem_response(error: Exception, scope: Scope) -> Response:
    """Turn an exception into a problem response. An unexpected exception is logged and becomes a 500."""
    fact, (status, title) = explain(error, scope)
    problem = Problem(
        type=f"{prefix_in(scope)}/docs#{fact.code}",
        title=title,
        status=status,
        detail=fact.detail,
        instance=scope["path"],
        code=fact.code,
        request_id=context_in(scope).id,
        retryable=fact.retryable,
        errors=[ProblemField(*one) for one in fact.fields] if isinstance(fact, errors.InvalidRequest) else [],
        current_status=fact.current_status if isinstance(fact, errors.InvalidState) else None,
        fields=fact.fields if isinstance(fact, errors.IdempotencyKeyReused) else [],
        first_sequence=fact.first_sequence if isinstance(fact, errors.EventsDeleted) else None,
    )
    headers = {"Connection": "close"} if isinstance(fact, CLOSING) else {}
    match fact:
        case errors.MethodNotAllowed():
            headers["Allow"] = ", ".join(fact.allowed)
        case errors.Unauthenticated():
            headers["WWW-Authenticate"] = "Bearer"
        case errors.InvalidSignature():
            headers["WWW-Authenticate"] = "Signature"
        case errors.RateLimited():
            headers["Retry-After"] = str(int(fact.wait_seconds) + 1)  # The same value as in RateLimit.
        case _ if status == 503:  # noqa: PLR2004 - the status code is its own name
            headers["Retry-After"] = RETRY_AFTER_SECONDS
        case _:
            pass
    return Response(msgspec.json.encode(problem), status, headers, PROBLEM_JSON)


def explain(error: Exception, scope: Scope) -> tuple[PaidonceError, ProblemType]:
    """Tell what a client is told of an exception. One that is unexpected is logged, and becomes an InternalError."""
    if type(error) not in PROBLEM_TYPES:
        log.error("request_failed", path=scope["path"], request_id=context_in(scope).id, exc_info=error)
        error = InternalError()
    assert isinstance(error, PaidonceError)
    return error, PROBLEM_TYPES[type(error)]
