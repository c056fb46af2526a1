"""The Provider for Stripe. Only what Stripe reports about our operation is proof.

Every charge is made through a session: a Checkout Session, which the buyer pays on Stripe's page, or a PaymentIntent
that is created with a payment method and confirmed afterwards. Both are paid at most once, also after Stripe has
forgotten the idempotency keys (docs.stripe.com/api/idempotent_requests: at least 24 hours).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from paidonce.http_client import NoAnswer
from paidonce.providers.base import Capabilities, ChargeRequest, Connection, Modification, OperationSupport
from paidonce.providers.decline_codes import PROVIDER_REFUSED
from paidonce.providers.evidence import Authorized, Declined, Evidence, NotDone, NotFound, Notice, Succeeded, Unknown
from paidonce.providers.stripe import requests, responses, webhooks
from paidonce.providers.stripe.amounts import to_stripe
from paidonce.providers.stripe.client import Failed, StripeClient
from paidonce.providers.stripe.credentials import WEBHOOK_SECRET, WITHOUT_WEBHOOKS, problems, refusal
from paidonce.providers.stripe.requests import Call, is_hosted, is_paid_by_buyer
from paidonce.providers.stripe.wire import KEY, PaymentIntent, Refund, RefundList, Session

NAME: Final = "stripe"
KEY_LIFETIME_SECONDS: Final = 24 * 60 * 60
# A PaymentIntent is captured or released at most once, whatever the key. None is authorized for so long.
AUTHORIZATION_SECONDS: Final = 31 * 24 * 60 * 60
PAGES_MAX: Final = 10  # Of refunds of one payment.


class Stripe:
    """Stripe, with the credentials of one account. Create it inside the event loop that uses it."""

    name: Final = NAME

    def __init__(self, connection: Connection) -> None:
        self._mode: Final = connection.mode
        self._clock: Final = connection.clock
        self._credentials: Final = connection.credentials
        self._webhook_secret: Final = connection.credentials.get(WEBHOOK_SECRET, "")
        self._client: Final = StripeClient(connection)
        support = OperationSupport(key_lifetime_seconds=KEY_LIFETIME_SECONDS, can_be_looked_up=True)
        once = OperationSupport(key_lifetime_seconds=AUTHORIZATION_SECONDS, can_be_looked_up=True)
        self.capabilities: Final = Capabilities(
            charge=support,
            capture=once,
            void=once,
            refund=support,
            manual_capture=True,
            partial_refund=True,
            webhooks=bool(self._webhook_secret),
        )

    def opens_session(self, payment_method: str) -> bool:  # noqa: ARG002 - every charge is made through a session
        """Tell whether a charge with this payment method is made through a session."""
        return True

    async def open(self, request: ChargeRequest) -> Evidence:
        """Create a Checkout Session, or a PaymentIntent that is not confirmed yet."""
        amount = to_stripe(request.money)
        if isinstance(amount, NotDone):
            return amount
        if not is_hosted(request):
            return await self._intent(requests.open_intent(request, amount), _charge_reader(request), key=request.key)
        if request.return_url is None:
            return NotDone("a payment on Stripe's page needs a URL to return to; nothing was sent")
        return await self._session(requests.open_session(request, amount, self._clock()), request.key)

    async def charge(self, request: ChargeRequest) -> Evidence:
        """Confirm the PaymentIntent. What the buyer alone can pay is only looked up."""
        reference = request.session_reference
        if reference is None:
            return NotDone("there is no session to charge; nothing was sent")
        if is_paid_by_buyer(request):
            return await self._look_up_charge(request, reference)
        found = await self._client.send(
            requests.confirm(request, reference), PaymentIntent, key=request.key, reference=reference
        )
        if isinstance(found, PaymentIntent):
            evidence = _charge_reader(request)(found)
        elif found.state_has_changed:
            evidence = await self._look_up_charge(request, reference)
        else:
            evidence = found.evidence
        if isinstance(evidence, Declined):
            evidence = Declined(evidence.code, reference, "charge", evidence.raw_code)
        return await self._final(request, evidence)

    async def close(self, request: ChargeRequest) -> Evidence:
        """Expire the Checkout Session or cancel the PaymentIntent, unless the buyer has paid."""
        reference = request.session_reference
        if reference is None:
            return NotDone("there is no session to close; nothing was sent")
        found = await self._look_up_charge(request, reference)
        # To cancel an authorized PaymentIntent would void it.
        if isinstance(found, Succeeded | Authorized | Unknown) or (
            isinstance(found, Declined) and is_paid_by_buyer(request)
        ):
            return found
        return await self._close(request, reference)

    async def capture(self, request: Modification) -> Evidence:
        """Capture an authorized amount, or a part of it."""
        amount = to_stripe(request.money)
        if isinstance(amount, NotDone):
            return amount
        return await self._modify(requests.capture(request, amount), request)

    async def void(self, request: Modification) -> Evidence:
        """Release an authorized amount."""
        return await self._modify(requests.void(request), request)

    async def refund(self, request: Modification) -> Evidence:
        """Refund a charge, or a part of it."""
        amount = to_stripe(request.money)
        if isinstance(amount, NotDone):
            return amount
        found = await self._client.send(
            requests.refund(request, amount), Refund, key=request.key, reference=request.charge_reference
        )
        return await self._or_look_up(found, request) if isinstance(found, Failed) else responses.of_refund(found)

    async def look_up(self, request: ChargeRequest | Modification) -> Evidence:
        """Retrieve the session, the PaymentIntent, or the refunds of the charge."""
        if isinstance(request, ChargeRequest):
            if request.session_reference is None:
                return NotFound()
            return await self._final(request, await self._look_up_charge(request, request.session_reference))
        if request.kind == "refund":
            return await self._find_refund(request)
        reference = request.charge_reference
        return await self._intent(requests.retrieve_intent(reference), _reader(request), reference=reference)

    async def check(self) -> Sequence[str]:
        """Ask Stripe for the balance, which has no effect; returns what is wrong, a sentence each."""
        found = list(refusal(self._credentials, self._mode).values())
        if not found:
            try:
                found = problems(await self._client.ask(requests.retrieve_balance()), self._mode)
            except NoAnswer as error:
                found = [f"Stripe could not be reached: {error}."]
        return found if self._webhook_secret else [*found, WITHOUT_WEBHOOKS]

    async def disconnect(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def read_webhook(self, headers: Mapping[str, str], body: bytes) -> Sequence[Notice] | None:
        """Check the signature and read the webhook; None where the signature is not valid."""
        if not self._webhook_secret or not webhooks.is_signed(self._webhook_secret, headers, body, now=self._clock()):
            return None
        return [webhooks.read(body, live=self._mode == "live")]

    async def _look_up_charge(self, request: ChargeRequest, reference: str) -> Evidence:
        if is_hosted(request):
            return await self._session(requests.retrieve_session(reference), request.key, reference)
        call = requests.retrieve_intent(reference)
        return await self._intent(call, _charge_reader(request), key=request.key, reference=reference)

    async def _final(self, request: ChargeRequest, evidence: Evidence) -> Evidence:
        """Make sure that a decline is final. Where the PaymentIntent was confirmed more than once, another confirmation
        may still be on its way to Stripe: canceling the PaymentIntent stops it.
        """
        reference = request.session_reference
        if not isinstance(evidence, Declined) or is_paid_by_buyer(request) or reference is None:
            return evidence
        if request.call_number <= 1 and evidence.raw_code != responses.WITHOUT_PAGE:
            return evidence
        closed = await self._close(request, reference)
        return evidence if isinstance(closed, Declined) else closed

    async def _close(self, request: ChargeRequest, reference: str) -> Evidence:
        if is_hosted(request):
            closed = await self._session(requests.expire(request, reference), request.key, reference)
        else:
            call = requests.cancel(request, reference)
            closed = await self._intent(call, _charge_reader(request), key=request.key, reference=reference)
        # Stripe refuses to close what is closed or paid already.
        return await self._look_up_charge(request, reference) if isinstance(closed, NotDone) else closed

    async def _modify(self, call: Call, request: Modification) -> Evidence:
        found = await self._client.send(call, PaymentIntent, reference=request.charge_reference)
        return await self._or_look_up(found, request) if isinstance(found, Failed) else _reader(request)(found)

    async def _or_look_up(self, failed: Failed, request: Modification) -> Evidence:
        """Look up an operation that the state of its charge does not allow: an earlier call may have made it so."""
        if failed.state_has_changed:
            found = await self.look_up(request)
            if isinstance(found, Succeeded) and found.amount not in (None, request.money.amount):
                # Another capture was first, and this one is too late.
                return Declined(PROVIDER_REFUSED, found.reference, request.kind, "captured_already")
            if not isinstance(found, NotFound):
                return found
        return failed.evidence

    async def _find_refund(self, request: Modification) -> Evidence:
        """Search the refunds of the charge for our key, page by page."""
        after = None
        for _ in range(PAGES_MAX):
            page = await self._client.send(requests.list_refunds(request.charge_reference, after), RefundList)
            if isinstance(page, Failed):
                return page.evidence
            mine = [one for one in page.data if (one.metadata or {}).get(KEY) == request.key]
            if mine:
                return responses.of_refund(mine[0])
            if not page.has_more or not page.data:
                return NotFound()
            after = page.data[-1].id
        return Unknown("this payment has more refunds than are looked through")

    async def _intent(
        self,
        call: Call,
        reader: Callable[[PaymentIntent], Evidence],
        *,
        key: str | None = None,
        reference: str | None = None,
    ) -> Evidence:
        found = await self._client.send(call, PaymentIntent, key=key, reference=reference)
        return found.evidence if isinstance(found, Failed) else reader(found)

    async def _session(self, call: Call, key: str, reference: str | None = None) -> Evidence:
        found = await self._client.send(call, Session, key=key, reference=reference)
        return found.evidence if isinstance(found, Failed) else responses.of_session(found)


def _charge_reader(request: ChargeRequest) -> Callable[[PaymentIntent], Evidence]:
    return lambda intent: responses.of_charge(intent, return_url=request.return_url)


def _reader(request: Modification) -> Callable[[PaymentIntent], Evidence]:
    return responses.of_capture if request.kind == "capture" else responses.of_void
