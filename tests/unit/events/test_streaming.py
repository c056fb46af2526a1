"""The stream: what it sends, when it is quiet, and when it ends."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import msgspec

from paidonce.api.streaming import EventStream, Pace
from tests.unit.events.newsroom import SECONDS_MAX, Newsroom, newsroom

QUIET = Pace(heartbeat=600)


class Client:
    """Takes what is sent, until it is ``stuck`` or has ``gone``."""

    def __init__(self) -> None:
        self.text = ""
        self.complete = False
        self.leaving = asyncio.Event()
        self.going_on = asyncio.Event()
        self.going_on.set()
        self._more = asyncio.Event()

    def send(self, status: int, headers: list[bytes], body: bytes) -> None:
        raise NotImplementedError

    def begin(self, status: int, headers: list[bytes]) -> None:
        self.status, self.headers = status, headers

    async def write(self, piece: bytes) -> None:
        await self.going_on.wait()
        self.text += piece.decode()
        self._more.set()

    def end(self) -> None:
        self.complete = True

    async def gone(self) -> None:
        await self.leaving.wait()

    async def until(self, part: str) -> None:
        async with asyncio.timeout(SECONDS_MAX):
            while part not in self.text:
                self._more.clear()
                await self._more.wait()


@contextmanager
def streaming(
    room: Newsroom, *, after: int = 0, newest: int = 0, types: frozenset[str] | None = None, pace: Pace = QUIET
) -> Iterator[tuple[Client, "asyncio.Task[None]"]]:
    client = Client()
    stream = EventStream(partial(room.feed.follow, "m1", after=after, newest=newest), types=types, pace=pace)
    task = asyncio.ensure_future(stream.send_to(client))
    try:
        yield client, task
    finally:
        client.going_on.set()
        client.leaving.set()


async def test_an_event_is_sent_with_its_number_its_type_and_itself_on_one_line(sqlite_url: str) -> None:
    async with newsroom(sqlite_url) as room:
        await room.happen(2)
        with streaming(room, after=1, newest=2) as (client, _):
            await client.until("data: ")
    first, second, rest = client.text.split("\n\n")
    assert first == "retry: 2000\nid: 1"
    number, kind, data = second.split("\n")
    assert (number, kind, rest) == ("id: 2", "event: checkout.created", "")
    event = msgspec.json.decode(data.removeprefix("data: "))
    assert (event["sequence"], event["type"], event["merchantId"]) == (2, "checkout.created", "m1")


async def test_a_quiet_stream_says_again_and_again_that_it_lives_and_where_it_is(sqlite_url: str) -> None:
    async with newsroom(sqlite_url) as room:
        await room.happen(1)
        with streaming(room, after=1, newest=1, pace=Pace(heartbeat=0.01)) as (client, _):
            await client.until(": \nid: 1\n\n: \nid: 1\n\n")


async def test_what_is_not_wanted_is_left_out_and_yet_counted(sqlite_url: str) -> None:
    async with newsroom(sqlite_url) as room:
        await room.happen(3)
        with streaming(room, newest=3, types=frozenset({"checkout.completed"})) as (client, _):
            await client.until("id: 3\n\n")
    assert "event:" not in client.text


async def test_a_client_that_has_gone_is_followed_no_longer(sqlite_url: str) -> None:
    async with newsroom(sqlite_url, limit=1) as room:
        with streaming(room) as (client, task):
            await client.until("id: 0\n\n")
            client.leaving.set()
            await asyncio.wait_for(task, SECONDS_MAX)
        await room.join(0)  # There is room again.


async def test_a_client_that_takes_nothing_is_let_go_without_a_proper_end(sqlite_url: str) -> None:
    async with newsroom(sqlite_url, limit=1) as room:
        with streaming(room, pace=Pace(stuck=0.01, heartbeat=600)) as (client, task):
            await client.until("id: 0\n\n")
            client.going_on.clear()
            await room.happen(1)
            await asyncio.wait_for(task, SECONDS_MAX)
            assert not client.complete
        await room.join(0)


async def test_a_stream_ends_properly_when_it_was_open_for_long_or_the_process_stops(sqlite_url: str) -> None:
    async with newsroom(sqlite_url) as room:
        with (
            streaming(room, pace=Pace(heartbeat=0.01, open=0.05)) as (long, task_of_long),
            streaming(room) as (other, task_of_other),
        ):
            await asyncio.wait_for(task_of_long, SECONDS_MAX)
            assert long.complete
            await other.until("id: 0\n\n")
            assert not other.complete
            room.feed.close()
            await asyncio.wait_for(task_of_other, SECONDS_MAX)
            assert other.complete


async def test_a_stream_whose_database_is_gone_ends_so_that_the_client_asks_again(sqlite_url: str) -> None:
    async with newsroom(sqlite_url) as room:
        await room.happen(1)
        await room.reader.stop()  # Refuses from now on, as it does when too much waits.
        with streaming(room, newest=1) as (client, task):
            await asyncio.wait_for(task, SECONDS_MAX)
        assert client.complete
