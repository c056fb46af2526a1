"""Sends requests to Mollie, each once, and reads the objects in the responses."""

from http import HTTPStatus
from typing import Final, TypeAlias, TypeVar

import msgspec
import structlog

from paidonce.http_client import Answer, HttpClient, NoAnswer
from paidonce.providers.answers import of_no_answer, of_refused_look_up, read_object
from paidonce.providers.base import Connection
from paidonce.providers.evidence import NotDone, NotFound, Unknown
from paidonce.providers.mollie.credentials import API_KEY
from paidonce.providers.mollie.failures import STATE_MAY_HAVE_CHANGED, failure
from paidonce.providers.mollie.requests import Call
from paidonce.providers.mollie.wire import Capture, Page, Payment, Refund, key_in

log = structlog.get_logger()

URL: Final = "https://api.mollie.com"
CONNECTIONS_MAX: Final = 64  # For each account.
ANSWER_BYTES_MAX: Final = 4 * 1024 * 1024  # A page of 250 refunds has about 250 KB.
DONE: Final = frozenset({HTTPStatus.OK, HTTPStatus.CREATED})

T = TypeVar("T", Payment, Capture, Refund, Page)
Failure: TypeAlias = NotDone | NotFound | Unknown


class Failed(msgspec.Struct, frozen=True):
    """A request that brought no object. ``state_may_have_changed``: looking at the object says more than this error."""

    evidence: Failure
    state_may_have_changed: bool = False


class MollieClient:
    """Mollie's API with one account's key. Create it inside the event loop that uses it."""

    def __init__(self, connection: Connection) -> None:
        self._api_key: Final = connection.credentials[API_KEY]
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
        headers = {"Authorization": f"Bearer {self._api_key}"}
        if call.key is not None:
            headers["Idempotency-Key"] = call.key
        return await self._http.request(call.method, call.path, call.body, headers=headers)

    async def send(
        self, call: Call, kind: type[T], *, key: str | None = None, reference: str | None = None
    ) -> T | Failed:
        """Send a request, and return the object in the response, or why there is none. ``key`` and ``reference``, of
        the payment, are what it must be about.
        """
        answer = await self._answer(call)
        if isinstance(answer, Failed):
            return answer
        if answer.status not in DONE:
            return _failed(call, answer)
        found = read_object(answer.body, kind)
        if found is None:
            return Failed(Unknown(f"Mollie answered {answer.status} with something other than a {kind.__name__}"))
        if not _is_about(found, key, reference):
            log.error("provider_answered_about_another_object", provider="mollie", key=key, reference=reference)
            return Failed(Unknown("Mollie answered about another object"))
        return found

    async def release(self, call: Call) -> Failed | None:
        """Send a request to release an authorization; returns None where Mollie has accepted it."""
        answer = await self._answer(call)
        if isinstance(answer, Failed):
            return answer
        return None if answer.status == HTTPStatus.ACCEPTED else _failed(call, answer)

    async def _answer(self, call: Call) -> Answer | Failed:
        try:
            return await self.ask(call)
        except NoAnswer as error:
            return Failed(of_no_answer(error, has_effect=call.may_have_effect))


def _failed(call: Call, answer: Answer) -> Failed:
    evidence = failure(answer)
    if call.may_have_effect:
        return Failed(evidence, answer.status in STATE_MAY_HAVE_CHANGED)
    return Failed(of_refused_look_up(evidence, is_missing=answer.status == HTTPStatus.NOT_FOUND))


def _is_about(found: Payment | Capture | Refund | Page, key: str | None, reference: str | None) -> bool:
    if isinstance(found, Page):
        return True
    is_mine = key is None or key_in(found.metadata) == key
    refers_to = found.id if isinstance(found, Payment) else found.payment_id
    return is_mine and (reference is None or refers_to == reference)
