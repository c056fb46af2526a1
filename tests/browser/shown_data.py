"""What the pages of the dashboard show: payments in every state, webhooks that failed, an account, a key."""

import secrets
from collections.abc import Mapping
from typing import NamedTuple

from tests.browser.checkouts import Json, Merchant, merchant_of
from tests.support.service_process import ServiceProcess, wait_until

LONG = "Donaudampfschifffahrtsgesellschaftskapitän" * 6
# Never called: the account is only shown.
CREDENTIALS = {"secretKey": f"sk_test_{'0' * 24}", "webhookSecret": f"whsec_{'0' * 32}"}


class ShownData(NamedTuple):
    """``values`` are the variable parts of paths, by their name."""

    merchant_id: str
    values: Mapping[str, str]


def make_data(service: ServiceProcess) -> ShownData:
    """Make a merchant with something on each page."""
    with merchant_of(service) as merchant:
        endpoint = make_endpoint(merchant)
        account = post(
            merchant,
            "/provider-accounts",
            merchantId=merchant.merchant_id,
            provider="stripe",
            mode="test",
            credentials=CREDENTIALS,
        )
        merchant.http.post(f"/provider-accounts/{account['id']}/disable", json={}).raise_for_status()
        for method in ("tok_declined_insufficient_funds", "tok_redirect", "tok_other_amount", "tok_accepted"):
            checkout = merchant.checkout(description=f"Paid by {method}")
            post(merchant, f"/checkouts/{checkout['id']}/pay", paymentMethod=method)
        paid = merchant.checkout(description=LONG, metadata={"order": "שני כרטיסים", "note": "<b>" * 30})
        merchant.call(paid, "pay")
        merchant.call(paid, "refunds", amount=500, reason="One of two came back")
        deliveries = f"/webhook-endpoints/{endpoint['id']}/deliveries"
        wait_until(lambda: merchant.http.get(deliveries).json()["data"])
        delivery = merchant.http.get(deliveries).json()["data"][0]
        event = merchant.http.get("/events", params={"merchantId": merchant.merchant_id}).json()["data"][0]
        values = {
            "merchant_id": merchant.merchant_id,
            "mode": "test",
            "checkout_id": paid["id"],
            "endpoint_id": endpoint["id"],
            "delivery_id": delivery["id"],
            "event_id": event["id"],
            "account_id": account["id"],
            "attempt_id": merchant.read(paid)["attempt"]["id"],
        }
        return ShownData(merchant.merchant_id, values)


def make_endpoint(merchant: Merchant) -> Json:
    """Create an endpoint at which nobody listens."""
    return post(
        merchant,
        "/webhook-endpoints",
        merchantId=merchant.merchant_id,
        url="http://127.0.0.1:9/webhooks",
        description="Nobody is there",
    )


def post(merchant: Merchant, path: str, **body: object) -> Json:
    """Create something of the merchant."""
    headers = {"Idempotency-Key": secrets.token_hex(8)}
    answer = merchant.http.post(path, json=body, headers=headers)
    assert answer.is_success, answer.text
    made: Json = answer.json()
    return made
