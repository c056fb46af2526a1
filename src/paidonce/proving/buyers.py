"""The buyers of a proof on the provider's pages: they approve, decline and try again, return late, twice or never."""

import asyncio
from collections.abc import Container
from http import HTTPStatus
from typing import Final
from urllib.parse import urlencode, urlsplit

import msgspec

from paidonce.http_client import HttpClient, NoAnswer
from paidonce.ids import Draw
from paidonce.proving.behavior import Behavior, Shares, behaviors_of
from paidonce.proving.kits import Kit, Steps

LATE_SECONDS: Final = (0.5, 2.5)
RETURN_TRIES: Final = 3
RETURN_PAUSE_SECONDS: Final = 0.4
FORM: Final = {"Content-Type": "application/x-www-form-urlencoded"}


# Something else is asked for just before or after.
AT_THE_SAME_TIME: Final = frozenset({Behavior.PAYS_BOTH_WAYS, Behavior.SHOP_CANCELS})
RACE_SECONDS: Final = (0.0, 0.3)


class Page(msgspec.Struct, frozen=True):
    """A page that a buyer was shown, to pay for a checkout."""

    checkout_id: str
    url: str


class Browsers:
    """The browsers of all buyers. ``provider`` serves the pages, and ``service`` is where buyers return to.

    ``shown`` are all pages that anybody was shown.
    """

    def __init__(self, kit: Kit, shares: Shares, provider: HttpClient, service: HttpClient) -> None:
        self._kit = kit
        self._shares = shares
        self._provider = provider
        self._service = service
        self.shown: set[Page] = set()

    def behavior(self, draw: Draw) -> Behavior:
        """Choose what a buyer does."""
        known = behaviors_of(self._kit)
        return draw.choices(known, weights=self._shares.of_behaviors(known))[0]

    async def visit(self, page: Page, behavior: Behavior, draw: Draw) -> None:
        """Do on a page what the behavior says; with DECLINES_FIRST, only decline."""
        self.shown.add(page)
        approval = draw.choice(self._kit.approvals)
        decline = draw.choice(self._kit.declines)
        match behavior:
            case Behavior.NEVER_PAYS | Behavior.PAYS_OTHERWISE:
                return
            case Behavior.DECLINES | Behavior.DECLINES_FIRST:
                await self._return(await self._submit(page.url, decline))
            case Behavior.APPROVES_TWICE:
                both = await asyncio.gather(self._submit(page.url, approval), self._submit(page.url, approval))
                await asyncio.gather(*(self._return(url) for url in both))
            case Behavior.NEVER_RETURNS:
                await self._submit(page.url, approval)
            case _:
                if behavior in (Behavior.APPROVES_LATE, Behavior.EXPIRES):
                    await asyncio.sleep(draw.uniform(*LATE_SECONDS))
                elif behavior in AT_THE_SAME_TIME:
                    await asyncio.sleep(draw.uniform(*RACE_SECONDS))
                url = await self._submit(page.url, approval)
                await self._return(url)
                if behavior is Behavior.RETURNS_TWICE:
                    await self._return(url)

    async def approve_again(self, checkout_ids: Container[str], draw: Draw) -> None:
        """Approve on every page that was ever shown for these checkouts, as buyers who left a tab open do."""
        for page in sorted(self.shown, key=lambda one: one.url):
            if page.checkout_id in checkout_ids:
                await self._submit(page.url, draw.choice(self._kit.approvals))

    async def _submit(self, url: str, steps: Steps) -> str:
        """Submit forms, each on the page that the one before led to; returns where the buyer is in the end."""
        for form in steps:
            try:
                answer = await self._provider.request("POST", _path(url), urlencode(form).encode(), headers=FORM)
            except NoAnswer:
                return ""
            if answer.status != HTTPStatus.SEE_OTHER:
                return ""
            url = answer.headers["Location"]
        return url

    async def _return(self, url: str) -> None:
        """Go to where the provider sent the buyer. A browser tries a few times, and then the buyer gives up."""
        if "/return/" not in url:
            return
        for _ in range(RETURN_TRIES):
            try:
                answer = await self._service.request("GET", _path(url))
            except NoAnswer:
                answer = None
            if answer and answer.status < HTTPStatus.INTERNAL_SERVER_ERROR:
                return
            await asyncio.sleep(RETURN_PAUSE_SECONDS)


def page_of(checkout: dict[str, object]) -> Page | None:
    """Return the page that the buyer of a checkout must visit; None where there is none."""
    attempt = checkout.get("attempt")
    action = attempt.get("action") if isinstance(attempt, dict) else None
    return Page(str(checkout["id"]), action["url"]) if action and "url" in action else None


def _path(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.path}?{parts.query}" if parts.query else parts.path
