"""What an error of PayPal's proves.

From "API responses" and "Idempotency" (developer.paypal.com/api/rest/responses, /reference/idempotency) and the errors
in the OpenAPI documents of Orders v2 and Payments v2, read 2026-11: a 4xx says that the request was not executed, a 409
that another request about the same resource is still being executed, and a 422 names the reason as an ``issue``. PayPal
does not store errors for a PayPal-Request-Id: it answers with the latest status of the request.
"""

from http import HTTPStatus
from typing import Final

from paidonce.http_client import Answer
from paidonce.providers.answers import read_object
from paidonce.providers.decline_codes import PROVIDER_REFUSED
from paidonce.providers.evidence import Declined, NotDone, Unknown
from paidonce.providers.paypal.decline_codes import DECLINES, decline_code
from paidonce.providers.paypal.wire import ApiError
from paidonce.redaction import redact

MESSAGE_LENGTH_MAX: Final = 200

WITHOUT_EFFECT: Final = frozenset(
    {
        HTTPStatus.BAD_REQUEST,
        HTTPStatus.UNAUTHORIZED,
        HTTPStatus.FORBIDDEN,
        HTTPStatus.NOT_FOUND,
        HTTPStatus.METHOD_NOT_ALLOWED,
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        HTTPStatus.UNPROCESSABLE_ENTITY,
        HTTPStatus.TOO_MANY_REQUESTS,
    }
)

# The state of the order or the payment does not allow the request: looking at it says more than this error does. An
# earlier call may have changed it.
STATE_HAS_CHANGED: Final = frozenset(
    {
        "ACTION_DOES_NOT_MATCH_INTENT",
        "AUTHORIZATION_ALREADY_CAPTURED",
        "AUTHORIZATION_DENIED",
        "AUTHORIZATION_EXPIRED",
        "AUTHORIZATION_VOIDED",
        "CAPTURE_FULLY_REFUNDED",
        "DUPLICATE_INVOICE_ID",
        "INVALID_RESOURCE_ID",
        "MAX_CAPTURE_COUNT_EXCEEDED",
        "ORDER_ALREADY_AUTHORIZED",
        "ORDER_ALREADY_CAPTURED",
        "ORDER_COMPLETED_OR_VOIDED",
        "ORDER_COMPLETION_IN_PROGRESS",
        "ORDER_NOT_APPROVED",
        "PAYER_ACTION_REQUIRED",
        "PAYMENT_TYPE_NOT_SUPPORTED_FOR_INTENT",
        "PREVIOUSLY_CAPTURED",
        "PREVIOUSLY_VOIDED",
        "REFUND_AMOUNT_EXCEEDED",
        "RESOURCE_NOT_FOUND",
    }
)


def failure(answer: Answer) -> Declined | NotDone | Unknown:
    """Return what a response without an object proves."""
    error = error_of(answer)
    if error is None:
        return Unknown(f"PayPal answered {answer.status} with something unreadable")
    summary = f"PayPal answered {answer.status} {error.raw_code}"
    if answer.status == HTTPStatus.UNPROCESSABLE_ENTITY and error.raw_code in DECLINES:
        return Declined(decline_code(error.raw_code), raw_code=error.raw_code)
    if answer.status in WITHOUT_EFFECT:
        reason = f"{summary}: {redact(error.text)[:MESSAGE_LENGTH_MAX]} (debug id {error.debug_id[:64]})"
        retryable = answer.status == HTTPStatus.TOO_MANY_REQUESTS
        return NotDone(reason, decline_code(error.raw_code, PROVIDER_REFUSED), retryable=retryable)
    return Unknown(summary)


def error_of(answer: Answer) -> ApiError | None:
    """Read the error in a response; None where there is none."""
    error = read_object(answer.body, ApiError)
    return error if error and error.raw_code else None
