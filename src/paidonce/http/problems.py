"""What each error becomes in HTTP: an RFC 9457 problem. A test fails on an error that has no answer here."""

from typing import Final, NamedTuple

import msgspec
import structlog
from starlette.responses import Response
from starlette.types import Scope

from paidonce import errors
from paidonce.errors import PaidonceError
from paidonce.http.context import context_in, prefix_in

log = structlog.get_logger()

PROBLEM_JSON: Final = "application/problem+json"
RETRY_AFTER_SECONDS: Final = "1"


class Answer(NamedTuple):
    """An error's status and its title: the sentence that is the same each time."""

    status: int
    title: str


class InternalError(PaidonceError):
    """A defect of ours; the log has it under the same request id."""

    code = "internal_error"
    retryable = True

    def __init__(self) -> None:
        super().__init__("Something went wrong on our side; repeating the call with the same idempotency key is safe.")


ANSWERS: Final[dict[type[PaidonceError], Answer]] = {
    errors.MalformedRequest: Answer(400, "Not a request that can be read"),
    errors.MalformedBody: Answer(400, "The body is not JSON"),
    errors.InvalidRequest: Answer(400, "The request does not fit"),
    errors.InvalidIdempotencyKey: Answer(400, "The idempotency key does not fit"),
    errors.InvalidSignature: Answer(401, "The signature does not fit"),
    errors.Unauthenticated: Answer(401, "No key that opens anything"),
    errors.InsufficientScope: Answer(403, "The key does not allow this"),
    errors.WrongMerchant: Answer(403, "Another merchant's"),
    errors.RouteNotFound: Answer(404, "No such path"),
    errors.CheckoutNotFound: Answer(404, "No such checkout"),
    errors.MerchantNotFound: Answer(404, "No such merchant"),
    errors.KeyNotFound: Answer(404, "No such key"),
    errors.RefundNotFound: Answer(404, "No such refund"),
    errors.IdempotencyKeyNotFound: Answer(404, "No such idempotency key"),
    errors.EventNotFound: Answer(404, "No such event"),
    errors.ProviderNotFound: Answer(404, "No such provider"),
    errors.WebhookEndpointNotFound: Answer(404, "No such webhook endpoint"),
    errors.DeliveryNotFound: Answer(404, "No such delivery"),
    errors.MethodNotAllowed: Answer(405, "Not with this method"),
    errors.RequestTimeout: Answer(408, "The request did not arrive in time"),
    errors.InvalidState: Answer(409, "The checkout's status does not allow this"),
    errors.PaymentInProgress: Answer(409, "Another payment is under way"),
    errors.KeyNotActive: Answer(409, "The key cannot be rotated"),
    errors.IdempotencyKeyInUse: Answer(409, "A request with this key is under way"),
    errors.AttemptsExhausted: Answer(409, "No attempt is left"),
    errors.TooManyWebhookEndpoints: Answer(409, "Too many webhook endpoints"),
    errors.TooManyRedeliveries: Answer(409, "Too many ranges are to be sent again"),
    errors.CheckoutExpired: Answer(410, "The checkout has expired"),
    errors.BodyTooLarge: Answer(413, "The body is too large"),
    errors.TargetTooLong: Answer(414, "The path and query are too long"),
    errors.UnsupportedMediaType: Answer(415, "The body is not declared as JSON"),
    errors.IdempotencyKeyReused: Answer(422, "The idempotency key belongs to another request"),
    errors.AmountExceedsCapturable: Answer(422, "More than is held"),
    errors.AmountExceedsRefundable: Answer(422, "More than is left"),
    errors.RateLimited: Answer(429, "Too many requests"),
    errors.HeadersTooLarge: Answer(431, "The headers are too large"),
    InternalError: Answer(500, "Our fault"),
    errors.EncryptionKeyMissing: Answer(501, "There is no encryption key"),
    errors.Overloaded: Answer(503, "Too much is waiting"),
    errors.DatabaseUnavailable: Answer(503, "The database is not available"),
}

# Errors of the process, not of a request: they end a command and never reach a client.
NOT_ANSWERED: Final = frozenset(
    {errors.InvalidSettings, errors.DatabaseInUse, errors.SchemaOutdated, errors.NotDurable}
)


class ProblemField(msgspec.Struct, frozen=True):
    """What is wrong with one field: a JSON pointer into the body, or a parameter's name."""

    pointer: str
    code: str
    detail: str


class Problem(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """RFC 9457, with ``code`` to branch on, the request's id, and whether the same call may succeed later."""

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


# Behind these the bytes that follow may not be the next request: the server is told to close the connection.
CLOSING: Final = (
    errors.MalformedRequest,
    errors.RequestTimeout,
    errors.BodyTooLarge,
    errors.TargetTooLong,
    errors.HeadersTooLarge,
)


def problem_response(error: Exception, scope: Scope) -> Response:
    """Turn whatever went wrong into a problem; what nobody planned is logged and answered with 500."""
    fact = _fact(error, scope)
    status, title = ANSWERS[type(fact)]
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
            headers["Retry-After"] = str(int(fact.wait_seconds) + 1)  # As RateLimit says it.
        case _ if status == 503:  # noqa: PLR2004 - the status code is its own name
            headers["Retry-After"] = RETRY_AFTER_SECONDS
        case _:
            pass
    return Response(msgspec.json.encode(problem), status, headers, PROBLEM_JSON)


def _fact(error: Exception, scope: Scope) -> PaidonceError:
    if type(error) in ANSWERS:
        assert isinstance(error, PaidonceError)
        return error
    log.error("request_failed", path=scope["path"], exc_info=error)
    return InternalError()
