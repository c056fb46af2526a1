"""Sends requests to Stripe, each once, and reads the objects in the responses."""

from http import HTTPStatus
from typing import Final, TypeAlias, TypeVar

import msgspec
import structlog

from paidonce.http_client import Answer, HttpClient, NoAnswer
from paidonce.providers.answers import of_no_answer, of_refused_look_up, read_object
from paidonce.providers.base import Connection
from paidonce.providers.evidence import Declined, NotDone, NotFound, Unknown
from paidonce.providers.stripe.credentials import SECRET_KEY
from paidonce.providers.stripe.failures import STATE_HAS_CHANGED, error_of, failure
from paidonce.providers.stripe.requests import Call
from paidonce.providers.stripe.wire import API_VERSION, KEY, PaymentIntent, Refund, RefundList, Session

log = structlog.get_logger()

URL: Final = "https://api.stripe.com"
CONNECTIONS_MAX: Final = 64  # For each account. Stripe allows 100 requests a second (docs.stripe.com/rate-limits).
ANSWER_BYTES_MAX: Final = 4 * 1024 * 1024  # A page of a hundred refunds has about 200 KB.
FORM: Final = "application/x-www-form-urlencoded"

T = TypeVar("T", PaymentIntent, Session, Refund, RefundList)
Failure: TypeAlias = Declined | NotDone | NotFound | Unknown


class Failed(msgspec.Struct, frozen=True):
    """A request that brought no object. ``state_has_changed``: looking at the object says more than this error."""

    evidence: Failure
    state_has_changed: bool = False


class StripeClient:
    """Stripe's API with one account's key. Create it inside the event loop that uses it."""

    def __init__(self, connection: Connection) -> None:
        self._secret_key: Final = connection.credentials[SECRET_KEY]
        self._http: Final = HttpClient(
            connection.url or URL,
            timeout_seconds=connection.timeout_seconds,
            connections_max=CONNECTIONS_MAX,
            answer_bytes_max=ANSWER_BYTES_MAX,
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close()

    async def ask(self, call: Call) -> Answer:
        """Send a request; raises NotSent or AnswerLost."""
        headers = {"Authorization": f"Bearer {self._secret_key}", "Stripe-Version": API_VERSION}
        if call.key is not None:
            headers |= {"Idempotency-Key": call.key, "Content-Type": FORM}
        return await self._http.request(call.method, call.path, call.body, headers=headers)

    async def send(
        self, call: Call, kind: type[T], *, key: str | None = None, reference: str | None = None
    ) -> T | Failed:
        """Send a request, and return the object in the response, or why there is none. ``key`` and ``reference`` are
        what it must be about.
        """
        try:
            answer = await self.ask(call)
        except NoAnswer as error:
            return Failed(of_no_answer(error, has_effect=call.method == "POST"))
        if answer.status != HTTPStatus.OK:
            return _failed(call, answer)
        found = read_object(answer.body, kind)
        if found is None:
            return Failed(Unknown(f"Stripe answered 200 with something other than a {kind.__name__}"))
        if not _is_about(found, key, reference):
            log.error("provider_answered_about_another_object", provider="stripe", key=key, reference=reference)
            return Failed(Unknown("Stripe answered about another object"))
        return found


def _failed(call: Call, answer: Answer) -> Failed:
    evidence = failure(answer)
    if call.method == "POST":
        error = error_of(answer)
        return Failed(evidence, state_has_changed=error is not None and error.code in STATE_HAS_CHANGED)
    return Failed(of_refused_look_up(evidence, is_missing=answer.status == HTTPStatus.NOT_FOUND))


def _is_about(found: PaymentIntent | Session | Refund | RefundList, key: str | None, reference: str | None) -> bool:
    if isinstance(found, RefundList):
        return True
    is_mine = key is None or (found.metadata or {}).get(KEY) == key
    refers_to = found.payment_intent if isinstance(found, Refund) else found.id
    return is_mine and (reference is None or refers_to == reference)
