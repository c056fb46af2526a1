"""What the overview shows of a merchant's statistics: the sums, a chart for each question, and the same as tables."""

from collections.abc import Sequence
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from paidonce.clock import Instant
from paidonce.dashboard.overview.charts import Chart, Series, Subject, bar_chart, line_chart
from paidonce.dashboard.overview.texts import (
    LOCALE,
    NOTHING,
    compact_amount,
    duration_text,
    interval_label,
    share_text,
)
from paidonce.money import Money
from paidonce.pages.amounts import format_amount
from paidonce.statistics.histogram import quantile_ms
from paidonce.statistics.intervals import IntervalName
from paidonce.statistics.model import Figures
from paidonce.statistics.reading import Statistics

P50, P95 = 0.5, 0.95
BAR_WIDTH: Final = 120  # Of the longest bar in the table of declines.


class Decline(NamedTuple):
    """A row of the table of declines. ``width`` is that of its bar."""

    code: str
    payments: int
    share: str
    width: int


class Shown(NamedTuple):
    """What is shown of the figures in one currency. ``is_empty`` tells that nothing was paid: charts show nothing."""

    sums: list[tuple[str, str]]
    is_empty: bool
    volume: Chart
    payments: Chart
    times: Chart
    declines: list[Decline]


def shown(found: Statistics, currency: str, bounds: Sequence[Instant], interval: IntervalName, zone: ZoneInfo) -> Shown:
    """Return what is shown of figures in one currency."""
    figures = [found.figures.get((number, currency), Figures()) for number in range(len(bounds) - 1)]
    labels = [interval_label(begin, interval, zone) for begin in bounds[:-1]]
    total = found.total(currency)
    return Shown(
        _sums(total, currency),
        not (total.payments_succeeded or total.payments_declined or total.amount_captured or total.amount_refunded),
        _volume(figures, labels, total, currency),
        _payments(figures, labels, total),
        _times(figures, labels, total),
        _declines(total),
    )


def _amount(amount: int, currency: str) -> str:
    return format_amount(Money(amount, currency), LOCALE)


def _sums(total: Figures, currency: str) -> list[tuple[str, str]]:
    ended = f"{total.checkouts_expired:,} expired, {total.checkouts_canceled:,} canceled"
    return [
        ("Volume", _amount(total.amount_captured, currency)),
        ("Refunded", _amount(total.amount_refunded, currency)),
        ("Disputed", _amount(total.amount_disputed, currency)),
        ("Success rate", share_text(total.success_rate)),
        ("Payments", f"{total.payments_succeeded:,} succeeded, {total.payments_declined:,} declined"),
        ("Time to settle", _times_text(total)),
        ("Checkouts", f"{total.checkouts_created:,} created, {ended}"),
    ]


def _times_text(figures: Figures) -> str:
    half, most = (duration_text(quantile_ms(figures.settle_times, share)) for share in (P50, P95))
    return f"{half} (p50), {most} (p95)" if figures.settle_times else NOTHING


def _volume(figures: Sequence[Figures], labels: Sequence[str], total: Figures, currency: str) -> Chart:
    columns = (("Captured", "amount_captured"), ("Refunded", "amount_refunded"), ("Disputed", "amount_disputed"))
    series = [
        Series(
            name,
            [getattr(one, field) for one in figures],
            [_amount(getattr(one, field), currency) for one in figures],
        )
        for name, field in columns
    ]
    summary = f"Captured in all: {_amount(total.amount_captured, currency)}."
    subject = Subject("volume", "Volume", summary, labels, lambda value: compact_amount(value, currency))
    chart = bar_chart(subject, series[:1])
    chart.series.extend(series[1:])  # In the table alone: they are other amounts, and no parts of the volume.
    return chart


def _payments(figures: Sequence[Figures], labels: Sequence[str], total: Figures) -> Chart:
    counted = (("Succeeded", "payments_succeeded"), ("Declined", "payments_declined"))
    summary = f"Succeeded: {total.payments_succeeded:,}. Declined: {total.payments_declined:,}."
    chart = bar_chart(
        Subject("payments", "Payments", summary, labels, lambda value: f"{value:,.0f}"),
        [
            Series(name, [getattr(one, field) for one in figures], [f"{getattr(one, field):,}" for one in figures])
            for name, field in counted
        ],
    )
    chart.series.append(
        Series("Success rate", [one.success_rate for one in figures], [share_text(one.success_rate) for one in figures])
    )
    return chart


def _times(figures: Sequence[Figures], labels: Sequence[str], total: Figures) -> Chart:
    series = []
    for name, share in (("p50", P50), ("p95", P95)):
        values = [quantile_ms(one.settle_times, share) for one in figures]
        series.append(Series(name, values, [duration_text(one) for one in values]))
    summary = f"From the first pay to the provider's confirmation: {_times_text(total)}."
    return line_chart(Subject("times", "Time to settle", summary, labels, duration_text), series)


def _declines(total: Figures) -> list[Decline]:
    most = total.declines.most_common()
    highest = most[0][1] if most else 1
    return [
        Decline(code, count, share_text(count / total.payments_declined), max(1, round(BAR_WIDTH * count / highest)))
        for code, count in most
    ]
