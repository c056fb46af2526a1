"""A page that waits is told when it is out of date: at once, and never for longer than a bounded time."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from starlette.types import Message

from paidonce.buyer_pages.streaming import BuyerStreams, ChangeStream
from paidonce.checkouts.model import Checkout
from paidonce.checkouts.waiters import SettlementWaiters
from paidonce.errors import Overloaded, RateLimited
from paidonce.events.streaming import Pace
from paidonce.http.context import RequestContext
from paidonce.http.rate_limits import RateLimiter, RateLimitState, make_rate_limiter
from paidonce.providers.evidence import Declined
from paidonce.settings import Settings
from tests.support.buyer_pages import BuyerPagesShop

SECONDS_MAX = 60.0
WAITING = Checkout(
    id="chk_1",
    merchant_id="m1",
    mode="test",
    idempotency_key="key",
    amount=1000,
    currency="USD",
    status="PROCESSING",
    capture_method="automatic",
    amount_captured=0,
    amount_refunded=0,
    amount_refund_pending=0,
    amount_disputed=0,
    attempt_count=1,
    description=None,
    metadata=None,
    success_url=None,
    cancel_url=None,
    created_at=0,
    updated_at=0,
    expires_at=0,
)
CHANGED = "event: changed\ndata:\n\n"


class Client:
    """Receives a stream until it has ``gone``; one that is ``stuck`` takes nothing after its first bytes."""

    def __init__(self, *, stuck: bool = False) -> None:
        self.text = ""
        self.has_ended = False
        self.gone = asyncio.Event()
        self._stuck = stuck
        self._more = asyncio.Event()

    async def send(self, message: Message) -> None:
        if message["type"] != "http.response.body":
            return
        if self._stuck and self.text:
            await asyncio.Event().wait()
        self.text += message["body"].decode()
        self.has_ended = not message["more_body"]
        self._more.set()

    async def receive(self) -> Message:
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def until(self, text: str) -> None:
        async with asyncio.timeout(SECONDS_MAX):
            while text not in self.text:
                self._more.clear()
                await self._more.wait()


class Waiting:
    """A stream about a checkout that the test changes."""

    def __init__(self, client: Client, pace: Pace, *, poll_seconds: float) -> None:
        self.is_changed = False
        self.reads = 0
        self.waiters = SettlementWaiters(poll_seconds=poll_seconds)
        stream = ChangeStream(WAITING, self._load, self.waiters, lambda _: self.is_changed, pace=pace)
        self.task = asyncio.ensure_future(stream({}, client.receive, client.send))

    async def _load(self) -> Checkout:
        self.reads += 1
        return WAITING

    async def ended(self) -> None:
        async with asyncio.timeout(SECONDS_MAX):
            await self.task


@contextmanager
def waiting(client: Client, pace: Pace | None = None, *, poll_seconds: float = 600) -> Iterator[Waiting]:
    made = Waiting(client, pace or Pace(heartbeat=600), poll_seconds=poll_seconds)
    try:
        yield made
    finally:
        made.task.cancel()


@pytest.mark.parametrize("poll_seconds", [600, 0.001])
async def test_a_change_is_told_at_once_or_found_by_polling(poll_seconds: float) -> None:
    client = Client()
    with waiting(client, poll_seconds=poll_seconds) as stream:
        await client.until("retry: 2000\n\n")
        assert CHANGED not in client.text
        stream.is_changed = True
        if poll_seconds == 600:
            stream.waiters.notify(WAITING.id)
        await stream.ended()
    assert client.text.endswith(CHANGED)
    assert client.has_ended


async def test_a_page_that_is_out_of_date_already_is_told_so() -> None:
    client = Client()
    with waiting(client) as stream:
        stream.is_changed = True
        await stream.ended()
    assert CHANGED in client.text


async def test_a_quiet_stream_sends_heartbeats_and_ends_after_its_time() -> None:
    client = Client()
    with waiting(client, Pace(heartbeat=0.01, open=0.2)) as stream:
        await client.until(":\n\n:\n\n")
        await stream.ended()
    assert client.has_ended
    assert CHANGED not in client.text


async def test_a_client_that_has_gone_is_not_read_for_any_more() -> None:
    client = Client()
    with waiting(client, poll_seconds=0.001) as stream:
        await client.until("retry")
        client.gone.set()
        await stream.ended()
        reads = stream.reads
        await asyncio.sleep(0)
        assert stream.reads == reads


async def test_a_client_that_takes_nothing_is_let_go() -> None:
    client = Client(stuck=True)
    with waiting(client, Pace(heartbeat=0.001, stuck=0.01)) as stream:
        await stream.ended()
    assert not client.has_ended


async def test_all_streams_end_when_the_process_is_about_to_stop() -> None:
    client = Client()
    with waiting(client) as stream:
        await client.until("retry")
        stream.waiters.close()
        await stream.ended()
    assert client.has_ended


def context(limits: RateLimiter, address: str) -> RequestContext:
    made = RequestContext(id="req_1", operations=(), address=address)
    made.rate_limit = RateLimitState(limits, address)
    return made


def test_an_address_and_a_process_have_a_bounded_number_of_streams() -> None:
    limits = make_rate_limiter(Settings(streams_per_key=2))
    streams = BuyerStreams(limit=3)
    contexts = [context(limits, "192.0.2.1") for _ in range(3)] + [context(limits, f"192.0.2.{n}") for n in (2, 3)]
    opened = [streams.counted(one) for one in contexts]
    for stream in opened[:2]:
        stream.__enter__()
    with pytest.raises(RateLimited):
        opened[2].__enter__()
    opened[3].__enter__()
    with pytest.raises(Overloaded):
        opened[4].__enter__()
    opened[0].__exit__(None, None, None)
    with streams.counted(context(limits, "192.0.2.9")):
        pass


async def test_the_page_that_waits_names_a_stream_that_tells_of_the_outcome(shop: BuyerPagesShop) -> None:
    checkout = await shop.checkout()
    await shop.pay(checkout)
    url = (await shop.page(checkout)).partition('data-events="')[2].partition('"')[0]
    await shop.prove(checkout, Declined("expired_card"))
    response = await shop.http.get(url)
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert response.text.endswith(CHANGED)
