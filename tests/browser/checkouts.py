"""A merchant's server, beside the browser: creates checkouts, and sees what became of them."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import httpx

from tests.support.oracle import charges_of
from tests.support.service_process import ServiceProcess

Json = dict[str, Any]
ANSWER_SECONDS_MAX: Final = 90.0


class Merchant:
    """A merchant whose buyers pay in the browser."""

    def __init__(self, service: ServiceProcess, http: httpx.Client, merchant_id: str) -> None:
        self.service = service
        self.http = http
        self.merchant_id = merchant_id
        self.shop_url = f"{service.url}/health/live"  # Where buyers go when they leave. Any page would do.

    def checkout(self, **fields: object) -> Json:
        """Create a checkout over 19.99 EUR."""
        body = {
            "merchantId": self.merchant_id,
            "amount": 1999,
            "currency": "EUR",
            "idempotencyKey": secrets.token_hex(8),
            **fields,
        }
        checkout: Json = self.http.post("/checkouts", json=body).raise_for_status().json()
        return checkout

    def call(self, checkout: Json, call: str, **body: object) -> Json:
        """Call ``pay``, ``cancel`` … for a checkout, and wait for what comes of it."""
        path = f"/checkouts/{checkout['id']}/{call}"
        answer: Json = self.http.post(path, json=body, headers={"Prefer": "wait=20"}).raise_for_status().json()
        return answer

    def read(self, checkout: Json) -> Json:
        """Read a checkout, after its payment where one is under way."""
        answer = self.http.get(f"/checkouts/{checkout['id']}", headers={"Prefer": "wait=20"})
        found: Json = answer.raise_for_status().json()
        return found

    def charged_times(self, checkout: Json) -> int:
        """Count the charges in the provider's books."""
        return len(charges_of(self.service.books, checkout["id"]))


@contextmanager
def merchant_of(service: ServiceProcess, merchant_id: str | None = None) -> Iterator[Merchant]:
    """Yield a merchant of a service: a new one, or the one with this id."""
    with httpx.Client(base_url=service.url, timeout=ANSWER_SECONDS_MAX) as http:
        yield Merchant(service, http, merchant_id or f"m_{secrets.token_hex(4)}")
