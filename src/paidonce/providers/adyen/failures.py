"""What an error of Adyen's proves.

From "API idempotency" (docs.adyen.com/development-resources/api-idempotency), "HTTP status codes" and "Error codes"
(docs.adyen.com/development-resources/response-handling and …/error-codes), read 2026-11. A request with the header
``transient-error: true`` in its response was not processed. Error 704 is about another request with the same key, which
was processed or is being processed. The errors 905, which have status 500, say that the account is not configured for
the payment; nothing was sent to an acquirer.
"""

from http import HTTPStatus
from typing import Final

from paidonce.http_client import Answer
from paidonce.providers.adyen.wire import ApiError
from paidonce.providers.answers import read_object
from paidonce.providers.decline_codes import (
    AMOUNT_NOT_SUPPORTED,
    CURRENCY_NOT_SUPPORTED,
    INCORRECT_DETAILS,
    PROVIDER_REFUSED,
)
from paidonce.providers.evidence import NotDone, Unknown
from paidonce.redaction import redact

TRANSIENT: Final = "transient-error"
IN_PROGRESS: Final = "704"
NOT_CONFIGURED: Final = "905"
MESSAGE_LENGTH_MAX: Final = 200

WITHOUT_EFFECT: Final = frozenset(
    {
        HTTPStatus.BAD_REQUEST,
        HTTPStatus.UNAUTHORIZED,
        HTTPStatus.FORBIDDEN,
        HTTPStatus.NOT_FOUND,
        HTTPStatus.UNPROCESSABLE_ENTITY,
        HTTPStatus.TOO_MANY_REQUESTS,
    }
)

_CODES: Final = {
    "100": AMOUNT_NOT_SUPPORTED,  # No amount specified.
    "107": AMOUNT_NOT_SUPPORTED,  # Amount too low.
    "137": AMOUNT_NOT_SUPPORTED,  # Invalid amount specified.
    "138": CURRENCY_NOT_SUPPORTED,
    "800": INCORRECT_DETAILS,  # Contract not found.
    "801": INCORRECT_DETAILS,  # Too many payment details defined.
    "802": INCORRECT_DETAILS,  # Invalid contract.
    "803": INCORRECT_DETAILS,  # PaymentDetail not found.
}


def failure(answer: Answer) -> NotDone | Unknown:
    """Return what a response without success proves about the request."""
    error = error_of(answer)
    if error is None:
        return Unknown(f"Adyen answered {answer.status} with something unreadable")
    summary = f"Adyen answered {answer.status} {error.error_code or error.error_type}"
    if error.error_code == IN_PROGRESS:
        return Unknown(f"{summary}: a request with this key was processed, or is being processed")
    reason = f"{summary}: {redact(error.message)[:MESSAGE_LENGTH_MAX]}"
    if answer.headers.get(TRANSIENT, "").strip().lower() == "true" or answer.status == HTTPStatus.TOO_MANY_REQUESTS:
        return NotDone(reason, retryable=True)
    if answer.status in WITHOUT_EFFECT or error.error_code.partition("_")[0] == NOT_CONFIGURED:
        return NotDone(reason, _CODES.get(error.error_code, PROVIDER_REFUSED))
    return Unknown(summary)


def error_of(answer: Answer) -> ApiError | None:
    """Read the error in a response; None where there is none."""
    error = read_object(answer.body, ApiError)
    return error if error and (error.error_code or error.error_type) else None
