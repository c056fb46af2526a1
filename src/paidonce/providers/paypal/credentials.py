"""A merchant's credentials with PayPal, and what is wrong with them.

From "Get started with PayPal REST APIs" (developer.paypal.com/api/rest): an app in PayPal's developer dashboard has a
client id and secrets, others in the sandbox than live; neither shows its mode.
"""

from http import HTTPStatus
from typing import Final, Literal

from paidonce.http_client import Answer
from paidonce.providers.answers import read_object
from paidonce.providers.base import CredentialField
from paidonce.providers.paypal.wire import Token

CLIENT_ID: Final = "clientId"
CLIENT_SECRET: Final = "clientSecret"  # noqa: S105 - the name of a field
WEBHOOK_ID: Final = "webhookId"

FIELDS: Final = (
    CredentialField(
        CLIENT_ID,
        "The client id of your app in PayPal's developer dashboard (Apps & Credentials).",
        r"^[A-Za-z0-9_-]{16,128}$",
        is_secret=False,
    ),
    CredentialField(CLIENT_SECRET, "A secret of the same app.", r"^[A-Za-z0-9_-]{16,128}$"),
    CredentialField(
        WEBHOOK_ID,
        "The id of the app's webhook in PayPal. Without it, outcomes are only looked up.",
        r"^[A-Za-z0-9]{8,50}$",
        is_secret=False,
        is_required=False,
    ),
)

WITHOUT_WEBHOOKS: Final = (
    "There is no webhook id, so that outcomes are found by look-ups only. Add a webhook to the app in PayPal's "
    "dashboard, and add its id as webhookId."
)


def problems(answer: Answer, mode: Literal["test", "live"]) -> list[str]:
    """Return what PayPal's answer to a request for a token says about the credentials, a sentence each."""
    host = "sandbox" if mode == "test" else "live environment"
    if answer.status == HTTPStatus.OK:
        if read_object(answer.body, Token) is None:
            return ["Something other than PayPal answered: the response to the request for a token is unreadable."]
        return []
    if answer.status == HTTPStatus.UNAUTHORIZED:
        return [f"PayPal's {host} does not accept the client id and secret: they are wrong, or of the other mode."]
    if answer.status == HTTPStatus.TOO_MANY_REQUESTS:
        return ["PayPal limits the rate of requests with these credentials. Check again later."]
    return [f"PayPal could not check the credentials now: it answered {answer.status}. Check again later."]
