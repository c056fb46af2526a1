"""What an error of Stripe's proves.

From "Advanced error handling" (docs.stripe.com/error-low-level) and "Errors" (docs.stripe.com/api/errors), read
2026-11: a 429 and a 401 come before the idempotency layer, and a 400 says that the request was not taken. A 402 is a
decline. Stripe stores the first response to a key once it has begun to execute the request, a 500 too, and then still
may finish the payment; ``Idempotent-Replayed`` marks such a response. A 409 is about another request with the same key.
"""

from http import HTTPStatus
from typing import Final

from paidonce.http_client import Answer
from paidonce.providers.answers import read_object
from paidonce.providers.decline_codes import CURRENCY_NOT_SUPPORTED, INCORRECT_DETAILS, PROVIDER_REFUSED
from paidonce.providers.evidence import Declined, NotDone, Unknown
from paidonce.providers.stripe.decline_codes import decline_code
from paidonce.providers.stripe.wire import ApiError, ErrorBody
from paidonce.redaction import redact

REPLAYED: Final = "Idempotent-Replayed"
MESSAGE_LENGTH_MAX: Final = 200

WITHOUT_EFFECT: Final = frozenset(
    {
        HTTPStatus.BAD_REQUEST,
        HTTPStatus.UNAUTHORIZED,
        HTTPStatus.FORBIDDEN,
        HTTPStatus.NOT_FOUND,
        HTTPStatus.TOO_MANY_REQUESTS,
    }
)

# The object has changed meanwhile, so that looking at it says more than this error does.
STATE_HAS_CHANGED: Final = frozenset(
    {
        "charge_already_captured",
        "charge_already_refunded",
        "charge_expired_for_capture",
        "payment_intent_unexpected_state",
    }
)


def failure(answer: Answer) -> Declined | NotDone | Unknown:
    """Return what a response other than 200 proves."""
    error = error_of(answer)
    if error is None:
        return Unknown(f"Stripe answered {answer.status} with something unreadable", replayed=is_stored(answer))
    summary = f"Stripe answered {answer.status} {error.raw_code or error.type}"
    if answer.status == HTTPStatus.PAYMENT_REQUIRED and error.raw_code:
        return Declined(decline_code(error.raw_code), raw_code=error.raw_code)
    if answer.status in WITHOUT_EFFECT:
        reason = f"{summary}: {redact(error.message)[:MESSAGE_LENGTH_MAX]}"
        return NotDone(reason, _code(error), retryable=answer.status == HTTPStatus.TOO_MANY_REQUESTS)
    return Unknown(summary, replayed=is_stored(answer))


def error_of(answer: Answer) -> ApiError | None:
    """Read the error in a response; None where there is none."""
    found = read_object(answer.body, ErrorBody)
    return found.error if found else None


def is_stored(answer: Answer) -> bool:
    """Return whether Stripe has stored this error, so that the same key gets it again."""
    return (
        answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR and answer.headers.get(REPLAYED, "").strip().lower() == "true"
    )


def _code(error: ApiError) -> str:
    if error.param == "currency":
        return CURRENCY_NOT_SUPPORTED
    if error.param == "payment_method":
        return INCORRECT_DETAILS
    return decline_code(error.raw_code or error.type, PROVIDER_REFUSED)
