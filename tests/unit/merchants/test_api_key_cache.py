"""The API key cache with a fake clock and a fake database that counts its queries."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from structlog.testing import capture_logs

from paidonce import ids
from paidonce.errors import DatabaseUnavailable, Overloaded
from paidonce.merchants import api_key_cache
from paidonce.merchants.actions import ActiveKey
from paidonce.merchants.api_key_cache import AGE_SECONDS_MAX, ApiKeyCache
from paidonce.merchants.lifetimes import REFRESH_SECONDS
from paidonce.merchants.model import MERCHANT_SCOPES, Caller, Mode
from paidonce.merchants.secret import RANDOM_LENGTH, hash_secret, make_secret

ANNA = Caller("m_anna", MERCHANT_SCOPES, "key_1")


def new_secret() -> bytes:
    return make_secret(Mode.TEST, ids.draw_base62(RANDOM_LENGTH)).encode()


class Reader:
    """A fake of the reading batcher. ``asked`` has the hashes of each look-up."""

    def __init__(self) -> None:
        self.living: dict[str, ActiveKey] = {}
        self.asked: list[Sequence[str]] = []
        self.down = False
        self.lost: set[str] = set()  # The hashes of keys that are stored on a node that is lost.
        self.gate = asyncio.Event()
        self.gate.set()

    def let_in(self, secret: bytes, remaining_ms: int | None = None) -> None:
        self.living[hash_secret(secret)] = ActiveKey(ANNA, remaining_ms)

    async def submit(self, _action: object, hashes: Sequence[str]) -> dict[str, ActiveKey | None]:
        self.asked.append(hashes)
        found: dict[str, ActiveKey | None] = {one: self.living[one] for one in hashes if one in self.living}
        found |= dict.fromkeys(self.lost.intersection(hashes))
        await self.gate.wait()
        if self.down:
            raise DatabaseUnavailable
        return found


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


class CacheHarness:
    def __init__(self) -> None:
        self.reader, self.clock = Reader(), Clock()
        reader: Any = self.reader
        self.cache = ApiKeyCache(reader, monotonic=self.clock)

    async def quiet(self) -> None:
        """Wait until nothing is looked up any more: then every task of the keyring has ended."""
        while tasks := [one for one in asyncio.all_tasks() if is_keyrings(one)]:
            await asyncio.wait(tasks)


def is_keyrings(task: asyncio.Task[Any]) -> bool:
    code = getattr(task.get_coro(), "cr_code", None)
    return code is not None and code.co_filename == api_key_cache.__file__


@pytest.fixture
async def on(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[CacheHarness]:
    monkeypatch.setattr(api_key_cache, "PAUSE_SECONDS", 0)
    monkeypatch.setattr(api_key_cache, "FAILED_PAUSE_SECONDS", 0)
    made = CacheHarness()
    yield made
    await made.cache.stop()


async def test_a_key_is_looked_up_once_and_then_known(on: CacheHarness) -> None:
    secret = new_secret()
    on.reader.let_in(secret)
    assert [await on.cache.find(secret) for _ in range(100)] == [ANNA] * 100
    assert on.reader.asked == [[hash_secret(secret)]]


async def test_what_is_no_key_by_its_checksum_is_never_looked_up(on: CacheHarness) -> None:
    for text in (b"", b"hunter2", b"sk_test_" + b"0" * 36, b"\xff\x00", new_secret()[:-1] + b"_"):
        assert await on.cache.find(text) is None
    assert on.reader.asked == []


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


async def test_forgetting_also_forgets_what_opened_nothing(on: CacheHarness) -> None:
    secret = new_secret()
    assert await on.cache.find(secret) is None
    await on.quiet()
    on.reader.let_in(secret)
    on.clock.now += 0.001
    on.cache.invalidate()
    on.clock.now += 0.001
    assert await on.cache.find(secret) == ANNA


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


def test_the_bounds_are_those_that_the_documents_tell() -> None:
    """A revoked key is invalid within five seconds, mostly within one. The database gets at most a hundred look-ups
    a second.
    """
    assert (AGE_SECONDS_MAX, REFRESH_SECONDS, api_key_cache.PAUSE_SECONDS) == (5.0, 1.0, 0.01)
    assert (api_key_cache.WAITING_MAX, api_key_cache.INACTIVE_MAX) == (1000, 1000)
