"""Sends requests to Adyen, each once, and reads the objects in the responses."""

from http import HTTPStatus
from typing import Final, TypeAlias, TypeVar

from paidonce.http_client import Answer, HttpClient, NoAnswer
from paidonce.providers.adyen.credentials import API_KEY, LIVE_PREFIX
from paidonce.providers.adyen.failures import failure
from paidonce.providers.adyen.requests import Call
from paidonce.providers.adyen.wire import ModificationReceipt, Payment, PaymentLink
from paidonce.providers.answers import of_no_answer, of_refused_look_up, read_object
from paidonce.providers.base import Connection
from paidonce.providers.evidence import NotDone, NotFound, Unknown

TEST_URL: Final = "https://checkout-test.adyen.com"
LIVE_URL: Final = "https://{prefix}-checkout-live.adyenpayments.com"
LIVE_PATH: Final = "/checkout"  # In front of the paths, on live hosts only.
CONNECTIONS_MAX: Final = 64  # For each account.
ANSWER_BYTES_MAX: Final = 4 * 1024 * 1024  # A list of payment methods has some hundred KB at most.
SUCCESSES: Final = frozenset({HTTPStatus.OK, HTTPStatus.CREATED, HTTPStatus.ACCEPTED})

T = TypeVar("T", PaymentLink, Payment, ModificationReceipt)
Failure: TypeAlias = NotDone | NotFound | Unknown


class AdyenClient:
    """Adyen's Checkout API with the credentials of one account. Create it inside the event loop that uses it."""

    def __init__(self, connection: Connection) -> None:
        self._api_key: Final = connection.credentials[API_KEY]
        url = connection.url or (
            TEST_URL
            if connection.mode == "test"
            else LIVE_URL.format(prefix=connection.credentials.get(LIVE_PREFIX, ""))
        )
        self._path: Final = LIVE_PATH if connection.mode == "live" else ""
        self._http: Final = HttpClient(
            url,
            timeout_seconds=connection.timeout_seconds,
            connections_max=CONNECTIONS_MAX,
            answer_bytes_max=ANSWER_BYTES_MAX,
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close()

    async def ask(self, call: Call) -> Answer:
        """Send a request; raises NotSent or AnswerLost."""
        headers = {"X-API-Key": self._api_key}
        if call.key is not None:
            headers["Idempotency-Key"] = call.key
        return await self._http.request(call.method, f"{self._path}{call.path}", call.body, headers=headers)

    async def send(self, call: Call, kind: type[T]) -> T | Failure:
        """Send a request, and return the object in the response, or what it proves that there is none."""
        try:
            answer = await self.ask(call)
        except NoAnswer as error:
            return of_no_answer(error, has_effect=call.method != "GET")
        if answer.status not in SUCCESSES:
            return _of_failure(call, answer)
        return read_object(answer.body, kind) or Unknown(
            f"Adyen answered {answer.status} with something other than a {kind.__name__}"
        )


def _of_failure(call: Call, answer: Answer) -> Failure:
    evidence = failure(answer)
    if call.method != "GET":
        return evidence
    return of_refused_look_up(evidence, is_missing=answer.status == HTTPStatus.NOT_FOUND)
