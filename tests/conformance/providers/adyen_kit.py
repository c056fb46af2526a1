"""The connector for Adyen, before its double."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Final, get_args

import httpx
import msgspec

from paidonce.providers.base import HOSTED_PAGE, ChargeRequest, Modification, Provider
from paidonce.providers.evidence import BuyerAction, Evidence
from paidonce.proving.doubles.adyen.server import AdyenDouble
from tests.conformance.providers.kits import Kit, Running
from tests.support.adyen import adyen_double, connected, item, signed, webhook
from tests.support.doubles import page_of


def token(name: str) -> str:
    """Return a stored payment method of the double."""
    return f"spm_{name}_shopper-1"


OTHERS: Final[dict[str, Any]] = {"pspReference": "ch_1"}


class AdyenKit(Kit):
    """Adyen's double. What is left out cannot be, or is in the connector's own tests: a buyer who is refused or goes
    away may try again with the same link, and which responses are stored ones nobody tells.
    """

    patience_seconds = 3.0
    succeeding = token("APPROVED")
    declining = token("EXPIRED")
    decline_code = "expired_card"
    refused = token("NOBODY")
    paid_by_buyer = (HOSTED_PAGE,)
    shortest_session_ms = 2000
    failing_before = token("ERRORBEFORE")
    failing_after = token("DROPPEDAFTER")
    silent = token("SILENTAFTER")
    replayed_error = token("ERRORSTORED")
    marks_replays = False
    proves_release = False
    accepted = token("PENDING")
    accepted_then_declined = token("PENDINGREFUSED")
    capture_accepted = token("APPROVED")
    capture_accepted_then_failed = token("CAPTUREFAILS")
    refund_accepted = token("APPROVED")
    refund_accepted_then_failed = token("REFUNDFAILS")
    webhook_id = "AUTHORISATION-ch_1-true"
    other_webhooks = (
        webhook(signed(item(reference="order-4711", **OTHERS))),
        webhook(signed(item(merchantAccountCode="OtherECOM", **OTHERS))),
    )

    def __init__(self, provider: Provider, double: AdyenDouble, vanish: Callable[[], None]) -> None:
        self.provider = provider
        self._double = double
        self._vanish = vanish

    async def look_up(self, request: ChargeRequest | Modification) -> Evidence:
        told = [
            notice.evidence
            for body in self._double.books.webhooks
            for notice in await self.provider.read_webhook({}, body) or ()
            if notice.key == request.key and isinstance(notice.evidence, get_args(Evidence))
        ]
        return told[-1] if told else await self.provider.look_up(request)

    def webhook(self, key: str, reference: str) -> bytes:
        return webhook(signed(item(reference=f"{key}.charge", pspReference=reference)))

    def signed(self, body: bytes) -> Mapping[str, str]:  # noqa: ARG002 - the signature is in the body
        return {}

    def forgeries(self, body: bytes) -> Mapping[str, Mapping[str, str]]:  # noqa: ARG002 - as above
        return {}

    def forged_bodies(self, body: bytes) -> Mapping[str, bytes]:
        right = msgspec.json.decode(body)["notificationItems"][0]["NotificationRequestItem"]
        other = signed(item(reference="att_2.charge", pspReference="PY2"))
        return {
            "no signature": webhook({**right, "additionalData": {}}),
            "another key": webhook(signed(right, "00" * 32)),
            "another reference": webhook({**right, "merchantReference": "att_2.charge"}),
            "another amount": webhook({**right, "amount": {"value": 1, "currency": "USD"}}),
            "another outcome": webhook({**right, "success": "false"}),
            "one of two": webhook(other, {**right, "pspReference": "PY3"}),
        }

    async def approve(self, action: BuyerAction) -> None:
        await self._act(action, act="pay", method="approved")

    async def decline(self, action: BuyerAction) -> None:
        await self._act(action, act="cancel")

    async def _act(self, action: BuyerAction, **form: str) -> None:
        async with httpx.AsyncClient(timeout=60) as browser:
            assert (await browser.post(page_of(action), data=form)).status_code == 303

    async def money_moved(self, checkout_id: str) -> list[int]:
        return self._double.books.ledger.charged_or_held().get(checkout_id, [])

    def vanish(self) -> None:
        self._vanish()


@asynccontextmanager
async def adyen(_folder: Path, _running: Running) -> AsyncIterator[Kit]:
    """The connector, before the double, which a thread serves."""
    with ExitStack() as stack:
        double = stack.enter_context(adyen_double())
        async with connected(double.books.url, timeout_seconds=AdyenKit.patience_seconds) as provider:
            yield AdyenKit(provider, double, stack.close)
