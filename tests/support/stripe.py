"""The connector for Stripe before its double."""

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import Final

import msgspec

from paidonce.clock import Clock, system_clock
from paidonce.providers.base import Provider
from paidonce.providers.simulator.faults import FaultPlan
from paidonce.providers.stripe import CONNECTOR
from paidonce.proving.doubles.stripe.server import SECRET_KEY, StripeDouble, create_double
from paidonce.proving.doubles.webhooks import WebhookTarget
from tests.support.doubles import PATIENCE_SECONDS, connected_to, served

WEBHOOK_SECRET: Final = "whsec_double0000"


def stripe_double(
    *,
    clock: Clock = system_clock,
    plan: FaultPlan | None = None,
    target: WebhookTarget | None = None,
    port: int = 0,
) -> AbstractContextManager[StripeDouble]:
    """Serve a double until the block ends. It is read and set from the test's thread, between calls."""
    return served(lambda url: create_double(url=url, clock=clock, plan=plan, target=target), port=port)


def connected(
    url: str,
    *,
    clock: Clock = system_clock,
    secret_key: str = SECRET_KEY,
    webhook_secret: str = WEBHOOK_SECRET,
    timeout_seconds: float = PATIENCE_SECONDS,
) -> AbstractAsyncContextManager[Provider]:
    """Connect to a server that speaks Stripe's API."""
    credentials = {"secretKey": secret_key} | ({"webhookSecret": webhook_secret} if webhook_secret else {})
    return connected_to(CONNECTOR, url, credentials, clock=clock, timeout_seconds=timeout_seconds)


def event(kind: str, about: Mapping[str, object], *, live: bool = False) -> bytes:
    """Write the body of a webhook."""
    return msgspec.json.encode(
        {"id": "evt_1", "object": "event", "type": kind, "livemode": live, "data": {"object": dict(about)}}
    )
