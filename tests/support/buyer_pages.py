"""A merchant in this process whose buyers pay on the pages of checkouts, without cookies and without a script."""

import asyncio
import re
from html import unescape
from typing import Final

import httpx

from paidonce.checkouts.actions import expire_checkouts
from paidonce.events.model import Cause
from paidonce.payments.schedule import LookupSchedule
from paidonce.payments.settle import RecordEvidence, record_evidence
from paidonce.providers.evidence import Evidence
from tests.support.in_process_service import InProcessService, Json

FIELD: Final = re.compile(r'<input type="(?:hidden|radio)" name="([^"]*)" value="([^"]*)"( required checked)?')


class BuyerPagesShop:
    """A merchant whose buyers pay on the pages of checkouts."""

    def __init__(self, running: InProcessService) -> None:
        self.running = running
        self.http = running.http

    async def checkout(self, **fields: object) -> Json:
        """Create a checkout; returns it as the API shows it."""
        key = self.running.new_name("purchase")
        return await self.running.made(
            "/checkouts", {"amount": 1000, "currency": "USD", "idempotencyKey": key, **fields}
        )

    async def now(self, checkout: Json) -> Json:
        """Read a checkout by API."""
        values: Json = (await self.running.get(f"/checkouts/{checkout['id']}")).json()
        return values

    async def page(self, checkout: Json) -> str:
        """Open the page of a checkout; returns its HTML."""
        response = await self.http.get(checkout["url"])
        assert response.status_code == 200, response.text
        return response.text

    async def form(self, checkout: Json) -> dict[str, str]:
        """Open the page of a checkout; returns the fields of its form, as a browser would send them."""
        return fields_in(await self.page(checkout))

    async def post(self, checkout: Json, form: Json, **headers: str) -> httpx.Response:
        """Send a form of the page."""
        return await self.http.post(checkout["url"], data=form, headers=headers)

    async def pay(self, checkout: Json, **chosen: str) -> httpx.Response:
        """Open the page, and press its button."""
        return await self.post(checkout, await self.form(checkout) | chosen)

    async def until_begun(self, checkout: Json, *, after: str = "PENDING") -> None:
        """Wait until a payment is under way."""
        while (await self.now(checkout))["status"] == after:  # noqa: ASYNC110 - the test has no event for it
            await asyncio.sleep(0)

    async def prove(self, checkout: Json, evidence: Evidence) -> None:
        """Record what the provider says about the newest attempt."""
        attempt = (await self.now(checkout))["attempt"]
        proof = RecordEvidence(
            attempt_id=attempt["id"],
            evidence=evidence,
            cause=Cause.PROVIDER_ANSWER,
            schedule=LookupSchedule(),
            chance=0.5,
        )
        await self.running.service.writer.submit(record_evidence, proof)

    async def expire(self) -> None:
        """Expire all checkouts that are due, as the worker's poller does."""
        await self.running.service.writer.submit(expire_checkouts, 100)

    async def attempts(self, checkout: Json) -> int:
        """Count the attempts to pay."""
        left: int = (await self.now(checkout))["attemptsLeft"]
        return 5 - left


def fields_in(html: str) -> dict[str, str]:
    """Return the fields of the form of a page, with the choice that is made at first."""
    fields: dict[str, str] = {}
    for name, value, checked in FIELD.findall(html):
        if name != "method" or checked:
            fields[name] = unescape(value)
    return fields


def title_of(html: str) -> str:
    """Return the heading of a page."""
    found = re.search(r"<h1>(.*?)</h1>", html)
    assert found is not None, html
    return unescape(found[1])
