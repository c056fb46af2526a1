"""What the tests of every provider's double and connector need; those of one provider are in a file of its name."""

import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final, TypeVar

import httpx
import msgspec
import uvicorn

from paidonce.clock import Clock, Instant, system_clock
from paidonce.money import Money
from paidonce.providers.base import HOSTED_PAGE, ChargeRequest, Connection, Connector, Modification, Provider
from paidonce.providers.evidence import BuyerAction, OperationKind, Redirect
from paidonce.proving.doubles.server import Double

RETURN_URL: Final = "https://shop.example/return/1"
START_SECONDS_MAX: Final = 60.0
PATIENCE_SECONDS: Final = 60.0
NOW: Final = 1_790_000_000_000

DoubleT = TypeVar("DoubleT", bound=Double[Any])


class SettableClock:
    """A clock that a test sets forward."""

    def __init__(self, now: Instant = NOW) -> None:
        self.now = now

    def __call__(self) -> Instant:
        return self.now


@contextmanager
def served(create: Callable[[str], DoubleT], *, port: int = 0) -> Iterator[DoubleT]:
    """Serve a double in a thread until the block ends. It is read and set from the test's thread, between calls.

    ``create`` is given the URL of its pages, and is called in the event loop that serves it.
    """
    with socket.create_server(("127.0.0.1", port)) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        made: list[DoubleT] = []

        def create_app() -> Any:  # noqa: ANN401 - an ASGI application
            made.append(create(url))
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
async def connected_to(
    connector: Connector,
    url: str,
    credentials: Mapping[str, str],
    *,
    clock: Clock = system_clock,
    timeout_seconds: float = PATIENCE_SECONDS,
) -> AsyncIterator[Provider]:
    """Connect a connector to a server that speaks its provider's API."""
    provider = connector.open(
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


def page_of(action: BuyerAction) -> str:
    """Return the URL of the page that the buyer is sent to."""
    assert isinstance(action, Redirect)
    return action.url


async def visit(url: str, **form: str) -> httpx.Response:
    """Act as a buyer on one of the double's pages; redirects are not followed."""
    async with httpx.AsyncClient(timeout=PATIENCE_SECONDS) as browser:
        return await browser.post(url, data=form)
