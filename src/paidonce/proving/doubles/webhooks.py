"""Sends the webhooks of a double to the accounts that they are about."""

from collections.abc import Callable, Mapping

import msgspec

from paidonce.clock import Clock, Instant
from paidonce.providers.simulator.delivery import FaultyDelivery, Webhook
from paidonce.providers.simulator.faults import WebhookDraw


class WebhookTarget(msgspec.Struct, frozen=True):
    """Where the webhooks of an account go, and the secret that signs them."""

    url: str
    secret: str = ""


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """A webhook to send. ``account`` is the credential of the account that it is about.

    ``fault_key`` chooses its fault by the plan: our key of the operation, and what happened. ``url`` is set where the
    provider sends it to the URL that a request named, and not to that of the account. ``must_arrive``: nothing but this
    webhook tells the outcome, and the provider repeats it for weeks; where the plan would lose it, it comes late.
    """

    account: str
    body: bytes
    fault_key: str
    url: str = ""
    content_type: str = "application/json"
    must_arrive: bool = False


class EventSender:
    """Sends events: signed, retried until they are accepted, and with the planned faults.

    ``sign`` is given the body, the secret and the time of each try, and returns the headers.
    """

    def __init__(
        self,
        accounts: Mapping[str, WebhookTarget | None],
        *,
        sign: Callable[[bytes, str, Instant], Mapping[str, str]],
        choose: Callable[[Event], WebhookDraw],
        clock: Clock,
    ) -> None:
        self._accounts = accounts
        self._sign = sign
        self._choose = choose
        self._clock = clock
        self._delivery = FaultyDelivery()

    async def send(self, event: Event) -> None:
        """Send an event. One with the fault FIRST was tried once when this returns."""
        target = self._accounts.get(event.account)
        url = event.url or (target.url if target else "")
        if not url:
            return
        secret = target.secret if target else ""

        def headers() -> Mapping[str, str]:
            signed = self._sign(event.body, secret, self._clock())
            return {"Content-Type": event.content_type, **signed}

        await self._delivery.send(Webhook(url, event.body, headers), self._choose(event))

    async def close(self) -> None:
        """Stop sending."""
        await self._delivery.close()
