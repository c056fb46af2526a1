"""What an error of Mollie's proves.

From the responses in the OpenAPI specification (github.com/mollie/openapi, read 2026-11): 400, 401, 403, 404, 410, 422
and 429 say that the request was not taken. A 409 is about another request with the same key or, for a refund, about an
equal one shortly before. A 5xx tells nothing, also where it says that the supplier of a payment method is away (503).
"""

from http import HTTPStatus
from typing import Final

from paidonce.http_client import Answer
from paidonce.providers.answers import read_object
from paidonce.providers.decline_codes import AMOUNT_NOT_SUPPORTED, CURRENCY_NOT_SUPPORTED, PROVIDER_REFUSED
from paidonce.providers.evidence import NotDone, Unknown
from paidonce.providers.mollie.wire import ApiError
from paidonce.redaction import redact

MESSAGE_LENGTH_MAX: Final = 200

WITHOUT_EFFECT: Final = frozenset(
    {
        HTTPStatus.BAD_REQUEST,
        HTTPStatus.UNAUTHORIZED,
        HTTPStatus.FORBIDDEN,
        HTTPStatus.NOT_FOUND,
        HTTPStatus.GONE,
        HTTPStatus.UNPROCESSABLE_ENTITY,
        HTTPStatus.TOO_MANY_REQUESTS,
    }
)

# The object may have changed meanwhile, so that looking at it says more than this error does. Mollie names no state.
STATE_MAY_HAVE_CHANGED: Final = frozenset({HTTPStatus.CONFLICT, HTTPStatus.UNPROCESSABLE_ENTITY})


def failure(answer: Answer) -> NotDone | Unknown:
    """Return what a response proves that does not have the expected status."""
    error = error_of(answer)
    if error is None:
        return Unknown(f"Mollie answered {answer.status} with something unreadable")
    summary = f"Mollie answered {answer.status} {error.title}"
    if answer.status not in WITHOUT_EFFECT:
        return Unknown(summary)
    reason = f"{summary}: {redact(error.detail)[:MESSAGE_LENGTH_MAX]}"
    return NotDone(reason, _code(error), retryable=answer.status == HTTPStatus.TOO_MANY_REQUESTS)


def error_of(answer: Answer) -> ApiError | None:
    """Read the error in a response; None where there is none of Mollie's."""
    error = read_object(answer.body, ApiError)
    return error if error and error.status == answer.status else None


def _code(error: ApiError) -> str:
    match error.field:
        case "amount.currency":
            return CURRENCY_NOT_SUPPORTED
        case "amount" | "amount.value":
            return AMOUNT_NOT_SUPPORTED
        case _:
            return PROVIDER_REFUSED
