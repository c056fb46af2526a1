"""A merchant's credentials with Example Pay, and what is wrong with them."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Final, Literal

from paidonce.http_client import Answer
from paidonce.providers.base import CredentialField

API_KEY: Final = "apiKey"
WEBHOOK_SECRET: Final = "webhookSecret"

FIELDS: Final = (
    CredentialField(API_KEY, "The API key (ex_test_… or ex_live_…).", r"^ex_(test|live)_[A-Za-z0-9_]{8,64}$"),
    CredentialField(WEBHOOK_SECRET, "The secret of the webhook in the dashboard.", r"^[A-Za-z0-9_]{8,64}$"),
)


def refusal(credentials: Mapping[str, str], mode: Literal["test", "live"]) -> Mapping[str, str]:
    """Name each field that does not fit the mode of the account."""
    fits = credentials.get(API_KEY, "").startswith(f"ex_{mode}_")
    return {} if fits else {API_KEY: f"This is not a {mode} key of Example Pay's."}


def problems(answer: Answer) -> list[str]:
    """Return what the response to a call without an effect says about the credentials, a sentence each."""
    if answer.status == HTTPStatus.OK:
        return []
    if answer.status == HTTPStatus.UNAUTHORIZED:
        return ["Example Pay does not accept the API key: it is wrong, or it was revoked."]
    return [f"Example Pay could not check the key now: it answered {answer.status}. Check again later."]
