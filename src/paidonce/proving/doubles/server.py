"""The harness of all doubles: it serves an API with faults and idempotency keys, sends webhooks, and shows the books.

For tests and proofs there are, beside the API and the pages of the provider:

- ``GET /double/books``: the ledger and the objects.
- ``GET /double/faults``: how often each fault occurred. ``POST``, with ``[{"call": "POST /v1/…", "fault":
  "dropped_after"}]``, orders faults for the next calls that match.
- ``POST /double/accounts``, with ``[{"credential": …, "webhookUrl": …, "webhookSecret": …}]``: adds accounts.
"""

import asyncio
import copy
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, Generic

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from paidonce.clock import Clock
from paidonce.providers.simulator.faults import BEFORE, KINDS, LATE_MS_MAX, SLOW_MS_MAX, Draw, Fault, FaultPlan
from paidonce.proving.doubles.calls import ApiCall, ApiFailure, BooksT_co, PreparedCall, ProviderApi, Reply
from paidonce.proving.doubles.faults import FaultSource
from paidonce.proving.doubles.idempotency import IdempotencyKeys
from paidonce.proving.doubles.webhooks import Event, EventSender, WebhookTarget

METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE")


class NewAccount(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """An account that ``POST /double/accounts`` adds."""

    credential: str
    webhook_url: str = ""
    webhook_secret: str = ""


class Double(Generic[BooksT_co]):
    """A served double. Create it inside the event loop that serves ``app``.

    ``accounts`` are where webhooks go, by the credential that the API is called with; the mapping is read for each
    call, so that a test may revoke a credential. ``routes`` returns the pages of buyers. ``requests`` are the calls
    whose parameters were valid.
    """

    def __init__(
        self,
        api: ProviderApi[BooksT_co],
        *,
        clock: Clock,
        plan: FaultPlan | None = None,
        accounts: dict[str, WebhookTarget | None],
        routes: Callable[["Double[BooksT_co]"], Sequence[BaseRoute]],
    ) -> None:
        self.books = api.books
        self.accounts = accounts
        self.fault_source = FaultSource(plan or FaultPlan())
        self.next_faults = self.fault_source.ordered
        self.faults = self.fault_source.counts
        self.keys = IdempotencyKeys(api, clock)
        self.requests: list[tuple[str, str, Any]] = []
        self._api = api
        self._events: list[Event] = []
        self._sender = EventSender(accounts, sign=api.webhook_headers, choose=self.fault_source.of_webhook, clock=clock)
        self._tasks: set[asyncio.Task[None]] = set()
        self.app: Final[ASGIApp] = Starlette(
            lifespan=self._lifespan,
            routes=[
                *(Route(path, self._serve_call, methods=METHODS) for path in api.paths),
                *routes(self),
                Route("/double/books", self._show_books),
                Route("/double/faults", self._show_faults),
                Route("/double/faults", self._order_faults, methods=["POST"]),
                Route("/double/accounts", self._add_accounts, methods=["POST"]),
            ],
        )

    def emit(self, event: Event) -> None:
        """Tell what happened, with the next ``send_events``."""
        self._events.append(event)

    async def send_events(self) -> None:
        """Send what has happened since."""
        events, self._events[:] = list(self._events), []
        for event in events:
            await self._sender.send(event)

    async def close(self) -> None:
        """Stop what is on its way."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._sender.close()

    @asynccontextmanager
    async def _lifespan(self, _app: Starlette) -> AsyncIterator[None]:
        yield
        await self.close()

    async def _serve_call(self, request: Request) -> ASGIApp:
        call = ApiCall(
            method=request.method,
            path=request.url.path,
            query=request.url.query,
            headers=dict(request.headers),
            body=await request.body(),
        )
        try:
            prepared = self._api.prepare(call)
            self.requests.append((call.method, call.path, prepared.params))
            if replay := self.keys.begin(prepared, call.fingerprint):
                return response(replay)
        except ApiFailure as failed:
            return response(failed.reply)
        draw = self.fault_source.of_call(call, prepared)
        if draw.fault is Fault.BOOKED_LATE:
            self._start(self._execute_late(prepared, draw))
            return Lost(breaks=False)
        return await self._execute(prepared, draw)

    async def _execute(self, call: PreparedCall, draw: Draw) -> ASGIApp:
        """Execute a call, store its response under the key, and return what the caller gets."""
        fault = draw.fault
        if fault is Fault.SLOW:
            await asyncio.sleep(draw.extent * SLOW_MS_MAX / 1000)
        result = None if fault in BEFORE else _result(call)
        answer = self._api.server_error if fault in (Fault.ERROR_BEFORE, Fault.ERROR_AFTER, Fault.HIDDEN) else result
        stores = call.key_stores_errors and (fault is not Fault.ERROR_BEFORE or call.key_stores_vain_errors)
        self.keys.finish(call, answer if stores else result)
        await self.send_events()
        if fault in (Fault.DROPPED_BEFORE, Fault.DROPPED_AFTER):
            return Lost(breaks=True)
        if answer is None or fault is Fault.TIMEOUT_AFTER:
            return Lost(breaks=False)
        return response(answer)

    async def _execute_late(self, call: PreparedCall, draw: Draw) -> None:
        await asyncio.sleep(draw.extent * LATE_MS_MAX / 1000)
        await self._execute(call, draw)

    def _start(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _show_books(self, _request: Request) -> Response:
        return response(Reply(200, self.books.as_json()))

    async def _show_faults(self, _request: Request) -> Response:
        return response(Reply(200, {"data": dict(self.faults), "kinds": list(KINDS)}))

    async def _order_faults(self, request: Request) -> Response:
        for one in msgspec.json.decode(await request.body(), type=list[dict[str, str]]):
            self.next_faults.append((one["call"], Fault[one["fault"].upper()]))
        return response(Reply(200, {}))

    async def _add_accounts(self, request: Request) -> Response:
        for one in msgspec.json.decode(await request.body(), type=list[NewAccount]):
            self.accounts[one.credential] = WebhookTarget(one.webhook_url, one.webhook_secret)
        return response(Reply(200, {}))


class Lost:
    """A response that never arrives: nothing is sent until the client gives up, or the connection breaks midway."""

    def __init__(self, *, breaks: bool) -> None:
        self._breaks = breaks

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        """Lose the response."""
        if not self._breaks:
            while (await receive())["type"] != "http.disconnect":
                continue
            return
        # An incomplete response makes the server close the connection.
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
        await send({"type": "http.response.body", "body": b"{", "more_body": True})


def response(reply: Reply) -> Response:
    """Write a response."""
    headers: Mapping[str, str] = reply.headers
    if reply.body is None:
        return Response(None, reply.status, headers)
    return Response(msgspec.json.encode(reply.body), reply.status, headers, media_type="application/json")


def _result(call: PreparedCall) -> Reply:
    try:
        reply = call.execute()
    except ApiFailure as failed:
        reply = failed.reply
    return copy.deepcopy(reply)  # The objects change later, and stored responses do not.
