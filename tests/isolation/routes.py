"""Every route of the OpenAPI document, and how a caller calls it.

A new route needs a line here; one whose path names a new kind of thing also needs such a thing of the owner's in
``World.settle``, under the parameter's name.
"""

from typing import Any, Final, NamedTuple

from tests.support.fake_connector import CREDENTIALS

Json = dict[str, Any]


class Route(NamedTuple):
    """``body`` is one that fits. ``parameters`` and ``fields`` could name another's thing: each with what it names.

    ``names_mode`` says whether the call takes a ``mode`` beside the merchant.
    """

    body: Json | None = None
    parameters: tuple[tuple[str, str], ...] = ()
    fields: tuple[tuple[str, str], ...] = ()
    names_mode: bool = False


CREATE: Final[Json] = {"amount": 1000, "currency": "USD", "idempotencyKey": "the-owners"}

ENDPOINT: Final[Json] = {"url": "http://127.0.0.1:9/webhooks"}  # Nobody listens there.

ACCOUNT: Final[Json] = {"provider": "fake", "credentials": CREDENTIALS}

ROUTES: Final = {
    "POST /checkouts": Route(body=CREATE, fields=(("merchantId", "merchant"),), names_mode=True),
    "GET /checkouts": Route(
        parameters=(
            ("merchantId", "merchant"),
            ("startingAfter", "checkout_id"),
            ("endingBefore", "checkout_id"),
        ),
        names_mode=True,
    ),
    "GET /checkouts/search": Route(
        parameters=(
            ("merchantId", "merchant"),
            ("query", "checkout_id"),
            ("query", "refund_id"),
            ("query", "word"),
            ("startingAfter", "checkout_id"),
        ),
        names_mode=True,
    ),
    "GET /checkouts/{checkout_id}": Route(),
    "POST /checkouts/{checkout_id}/pay": Route(body={"paymentMethod": "tok_success", "provider": "simulator"}),
    "POST /checkouts/{checkout_id}/capture": Route(body={"amount": 100}),
    "POST /checkouts/{checkout_id}/cancel": Route(),
    "POST /checkouts/{checkout_id}/refunds": Route(body={"amount": 100}),
    "GET /checkouts/{checkout_id}/refunds": Route(),
    "GET /checkouts/{checkout_id}/disputes": Route(),
    "GET /checkouts/{checkout_id}/timeline": Route(),
    "GET /refunds/{refund_id}": Route(),
    "GET /events": Route(parameters=(("merchantId", "merchant"), ("checkoutId", "checkout_id")), names_mode=True),
    "GET /events/stream": Route(parameters=(("merchantId", "merchant"),), names_mode=True),
    "GET /events/{event_id}": Route(),
    "GET /statistics": Route(parameters=(("merchantId", "merchant"),), names_mode=True),
    "GET /statistics/current": Route(parameters=(("merchantId", "merchant"),), names_mode=True),
    "GET /idempotency-keys/{key}": Route(parameters=(("merchantId", "merchant"),), names_mode=True),
    "POST /webhook-endpoints": Route(body=ENDPOINT, fields=(("merchantId", "merchant"),), names_mode=True),
    "GET /webhook-endpoints": Route(
        parameters=(("merchantId", "merchant"), ("startingAfter", "endpoint_id"), ("endingBefore", "endpoint_id")),
        names_mode=True,
    ),
    "GET /webhook-endpoints/{endpoint_id}": Route(),
    "PATCH /webhook-endpoints/{endpoint_id}": Route(body={"description": "another"}),
    "DELETE /webhook-endpoints/{endpoint_id}": Route(),
    "POST /webhook-endpoints/{endpoint_id}/rotate-secret": Route(body={"overlapSeconds": 0}),
    "POST /webhook-endpoints/{endpoint_id}/test": Route(),
    "GET /webhook-endpoints/{endpoint_id}/deliveries": Route(
        parameters=(("startingAfter", "delivery_id"), ("endingBefore", "delivery_id"))
    ),
    "POST /webhook-endpoints/{endpoint_id}/redeliver": Route(body={"fromSequence": 1, "toSequence": 2}),
    "POST /webhook-endpoints/{endpoint_id}/redeliver-failed": Route(body={"since": "2020-01-01T00:00:00Z"}),
    "GET /webhook-endpoints/{endpoint_id}/redeliveries": Route(),
    "GET /deliveries/{delivery_id}": Route(),
    "POST /deliveries/{delivery_id}/redeliver": Route(),
    "POST /provider-accounts": Route(body=ACCOUNT, fields=(("merchantId", "merchant"),), names_mode=True),
    "GET /provider-accounts": Route(
        parameters=(("merchantId", "merchant"), ("startingAfter", "account_id"), ("endingBefore", "account_id")),
        names_mode=True,
    ),
    "GET /provider-accounts/{account_id}": Route(),
    "POST /provider-accounts/{account_id}/rotate": Route(body={"credentials": CREDENTIALS}),
    "POST /provider-accounts/{account_id}/position": Route(body={"position": 7}),
    "POST /provider-accounts/{account_id}/disable": Route(),
    "POST /provider-accounts/{account_id}/enable": Route(),
    "POST /provider-accounts/{account_id}/check": Route(),
    "GET /attempts": Route(
        parameters=(("merchantId", "merchant"), ("startingAfter", "attempt_id")),
        names_mode=True,
    ),
    "GET /attempts/{attempt_id}": Route(),
    "POST /attempts/{attempt_id}/resolve": Route(body={"outcome": "SUCCEEDED", "reference": "ch_1"}),
    "GET /provider-webhooks": Route(),
    "POST /provider-webhooks/replay": Route(body={"provider": "simulator", "id": "msg_1"}),
    "POST /provider-webhooks/dismiss": Route(body={"provider": "simulator", "id": "msg_1"}),
    "GET /profile": Route(parameters=(("merchantId", "merchant"),), names_mode=True),
    "PATCH /profile": Route(body={"displayName": "Another"}, fields=(("merchantId", "merchant"),), names_mode=True),
    "GET /logos/{logo_digest}": Route(),
    "GET /": Route(),
    "POST /merchants": Route(body={"id": "m_other"}, fields=(("id", "merchant"),)),
    "GET /merchants": Route(parameters=(("startingAfter", "merchant"),)),
    "POST /keys": Route(body={"merchantId": "m_other"}, fields=(("merchantId", "merchant"),)),
    "GET /keys": Route(parameters=(("merchantId", "merchant"), ("startingAfter", "key_id"))),
    "POST /keys/{key_id}/revoke": Route(),
    "POST /keys/{key_id}/rotate": Route(body={"overlapSeconds": 0}),
    "POST /providers/{provider}/webhooks": Route(body={}),
    "POST /providers/{provider}/{account_id}/webhooks": Route(body={}),
    "GET /return/{return_token}": Route(),
    "GET /health/live": Route(),
    "GET /health/ready": Route(),
    "GET /openapi.json": Route(),
    "GET /docs": Route(),
}

# What needs no key. Whoever adds to it says why: these know nothing of any merchant, or have a signature of their own.
OPEN: Final = {
    "POST /providers/{provider}/webhooks",
    "POST /providers/{provider}/{account_id}/webhooks",
    "GET /return/{return_token}",  # For a buyer, who has no key. The token is what they know.
    "GET /logos/{logo_digest}",  # For a buyer's browser. The path tells nothing of the merchant.
    "GET /health/live",
    "GET /health/ready",
    "GET /openapi.json",
    "GET /docs",
    "GET /",
}

# What a merchant's key never may, and whose paths name a merchant's thing.
OPERATORS: Final = {"POST /attempts/{attempt_id}/resolve", "POST /keys/{key_id}/revoke", "POST /keys/{key_id}/rotate"}

# Parameters of paths that name no merchant's thing.
NOT_OWNED: Final = {"provider": "simulator", "return_token": "0" * 32, "logo_digest": "0" * 32}

VERBS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")
