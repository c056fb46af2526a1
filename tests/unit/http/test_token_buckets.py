"""Token buckets: how many tokens there are, and when there is one again."""

import pytest

from paidonce.http import token_buckets as module
from paidonce.http.token_buckets import (
    Policy,
    TokenBuckets,
)
from tests.unit.http.rate_limit_harness import Stopwatch


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
