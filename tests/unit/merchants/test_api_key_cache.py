"""The API key cache: for how long a cached API key is valid. Its clock and its database are fakes."""

import asyncio

import pytest

from paidonce.errors import DatabaseUnavailable
from paidonce.merchants import api_key_cache
from paidonce.merchants.api_key_cache import AGE_SECONDS_MAX
from paidonce.merchants.lifetimes import REFRESH_SECONDS
from paidonce.merchants.secret import hash_secret
from tests.unit.merchants.api_key_cache_harness import ANNA, CacheHarness, new_secret


async def test_a_key_is_looked_up_once_and_then_known(on: CacheHarness) -> None:
    secret = new_secret()
    on.reader.let_in(secret)
    assert [await on.cache.find(secret) for _ in range(100)] == [ANNA] * 100
    assert on.reader.asked == [[hash_secret(secret)]]


async def test_a_revoked_key_in_use_is_invalid_after_the_next_refresh(on: CacheHarness) -> None:
    secret = new_secret()
    on.reader.let_in(secret)
    await on.cache.find(secret)
    on.reader.living.clear()
    on.clock.now += REFRESH_SECONDS
    assert await on.cache.find(secret) == ANNA  # Nobody waits for the refresh that this begins.
    await on.quiet()
    assert await on.cache.find(secret) is None


async def test_no_entry_is_used_beyond_its_maximum_age_even_if_the_database_is_down(on: CacheHarness) -> None:
    secret = new_secret()
    on.reader.let_in(secret)
    await on.cache.find(secret)
    on.reader.down = True
    on.clock.now += AGE_SECONDS_MAX - 0.01
    assert await on.cache.find(secret) == ANNA
    await on.quiet()
    on.clock.now += 0.01
    with pytest.raises(DatabaseUnavailable):
        await on.cache.find(secret)


async def test_a_key_dies_when_its_overlap_is_over_without_another_look_up(on: CacheHarness) -> None:
    secret = new_secret()
    on.reader.let_in(secret, remaining_ms=400)
    assert await on.cache.find(secret) == ANNA
    on.clock.now += 0.5
    on.reader.living.clear()
    assert await on.cache.find(secret) is None


async def test_an_age_counts_from_before_the_read_and_not_from_its_answer(on: CacheHarness) -> None:
    secret = new_secret()
    on.reader.let_in(secret)
    on.reader.gate.clear()
    finding = asyncio.create_task(on.cache.find(secret))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert len(on.reader.asked) == 1
    on.clock.now += AGE_SECONDS_MAX  # A slow answer: by now the key may be long revoked.
    on.reader.gate.set()
    await finding
    await on.quiet()
    await on.cache.find(secret)
    assert len(on.reader.asked) == 2


async def test_forgetting_takes_effect_at_once_also_on_a_read_that_began_before(on: CacheHarness) -> None:
    secret = new_secret()
    on.reader.let_in(secret)
    on.reader.gate.clear()
    finding = asyncio.create_task(on.cache.find(secret))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert len(on.reader.asked) == 1
    on.reader.living.clear()
    on.cache.invalidate()
    on.reader.gate.set()
    assert await finding == ANNA  # It was asked before.
    on.clock.now += 0.001
    assert await on.cache.find(secret) is None


async def test_a_key_is_read_again_when_it_is_time_and_no_sooner(on: CacheHarness) -> None:
    secret = new_secret()
    on.reader.let_in(secret)
    await on.cache.find(secret)
    await on.quiet()
    on.clock.now += REFRESH_SECONDS - 0.01
    await on.cache.find(secret)
    await on.quiet()
    assert len(on.reader.asked) == 1
    on.clock.now += 0.01
    await on.cache.find(secret)
    await on.quiet()
    assert on.reader.asked == [[hash_secret(secret)]] * 2


async def test_a_refreshed_entry_is_valid_for_the_full_age_again(on: CacheHarness) -> None:
    secret = new_secret()
    on.reader.let_in(secret)
    for _ in range(5):
        assert await on.cache.find(secret) == ANNA
        await on.quiet()
        on.clock.now += AGE_SECONDS_MAX - 0.01
    assert len(on.reader.asked) == 5


async def test_an_invalid_key_is_looked_up_again_after_the_maximum_age(on: CacheHarness) -> None:
    secret = new_secret()
    assert await on.cache.find(secret) is None
    await on.quiet()
    on.reader.let_in(secret)
    on.clock.now += AGE_SECONDS_MAX - 0.01
    assert await on.cache.find(secret) is None
    assert len(on.reader.asked) == 1
    on.clock.now += 0.01
    assert await on.cache.find(secret) == ANNA


async def test_a_key_is_invalid_from_the_moment_of_its_expiry(on: CacheHarness) -> None:
    secret = new_secret()
    on.reader.let_in(secret, remaining_ms=400)
    assert await on.cache.find(secret) == ANNA
    await on.quiet()
    on.reader.living.clear()
    on.clock.now += 0.399
    assert await on.cache.find(secret) == ANNA
    on.clock.now = 1000.4
    assert await on.cache.find(secret) is None


async def test_a_key_with_an_expiry_is_cached_no_longer_than_others(on: CacheHarness) -> None:
    secret = new_secret()
    on.reader.let_in(secret, remaining_ms=3_600_000)
    assert await on.cache.find(secret) == ANNA
    await on.quiet()
    on.reader.down = True
    on.clock.now += AGE_SECONDS_MAX
    with pytest.raises(DatabaseUnavailable):
        await on.cache.find(secret)


async def test_forgetting_also_forgets_what_opened_nothing(on: CacheHarness) -> None:
    secret = new_secret()
    assert await on.cache.find(secret) is None
    await on.quiet()
    on.reader.let_in(secret)
    on.clock.now += 0.001
    on.cache.invalidate()
    on.clock.now += 0.001
    assert await on.cache.find(secret) == ANNA


async def test_a_key_whose_node_is_lost_is_neither_valid_nor_invalid_and_others_are_found(on: CacheHarness) -> None:
    lost, other = new_secret(), new_secret()
    on.reader.let_in(other)
    on.reader.lost = {hash_secret(lost)}
    found = await asyncio.gather(on.cache.find(lost), on.cache.find(other), return_exceptions=True)
    assert isinstance(found[0], DatabaseUnavailable)
    assert found[1] == ANNA
    on.reader.lost = set()
    on.reader.let_in(lost)
    await on.quiet()
    assert await on.cache.find(lost) == ANNA


async def test_a_key_whose_node_is_lost_is_valid_for_as_long_as_any_that_cannot_be_confirmed(on: CacheHarness) -> None:
    secret = new_secret()
    on.reader.let_in(secret)
    await on.cache.find(secret)
    await on.quiet()
    on.reader.living, on.reader.lost = {}, {hash_secret(secret)}
    on.clock.now += REFRESH_SECONDS
    assert await on.cache.find(secret) == ANNA
    await on.quiet()
    assert await on.cache.find(secret) == ANNA
    on.clock.now += AGE_SECONDS_MAX
    with pytest.raises(DatabaseUnavailable):
        await on.cache.find(secret)


def test_the_bounds_are_those_that_the_documents_tell() -> None:
    """A revoked key is invalid within five seconds, mostly within one. The database gets at most a hundred look-ups
    a second.
    """
    assert (AGE_SECONDS_MAX, REFRESH_SECONDS, api_key_cache.PAUSE_SECONDS) == (5.0, 1.0, 0.01)
    assert (api_key_cache.WAITING_MAX, api_key_cache.INACTIVE_MAX) == (1000, 1000)
