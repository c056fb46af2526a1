"""Example Pay for the conformance suite. Copy it to ``tests/conformance/providers/<name>_kit.py``."""

import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

import msgspec

from paidonce.providers.base import HOSTED_PAGE, Provider
from paidonce.providers.evidence import BuyerAction
from tests.conformance.providers.kits import Kit, Running
from tests.connector_template.connector import CONNECTOR
from tests.connector_template.double.server import API_KEY, ExampleDouble, create_double, signature
from tests.support.doubles import connected_to, page_of, served, visit

SECRET: Final = "example_secret"
DECLINED: Final = "declined_by_the_bank"


class ExampleKit(Kit):
    """Example Pay's double: buyers pay on its page, and nothing is charged without them."""

    patience_seconds = 3.0
    proves_release = False
    pays_after_approval = True
    succeeding = HOSTED_PAGE
    declining = DECLINED
    decline_code = "expired_card"
    refused = "a_card"
    paid_by_buyer = (HOSTED_PAGE,)
    webhook_id = "evt_1"
    other_webhooks = (b'{"id":"evt_1","type":"account.updated"}',)

    def __init__(self, provider: Provider, double: ExampleDouble, vanish: Callable[[], None]) -> None:
        self.provider = provider
        self._double = double
        self._vanish = vanish

    def method(self, chosen: str) -> str:
        return HOSTED_PAGE if chosen == DECLINED else chosen

    async def choose(self, action: BuyerAction, chosen: str) -> None:
        if chosen == DECLINED:
            await visit(page_of(action), act="decline", failure="card_expired")
        else:
            await self.approve(action)

    def webhook(self, key: str, reference: str) -> bytes:
        payment = {"id": reference, "key": key, "status": "paid", "amount": 1000, "currency": "USD", "url": ""}
        return msgspec.json.encode({"id": self.webhook_id, "type": "payment.paid", "payment": payment})

    def signed(self, body: bytes) -> Mapping[str, str]:
        return {"Example-Signature": signature(SECRET, body, int(time.time()))}

    def forgeries(self, body: bytes) -> Mapping[str, Mapping[str, str]]:
        now = int(time.time())
        found = {
            "another secret": signature("another_secret", body, now),
            "another body": signature(SECRET, body + b" ", now),
            "another time": signature(SECRET, body, now).replace(f"t={now}", f"t={now - 1}"),
            "too old": signature(SECRET, body, now - 301),
            "no signature": f"t={now}",
        }
        return {"unsigned": {}} | {wrong: {"Example-Signature": header} for wrong, header in found.items()}

    async def approve(self, action: BuyerAction) -> None:
        assert (await visit(page_of(action), act="pay")).status_code == 303

    async def decline(self, action: BuyerAction) -> None:
        assert (await visit(page_of(action), act="back")).status_code == 303

    async def money_moved(self, checkout_id: str) -> list[int]:
        return self._double.books.ledger.charged_or_held().get(checkout_id, [])

    def vanish(self) -> None:
        self._vanish()


@asynccontextmanager
async def example(_folder: Path, _running: Running) -> AsyncIterator[Kit]:
    """The connector, before the double, which a thread serves."""
    with ExitStack() as stack:
        double = stack.enter_context(served(lambda url: create_double(url=url)))
        credentials = {"apiKey": API_KEY, "webhookSecret": SECRET}
        async with connected_to(
            CONNECTOR, double.books.url, credentials, timeout_seconds=ExampleKit.patience_seconds
        ) as provider:
            yield ExampleKit(provider, double, stack.close)
