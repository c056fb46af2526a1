"""The Provider for PayPal. Only what PayPal reports about our operation is proof.

Every charge is made through an order. The buyer approves it on PayPal's page, which moves no money; then we capture or
authorize it. PayPal does that once for each order, also after it has forgotten the request ids.

**How an order is closed.** PayPal has no call that ends an order, and a capture of ours that was sent before may still
be on its way. So the order is given the other intent (PATCH, while it is not completed). From then on PayPal refuses
what we would send to charge it (ACTION_DOES_NOT_MATCH_INTENT), and nothing of ours ever sends what the other intent
would allow. The order is read after that change: if it shows the other intent and no payment, then none was made before
and none can follow. The reason is written on the order in the same change, so that a look-up tells the same.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from paidonce.http_client import NoAnswer
from paidonce.providers.base import Capabilities, ChargeRequest, Connection, Modification, OperationSupport
from paidonce.providers.decline_codes import PAYMENT_METHOD_NOT_SUPPORTED, PROVIDER_REFUSED
from paidonce.providers.evidence import (
    Declined,
    Evidence,
    NotDone,
    NotFound,
    Notice,
    Opened,
    RequiresAction,
    Succeeded,
    Unknown,
)
from paidonce.providers.paypal import requests, responses, webhooks
from paidonce.providers.paypal.amounts import METHODS, to_paypal
from paidonce.providers.paypal.certificates import Certificates
from paidonce.providers.paypal.client import Failed, PayPalClient
from paidonce.providers.paypal.credentials import WEBHOOK_ID, WITHOUT_WEBHOOKS, problems
from paidonce.providers.paypal.decline_codes import CLOSED, decline_code
from paidonce.providers.paypal.wire import REFUND, Order, Payment

NAME: Final = "paypal"
PAGES: Final = {"test": "https://www.sandbox.paypal.com", "live": "https://www.paypal.com"}

HOUR_SECONDS: Final = 60 * 60
DAY_SECONDS: Final = 24 * HOUR_SECONDS
ORDER_KEY_SECONDS: Final = 6 * HOUR_SECONDS
PAYMENT_KEY_SECONDS: Final = 45 * DAY_SECONDS
# PayPal forgets an order that nobody approves. No order is forgotten sooner.
ORDER_SECONDS_MIN: Final = 3 * HOUR_SECONDS


class PayPal:
    """PayPal, with the credentials of one account. Create it inside the event loop that uses it."""

    name: Final = NAME

    def __init__(self, connection: Connection) -> None:
        self._mode: Final = connection.mode
        self._clock: Final = connection.clock
        self._pages: Final = connection.url or PAGES[connection.mode]
        self._webhook_id: Final = connection.credentials.get(WEBHOOK_ID, "")
        self._client: Final = PayPalClient(connection)
        self._certificates: Final = Certificates(connection)
        of_payments = OperationSupport(key_lifetime_seconds=PAYMENT_KEY_SECONDS, can_be_looked_up=True)
        self.capabilities: Final = Capabilities(
            charge=OperationSupport(key_lifetime_seconds=ORDER_KEY_SECONDS, can_be_looked_up=True),
            capture=of_payments,
            void=of_payments,
            refund=of_payments,
            manual_capture=True,
            partial_refund=True,
            webhooks=bool(self._webhook_id),
        )

    def opens_session(self, payment_method: str) -> bool:  # noqa: ARG002 - every charge is made through an order
        """Tell whether a charge with this payment method is made through a session."""
        return True

    async def open(self, request: ChargeRequest) -> Evidence:
        """Create an order."""
        if request.payment_method not in METHODS:
            reason = f"PayPal takes the payment methods {', '.join(sorted(METHODS))}; nothing was sent"
            return NotDone(reason, PAYMENT_METHOD_NOT_SUPPORTED)
        amount = to_paypal(request.money)
        if isinstance(amount, NotDone):
            return amount
        if request.return_url is None:
            return NotDone("a payment on PayPal's page needs a URL to return to; nothing was sent")
        found = await self._client.send(requests.open_order(request, amount), Order, key=request.key)
        return found.evidence if isinstance(found, Failed) else self._of_order(found, request)

    async def charge(self, request: ChargeRequest) -> Evidence:
        """Capture or authorize the order, which the buyer must have approved. A decline is made final: the order is
        closed, because PayPal would let the buyer choose another way to pay, and us try again.
        """
        reference = request.session_reference
        if reference is None:
            return NotDone("there is no order to charge; nothing was sent")
        call = requests.charge(request, reference)
        found = await self._client.send(call, Order, key=request.key, reference=reference)
        if isinstance(found, Order):
            return self._of_order(found, request)
        if isinstance(found.evidence, Declined):
            return await self._close(request, reference, found.raw_code)
        if not found.state_has_changed:
            return found.evidence
        seen = await self._look_up_order(request, reference)
        if isinstance(seen, Opened):
            return NotDone("the buyer approved after the order was charged in vain", retryable=True)
        return seen

    async def close(self, request: ChargeRequest) -> Evidence:
        """Close the order, unless it was charged. The description of this module says why that is proof."""
        reference = request.session_reference
        if reference is None:
            return NotDone("there is no order to close; nothing was sent")
        found = await self._look_up_order(request, reference)
        if isinstance(found, RequiresAction | Opened):
            return await self._close(request, reference, CLOSED)
        return found

    async def capture(self, request: Modification) -> Evidence:
        """Capture an authorized amount, or a part of it."""
        amount = to_paypal(request.money)
        if isinstance(amount, NotDone):
            return amount
        found = await self._client.send(requests.capture(request, amount), Payment)
        if isinstance(found, Failed):
            return await self._or_look_up(found, request)
        return responses.of_capture(found, "capture")

    async def void(self, request: Modification) -> Evidence:
        """Release an authorized amount."""
        failed = await self._client.send_without_answer(requests.void(request))
        if failed is not None:
            return await self._or_look_up(failed, request)
        return Succeeded(request.charge_reference, kind="void")

    async def refund(self, request: Modification) -> Evidence:
        """Refund a charge, or a part of it. PayPal refunds captures: that of an authorization is looked up first."""
        amount = to_paypal(request.money)
        if isinstance(amount, NotDone):
            return amount
        capture_id = await self._capture_id(request.charge_reference)
        if isinstance(capture_id, Failed):
            return _not_sent(capture_id)
        found = await self._client.send(requests.refund(request, amount, capture_id), Payment)
        return await self._or_look_up(found, request) if isinstance(found, Failed) else responses.of_refund(found)

    async def look_up(self, request: ChargeRequest | Modification) -> Evidence:
        """Show the order, the authorization, or the refunds of the order."""
        if isinstance(request, ChargeRequest):
            if request.session_reference is None:
                return NotFound()
            return await self._look_up_order(request, request.session_reference)
        if request.kind == "refund":
            return await self._look_up_refund(request)
        reference = request.charge_reference
        found = await self._client.send(requests.show_authorization(reference), Payment, reference=reference)
        if isinstance(found, Failed):
            return found.evidence
        if request.kind == "void":
            return responses.of_void(found)
        if found.status not in {"CAPTURED", "PARTIALLY_CAPTURED"}:
            return responses.of_captures(found, [], request.key)
        order = await self._order_of(found)
        if isinstance(order, Failed):
            return order.evidence
        return responses.of_captures(found, order.payments.captures, request.key)

    async def check(self) -> Sequence[str]:
        """Ask PayPal for an access token, which has no effect; returns what is wrong, a sentence each."""
        try:
            found = problems(await self._client.ask_for_token(), self._mode)
        except NoAnswer as error:
            found = [f"PayPal could not be reached: {error}."]
        return found if self._webhook_id else [*found, WITHOUT_WEBHOOKS]

    async def disconnect(self) -> None:
        """Close the connections."""
        await self._client.close()
        await self._certificates.close()

    async def read_webhook(self, headers: Mapping[str, str], body: bytes) -> Sequence[Notice] | None:
        """Check the signature and read the webhook; None where the signature is not valid."""
        if not self._webhook_id:
            return None
        signature = webhooks.signature_of(self._webhook_id, headers, body, now=self._clock())
        key = await self._certificates.key_of(signature.cert_url) if signature else None
        if signature is None or key is None or not signature.is_by(key):
            return None
        return [webhooks.read(body, now=self._clock())]

    def _of_order(self, order: Order, request: ChargeRequest) -> Evidence:
        return responses.of_order(order, request, f"{self._pages}/checkoutnow?token={order.id}")

    async def _look_up_order(self, request: ChargeRequest, reference: str) -> Evidence:
        found = await self._client.send(requests.show_order(reference), Order, key=request.key, reference=reference)
        if isinstance(found, Order):
            return self._of_order(found, request)
        age_seconds = (self._clock() - request.created_at) / 1000
        if isinstance(found.evidence, NotFound) and age_seconds >= ORDER_SECONDS_MIN:
            raw_code = "RESOURCE_NOT_FOUND"
            return Declined(decline_code(raw_code), reference, "charge", raw_code)
        return found.evidence

    async def _close(self, request: ChargeRequest, reference: str, reason: str) -> Evidence:
        """Give the order the other intent, and see what it is then."""
        failed = await self._client.send_without_answer(requests.close(request, reference, reason))
        found = await self._look_up_order(request, reference)
        if not isinstance(found, RequiresAction | Opened):
            return found
        # Without an approval PayPal refuses each charge. We send none before we have seen one, and none after this.
        is_refused = failed is not None and isinstance(failed.evidence, NotDone) and not failed.evidence.retryable
        if is_refused and isinstance(found, RequiresAction):
            return Declined(decline_code(reason), reference, "charge", reason)
        return Unknown(f"the order is open still: {failed.evidence if failed else 'PayPal has not changed it'}")

    async def _or_look_up(self, failed: Failed, request: Modification) -> Evidence:
        """Look up an operation that the state of its charge does not allow: an earlier call may have made it so."""
        if not failed.state_has_changed:
            return failed.evidence
        found = await self.look_up(request)
        if not isinstance(found, NotFound):
            return found
        if failed.raw_code == "AUTHORIZATION_EXPIRED" and request.kind == "capture":
            return Declined(PROVIDER_REFUSED, request.charge_reference, "capture", failed.raw_code)
        return failed.evidence

    async def _look_up_refund(self, request: Modification) -> Evidence:
        order = await self._order_of_charge(request.charge_reference)
        if isinstance(order, Failed):
            return order.evidence
        mine = [one for one in order.payments.refunds if one.custom_id == f"{REFUND}{request.key}"]
        return responses.of_refund(mine[0]) if mine else NotFound()

    async def _capture_id(self, reference: str) -> str | Failed:
        """Return the capture that a refund must name: the charge itself, or the capture of an authorization."""
        found = await self._client.send(requests.show_capture(reference), Payment, reference=reference)
        if isinstance(found, Payment):
            return found.id
        if not isinstance(found.evidence, NotFound):
            return found
        order = await self._order_of_charge(reference)
        if isinstance(order, Failed):
            return order
        moved = [one.id for one in order.payments.captures if one.status in responses.MOVED]
        return moved[0] if moved else Failed(NotFound())

    async def _order_of_charge(self, reference: str) -> Order | Failed:
        """Find the order of a charge: of a capture or an authorization."""
        found = await self._client.send(requests.show_capture(reference), Payment, reference=reference)
        if isinstance(found, Failed) and isinstance(found.evidence, NotFound):
            found = await self._client.send(requests.show_authorization(reference), Payment, reference=reference)
        return found if isinstance(found, Failed) else await self._order_of(found)

    async def _order_of(self, payment: Payment) -> Order | Failed:
        order_id = payment.related("orders")
        if order_id is None:
            return Failed(Unknown("PayPal does not tell the order of a payment"))
        found = await self._client.send(requests.show_order(order_id), Order, reference=order_id)
        if isinstance(found, Failed) and isinstance(found.evidence, NotFound):
            return Failed(Unknown("PayPal does not show the order of a payment"))
        return found


def _not_sent(failed: Failed) -> Evidence:
    """Return what it means for an operation that a look-up before it failed."""
    match failed.evidence:
        case NotFound():
            return NotDone("PayPal knows no such payment; nothing was sent")
        case NotDone() | Unknown() as evidence:
            return NotDone(f"nothing was sent: {evidence.reason}", retryable=True)
        case Declined() as evidence:
            return evidence
