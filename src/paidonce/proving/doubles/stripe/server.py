"""The double over HTTP: Stripe's API with faults, the pages that a buyer sees, and what tests read and set.

``/double/books`` tells who was charged how often. ``/double/faults`` counts the faults, and takes some for the next
calls. ``/double/refunds/{id}/{status}`` settles a pending refund.
"""

import asyncio
import copy
import re
from collections import Counter
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Final

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from paidonce.clock import Clock
from paidonce.providers.simulator.faults import BEFORE, LATE_MS_MAX, SLOW_MS_MAX, Draw, Fault, FaultPlan
from paidonce.proving.doubles.stripe import pages, payments
from paidonce.proving.doubles.stripe.books import Books
from paidonce.proving.doubles.stripe.cards import FAULTS
from paidonce.proving.doubles.stripe.idempotency import IdempotencyKeys, Stored
from paidonce.proving.doubles.stripe.params import ApiFailure, Json, read_params
from paidonce.proving.doubles.stripe.routes import Route as ApiRoute, route_of
from paidonce.proving.doubles.stripe.webhooks import EventSender, WebhookTarget

SECRET_KEY: Final = "sk_test_double0000"  # noqa: S105 - no secret of anybody's
ERROR: Final = Stored(500, {"error": {"type": "api_error", "message": "An unexpected error occurred."}})


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


class StripeDouble:
    """The double. Create it inside the event loop that serves ``app``; ``url`` is where its pages are."""

    def __init__(
        self, *, url: str, clock: Clock, plan: FaultPlan | None = None, target: WebhookTarget | None = None
    ) -> None:
        self.plan = plan or FaultPlan()
        self.books = Books(url=url, clock=clock, tell=self._tell)
        self.secret_keys = {SECRET_KEY}
        self.next_faults: list[tuple[str, Fault]] = []
        self.faults: Counter[str] = Counter()
        self.requests: list[tuple[str, str, Json]] = []
        self._keys = IdempotencyKeys(clock)
        self._calls: Counter[str] = Counter()
        self._events: list[Json] = []
        self._sender = EventSender(target, self.plan, clock=clock) if target else None
        self._tasks: set[asyncio.Task[None]] = set()
        self.app: Final[ASGIApp] = Starlette(
            lifespan=self._lifespan,
            routes=[
                Route("/v1/{path:path}", self._api, methods=["GET", "POST", "DELETE"]),
                Route("/pay/{id}", pages.checkout_page(self.books, self.send_events), methods=["GET", "POST"]),
                Route("/3ds/{id}", pages.bank_page(self.books, self.send_events), methods=["GET", "POST"]),
                Route("/double/books", self._show_books),
                Route("/double/faults", self._show_faults),
                Route("/double/faults", self._set_faults, methods=["POST"]),
                Route("/double/refunds/{id}/{status}", self._settle_refund, methods=["POST"]),
            ],
        )

    async def close(self) -> None:
        """Stop what is on its way."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._sender:
            await self._sender.close()

    @asynccontextmanager
    async def _lifespan(self, _app: Starlette) -> AsyncIterator[None]:
        yield
        await self.close()

    async def send_events(self) -> None:
        """Send what has happened since."""
        events, self._events = self._events, []
        for event in events:
            if self._sender:
                await self._sender.send(event)

    async def _api(self, request: Request) -> ASGIApp:
        try:
            return await self._answer(request)
        except ApiFailure as failed:
            return _reply(Stored(failed.status, failed.body))

    async def _answer(self, request: Request) -> ASGIApp:
        scheme, _, secret_key = request.headers.get("authorization", "").partition(" ")
        if scheme != "Bearer" or secret_key not in self.secret_keys:
            raise ApiFailure(401, "Invalid API Key provided: sk_test_****.")
        route, object_id = route_of(request.method, request.url.path)
        is_post = request.method == "POST"
        encoded = (await request.body()).decode() if is_post else request.url.query
        given = read_params(encoded, route.fields)
        self.requests.append((request.method, request.url.path, given))
        key = request.headers.get("idempotency-key") if is_post else None
        if key and (stored := self._keys.begin(key, f"{request.url.path}?{encoded}")):
            return _reply(stored, replayed=True)
        draw = self._draw(request.method, request.url.path, key, self.books.intents.get(object_id))
        execution = self._execute(route, object_id, given, key, draw)
        if draw.fault is Fault.BOOKED_LATE:
            self._start(self._late(execution, draw.extent * LATE_MS_MAX / 1000))
            return Lost(breaks=False)
        return await execution

    async def _execute(self, route: ApiRoute, object_id: str, given: Json, key: str | None, draw: Draw) -> ASGIApp:
        """Execute a call, store its response under the key, and return what the caller gets."""
        fault = draw.fault
        if fault is Fault.SLOW:
            await asyncio.sleep(draw.extent * SLOW_MS_MAX / 1000)
        stored = None if fault in BEFORE else self._result(route, object_id, given)
        if fault in (Fault.ERROR_BEFORE, Fault.ERROR_AFTER, Fault.HIDDEN):
            stored = ERROR
        if key and stored:
            self._keys.finish(key, stored)
        elif key:
            self._keys.forget(key)
        await self.send_events()
        if fault in (Fault.DROPPED_BEFORE, Fault.DROPPED_AFTER):
            return Lost(breaks=True)
        if stored is None or fault is Fault.TIMEOUT_AFTER:
            return Lost(breaks=False)
        return _reply(stored)

    def _result(self, route: ApiRoute, object_id: str, given: Json) -> Stored:
        try:
            return Stored(200, copy.deepcopy(route.handler(self.books, object_id, given)))
        except ApiFailure as failed:
            return Stored(failed.status, copy.deepcopy(failed.body))

    async def _late(self, execution: Coroutine[None, None, ASGIApp], seconds: float) -> None:
        await asyncio.sleep(seconds)
        await execution

    def _start(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _draw(self, method: str, path: str, key: str | None, intent: Json | None) -> Draw:
        """Choose the fault of a call: the next that a test has set for it, that of a test card, or by the plan."""
        for number, (pattern, fault) in enumerate(self.next_faults):
            if re.fullmatch(pattern, f"{method} {path}"):
                del self.next_faults[number]
                return self._counted(Draw(fault))
        if intent and path.endswith("/confirm") and intent["status"] == "requires_confirmation":
            of_card = FAULTS.get(intent["payment_method"], Fault.NONE)
            if of_card is not Fault.NONE:
                return self._counted(Draw(of_card))
        # The keys of one operation differ in the numbers at their end; its first calls alone can fail.
        of = re.sub(r"(-\d+)+$", "", key) if key else path
        self._calls[of] += 1
        chosen = self.plan.for_call if method == "POST" else self.plan.for_lookup
        return self._counted(chosen(of, self._calls[of]))

    def _counted(self, draw: Draw) -> Draw:
        if draw.fault is not Fault.NONE:
            self.faults[draw.fault.name.lower()] += 1
        return draw

    def _tell(self, kind: str, about: Json) -> None:
        self._events.append(
            {
                "id": self.books.new_id("evt"),
                "object": "event",
                "created": self.books.now,
                "livemode": False,
                "type": kind,
                "data": {"object": copy.deepcopy(about)},
            }
        )

    async def _show_books(self, _request: Request) -> Response:
        return _reply(Stored(200, self.books.as_json()))

    async def _show_faults(self, _request: Request) -> Response:
        return _reply(Stored(200, {"data": dict(self.faults)}))

    async def _set_faults(self, request: Request) -> Response:
        for one in msgspec.json.decode(await request.body(), type=list[dict[str, str]]):
            self.next_faults.append((one["call"], Fault[one["fault"].upper()]))
        return _reply(Stored(200, {}))

    async def _settle_refund(self, request: Request) -> Response:
        made = self.books.found("refund", request.path_params["id"])
        settled = payments.settle_refund(self.books, made, request.path_params["status"])
        await self.send_events()
        return _reply(Stored(200, settled))


def _reply(stored: Stored, *, replayed: bool = False) -> Response:
    headers = {"Idempotent-Replayed": "true"} if replayed else {}
    return Response(msgspec.json.encode(stored.body), stored.status, headers, media_type="application/json")
