"""A merchant's credentials with Adyen, and what is wrong with them.

From "API credentials" (docs.adyen.com/development-resources/api-credentials), "Live endpoints"
(docs.adyen.com/development-resources/live-endpoints) and "Verify HMAC signatures", read 2026-11. Neither an API key nor
an HMAC key tells whether it is of Adyen's test or live environment.
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Final, Literal

from paidonce.http_client import Answer
from paidonce.providers.adyen.failures import error_of
from paidonce.providers.adyen.wire import PaymentMethods
from paidonce.providers.answers import read_object
from paidonce.providers.base import CredentialField

API_KEY: Final = "apiKey"
MERCHANT_ACCOUNT: Final = "merchantAccount"
HMAC_KEY: Final = "hmacKey"
LIVE_PREFIX: Final = "livePrefix"

FORBIDDEN: Final = (
    "The API key may not use this merchant account. Check the name of the account, and that the API credential has "
    "access to it and the role Checkout webservice."
)

FIELDS: Final = (
    CredentialField(
        API_KEY,
        "The API key of an API credential with the role Checkout webservice.",
        r"^[!-~]{16,512}$",
    ),
    CredentialField(
        MERCHANT_ACCOUNT,
        "The name of the merchant account, as the Customer Area shows it.",
        r"^[A-Za-z0-9_-]{1,80}$",
        is_secret=False,
    ),
    CredentialField(
        HMAC_KEY,
        "The HMAC key (64 hexadecimal digits) of the standard webhook. It is required: captures, voids, refunds and "
        "paid links have their outcome by webhook only.",
        r"^[0-9A-Fa-f]{64}$",
    ),
    CredentialField(
        LIVE_PREFIX,
        "The prefix of the live URLs (1797a841fbb37ca7-AdyenDemo), under Developers > API URLs in the live Customer "
        "Area. Only a live account has one.",
        r"^[A-Za-z0-9-]{1,63}$",
        is_secret=False,
        is_required=False,
    ),
)


def refusal(credentials: Mapping[str, str], mode: Literal["test", "live"]) -> Mapping[str, str]:
    """Name each field that does not fit the mode of the account."""
    if mode == "live" and not credentials.get(LIVE_PREFIX):
        return {LIVE_PREFIX: "A live account needs the prefix of its live URLs."}
    if mode == "test" and credentials.get(LIVE_PREFIX):
        return {LIVE_PREFIX: "This is a test account, and only a live account has a prefix."}
    return {}


def problems(answer: Answer) -> list[str]:
    """Return what Adyen's answer to a request for the payment methods says about the credentials, a sentence each."""
    if answer.status == HTTPStatus.OK:
        if read_object(answer.body, PaymentMethods) is None:
            return ["Something other than Adyen answered: the list of payment methods is unreadable."]
        return []
    if answer.status == HTTPStatus.UNAUTHORIZED:
        return ["Adyen does not accept the API key: it is wrong or revoked, or it is of the other environment."]
    error = error_of(answer)
    if error is None:
        return [f"Something other than Adyen answered: status {answer.status}, without an error of Adyen's."]
    if answer.status == HTTPStatus.FORBIDDEN:
        return [FORBIDDEN]
    if answer.status == HTTPStatus.UNPROCESSABLE_ENTITY:
        return [f"Adyen refused the merchant account: error {error.error_code}."]
    return [f"Adyen could not check the credentials now: it answered {answer.status}. Check again later."]
