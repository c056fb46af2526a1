"""The API key cache: look-ups in the database are shared, spaced and bounded."""

import asyncio

import pytest
from structlog.testing import capture_logs

from paidonce.errors import DatabaseUnavailable, Overloaded
from paidonce.merchants import api_key_cache
from paidonce.merchants.lifetimes import REFRESH_SECONDS
from tests.unit.merchants.api_key_cache_harness import ANNA, CacheHarness, new_secret


async def test_what_is_no_key_by_its_checksum_is_never_looked_up(on: CacheHarness) -> None:
    for text in (b"", b"hunter2", b"sk_test_" + b"0" * 36, b"\xff\x00", new_secret()[:-1] + b"_"):
        assert await on.cache.find(text) is None
    assert on.reader.asked == []


async def test_many_requests_with_one_unknown_key_are_one_look_up(on: CacheHarness) -> None:
    secret = new_secret()
    assert await asyncio.gather(*(on.cache.find(secret) for _ in range(50))) == [None] * 50
    assert await on.cache.find(secret) is None
    assert len(on.reader.asked) == 1


async def test_guesses_share_a_look_up_and_too_many_are_sent_away(on: CacheHarness) -> None:
    guesses = [new_secret() for _ in range(api_key_cache.WAITING_MAX + 50)]
    outcomes = await asyncio.gather(*(on.cache.find(one) for one in guesses), return_exceptions=True)
    assert sum(isinstance(one, Overloaded) for one in outcomes) == 50
    assert [len(one) for one in on.reader.asked] == [api_key_cache.WAITING_MAX]


async def test_guesses_fill_no_memory_and_push_no_living_key_out(
    on: CacheHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api_key_cache, "INACTIVE_MAX", 10)
    secret = new_secret()
    on.reader.let_in(secret)
    await on.cache.find(secret)
    guesses = [new_secret() for _ in range(100)]
    await asyncio.gather(*(on.cache.find(one) for one in guesses))
    await on.quiet()
    on.reader.asked.clear()
    assert await on.cache.find(secret) == ANNA
    assert on.reader.asked == []
    await asyncio.gather(*(on.cache.find(one) for one in guesses))
    assert sum(len(hashes) for hashes in on.reader.asked) == 90  # Ten were remembered.


async def test_look_ups_are_spaced_whatever_is_guessed(monkeypatch: pytest.MonkeyPatch) -> None:
    paused: list[float] = []
    real = asyncio.sleep

    async def pause(seconds: float) -> None:
        paused.append(seconds)
        await real(0)

    one = CacheHarness()
    monkeypatch.setattr(asyncio, "sleep", pause)
    for _ in range(20):
        await one.cache.find(new_secret())
    await one.quiet()
    assert len(one.reader.asked) == len(paused) == 20
    assert set(paused) == {api_key_cache.PAUSE_SECONDS}
    await one.cache.stop()


async def test_the_living_are_bounded_too(on: CacheHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api_key_cache, "ACTIVE_MAX", 10)
    secrets = [new_secret() for _ in range(30)]
    for secret in secrets:
        on.reader.let_in(secret)
        assert await on.cache.find(secret) == ANNA
    on.reader.asked.clear()
    assert await asyncio.gather(*(on.cache.find(one) for one in secrets)) == [ANNA] * 30
    assert sum(len(hashes) for hashes in on.reader.asked) == 20  # Ten were remembered.


async def test_a_hash_that_only_begins_like_a_known_one_is_looked_up(
    on: CacheHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api_key_cache, "LOOKUP_LENGTH", 0)  # All keys in one place, as if their hashes began alike.
    known, other = new_secret(), new_secret()
    on.reader.let_in(known)
    assert await on.cache.find(known) == ANNA
    assert await on.cache.find(other) is None


async def test_a_request_that_waits_when_the_service_stops_is_refused_as_overloaded(on: CacheHarness) -> None:
    on.reader.gate.clear()
    finding = asyncio.create_task(on.cache.find(new_secret()))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    await on.cache.stop()
    with pytest.raises(Overloaded):
        await finding


async def test_a_failed_look_up_is_raised_to_its_requests_and_the_next_one_runs_after_a_pause(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    paused: list[float] = []
    real = asyncio.sleep

    async def pause(seconds: float) -> None:
        paused.append(seconds)
        await real(0)

    one = CacheHarness()
    monkeypatch.setattr(asyncio, "sleep", pause)
    one.reader.down = True
    secrets = [new_secret() for _ in range(3)]
    outcomes = await asyncio.gather(*(one.cache.find(each) for each in secrets), return_exceptions=True)
    assert [type(each) for each in outcomes] == [DatabaseUnavailable] * 3
    await one.quiet()
    one.reader.down = False
    one.reader.let_in(secrets[0])
    assert await one.cache.find(secrets[0]) == ANNA
    await one.quiet()
    assert paused == [api_key_cache.FAILED_PAUSE_SECONDS, api_key_cache.PAUSE_SECONDS]
    await one.cache.stop()


async def test_a_cancelled_request_does_not_cancel_the_look_up_for_others(on: CacheHarness) -> None:
    secret = new_secret()
    on.reader.let_in(secret)
    on.reader.gate.clear()
    leaving, staying = (asyncio.create_task(on.cache.find(secret)) for _ in range(2))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert len(on.reader.asked) == 1
    leaving.cancel()
    await asyncio.wait([leaving])
    on.reader.gate.set()
    assert await staying == ANNA
    assert len(on.reader.asked) == 1


async def test_a_key_that_is_refreshed_pushes_no_other_out(on: CacheHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api_key_cache, "ACTIVE_MAX", 2)
    first, second = new_secret(), new_secret()
    for secret in (first, second):
        on.reader.let_in(secret)
        await on.cache.find(secret)
        await on.quiet()
    on.clock.now += REFRESH_SECONDS
    await on.cache.find(second)
    await on.quiet()
    looked_up = len(on.reader.asked)
    on.reader.down = True  # Whoever is not known any more cannot be found now.
    assert [await on.cache.find(one) for one in (first, second)] == [ANNA] * 2
    assert looked_up == 3


@pytest.mark.parametrize(
    ("error", "logged"), [(RuntimeError("?"), ["api_key_lookup_failed"]), (DatabaseUnavailable(), [])]
)
async def test_an_unexpected_error_is_logged_and_raised_to_waiting_requests(
    on: CacheHarness, error: Exception, logged: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(_action: object, _hashes: object) -> None:
        raise error

    monkeypatch.setattr(on.reader, "submit", fail)
    with capture_logs() as lines, pytest.raises(type(error)):
        await on.cache.find(new_secret())
    assert [line["event"] for line in lines] == logged


async def test_nothing_is_looked_up_after_the_stop(on: CacheHarness) -> None:
    before = asyncio.all_tasks()
    on.reader.gate.clear()
    finding = asyncio.create_task(on.cache.find(new_secret()))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    await on.cache.stop()
    assert asyncio.all_tasks() - before <= {finding}
    with pytest.raises(Overloaded):
        await finding
