"""Histograms of durations, and what is read from them."""

from collections import Counter

from hypothesis import example, given, strategies

from paidonce.statistics.histogram import ERROR_MAX, bucket_of, quantile_ms

DURATIONS = strategies.lists(strategies.integers(1, 60 * 86_400_000), min_size=1, max_size=60)


@example(durations=[18], share=0.5)
@given(durations=DURATIONS, share=strategies.sampled_from([0.01, 0.5, 0.95, 1.0]))
def test_a_quantile_is_as_close_to_the_true_one_as_is_promised(durations: list[int], share: float) -> None:
    histogram = Counter(bucket_of(one) for one in durations)
    rank = max(1, -int(-share * len(durations) // 1))
    true = sorted(durations)[rank - 1]
    found = quantile_ms(histogram, share)
    assert found is not None
    # Half a millisecond more, because whole ones are returned.
    assert abs(found - true) <= true * ERROR_MAX + 0.5
    assert ERROR_MAX < 0.045


def test_without_durations_there_is_no_quantile() -> None:
    assert quantile_ms({}, 0.5) is None


def test_a_duration_below_zero_counts_as_none_at_all() -> None:
    assert bucket_of(-5) == bucket_of(0)


def test_a_duration_of_a_year_is_in_the_last_bucket() -> None:
    assert bucket_of(365 * 86_400_000) == bucket_of(200 * 86_400_000)
