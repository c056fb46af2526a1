"""A merchant's credentials with Stripe, and what is wrong with them.

From "API keys" (docs.stripe.com/keys): the prefix of a key tells its kind and its mode.
"""

import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Final, Literal

from paidonce.http_client import Answer
from paidonce.providers.answers import read_object
from paidonce.providers.base import CredentialField
from paidonce.providers.stripe.failures import error_of
from paidonce.providers.stripe.wire import Balance

SECRET_KEY: Final = "secretKey"  # noqa: S105 - the names of fields
WEBHOOK_SECRET: Final = "webhookSecret"  # noqa: S105

RESTRICTED_KEY: Final = (
    "A restricted key must be allowed to read the balance, and to write Checkout Sessions, PaymentIntents and Refunds."
)

FIELDS: Final = (
    CredentialField(
        SECRET_KEY,
        f"The secret key (sk_test_… or sk_live_…), or a restricted key (rk_…). {RESTRICTED_KEY}",
        r"^(sk|rk)_(test|live)_[A-Za-z0-9_]{8,247}$",
    ),
    CredentialField(
        WEBHOOK_SECRET,
        "The signing secret (whsec_…) of the webhook endpoint in Stripe. Without it, outcomes are only looked up.",
        r"^whsec_[A-Za-z0-9+/=_-]{8,250}$",
        is_required=False,
    ),
)

WITHOUT_WEBHOOKS: Final = (
    "There is no webhook secret, so that outcomes are found by look-ups only. Create a webhook endpoint in Stripe's "
    "dashboard, and add its signing secret as webhookSecret."
)


def refusal(credentials: Mapping[str, str], mode: Literal["test", "live"]) -> Mapping[str, str]:
    """Name each field that does not fit the mode of the account."""
    given = re.match(r"(?:sk|rk)_(test|live)_", credentials.get(SECRET_KEY, ""))
    if given is None or given[1] == mode:
        return {}
    return {SECRET_KEY: f"This is a {given[1]} key of Stripe's, and this is a {mode} account."}


def problems(answer: Answer, mode: Literal["test", "live"]) -> list[str]:
    """Return what Stripe's answer to a request for the balance says about the key, a sentence each."""
    if answer.status == HTTPStatus.OK:
        balance = read_object(answer.body, Balance)
        if balance is None:
            return ["Something other than Stripe answered: the response to the request for the balance is unreadable."]
        actual = "live" if balance.livemode else "test"
        return [] if actual == mode else [f"The key belongs to Stripe's {actual} mode, and this is a {mode} account."]
    error = error_of(answer)
    if error is None:
        return [f"Something other than Stripe answered: status {answer.status}, without an error of Stripe's."]
    if answer.status == HTTPStatus.UNAUTHORIZED:
        why = "it has expired" if error.code == "api_key_expired" else "it is wrong, or it was revoked"
        return [f"Stripe does not accept the secret key: {why}."]
    if answer.status == HTTPStatus.FORBIDDEN:
        return [f"The key lacks a permission. {RESTRICTED_KEY}"]
    if answer.status == HTTPStatus.TOO_MANY_REQUESTS:
        return ["Stripe limits the rate of requests with this key. Check again later."]
    return [f"Stripe could not check the key now: it answered {answer.status}. Check again later."]
