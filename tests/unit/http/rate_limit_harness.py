"""An application behind the limits of requests: it answers from memory, and its callers are set by hand."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

import msgspec
import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from paidonce.http import rate_limits as module
from paidonce.http.context import context_of
from paidonce.http.middleware.problem_responses import ProblemResponses
from paidonce.http.middleware.rate_limits import RateLimits
from paidonce.http.middleware.request_context import RequestContexts
from paidonce.http.rate_limits import (
    RateLimiter,
    count_wait,
    make_rate_limiter,
)
from paidonce.http.token_buckets import SECOND
from paidonce.merchants.model import UNAUTHENTICATED, Caller
from paidonce.settings import Settings

ADA: Final = Caller("m_ada", frozenset(), "key_ada")
BOB: Final = Caller("m_bob", frozenset(), "key_bob")
SOON: Final = 90.0  # Far more than anything here takes.
CALLERS: Final = {one.key_id or "nobody": one for one in (ADA, BOB, UNAUTHENTICATED)}


class Stopwatch:
    """A clock that the test winds by hand."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> int:
        return round(self.seconds * SECOND)


@pytest.fixture
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """Send refusals at once."""
    monkeypatch.setattr(module, "REFUSAL_SECONDS", 0)


def limits(**settings: float) -> RateLimiter:
    """Make only the limits that are named."""
    off = {"rate_limit_per_second": 0.0, "requests_at_once": 0, "address_limit_per_second": 0.0}
    return make_rate_limiter(msgspec.structs.replace(Settings(), auth="keys", **{**off, **settings}), Stopwatch())


Handler = Callable[[Request], Awaitable[Response]]


class Client:
    """Asks an application behind the limits, each time as who it is told; for a list, or for something else."""

    def __init__(self, limited: RateLimiter, handler: Handler | None = None, *, is_list: bool = False) -> None:
        self.limited = limited
        self.is_list = is_list
        self.asked = 0
        self.told: ReceivedResponse | None = None
        self.handler = handler or self.answer
        self.app = RequestContexts(RateLimits(ProblemResponses(self.admit), limited), [])

    async def admit(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.asked += 1
        request = Request(scope, receive)
        context = context_of(request)
        context.caller = CALLERS[request.headers["authorization"]]
        await self.limited.admit(context, is_list=self.is_list)
        response = await self.handler(request)
        await response(scope, receive, send)

    async def answer(self, request: Request) -> Response:
        return Response(status_code=int(request.headers["prefer"]))

    async def ask(
        self, caller: Caller = UNAUTHENTICATED, address: str = "192.0.2.1", status: int = 200
    ) -> tuple[int, dict[str, str]]:
        """Ask once; returns the status and what the answer tells of limits."""
        told = self.told or ReceivedResponse()
        await self.app(scope_of(caller, address, status), receive_nothing, told)
        return told.status, told.headers


def scope_of(caller: Caller, address: str, status: int = 200) -> Scope:
    headers = [(b"prefer", b"%d" % status), (b"authorization", (caller.key_id or "nobody").encode())]
    return {"type": "http", "method": "GET", "path": "/checkouts", "headers": headers, "client": (address, 1)}


async def receive_nothing() -> Message:
    raise NotImplementedError


class ReceivedResponse:
    """Takes an answer, and keeps what it tells of limits."""

    on_sent: Callable[[], object] = staticmethod(lambda: None)

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.on_sent()
            said = {name.decode(): value.decode() for name, value in message["headers"]}
            self.headers = {
                name: value for name, value in said.items() if name.startswith("ratelimit") or name == "retry-after"
            }


class Door:
    """An application that answers nobody before it is opened, and knows who is inside."""

    def __init__(self, *, only_waits: bool = False, is_list: bool = False, **settings: float) -> None:
        self.limited = limits(**settings)
        self.client = Client(self.limited, self.answer, is_list=is_list)
        self.opened = asyncio.Semaphore(0)
        self.inside: list[str | None] = []
        self.only_waits = only_waits

    async def answer(self, request: Request) -> Response:
        if self.only_waits:
            count_wait(context_of(request))
        self.inside.append(request.headers["authorization"])
        await self.opened.acquire()
        return Response()

    async def ask(self, *callers: Caller) -> Sequence[asyncio.Future[Any]]:
        """Ask once as each, and let everything happen that can."""
        asked = [asyncio.ensure_future(self.client.ask(caller)) for caller in callers]
        await self.settle()
        return asked

    async def open(self, count: int = 1000) -> None:
        """Let so many out."""
        for _ in range(count):
            self.opened.release()
        await self.settle()

    @staticmethod
    async def settle() -> None:
        for _ in range(20):
            await asyncio.sleep(0)
