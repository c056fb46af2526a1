"""What one key and one address may ask for; the application behind is pretended, its callers are set by hand."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

import msgspec
import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from paidonce.http import rate_limits as module
from paidonce.http.client_addresses import client_address
from paidonce.http.context import context_of
from paidonce.http.middleware.problem_responses import ProblemResponses
from paidonce.http.middleware.rate_limits import RateLimits
from paidonce.http.middleware.request_context import RequestContexts
from paidonce.http.rate_limits import (
    SECOND,
    Policy,
    RateLimiter,
    TokenBuckets,
    count_stream,
    count_wait,
    make_rate_limiter,
)
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


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "REFUSAL_SECONDS", 0)


def buckets(stopwatch: Stopwatch, per_second: float = 10, burst: int = 20) -> TokenBuckets:
    return TokenBuckets(Policy("key", per_second, burst), stopwatch)


def taken(bucket: TokenBuckets, name: str) -> int:
    """Take until there is none; returns how many there were."""
    count = 0
    while not bucket.take(name)[0]:
        count += 1
    return count


def test_a_bucket_holds_its_burst_and_fills_at_its_rate() -> None:
    stopwatch = Stopwatch()
    bucket = buckets(stopwatch)
    assert taken(bucket, "a") == 20
    stopwatch.seconds += 0.5
    assert taken(bucket, "a") == 5
    stopwatch.seconds += 3600
    assert taken(bucket, "a") == 20


def test_an_empty_bucket_tells_when_there_is_one_again() -> None:
    stopwatch = Stopwatch()
    bucket = buckets(stopwatch, per_second=0.1, burst=1)
    assert bucket.take("a") == (0.0, b'"key";r=0;t=11')
    wait, item = bucket.take("a")
    assert (wait, item) == (10.0, b'"key";r=0;t=11')
    stopwatch.seconds += wait
    assert bucket.take("a")[0] == 0


def test_one_buckets_flood_takes_nothing_from_another() -> None:
    bucket = buckets(Stopwatch())
    assert (taken(bucket, "a"), taken(bucket, "b")) == (20, 20)


def test_asking_while_there_is_none_does_not_make_the_wait_longer() -> None:
    bucket = buckets(Stopwatch())
    taken(bucket, "a")
    assert {bucket.take("a")[0] for _ in range(100)} == {0.1}


def test_a_million_names_take_bounded_memory_and_reset_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BUCKETS_MAX", 100)
    monkeypatch.setattr(module, "SHARED_BUCKETS", 4)
    bucket = buckets(Stopwatch(), per_second=1, burst=5)
    assert taken(bucket, "flooder") == 5
    for number in range(1000):
        bucket.take(f"made up {number}")
    assert len(bucket) <= 104
    assert taken(bucket, "flooder") == 0


def test_buckets_that_are_full_again_make_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BUCKETS_MAX", 100)
    stopwatch = Stopwatch()
    bucket = buckets(stopwatch)
    for number in range(200):
        bucket.take(f"before {number}")
    stopwatch.seconds += 60
    assert taken(bucket, "newcomer") == 20
    assert len(bucket) == 1


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
        self.told: StoredResponse | None = None
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
        told = self.told or StoredResponse()
        await self.app(scope_of(caller, address, status), receive_nothing, told)
        return told.status, told.headers


def scope_of(caller: Caller, address: str, status: int = 200) -> Scope:
    headers = [(b"prefer", b"%d" % status), (b"authorization", (caller.key_id or "nobody").encode())]
    return {"type": "http", "method": "GET", "path": "/checkouts", "headers": headers, "client": (address, 1)}


async def receive_nothing() -> Message:
    raise NotImplementedError


class StoredResponse:
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


async def test_a_key_has_its_own_limit_and_each_answer_tells_it() -> None:
    client = Client(limits(rate_limit_per_second=2.0, rate_limit_burst=2))
    assert await client.ask(ADA) == (200, {"ratelimit-policy": '"key";q=2;w=1', "ratelimit": '"key";r=1;t=1'})
    assert await client.ask(ADA) == (200, {"ratelimit-policy": '"key";q=2;w=1', "ratelimit": '"key";r=0;t=2'})
    status, headers = await client.ask(ADA)
    assert (status, headers["ratelimit"], headers["retry-after"]) == (429, '"key";r=0;t=1', "1")
    assert (await client.ask(BOB))[0] == 200
    assert await client.ask(UNAUTHENTICATED) == (200, {})


async def test_an_address_is_refused_before_anything_is_asked() -> None:
    client = Client(limits(address_limit_per_second=1.0, address_limit_burst=1))
    assert (await client.ask(ADA))[0] == 200
    status, headers = await client.ask(BOB)
    assert (status, headers["retry-after"], client.asked) == (429, "2", 1)
    assert headers["ratelimit"] == '"address";r=0;t=2'
    assert (await client.ask(BOB, address="192.0.2.2"))[0] == 200


async def test_a_failed_authentication_counts_for_ten_requests() -> None:
    client = Client(limits(address_limit_per_second=1.0, address_limit_burst=20))
    answers = [(await client.ask(status=401))[0] for _ in range(4)]
    assert answers == [401, 401, 429, 429]


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


async def test_a_key_that_is_alone_may_have_every_place() -> None:
    door = Door(requests_at_once=10)
    await door.ask(*[ADA] * 15)
    assert door.inside == ["key_ada"] * 10
    await door.open()


async def test_a_backlog_of_one_key_is_never_released_ahead_of_another_that_keeps_asking() -> None:
    door = Door(requests_at_once=2)
    await door.ask(*[ADA] * 100)
    for round_number in range(1, 11):
        await door.ask(BOB)
        await door.open(2)
        assert door.inside[2:].count("key_bob") == round_number
        assert door.inside[2:].count("key_ada") == round_number
    await door.open()


async def test_whoever_is_cancelled_in_the_very_moment_that_they_get_their_place_frees_it() -> None:
    door = Door(requests_at_once=1)
    first = StoredResponse()
    door.client.told = first
    await door.ask(ADA)
    door.client.told = None
    second, third = await door.ask(BOB, ADA)
    first.on_sent = second.cancel
    await door.open(1)
    # The first gave its place to the second, which was cancelled before its task heard of it.
    assert second.cancelled()
    await door.open()
    assert (await third)[0] == 200
    assert door.inside == ["key_ada", "key_ada"]


async def test_who_waits_and_goes_takes_nobodys_place() -> None:
    door = Door(requests_at_once=1)
    asked = await door.ask(BOB, ADA, ADA, ADA)
    asked[2].cancel()
    await door.open()
    assert [(await one)[0] for one in (asked[0], asked[1], asked[3])] == [200] * 3
    await door.ask(ADA)
    assert len(door.inside) == 4


async def test_only_so_many_of_one_key_wait() -> None:
    door = Door(requests_at_once=1)
    asked = await door.ask(BOB, *[ADA] * (module.WAITING_MAX + 1), BOB)
    assert (await asked[module.WAITING_MAX + 1])[0] == 429
    await door.open(module.WAITING_MAX + 2)
    others = [(await one)[0] for number, one in enumerate(asked) if number != module.WAITING_MAX + 1]
    assert set(others) == {200}


async def test_who_waited_too_long_is_told_to_come_back_and_keeps_no_place() -> None:
    stopwatch = Stopwatch()
    door = Door(requests_at_once=1)
    door.limited.stopwatch = stopwatch
    asked = await door.ask(BOB, ADA)
    stopwatch.seconds += module.WAIT_SECONDS_MAX + 1
    await door.open()
    assert [(await one)[0] for one in asked] == [200, 429]
    assert (await door.client.ask(ADA))[0] == 200


async def test_who_only_waits_for_something_takes_no_place() -> None:
    door = Door(requests_at_once=1, only_waits=True)
    await door.ask(BOB, ADA, ADA, ADA)
    assert door.inside.count("key_ada") == 3
    await door.open()


async def test_a_request_that_fails_gives_its_place_back() -> None:
    async def broken(_request: Request) -> Response:
        raise ZeroDivisionError

    client = Client(limits(requests_at_once=1), broken)
    async with asyncio.timeout(SOON):
        assert [(await client.ask(ADA))[0] for _ in range(2)] == [500, 500]


async def test_lists_have_places_of_their_own_which_keys_share_in_turns() -> None:
    door = Door(requests_at_once=1, is_list=True)
    await door.ask(*[ADA] * 10)
    assert door.inside == ["key_ada"] * module.LISTS_AT_ONCE
    await door.ask(BOB)
    await door.open(2)
    assert door.inside[module.LISTS_AT_ONCE :] == ["key_ada", "key_bob"]
    door.client.is_list = False
    await door.ask(BOB)
    assert door.inside[-1] == "key_bob"
    await door.open()


ANSWER_BYTES: Final = 1_000_000


class Unread(StoredResponse):
    """A client that reads nothing of a large answer until it ``reads``."""

    def __init__(self) -> None:
        self.reads = asyncio.Event()
        self.answered = asyncio.Event()
        self.held = 0
        self.status = 0

    async def __call__(self, message: Message) -> None:
        await super().__call__(message)
        if message["type"] == "http.response.body":
            is_large = len(message["body"]) > module.LARGE_BYTES_MIN  # It is the first piece: the others wait for it.
            self.held = ANSWER_BYTES if is_large else len(message["body"])
            self.answered.set()
            if is_large:
                await self.reads.wait()


class Lists:
    """An application whose lists have a megabyte, for clients that read nothing."""

    def __init__(self, megabytes_max: int) -> None:
        self.client = Client(limits(unsent_megabytes=megabytes_max), self.answer, is_list=True)
        self.unread: list[Unread] = []
        self.tasks: list[asyncio.Future[None]] = []

    async def answer(self, _request: Request) -> Response:
        return Response(bytes(ANSWER_BYTES))

    async def ask(self, caller: Caller, *, times: int = 1, address: str = "192.0.2.1") -> list[int]:
        """Ask all at once; returns the statuses."""
        asked = [Unread() for _ in range(times)]
        self.unread += asked
        for one in asked:
            asking = self.client.app(scope_of(caller, address), receive_nothing, one)
            self.tasks.append(asyncio.ensure_future(asking))
        async with asyncio.timeout(SOON):
            await asyncio.gather(*(one.answered.wait() for one in asked))
        return [one.status for one in asked]

    def let_them_read(self) -> None:
        for one in self.unread:
            one.reads.set()

    @property
    def held(self) -> int:
        """How many bytes wait for clients to read them."""
        return sum(one.held for one in self.unread if not one.reads.is_set())


async def test_clients_that_read_nothing_hold_a_bounded_number_of_bytes_and_the_rest_is_refused() -> None:
    lists = Lists(megabytes_max=64)
    statuses = await lists.ask(ADA, times=100)
    assert statuses.count(429) == 100 - statuses.count(200)
    assert 16 <= statuses.count(200) <= 32
    assert await lists.ask(BOB) == [200], "what is left is for who holds less"
    lists.let_them_read()
    await asyncio.gather(*lists.tasks)
    assert await lists.ask(ADA) == [200]


async def test_many_keys_together_hold_no_more_than_there_is() -> None:
    lists = Lists(megabytes_max=64)
    for number in range(30):
        await lists.ask(ADA, times=10)
        await lists.ask(UNAUTHENTICATED, times=10, address=f"192.0.2.{number}")
    assert 48_000_000 < lists.held <= 64_000_000 + module.LIST_BYTES_MAX
    lists.let_them_read()


async def test_a_client_that_reads_nothing_keeps_no_place_among_those_who_are_worked_on() -> None:
    lists = Lists(megabytes_max=1000)
    assert await lists.ask(ADA, times=3 * module.LISTS_AT_ONCE) == [200] * 3 * module.LISTS_AT_ONCE
    lists.let_them_read()


async def test_a_key_has_only_so_many_streams_and_waits_while_another_has_its_own() -> None:
    door = Door(streams_per_key=2, waits_per_key=2)
    found: list[bool] = []

    async def stream(request: Request) -> Response:
        count_stream(context_of(request))
        await door.opened.acquire()
        return Response()

    async def wait(request: Request) -> Response:
        found.append(count_wait(context_of(request)))
        await door.opened.acquire()
        return Response()

    door.client = Client(door.limited, stream)
    streams = await door.ask(ADA, ADA, ADA, BOB)
    assert (await streams[2])[0] == 429
    door.client = Client(door.limited, wait)
    waits = await door.ask(ADA, ADA, ADA, BOB)
    assert found == [True, True, False, True]
    await door.open()
    await asyncio.gather(*streams, *waits)
    door.client = Client(door.limited, stream)
    assert (await door.client.ask(ADA))[0] == 200, "those that have ended count no longer"


@pytest.mark.parametrize(
    ("client", "name"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:aaaa::1", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:bbbb::2", "2001:db8:1:2::/64"),
        ("x" * 1000, "x" * 64),
        ("", ""),
    ],
)
def test_an_address_is_named_by_whom_it_belongs_to(client: str, name: str) -> None:
    assert client_address(client) == name


async def test_without_keys_requests_are_not_counted_but_what_waits_unread_is() -> None:
    client = Client(make_rate_limiter(Settings(requests_at_once=1)))
    assert (await client.ask(UNAUTHENTICATED))[0] == 200
    lists = Lists(megabytes_max=64)
    assert set(await lists.ask(UNAUTHENTICATED, times=50)) == {200, 429}
    lists.let_them_read()
