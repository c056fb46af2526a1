"""A merchant's credentials with Mollie, and what is wrong with them.

From "Authentication" (docs.mollie.com/reference/authentication): the prefix of an API key tells its mode. From the
OpenAPI specification: ``GET /v2/profiles/me`` returns the profile that an API key belongs to.
"""

import ipaddress
import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Final, Literal
from urllib.parse import urlsplit

from paidonce.http_client import Answer
from paidonce.providers.answers import read_object
from paidonce.providers.base import CredentialField
from paidonce.providers.mollie.failures import error_of
from paidonce.providers.mollie.wire import Profile

API_KEY: Final = "apiKey"
WEBHOOK_SECRET: Final = "webhookSecret"  # noqa: S105 - the name of a field

FIELDS: Final = (
    CredentialField(
        API_KEY,
        "The API key (test_… or live_…) of the website profile.",
        r"^(test|live)_[A-Za-z0-9_]{30,250}$",
    ),
    CredentialField(
        WEBHOOK_SECRET,
        "The secret of a webhook that was created in Mollie's dashboard, or two with a comma between them while it is "
        "replaced. It is not needed: every payment names the address of its webhooks.",
        r"^[^\s,]{8,250}(,[^\s,]{8,250})?$",
        is_required=False,
    ),
)

WITHOUT_WEBHOOKS: Final = (
    "Mollie has no address for webhooks, so that outcomes are found by look-ups only. Set PAIDONCE_PUBLIC_URL to the "
    "URL at which this service is reached from the Internet."
)


def refusal(credentials: Mapping[str, str], mode: Literal["test", "live"]) -> Mapping[str, str]:
    """Name each field that does not fit the mode of the account."""
    given = re.match(r"(test|live)_", credentials.get(API_KEY, ""))
    if given is None or given[1] == mode:
        return {}
    return {API_KEY: f"This is a {given[1]} key of Mollie's, and this is a {mode} account."}


def webhook_secrets(credentials: Mapping[str, str]) -> tuple[str, ...]:
    """Return the secrets that a webhook may be signed with."""
    return tuple(secret for secret in credentials.get(WEBHOOK_SECRET, "").split(",") if secret)


def reachable(url: str) -> str:
    """Return the URL for webhooks, or nothing where it names this machine or a private network: Mollie refuses a
    payment with such a URL (webhookUrl in the OpenAPI specification).
    """
    host = urlsplit(url).hostname or ""
    try:
        return url if ipaddress.ip_address(host).is_global else ""
    except ValueError:
        is_local = "." not in host or host.endswith((".localhost", ".local", ".internal", ".test", ".invalid"))
        return "" if is_local else url


def problems(answer: Answer, mode: Literal["test", "live"]) -> list[str]:
    """Return what Mollie's answer to a request for the profile says about the key, a sentence each."""
    if answer.status == HTTPStatus.OK:
        profile = read_object(answer.body, Profile)
        if profile is None:
            return ["Something other than Mollie answered: the response to the request for the profile is unreadable."]
        if profile.mode != mode:
            return [f"The key belongs to Mollie's {profile.mode} mode, and this is a {mode} account."]
        return ["Mollie has blocked this website profile: it takes no payments."] if profile.status == "blocked" else []
    if error_of(answer) is None:
        return [f"Something other than Mollie answered: status {answer.status}, without an error of Mollie's."]
    if answer.status == HTTPStatus.UNAUTHORIZED:
        return ["Mollie does not accept the API key: it is wrong, or it was reset."]
    if answer.status == HTTPStatus.FORBIDDEN:
        return ["The key lacks a permission. Use the API key of a website profile."]
    if answer.status == HTTPStatus.TOO_MANY_REQUESTS:
        return ["Mollie limits the rate of requests with this key. Check again later."]
    return [f"Mollie could not check the key now: it answered {answer.status}. Check again later."]
