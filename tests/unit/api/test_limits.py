"""What one key and one address may ask for; the application behind is pretended, its callers are set by hand."""

import asyncio
from collections.abc import Sequence
from typing import Any, Final

import msgspec
import pytest

from paidonce.api import limits as module
from paidonce.api.limits import SECOND, Buckets, Limits, Policy, address_of, limits_of, stop_counting
from paidonce.api.problems import answer_error
from paidonce.merchants.model import ANYBODY, Caller
from paidonce.settings import Settings
from paidonce.web.application import Application
from paidonce.web.reply import Reply
from paidonce.web.request import Request
from paidonce.web.routing import Handler, Route

ADA: Final = Caller("m_ada", frozenset(), "key_ada")
BOB: Final = Caller("m_bob", frozenset(), "key_bob")
CALLERS: Final = {one.key_id or "nobody": one for one in (ADA, BOB, ANYBODY)}


class Stopwatch:
    """A clock that the test winds by hand."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> int:
        return round(self.seconds * SECOND)


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "REFUSAL_SECONDS", 0)


def buckets(stopwatch: Stopwatch, per_second: float = 10, burst: int = 20) -> Buckets:
    return Buckets(Policy("key", per_second, burst), stopwatch)


def taken(bucket: Buckets, name: str) -> int:
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


def limits(**settings: float) -> Limits:
    """Make only the limits that are named."""
    off = {"rate_limit_per_second": 0.0, "requests_at_once_share": 0, "address_limit_per_second": 0.0}
    found = limits_of(msgspec.structs.replace(Settings(), auth="keys", **{**off, **settings}), Stopwatch())
    assert found is not None
    return found


class Client:
    """Asks an application behind the limits, each time as who it is told."""

    def __init__(self, limited: Limits, handler: Handler | None = None) -> None:
        self.limited = limited
        self.asked = 0
        routes = [Route("GET", "/checkouts", handler or self.answer)]
        self.app = Application(routes, None, answer_error=answer_error, admit=self.admit, gate=limited)

    async def admit(self, request: Request, _route: Route, _values: Sequence[str]) -> None:
        self.asked += 1
        request.caller = CALLERS[request.header("authorization") or ""]
        await self.limited.admit(request)

    async def answer(self, request: Request, _context: object) -> Reply:
        return Reply(status=int(request.header("prefer") or 200))

    async def ask(
        self, caller: Caller = ANYBODY, address: str = "192.0.2.1", status: int = 200
    ) -> tuple[int, dict[str, str]]:
        """Ask once; returns the status and what the answer tells of limits."""
        fields = {b"prefer": b"%d" % status, b"authorization": (caller.key_id or "nobody").encode()}
        request = Request("GET", b"/checkouts", "/checkouts", b"", fields)
        request.client = address
        told = Told()
        await self.app.answer(request, told)
        return told.status, told.headers


class Told:
    """Keeps what an answer tells of limits."""

    def send(self, status: int, headers: list[bytes], _body: bytes) -> None:
        self.status = status
        lines = [line.partition(": ") for line in b"".join(headers).decode().splitlines()]
        self.headers = {
            name: value for name, _, value in lines if name.startswith("ratelimit") or name == "retry-after"
        }

    def begin(self, _status: int, _headers: list[bytes]) -> None:
        raise NotImplementedError

    async def write(self, _piece: bytes) -> None:
        raise NotImplementedError

    def end(self) -> None:
        raise NotImplementedError

    async def gone(self) -> None:
        raise NotImplementedError


async def test_a_key_has_its_own_limit_and_each_answer_tells_it() -> None:
    client = Client(limits(rate_limit_per_second=2.0, rate_limit_burst=2))
    assert await client.ask(ADA) == (200, {"ratelimit-policy": '"key";q=2;w=1', "ratelimit": '"key";r=1;t=1'})
    assert await client.ask(ADA) == (200, {"ratelimit-policy": '"key";q=2;w=1', "ratelimit": '"key";r=0;t=2'})
    status, headers = await client.ask(ADA)
    assert (status, headers["ratelimit"], headers["retry-after"]) == (429, '"key";r=0;t=1', "1")
    assert (await client.ask(BOB))[0] == 200
    assert await client.ask(ANYBODY) == (200, {})


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
    """An application that answers nobody before it is opened, and counts who is inside."""

    def __init__(self, *, only_waits: bool = False, **settings: float) -> None:
        self.limited = limits(**settings)
        self.client = Client(self.limited, self.answer)
        self.opened = asyncio.Event()
        self.inside: list[str | None] = []
        self.only_waits = only_waits

    async def answer(self, request: Request, _context: object) -> Reply:
        if self.only_waits:
            stop_counting(request)
        self.inside.append(request.header("authorization"))
        await self.opened.wait()
        return Reply()

    async def ask(self, *callers: Caller) -> Sequence[asyncio.Future[Any]]:
        """Ask once as each, and let everything happen that can."""
        asked = [asyncio.ensure_future(self.client.ask(caller)) for caller in callers]
        for _ in range(10):
            await asyncio.sleep(0)
        return asked

    def under_way(self) -> int:
        assert self.limited.turns is not None
        return len(self.limited.turns)


async def test_who_is_alone_may_have_any_number_under_way() -> None:
    door = Door(requests_at_once_share=2)
    await door.ask(*[ADA] * 10)
    assert door.inside == ["key_ada"] * 10
    door.opened.set()


async def test_beside_others_each_has_its_share_and_the_rest_waits_its_turn() -> None:
    door = Door(requests_at_once_share=2)
    asked = await door.ask(BOB, *[ADA] * 10, BOB)
    assert door.inside == ["key_bob", "key_ada", "key_ada", "key_bob"]
    door.opened.set()
    assert [(await one)[0] for one in asked] == [200] * 12
    assert door.inside.count("key_ada") == 10
    assert door.under_way() == 0


async def test_who_waits_and_goes_takes_nobodys_turn() -> None:
    door = Door(requests_at_once_share=1)
    asked = await door.ask(BOB, ADA, ADA, ADA)
    asked[2].cancel()
    door.opened.set()
    assert [(await one)[0] for one in (asked[0], asked[1], asked[3])] == [200] * 3
    assert door.under_way() == 0


async def test_only_so_many_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WAITING_MAX", 2)
    door = Door(requests_at_once_share=1)
    asked = await door.ask(BOB, *[ADA] * 4)
    assert (await asked[4])[0] == 429
    door.opened.set()
    assert [(await one)[0] for one in asked[:4]] == [200] * 4
    assert door.under_way() == 0


async def test_who_waited_too_long_is_told_to_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WAIT_SECONDS_MAX", -1)
    door = Door(requests_at_once_share=1)
    asked = await door.ask(BOB, ADA, ADA)
    door.opened.set()
    assert (await asked[1])[0] == 200
    assert (await asked[2])[0] == 429
    assert door.under_way() == 0


async def test_who_only_waits_for_something_takes_no_place() -> None:
    door = Door(requests_at_once_share=1, only_waits=True)
    await door.ask(BOB, ADA, ADA, ADA)
    assert door.inside.count("key_ada") == 3
    assert door.under_way() == 0
    door.opened.set()


async def test_a_request_that_fails_gives_its_place_back() -> None:
    limited = limits(requests_at_once_share=1)

    async def broken(_request: Request, _context: object) -> Reply:
        raise ZeroDivisionError

    assert [(await Client(limited, broken).ask(ADA))[0] for _ in range(2)] == [500, 500]
    assert limited.turns is not None
    assert len(limited.turns) == 0


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
    assert address_of(client) == name


def test_without_keys_and_without_a_limit_of_addresses_there_are_none() -> None:
    assert limits_of(Settings()) is None
    assert limits_of(Settings(address_limit_per_second=1.0)) is not None
