"""The Provider for Example Pay. Every charge is made through a payment, which the buyer pays on its page, once."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Final, TypeVar

from paidonce.http_client import Answer, HttpClient, NoAnswer
from paidonce.providers.answers import of_no_answer, read_object
from paidonce.providers.base import Capabilities, ChargeRequest, Connection, Modification, OperationSupport
from paidonce.providers.evidence import Evidence, NotDone, NotFound, Notice, RequiresAction, Unknown
from tests.connector_template.connector import requests, responses, webhooks
from tests.connector_template.connector.credentials import API_KEY, WEBHOOK_SECRET, problems
from tests.connector_template.connector.requests import Call
from tests.connector_template.connector.wire import Operation, Payment

NAME: Final = "example"
URL: Final = "https://api.pay.example"
CONNECTIONS_MAX: Final = 64
ANSWER_BYTES_MAX: Final = 1024 * 1024
KEY_LIFETIME_SECONDS: Final = 24 * 60 * 60

T = TypeVar("T", Payment, Operation)


class ExamplePay:
    """Example Pay, with the credentials of one account. Create it inside the event loop that uses it."""

    name: Final = NAME

    def __init__(self, connection: Connection) -> None:
        self._credentials: Final = connection.credentials
        self._clock: Final = connection.clock
        self._http: Final = HttpClient(
            connection.url or URL,
            timeout_seconds=connection.timeout_seconds,
            connections_max=CONNECTIONS_MAX,
            answer_bytes_max=ANSWER_BYTES_MAX,
        )
        support = OperationSupport(key_lifetime_seconds=KEY_LIFETIME_SECONDS, can_be_looked_up=True)
        self.capabilities: Final = Capabilities(
            charge=support,
            capture=support,
            void=support,
            refund=support,
            manual_capture=True,
            partial_refund=True,
            webhooks=True,
        )

    def opens_session(self, payment_method: str) -> bool:  # noqa: ARG002 - every charge is made through a payment
        """Tell whether a charge with this payment method is made through a session."""
        return True

    async def open(self, request: ChargeRequest) -> Evidence:
        """Create a payment, which moves no money."""
        if refused := requests.unsupported(request):
            return NotDone("Example Pay does not take this; nothing was sent", refused)
        if request.return_url is None:
            return NotDone("a payment on Example Pay's page needs a URL to return to; nothing was sent")
        return await self._payment(requests.create_payment(request), request)

    async def charge(self, request: ChargeRequest) -> Evidence:
        """Look the payment up: the buyer alone pays it."""
        if request.session_reference is None:
            return NotDone("there is no payment to ask about; nothing was sent")
        return await self.look_up(request)

    async def close(self, request: ChargeRequest) -> Evidence:
        """Close the payment, unless the buyer has paid."""
        found = await self.charge(request)
        if not isinstance(found, RequiresAction):
            return found
        closed = await self._payment(requests.close_payment(request, found.reference), request)
        # Example Pay refuses to close what was paid meanwhile.
        return await self.look_up(request) if isinstance(closed, NotDone) else closed

    async def capture(self, request: Modification) -> Evidence:
        """Capture an authorized amount, or a part of it; Example Pay releases the rest."""
        return await self._operation(requests.modify(request), request)

    async def void(self, request: Modification) -> Evidence:
        """Release an authorized amount."""
        return await self._operation(requests.modify(request), request)

    async def refund(self, request: Modification) -> Evidence:
        """Refund a charge, or a part of it."""
        return await self._operation(requests.modify(request), request)

    async def look_up(self, request: ChargeRequest | Modification) -> Evidence:
        """Retrieve the payment, or the operation by our key."""
        if isinstance(request, Modification):
            return await self._operation(requests.retrieve_operation(request.key), request)
        if request.session_reference is None:
            return NotFound()
        return await self._payment(requests.retrieve_payment(request.session_reference), request)

    async def check(self) -> Sequence[str]:
        """Ask for the account, which has no effect; returns what is wrong, a sentence each."""
        try:
            return problems(await self._ask(requests.retrieve_account()))
        except NoAnswer as error:
            return [f"Example Pay could not be reached: {error}."]

    async def disconnect(self) -> None:
        """Close the connections."""
        await self._http.close()

    async def read_webhook(self, headers: Mapping[str, str], body: bytes) -> Sequence[Notice] | None:
        """Check the signature and read the webhook; None where the signature is not valid."""
        if not webhooks.is_signed(self._credentials[WEBHOOK_SECRET], headers, body, now=self._clock()):
            return None
        return [webhooks.read(body)]

    async def _payment(self, call: Call, request: ChargeRequest) -> Evidence:
        found = await self._send(call, Payment)
        if not isinstance(found, Payment):
            return found
        if found.key != request.key or request.session_reference not in (None, found.id):
            return Unknown("Example Pay answered about another payment")
        return responses.of_payment(found)

    async def _operation(self, call: Call, request: Modification) -> Evidence:
        found = await self._send(call, Operation)
        return responses.of_operation(found, request) if isinstance(found, Operation) else found

    async def _send(self, call: Call, kind: type[T]) -> T | NotDone | NotFound | Unknown:
        """Send a request, and return the object in the response, or what its absence proves."""
        try:
            answer = await self._ask(call)
        except NoAnswer as error:
            return of_no_answer(error, has_effect=call.key is not None)
        if answer.status != HTTPStatus.OK:
            return responses.failure(answer, is_look_up=call.key is None)
        return read_object(answer.body, kind) or Unknown(
            f"Example Pay answered 200 with something other than a {kind.__name__}"
        )

    async def _ask(self, call: Call) -> Answer:
        headers = {"Authorization": f"Bearer {self._credentials[API_KEY]}"}
        if call.key is not None:
            headers["Idempotency-Key"] = call.key
        return await self._http.request(call.method, call.path, call.body, headers=headers)
