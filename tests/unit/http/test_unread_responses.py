"""How many bytes of responses may wait in memory for clients that do not read them."""

import asyncio
from typing import Final

import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message

from paidonce.http import rate_limits as module
from paidonce.http.rate_limits import (
    make_rate_limiter,
)
from paidonce.merchants.model import UNAUTHENTICATED, Caller
from paidonce.settings import Settings
from tests.unit.http.rate_limit_harness import (
    ADA,
    BOB,
    SOON,
    Client,
    ReceivedResponse,
    limits,
    receive_nothing,
    scope_of,
)

pytestmark = pytest.mark.usefixtures("no_pause")

ANSWER_BYTES: Final = 1_000_000


class Unread(ReceivedResponse):
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


async def test_without_keys_requests_are_not_counted_but_what_waits_unread_is() -> None:
    client = Client(make_rate_limiter(Settings(requests_at_once=1)))
    assert (await client.ask(UNAUTHENTICATED))[0] == 200
    lists = Lists(megabytes_max=64)
    assert set(await lists.ask(UNAUTHENTICATED, times=50)) == {200, 429}
    lists.let_them_read()
