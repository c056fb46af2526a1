"""What each error becomes in HTTP: an RFC 9457 problem. A test fails on an error that has no answer here."""

from typing import Any, Final, NamedTuple

import msgspec
import structlog
from litestar import Litestar, Request, Response
from litestar.exceptions import HTTPException, MethodNotAllowedException, NotFoundException

from paidonce import errors
from paidonce.errors import PaidonceError

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
    errors.MalformedBody: Answer(400, "The body is not JSON"),
    errors.InvalidRequest: Answer(400, "The request does not fit"),
    errors.InvalidIdempotencyKey: Answer(400, "The idempotency key does not fit"),
    errors.InvalidSignature: Answer(401, "The signature does not fit"),
    errors.WrongMerchant: Answer(403, "Another merchant's"),
    errors.RouteNotFound: Answer(404, "No such path"),
    errors.CheckoutNotFound: Answer(404, "No such checkout"),
    errors.RefundNotFound: Answer(404, "No such refund"),
    errors.ProviderNotFound: Answer(404, "No such provider"),
    errors.WebhookEndpointNotFound: Answer(404, "No such webhook endpoint"),
    errors.DeliveryNotFound: Answer(404, "No such delivery"),
    errors.MethodNotAllowed: Answer(405, "Not with this method"),
    errors.InvalidState: Answer(409, "The checkout's status does not allow this"),
    errors.PaymentInProgress: Answer(409, "Another payment is under way"),
    errors.AttemptsExhausted: Answer(409, "No attempt is left"),
    errors.TooManyWebhookEndpoints: Answer(409, "Too many webhook endpoints"),
    errors.CheckoutExpired: Answer(410, "The checkout has expired"),
    errors.BodyTooLarge: Answer(413, "The body is too large"),
    errors.UnsupportedMediaType: Answer(415, "The body is not declared as JSON"),
    errors.IdempotencyKeyReused: Answer(422, "The idempotency key belongs to another body"),
    errors.AmountExceedsCapturable: Answer(422, "More than is held"),
    errors.AmountExceedsRefundable: Answer(422, "More than is left"),
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


def answer_error(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """Turn whatever went wrong into a problem; what nobody planned is logged and answered with 500."""
    fact = _fact(request, error)
    status, title = ANSWERS[type(fact)]
    problem = Problem(
        type=f"/docs#{fact.code}",
        title=title,
        status=status,
        detail=fact.detail,
        instance=request.scope["path"],
        code=fact.code,
        request_id=request.scope["state"].get("request_id", ""),
        retryable=fact.retryable,
        errors=[ProblemField(*one) for one in fact.fields] if isinstance(fact, errors.InvalidRequest) else [],
        current_status=fact.current_status if isinstance(fact, errors.InvalidState) else None,
        fields=fact.fields if isinstance(fact, errors.IdempotencyKeyReused) else [],
    )
    headers = {}
    if isinstance(fact, errors.MethodNotAllowed):
        headers["Allow"] = ", ".join(fact.allowed)
    if isinstance(fact, errors.InvalidSignature):
        headers["WWW-Authenticate"] = "Signature"
    if status == 503:  # noqa: PLR2004 - the status code is its own name
        headers["Retry-After"] = RETRY_AFTER_SECONDS
    return Response(msgspec.json.encode(problem), status_code=status, media_type=PROBLEM_JSON, headers=headers)


def _fact(request: Request[Any, Any, Any], error: Exception) -> PaidonceError:
    match error:
        case PaidonceError() if type(error) in ANSWERS:
            return error
        case MethodNotAllowedException():
            return errors.MethodNotAllowed(request.method, allowed_methods(request.app, request.scope["path"]))
        case NotFoundException():
            return errors.RouteNotFound("There is nothing at this path.")
        case HTTPException(status_code=413):
            return errors.BodyTooLarge("A body may have 64 KiB at the most.")
        case HTTPException(status_code=400):
            return errors.MalformedBody("The request cannot be read.")
        case _:
            pass
    log.error("request_failed", path=request.scope["path"], exc_info=error)
    return InternalError()


def allowed_methods(app: Litestar, path: str) -> list[str]:
    """Find the methods that a path has: neither the router's error nor its answer to OPTIONS tells them all."""
    here = path.strip("/").split("/")
    allowed: set[str] = set()
    for route in app.routes:
        there = route.path.strip("/").split("/")
        if len(here) == len(there) and all(
            part == other or other.startswith("{") for part, other in zip(here, there, strict=True)
        ):
            allowed |= {str(method) for method in getattr(route, "methods", ())}
    return sorted(allowed)
