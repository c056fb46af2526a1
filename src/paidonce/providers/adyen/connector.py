"""The Provider for Adyen. Only what Adyen reports about our operation is proof.

A buyer pays through a session, which is a payment link (Pay by Link): it can be retrieved, it is paid once at most, and
it can be expired. A payment with a stored payment method is made directly. Adyen can look up neither a payment nor a
modification. What is unknown is asked by sending the same idempotency key again, for as long as Adyen remembers it
(docs.adyen.com/development-resources/api-idempotency: at least 7 days); otherwise the webhook tells.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import structlog

from paidonce.http_client import NoAnswer
from paidonce.providers.adyen import requests, responses, webhooks
from paidonce.providers.adyen.amounts import to_adyen
from paidonce.providers.adyen.client import AdyenClient
from paidonce.providers.adyen.credentials import HMAC_KEY, MERCHANT_ACCOUNT, problems, refusal
from paidonce.providers.adyen.references import reference_of
from paidonce.providers.adyen.requests import Call
from paidonce.providers.adyen.wire import ModificationReceipt, Payment, PaymentLink
from paidonce.providers.base import (
    HOSTED_PAGE,
    Capabilities,
    ChargeRequest,
    Connection,
    Modification,
    OperationSupport,
    WantedCharge,
)
from paidonce.providers.decline_codes import PAYMENT_METHOD_NOT_SUPPORTED
from paidonce.providers.evidence import Evidence, NotDone, Notice, Unknown

log = structlog.get_logger()

NAME: Final = "adyen"
KEY_LIFETIME_SECONDS: Final = 7 * 24 * 60 * 60


class Adyen:
    """Adyen, with the credentials of one account. Create it inside the event loop that uses it."""

    name: Final = NAME

    def __init__(self, connection: Connection) -> None:
        self._mode: Final = connection.mode
        self._credentials: Final = connection.credentials
        self._merchant_account: Final = connection.credentials[MERCHANT_ACCOUNT]
        self._hmac_key: Final = connection.credentials[HMAC_KEY]
        self._client: Final = AdyenClient(connection)
        support = OperationSupport(key_lifetime_seconds=KEY_LIFETIME_SECONDS, can_be_looked_up=False)
        self.capabilities: Final = Capabilities(
            charge=support,
            capture=support,
            void=support,
            refund=support,
            manual_capture=True,
            partial_refund=True,
            webhooks=True,
        )

    def opens_session(self, payment_method: str) -> bool:
        """Tell whether a charge with this payment method is made through a payment link."""
        return payment_method == HOSTED_PAGE

    async def open(self, request: ChargeRequest) -> Evidence:
        """Create a payment link."""
        amount = to_adyen(request.money)
        if isinstance(amount, NotDone):
            return amount
        if not self.opens_session(request.payment_method):
            return NotDone("a payment with a stored payment method needs no link; nothing was sent")
        return await self._link(requests.open_link(request, amount, self._merchant_account), request)

    async def charge(self, request: ChargeRequest) -> Evidence:
        """Pay with a stored payment method. A link is paid by the buyer alone, so it is only retrieved."""
        if self.opens_session(request.payment_method):
            if request.session_reference is None:
                return NotDone("there is no link to charge; nothing was sent")
            return await self.look_up(request)
        amount, method = to_adyen(request.money), requests.read_token(request.payment_method)
        if isinstance(amount, NotDone):
            return amount
        if method is None:
            reason = "a token for Adyen is written spm_<storedPaymentMethodId>_<shopperReference>; nothing was sent"
            return NotDone(reason, PAYMENT_METHOD_NOT_SUPPORTED)
        found = await self._client.send(requests.pay(request, method, amount, self._merchant_account), Payment)
        if not isinstance(found, Payment):
            return found
        if found.merchant_reference not in (None, reference_of(request)):
            return _about_another(request)
        return responses.of_payment(found, capture=request.capture)

    async def close(self, request: ChargeRequest) -> Evidence:
        """Expire the link. Adyen refuses that where the link has expired or was paid: then the link tells which."""
        reference = request.session_reference
        if reference is None:
            return NotDone("there is no link to close; nothing was sent")
        closed = await self._link(requests.expire_link(reference), request)
        is_refused = isinstance(closed, NotDone) and not closed.retryable
        return await self.look_up(request) if is_refused else closed

    async def capture(self, request: Modification) -> Evidence:
        """Capture an authorized amount, or a part of it."""
        return await self._modify(request)

    async def void(self, request: Modification) -> Evidence:
        """Release an authorized amount."""
        return await self._modify(request)

    async def refund(self, request: Modification) -> Evidence:
        """Refund a charge, or a part of it."""
        return await self._modify(request)

    async def look_up(self, request: ChargeRequest | Modification) -> Evidence:
        """Retrieve the payment link. Nothing else can be looked up at Adyen."""
        if isinstance(request, Modification) or request.session_reference is None:
            return Unknown("Adyen looks up nothing but payment links")
        return await self._link(requests.retrieve_link(request.session_reference), request)

    async def check(self) -> Sequence[str]:
        """Ask Adyen for the payment methods, which has no effect; returns what is wrong, a sentence each."""
        found = list(refusal(self._credentials, self._mode).values())
        if found:
            return found
        try:
            return problems(await self._client.ask(requests.list_payment_methods(self._merchant_account)))
        except NoAnswer as error:
            return [f"Adyen could not be reached: {error}."]

    async def disconnect(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def read_webhook(self, headers: Mapping[str, str], body: bytes) -> Sequence[Notice] | None:  # noqa: ARG002 - the items are signed, and no header is
        """Check the signature of every item, and read the webhook; None where one is not valid.

        Nothing that is not JSON can be signed, so such a body is malformed and not forged.
        """
        webhook = webhooks.decode(body)
        # All are checked, so that the duration reveals nothing about the right ones.
        signed = [webhooks.is_signed(self._hmac_key, holder.item) for holder in webhook.notification_items]
        return webhooks.read(webhook, self._merchant_account, live=self._mode == "live") if all(signed) else None

    async def _link(self, call: Call, request: ChargeRequest) -> Evidence:
        found = await self._client.send(call, PaymentLink)
        if not isinstance(found, PaymentLink):
            return found
        if found.reference != reference_of(request) or request.session_reference not in (None, found.id):
            return _about_another(request)
        return responses.of_link(found)

    async def _modify(self, request: Modification) -> Evidence:
        amount = to_adyen(request.money)
        if isinstance(amount, NotDone):
            return amount
        found = await self._client.send(requests.modify(request, amount, self._merchant_account), ModificationReceipt)
        if not isinstance(found, ModificationReceipt):
            return found
        is_other = found.payment_psp_reference != request.charge_reference
        if is_other or found.reference not in (None, reference_of(request)):
            return _about_another(request)
        return responses.of_modification(found)


def unsupported(charge: WantedCharge) -> str | None:
    """Return the decline code of a charge that Adyen cannot take; None where nothing speaks against it."""
    amount = to_adyen(charge.money)
    if isinstance(amount, NotDone):
        return amount.code
    is_known = charge.payment_method == HOSTED_PAGE or requests.read_token(charge.payment_method) is not None
    return None if is_known else PAYMENT_METHOD_NOT_SUPPORTED


def _about_another(request: ChargeRequest | Modification) -> Unknown:
    log.error("provider_answered_about_another_object", provider=NAME, key=request.key)
    return Unknown("Adyen answered about another object")
