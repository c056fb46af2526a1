"""How many requests of one API key are worked on at once, and in which order API keys get a place."""

import asyncio

import pytest
from starlette.requests import Request
from starlette.responses import Response

from paidonce.http import rate_limits as module
from paidonce.http.context import context_of
from paidonce.http.rate_limits import (
    count_stream,
    count_wait,
)
from tests.unit.http.rate_limit_harness import (
    ADA,
    BOB,
    SOON,
    Client,
    Door,
    ReceivedResponse,
    Stopwatch,
    limits,
)

pytestmark = pytest.mark.usefixtures("no_pause")


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
    first = ReceivedResponse()
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
