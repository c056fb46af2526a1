"""The connector for Stripe before a double, which is served on loopback by a thread of its own."""

import socket
import threading
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final

import httpx
import msgspec
import uvicorn

from paidonce.clock import Clock, Instant, system_clock
from paidonce.money import Money
from paidonce.providers.base import HOSTED_PAGE, ChargeRequest, Connection, Modification, OperationKind, Provider
from paidonce.providers.simulator.faults import FaultPlan
from paidonce.providers.stripe import CONNECTOR
from paidonce.proving.doubles.stripe.server import SECRET_KEY, StripeDouble
from paidonce.proving.doubles.stripe.webhooks import WebhookTarget

WEBHOOK_SECRET: Final = "whsec_double0000"
RETURN_URL: Final = "https://shop.example/return/1"
START_SECONDS_MAX: Final = 60.0
PATIENCE_SECONDS: Final = 60.0
NOW: Final = 1_790_000_000_000


class SettableClock:
    """A clock that a test sets forward."""

    def __init__(self, now: Instant = NOW) -> None:
        self.now = now

    def __call__(self) -> Instant:
        return self.now


@contextmanager
def stripe_double(
    *,
    clock: Clock = system_clock,
    plan: FaultPlan | None = None,
    target: WebhookTarget | None = None,
    port: int = 0,
) -> Iterator[StripeDouble]:
    """Serve a double until the block ends. It is read and set from the test's thread, between calls."""
    with socket.create_server(("127.0.0.1", port)) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        made: list[StripeDouble] = []

        def create_app() -> Any:  # noqa: ANN401 - an ASGI application
            made.append(StripeDouble(url=url, clock=clock, plan=plan, target=target))
            return made[0].app

        config = uvicorn.Config(
            create_app, factory=True, http="httptools", ws="none", log_level="critical", timeout_graceful_shutdown=1
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        httpx.get(f"{url}/double/books", timeout=START_SECONDS_MAX)  # It waits in the backlog until the double serves.
        try:
            yield made[0]
        finally:
            server.should_exit = True
            thread.join(START_SECONDS_MAX)


@asynccontextmanager
async def connected(
    url: str,
    *,
    clock: Clock = system_clock,
    secret_key: str = SECRET_KEY,
    webhook_secret: str = WEBHOOK_SECRET,
    timeout_seconds: float = PATIENCE_SECONDS,
) -> AsyncIterator[Provider]:
    """Connect to a server that speaks Stripe's API."""
    credentials = {"secretKey": secret_key} | ({"webhookSecret": webhook_secret} if webhook_secret else {})
    provider = CONNECTOR.open(
        Connection(credentials=credentials, mode="test", url=url, timeout_seconds=timeout_seconds, clock=clock)
    )
    try:
        yield provider
    finally:
        await provider.disconnect()


def charge_request(
    key: str,
    method: str = HOSTED_PAGE,
    *,
    amount: int = 1000,
    currency: str = "USD",
    now: Instant = NOW,
    **more: Any,  # noqa: ANN401 - fields of the request
) -> ChargeRequest:
    """Return a request to charge 10.00 USD for checkout ``chk_<key>``."""
    fields: dict[str, Any] = {
        "capture": True,
        "checkout_id": f"chk_{key}",
        "merchant_id": "m1",
        "created_at": now,
        "expires_at": now + 60 * 60 * 1000,
        "return_url": RETURN_URL,
        "description": "Two tickets",
    }
    return ChargeRequest(key=key, money=Money(amount, currency), payment_method=method, **(fields | more))


def modification(
    kind: OperationKind, key: str, reference: str, amount: int = 1000, currency: str = "USD"
) -> Modification:
    """Return a request to capture, void or refund a charge."""
    return msgspec.convert(
        {
            "kind": kind,
            "key": key,
            "money": (amount, currency),
            "charge_reference": reference,
            "created_at": NOW,
        },
        Modification,
    )


async def visit(url: str, **form: str) -> httpx.Response:
    """Act as a buyer on one of the double's pages; redirects are not followed."""
    async with httpx.AsyncClient(timeout=PATIENCE_SECONDS) as browser:
        return await browser.post(url, data=form)


def event(kind: str, about: Mapping[str, object], *, live: bool = False) -> bytes:
    """Write the body of a webhook."""
    return msgspec.json.encode(
        {"id": "evt_1", "object": "event", "type": kind, "livemode": live, "data": {"object": dict(about)}}
    )
