"""The Provider for Mollie. Only what Mollie reports about our operation is proof.

Every charge is made through a payment of Mollie's, which is the session: the buyer pays it on Mollie's page, at most
once, also after Mollie has forgotten the idempotency keys. How long Mollie remembers them is in no specification: an
hour is assumed. A payment that is created twice does no harm, because nobody sees the first ("API idempotency",
docs.mollie.com/reference/api-idempotency, read 2026-11).
"""

from collections.abc import Mapping, Sequence
from typing import Final

import structlog

from paidonce.errors import ProviderUnavailable
from paidonce.http_client import NoAnswer
from paidonce.providers.base import Capabilities, ChargeRequest, Connection, Modification, OperationSupport
from paidonce.providers.evidence import (
    Accepted,
    Evidence,
    NotDone,
    NotFound,
    Notice,
    RequiresAction,
    Succeeded,
    Unknown,
)
from paidonce.providers.mollie import requests, responses, webhooks
from paidonce.providers.mollie.amounts import to_mollie
from paidonce.providers.mollie.client import Failed, MollieClient
from paidonce.providers.mollie.credentials import (
    WITHOUT_WEBHOOKS,
    problems,
    reachable,
    refusal,
    webhook_secrets,
)
from paidonce.providers.mollie.methods import unsupported
from paidonce.providers.mollie.requests import Call
from paidonce.providers.mollie.wire import Capture, Chargeback, Event, Page, Payment, Refund, key_in

log = structlog.get_logger()

NAME: Final = "mollie"
KEY_LIFETIME_SECONDS: Final = 60 * 60
RELEASE_SECONDS: Final = 30 * 24 * 60 * 60  # A release has the same effect however often it is sent.
PAGES_MAX: Final = 4  # Of captures or refunds of one payment, each of 250.


class Mollie:
    """Mollie, with the credentials of one account. Create it inside the event loop that uses it."""

    name: Final = NAME

    def __init__(self, connection: Connection) -> None:
        self._mode: Final = connection.mode
        self._credentials: Final = connection.credentials
        self._webhook_secrets: Final = webhook_secrets(connection.credentials)
        # A double of Mollie can reach what Mollie's own host cannot.
        self._webhook_url: Final = connection.webhook_url if connection.url else reachable(connection.webhook_url)
        self._unsigned: Final = webhooks.UnsignedLimit(connection.clock)
        self._client: Final = MollieClient(connection)
        support = OperationSupport(key_lifetime_seconds=KEY_LIFETIME_SECONDS, can_be_looked_up=True)
        self.capabilities: Final = Capabilities(
            charge=support,
            capture=support,
            void=OperationSupport(key_lifetime_seconds=RELEASE_SECONDS, can_be_looked_up=True),
            refund=support,
            manual_capture=True,
            partial_refund=True,
            webhooks=bool(self._webhook_url or self._webhook_secrets),
        )

    def opens_session(self, payment_method: str) -> bool:  # noqa: ARG002 - every charge is made through a session
        """Tell whether a charge with this payment method is made through a session."""
        return True

    async def open(self, request: ChargeRequest) -> Evidence:
        """Create a payment, which the buyer pays on Mollie's page."""
        amount = to_mollie(request.money)
        if isinstance(amount, NotDone):
            return amount
        if refused := unsupported(request):
            return NotDone("Mollie cannot take this payment method so; nothing was sent", refused)
        if request.return_url is None:
            return NotDone("a payment on Mollie's page needs a URL to return to; nothing was sent")
        call = requests.open_payment(request, amount, self._webhook_url)
        found = await self._client.send(call, Payment, key=request.key)
        return found.evidence if isinstance(found, Failed) else responses.of_charge(found)

    async def charge(self, request: ChargeRequest) -> Evidence:
        """Look the payment up: the buyer alone pays it."""
        if request.session_reference is None:
            return NotDone("there is no payment to ask about; nothing was sent")
        return await self.look_up(request)

    async def close(self, request: ChargeRequest) -> Evidence:
        """Cancel the payment, where Mollie lets it be canceled and the buyer has not paid. Where it does not, the
        payment stays open until it expires, and this is what is returned.
        """
        reference = request.session_reference
        if reference is None:
            return NotDone("there is no payment to cancel; nothing was sent")
        found = await self._client.send(
            requests.retrieve_payment(reference), Payment, key=request.key, reference=reference
        )
        if isinstance(found, Failed):
            return found.evidence
        evidence = responses.of_charge(found)
        # To cancel an authorized payment would void it.
        if not isinstance(evidence, RequiresAction) or not found.is_cancelable:
            return evidence
        closed = await self._client.send(
            requests.cancel(request, reference), Payment, key=request.key, reference=reference
        )
        if isinstance(closed, Payment):
            return responses.of_closed(closed)
        # Mollie refuses to cancel what is paid meanwhile.
        return await self.look_up(request) if closed.state_may_have_changed else closed.evidence

    async def capture(self, request: Modification) -> Evidence:
        """Capture an authorized amount, or a part of it; then the rest is released."""
        amount = to_mollie(request.money)
        if isinstance(amount, NotDone):
            return amount
        return await self._modify(requests.capture(request, amount), request)

    async def void(self, request: Modification) -> Evidence:
        """Release an authorized amount. Mollie accepts the request first, and the payment tells when it is done."""
        failed = await self._client.release(requests.release(request))
        if failed is not None:
            return await self._or_look_up(failed, request)
        found = await self.look_up(request)
        return Accepted(request.charge_reference) if isinstance(found, NotFound | Unknown) else found

    async def refund(self, request: Modification) -> Evidence:
        """Refund a charge, or a part of it."""
        amount = to_mollie(request.money)
        if isinstance(amount, NotDone):
            return amount
        return await self._modify(requests.refund(request, amount), request)

    async def look_up(self, request: ChargeRequest | Modification) -> Evidence:
        """Retrieve the payment, or search its captures or refunds for our key."""
        if isinstance(request, ChargeRequest):
            if request.session_reference is None:
                return NotFound()
            return await self._look_up_charge(request, request.session_reference)
        if request.kind == "void":
            found = await self._client.send(
                requests.retrieve_payment(request.charge_reference), Payment, reference=request.charge_reference
            )
            return found.evidence if isinstance(found, Failed) else responses.of_void(found)
        return await self._search(request)

    async def check(self) -> Sequence[str]:
        """Ask Mollie for the profile of the key, which has no effect; returns what is wrong, a sentence each."""
        found = list(refusal(self._credentials, self._mode).values())
        if not found:
            try:
                found = problems(await self._client.ask(requests.retrieve_profile()), self._mode)
            except NoAnswer as error:
                found = [f"Mollie could not be reached: {error}."]
        return found if self.capabilities.webhooks else [*found, WITHOUT_WEBHOOKS]

    async def disconnect(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def read_webhook(self, headers: Mapping[str, str], body: bytes) -> Sequence[Notice] | None:
        """Read a signed webhook, or ask Mollie about the payment that an unsigned one names.

        Raises ProviderUnavailable where Mollie cannot be asked, and RateLimited for too many unsigned ones. Both are
        sent again.
        """
        signatures = webhooks.signatures_in(headers)
        if signatures:
            if not webhooks.is_signed(self._webhook_secrets, signatures, body):
                return None
            return [await self._of_event(webhooks.read_event(body))]
        payment_id = webhooks.payment_id_in(body)
        if payment_id is None:
            return None
        with self._unsigned:
            return await self._of_payment(payment_id)

    async def _of_event(self, event: Event) -> Notice:
        entity = webhooks.entity_of(event, self._mode)
        match entity:
            case Payment():
                return webhooks.of_payment(event.id, entity)
            case Capture() if (key := key_in(entity.metadata)) is not None:
                return Notice(event.id, key, await self._captured(entity, key))
            case Refund():
                return webhooks.of_refund(event.id, entity, None)
            case Chargeback():
                return webhooks.of_chargeback(event.id, entity, None)
            case _:
                return Notice(event.id, None, None)

    async def _of_payment(self, payment_id: str) -> list[Notice]:
        """Ask about a payment that an unsigned webhook names: nothing else in it is believed."""
        found = await self._client.send(requests.retrieve_payment_with_all(payment_id), Payment, reference=payment_id)
        if isinstance(found, Failed):
            if isinstance(found.evidence, NotFound):
                return [webhooks.NOT_OURS]
            raise ProviderUnavailable
        ours = [(one, key) for one in found.embedded.captures if (key := key_in(one.metadata)) is not None]
        return webhooks.of_all(found, [(one, await self._captured(one, key)) for one, key in ours])

    async def _look_up_charge(self, request: ChargeRequest, reference: str) -> Evidence:
        call = requests.retrieve_payment(reference)
        found = await self._client.send(call, Payment, key=request.key, reference=reference)
        return found.evidence if isinstance(found, Failed) else responses.of_charge(found)

    async def _modify(self, call: Call, request: Modification) -> Evidence:
        key, reference = request.key, request.charge_reference
        made: Capture | Refund | Failed
        if request.kind == "capture":
            made = await self._client.send(call, Capture, key=key, reference=reference)
        else:
            made = await self._client.send(call, Refund, key=key, reference=reference)
        if isinstance(made, Failed):
            return await self._or_look_up(made, request)
        return await self._evidence_of(made, request.key)

    async def _search(self, request: Modification) -> Evidence:
        """Search the captures or the refunds of the charge for our key, page by page."""
        what, after = ("captures" if request.kind == "capture" else "refunds"), None
        for _ in range(PAGES_MAX):
            page = await self._client.send(requests.list_of(request.charge_reference, what, after), Page)
            if isinstance(page, Failed):
                return page.evidence
            listed = page.embedded.captures if request.kind == "capture" else page.embedded.refunds
            for one in listed:
                if key_in(one.metadata) == request.key:
                    return await self._evidence_of(one, request.key)
            after = requests.start_of(page.links.next)
            if after is None:
                return NotFound()
        return Unknown(f"this payment has more {what} than are looked through")

    async def _evidence_of(self, made: Capture | Refund, key: str) -> Evidence:
        return await self._captured(made, key) if isinstance(made, Capture) else responses.of_refund(made)

    async def _captured(self, capture: Capture, key: str) -> Evidence:
        """Return what a capture proves. Mollie keeps the rest authorized for more captures, so it is released first.

        Where it is not known whether that was done, the capture is reported as accepted: its look-up tries again.
        """
        evidence = responses.of_capture(capture)
        if not isinstance(evidence, Succeeded):
            return evidence
        reference = capture.payment_id
        payment = await self._client.send(requests.retrieve_payment(reference), Payment, reference=reference)
        if isinstance(payment, Failed):
            return Accepted(capture.id)
        if payment.status != "authorized":
            return evidence
        failed = await self._client.release(requests.release_rest(reference, key))
        if failed is None:
            return evidence
        if isinstance(failed.evidence, NotDone) and not failed.evidence.retryable:
            log.warning("rest_of_authorization_not_released", provider=NAME, key=key, reason=failed.evidence.reason)
            return evidence
        return Accepted(capture.id)

    async def _or_look_up(self, failed: Failed, request: Modification) -> Evidence:
        """Look up an operation that the state of its charge may not allow: an earlier call may have made it so."""
        if failed.state_may_have_changed:
            found = await self.look_up(request)
            if not isinstance(found, NotFound):
                return found
        return failed.evidence
