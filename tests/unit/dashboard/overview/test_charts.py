"""The geometry of charts: everything is inside of the drawing, and the table has the same figures."""

import itertools

from hypothesis import given, strategies

from paidonce.dashboard.overview.charts import (
    HEIGHT,
    LABELS_MAX,
    LEFT,
    WIDTH,
    Chart,
    Series,
    Subject,
    bar_chart,
    line_chart,
    ticks_between,
)

VALUES = strategies.lists(strategies.integers(-(10**14), 10**15), min_size=1, max_size=40)
DURATIONS = strategies.lists(strategies.one_of(strategies.none(), strategies.integers(0, 10**10)), max_size=40)


def subject(count: int) -> Subject:
    return Subject("chart", "Title", "Summary.", [f"label {number}" for number in range(count)], str)


def series(name: str, values: list[int] | list[int | None]) -> Series:
    return Series(name, values, [str(one) for one in values])


def assert_is_inside(chart: Chart) -> None:
    for one in chart.drawn:
        for mark in one.marks:
            assert LEFT - 0.1 <= mark.x <= WIDTH
            assert 0 <= mark.y <= HEIGHT
            assert mark.y + mark.height <= HEIGHT
    assert 0 < chart.baseline < HEIGHT
    assert all(0 < text.y < HEIGHT for text in chart.scale)
    assert len(chart.times) <= LABELS_MAX


@given(first=VALUES, second=VALUES)
def test_bars_stand_on_each_other_inside_of_the_drawing(first: list[int], second: list[int]) -> None:
    count = min(len(first), len(second))
    positive = [abs(one) for one in second[:count]]
    chart = bar_chart(subject(count), [series("one", first[:count]), series("other", positive)])
    assert_is_inside(chart)
    assert [len(one.marks) for one in chart.drawn] == [
        sum(value != 0 for value in first[:count]),
        sum(value != 0 for value in positive),
    ]


@given(values=DURATIONS)
def test_lines_go_through_all_points_and_have_gaps_where_there_is_no_value(values: list[int | None]) -> None:
    chart = line_chart(subject(len(values)), [series("p50", values)])
    assert_is_inside(chart)
    (drawn,) = chart.drawn
    assert len(drawn.marks) == sum(one is not None for one in values)
    segments = sum(one is not None and after is not None for one, after in itertools.pairwise(values))
    assert sum(len(points.split()) - 1 for points in drawn.lines) == segments


@given(lowest=strategies.integers(-(10**15), 0), highest=strategies.integers(0, 10**15))
def test_a_scale_has_few_round_values_zero_among_them_and_holds_everything(lowest: int, highest: int) -> None:
    ticks = ticks_between(lowest, highest)
    assert ticks[0] <= lowest
    assert ticks[-1] >= highest
    assert 0 in ticks
    assert 2 <= len(ticks) <= 7
    assert len({after - one for one, after in itertools.pairwise(ticks)}) == 1


def test_the_rows_of_the_table_have_the_texts_of_every_series() -> None:
    chart = bar_chart(subject(2), [series("one", [1, 2]), series("other", [3, 4])])
    assert chart.rows == [("label 0", ["1", "3"]), ("label 1", ["2", "4"])]
