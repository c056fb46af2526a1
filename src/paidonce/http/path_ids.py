"""The variable parts of paths: the format of each, and the error where a value does not match it."""

import re
from typing import Final, NamedTuple

from paidonce import errors, ids
from paidonce.errors import PaidonceError

EXAMPLE: Final = "{prefix}_06f0q0h7pvsnb2c9vq3k1jv2rg"


class PathId(NamedTuple):
    """A variable part of a path. ``pattern`` is a regular expression for the whole of it.

    ``not_found`` is raised where the part does not match; None: the handler looks at it by itself.
    """

    description: str
    pattern: str
    example: str
    not_found: type[PaidonceError] | None = None

    def check(self, value: str) -> None:
        """Raise ``not_found`` where a value cannot be one: the database is not asked, and PostgreSQL takes no NUL."""
        if self.not_found is not None and re.fullmatch(self.pattern, value) is None:
            raise self.not_found


def _id(description: str, prefix: str, not_found: type[PaidonceError]) -> PathId:
    return PathId(description, ids.pattern(prefix), EXAMPLE.format(prefix=prefix), not_found)


PATH_IDS: Final = {
    "checkout_id": _id("The checkout's id.", ids.CHECKOUT, errors.CheckoutNotFound),
    # A refund is an attempt, too, and its id is its own.
    "attempt_id": PathId(
        "The attempt's id. The id of a refund is the id of its attempt.",
        rf"({ids.ATTEMPT}|{ids.REFUND})_[0-9a-v]{{26}}",
        EXAMPLE.format(prefix=ids.ATTEMPT),
        errors.AttemptNotFound,
    ),
    "refund_id": _id("The refund's id.", ids.REFUND, errors.RefundNotFound),
    "event_id": _id("The event's id.", ids.EVENT, errors.EventNotFound),
    "endpoint_id": _id("The webhook endpoint's id.", ids.ENDPOINT, errors.WebhookEndpointNotFound),
    "account_id": _id("The provider account's id.", ids.PROVIDER_ACCOUNT, errors.ProviderAccountNotFound),
    "delivery_id": _id("The delivery's id.", ids.DELIVERY, errors.DeliveryNotFound),
    "key_id": _id("The API key's id, never the key itself.", ids.KEY, errors.KeyNotFound),
    "key": PathId("The key as one part of the path, a slash in it as `%2F`.", "[!-~]([ -~]{0,253}[!-~])?", "abc123"),
    "return_token": PathId("The token of the return URL.", "[0-9A-Za-z]{32}", "0" * 32, errors.CheckoutNotFound),
    "logo_digest": PathId("The digest, from the profile.", "[0-9a-f]{32}", "0" * 32, errors.LogoNotFound),
    "provider": PathId("The provider's name.", "[a-z][a-z0-9_]{0,63}", "simulator"),
}
