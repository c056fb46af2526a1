"""Sends requests to PayPal, each once, and reads the objects in the responses.

Access tokens are from "Get access token" (developer.paypal.com/api/rest/authentication): OAuth 2 client credentials,
valid for ``expires_in`` seconds. A request with a token that PayPal does not accept any more is refused with 401 before
it is executed, so that sending it once more with a new token repeats nothing.
"""

import asyncio
from base64 import b64encode
from http import HTTPStatus
from typing import Final, TypeAlias, TypeVar

import msgspec
import structlog

from paidonce.clock import Instant
from paidonce.http_client import Answer, HttpClient, NoAnswer
from paidonce.providers.answers import of_no_answer, of_refused_look_up, read_object
from paidonce.providers.base import Connection
from paidonce.providers.evidence import Declined, NotDone, NotFound, Unknown
from paidonce.providers.paypal.credentials import CLIENT_ID, CLIENT_SECRET
from paidonce.providers.paypal.failures import STATE_HAS_CHANGED, error_of, failure
from paidonce.providers.paypal.requests import Call
from paidonce.providers.paypal.wire import Order, Payment, Token

log = structlog.get_logger()

HOSTS: Final = {"test": "https://api-m.sandbox.paypal.com", "live": "https://api-m.paypal.com"}
CONNECTIONS_MAX: Final = 64  # For each account.
ANSWER_BYTES_MAX: Final = 4 * 1024 * 1024  # An order with a hundred refunds has about 200 KB.
TOKEN_MARGIN_SECONDS: Final = 120  # A token is replaced so long before it expires.

T = TypeVar("T", Order, Payment)
Failure: TypeAlias = Declined | NotDone | NotFound | Unknown


class Failed(msgspec.Struct, frozen=True):
    """A request that brought no object, with PayPal's own code for the reason. ``state_has_changed``: looking at the
    object says more than this error.
    """

    evidence: Failure
    raw_code: str = ""

    @property
    def state_has_changed(self) -> bool:
        """Whether the state of the object does not allow the request: an earlier call may have changed it."""
        return self.raw_code in STATE_HAS_CHANGED


class NoToken(Exception):
    """No access token was to be had: the request itself was not sent. ``retryable`` is as in NotDone."""

    def __init__(self, reason: str, *, retryable: bool) -> None:
        super().__init__(reason)
        self.retryable = retryable


class PayPalClient:
    """PayPal's API with one account's credentials. Create it inside the event loop that uses it."""

    def __init__(self, connection: Connection) -> None:
        basic = f"{connection.credentials[CLIENT_ID]}:{connection.credentials[CLIENT_SECRET]}"
        self._basic: Final = f"Basic {b64encode(basic.encode()).decode()}"
        self._clock: Final = connection.clock
        self._token: str | None = None
        self._token_expires_at: Instant = 0
        self._refresh: Final = asyncio.Lock()
        self._http: Final = HttpClient(
            connection.url or HOSTS[connection.mode],
            timeout_seconds=connection.timeout_seconds,
            connections_max=CONNECTIONS_MAX,
            answer_bytes_max=ANSWER_BYTES_MAX,
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close()

    async def ask_for_token(self) -> Answer:
        """Ask for an access token; raises NotSent or AnswerLost."""
        headers = {"Authorization": self._basic, "Content-Type": "application/x-www-form-urlencoded"}
        return await self._http.request("POST", "/v1/oauth2/token", b"grant_type=client_credentials", headers=headers)

    async def send(
        self, call: Call, kind: type[T], *, key: str | None = None, reference: str | None = None
    ) -> T | Failed:
        """Send a request, and return the object in the response, or why there is none. ``key`` is the key of the order,
        and ``reference`` its id, that the answer must be about.
        """
        answer = await self._ask(call)
        if isinstance(answer, Failed):
            return answer
        found = read_object(answer.body, kind)
        if found is None:
            return Failed(Unknown(f"PayPal answered {answer.status} with something other than the {kind.__name__}"))
        if not _is_about(found, key, reference):
            log.error("provider_answered_about_another_object", provider="paypal", key=key, reference=reference)
            return Failed(Unknown("PayPal answered about another object"))
        return found

    async def send_without_answer(self, call: Call) -> Failed | None:
        """Send a request whose success has no body to read; returns why it did not succeed."""
        answer = await self._ask(call)
        return answer if isinstance(answer, Failed) else None

    async def _ask(self, call: Call) -> Answer | Failed:
        changes_something = call.method != "GET"
        try:
            answer = await self._ask_with_token(call)
        except NoToken as error:
            reason = str(error)
            return Failed(NotDone(reason, retryable=error.retryable) if changes_something else Unknown(reason))
        except NoAnswer as error:
            return Failed(of_no_answer(error, has_effect=changes_something))
        if HTTPStatus.OK <= answer.status < HTTPStatus.MULTIPLE_CHOICES:
            return answer
        return _failed(call, answer)

    async def _ask_with_token(self, call: Call) -> Answer:
        was_cached = self._valid_token() is not None
        token = await self._fresh_token()
        answer = await self._ask_once(call, token)
        if answer.status == HTTPStatus.UNAUTHORIZED and was_cached:
            if self._token == token:
                self._token = None
            answer = await self._ask_once(call, await self._fresh_token())
        return answer

    async def _ask_once(self, call: Call, token: str) -> Answer:
        headers = {"Authorization": f"Bearer {token}"}
        if call.method == "POST":
            headers["Prefer"] = "return=representation"
        if call.key is not None:
            headers["PayPal-Request-Id"] = call.key
        return await self._http.request(call.method, call.path, call.body, headers=headers)

    def _valid_token(self) -> str | None:
        return self._token if self._clock() < self._token_expires_at else None

    async def _fresh_token(self) -> str:
        """Return the cached token, or get another; raises NoToken. Calls that wait meanwhile share the new one."""
        async with self._refresh:
            if (token := self._valid_token()) is not None:
                return token
            asked_at = self._clock()
            try:
                answer = await self.ask_for_token()
            except NoAnswer as error:
                raise NoToken(f"nothing was sent: no access token: {error}", retryable=True) from None
            if answer.status != HTTPStatus.OK:
                retryable = answer.status not in {HTTPStatus.BAD_REQUEST, HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}
                reason = f"nothing was sent: PayPal answered {answer.status} to the request for an access token"
                raise NoToken(reason, retryable=retryable)
            found = read_object(answer.body, Token)
            if found is None:
                reason = "nothing was sent: PayPal answered something unreadable instead of an access token"
                raise NoToken(reason, retryable=True)
            self._token = found.access_token
            self._token_expires_at = asked_at + max(found.expires_in - TOKEN_MARGIN_SECONDS, 0) * 1000
            return found.access_token


def _failed(call: Call, answer: Answer) -> Failed:
    evidence = failure(answer)
    if call.method != "GET":
        error = error_of(answer)
        return Failed(evidence, error.raw_code if error else "")
    return Failed(of_refused_look_up(evidence, is_missing=answer.status == HTTPStatus.NOT_FOUND))


def _is_about(found: Order | Payment, key: str | None, reference: str | None) -> bool:
    is_mine = key is None or not isinstance(found, Order) or found.key in (None, key)
    return is_mine and reference in (None, found.id)
