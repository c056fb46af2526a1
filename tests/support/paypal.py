"""The connector for PayPal before its double."""

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import Any, Final

import httpx
import msgspec

from paidonce.clock import Clock, system_clock
from paidonce.providers.base import ChargeRequest, Connection, Provider
from paidonce.providers.evidence import Opened, RequiresAction
from paidonce.providers.paypal import CONNECTOR
from paidonce.providers.simulator.faults import FaultPlan
from paidonce.proving.doubles.paypal.funding import BALANCE
from paidonce.proving.doubles.paypal.server import CLIENT_ID, CLIENT_SECRET, PayPalDouble, create_double
from paidonce.proving.doubles.webhooks import WebhookTarget
from tests.support.doubles import PATIENCE_SECONDS, charge_request, connected_to, page_of, served, visit

WEBHOOK_ID: Final = "WEBHOOKDOUBLE0001"


def paypal_double(
    *,
    clock: Clock = system_clock,
    plan: FaultPlan | None = None,
    target: WebhookTarget | None = None,
    port: int = 0,
) -> AbstractContextManager[PayPalDouble]:
    """Serve a double until the block ends. It is read and set from the test's thread, between calls."""
    return served(lambda url: create_double(url=url, clock=clock, plan=plan, target=target), port=port)


def credentials(
    *, client_id: str = CLIENT_ID, client_secret: str = CLIENT_SECRET, webhook_id: str = WEBHOOK_ID
) -> Mapping[str, str]:
    """Return the credentials of an account of the double."""
    given = {"clientId": client_id, "clientSecret": client_secret}
    return given | ({"webhookId": webhook_id} if webhook_id else {})


def connected(
    url: str,
    *,
    clock: Clock = system_clock,
    client_id: str = CLIENT_ID,
    client_secret: str = CLIENT_SECRET,
    webhook_id: str = WEBHOOK_ID,
    timeout_seconds: float = PATIENCE_SECONDS,
) -> AbstractAsyncContextManager[Provider]:
    """Connect to a server that speaks PayPal's API."""
    given = credentials(client_id=client_id, client_secret=client_secret, webhook_id=webhook_id)
    return connected_to(CONNECTOR, url, given, clock=clock, timeout_seconds=timeout_seconds)


def unreachable(mode: Any = "test", *, clock: Clock = system_clock) -> Provider:  # noqa: ANN401 - a mode
    """Return a connector that is never asked for anything over the network."""
    connection = Connection(credentials=credentials(), mode=mode, timeout_seconds=1, clock=clock)
    return CONNECTOR.open(connection)


async def opened(provider: Provider, key: str, **fields: Any) -> ChargeRequest:  # noqa: ANN401 - of the request
    """Open an order; returns the request to charge it."""
    request = charge_request(key, **fields)
    found = await provider.open(request)
    assert isinstance(found, RequiresAction), found
    return msgspec.structs.replace(request, session_reference=found.reference)


async def approved(
    provider: Provider,
    key: str,
    funding: str = BALANCE,
    **fields: Any,  # noqa: ANN401 - of the request
) -> ChargeRequest:
    """Open an order and approve it as the buyer; returns the request to charge it."""
    request = await opened(provider, key, **fields)
    await approve(provider, request, funding)
    assert await provider.look_up(request) == Opened(request.session_reference or "")
    return request


async def approve(provider: Provider, request: ChargeRequest, funding: str = BALANCE) -> httpx.Response:
    """Approve an order as the buyer does, on the page that the order names."""
    found = await provider.look_up(request)
    assert isinstance(found, RequiresAction), found
    return await visit(page_of(found.action), act="approve", funding=funding)


def event(name: str, resource: Mapping[str, object]) -> bytes:
    """Write the body of a webhook."""
    return msgspec.json.encode(
        {"id": "WH-1", "event_version": "1.0", "event_type": name, "resource_type": "x", "resource": dict(resource)}
    )
