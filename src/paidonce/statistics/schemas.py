"""What the calls about statistics read and respond with."""

from itertools import pairwise
from typing import Annotated, ClassVar

import msgspec
from msgspec import Meta

from paidonce.checkouts.schemas import check_currency
from paidonce.clock import Instant, format_instant
from paidonce.http.formats import Time, check_instant, whole
from paidonce.http.tenancy import TenantFields
from paidonce.statistics.current import COUNTED_MAX, CurrentState, Waiting
from paidonce.statistics.histogram import quantile_ms
from paidonce.statistics.intervals import IntervalName, read_zone
from paidonce.statistics.model import Figures
from paidonce.statistics.reading import Statistics

P50, P95 = 0.5, 0.95

From = Annotated[
    Time,
    Meta(
        description="The beginning of the first interval, or a time in it. The default is a day of hours, 30 days, 13 "
        "weeks or a year of months before `to`."
    ),
]
To = Annotated[Time, Meta(description="The end of the last interval, or a time in it. The default is now.")]


def check_zone(name: str) -> str | None:
    """Refuse a time zone that is not known."""
    return None if read_zone(name) else f"{name} is not the name of a time zone such as Europe/Berlin."


class StatisticsParameters(TenantFields, frozen=True, kw_only=True):
    """Which figures to show: those of a merchant in one mode, from a time to another, in intervals."""

    from_: From | None = msgspec.field(default=None, name="from")
    to: To | None = None
    interval: IntervalName = "day"
    currency: Annotated[str, whole(r"[A-Z]{3}", "Only amounts and payments in this currency.")] | None = None
    provider: (
        Annotated[
            str,
            whole(
                r"[a-z0-9_-]{1,40}",
                "Only what was paid through this provider. A checkout that was never paid has none.",
            ),
        ]
        | None
    ) = None
    time_zone: Annotated[
        str,
        whole(r"[A-Za-z0-9_+/-]{1,64}", "An IANA time zone, in which days, weeks and months begin."),
    ] = "UTC"

    checks: ClassVar = {
        "from": check_instant,
        "to": check_instant,
        "currency": check_currency,
        "timeZone": check_zone,
    }


class CurrentStatisticsParameters(TenantFields, frozen=True, kw_only=True):
    """Whose state to show: a merchant's in one mode."""


class DeclineCount(msgspec.Struct, frozen=True, rename="camel"):
    """How many payments were declined with a code."""

    code: str
    count: int


class TimeToSettle(msgspec.Struct, frozen=True, rename="camel"):
    """The time from the first pay to the provider's confirmation, of ``count`` payments: half of them took at most
    ``p50Ms``, and 95 % at most ``p95Ms``, within 4.5 %.
    """

    count: int
    p50_ms: int | None
    p95_ms: int | None


class FiguresResponse(msgspec.Struct, frozen=True, rename="camel"):
    """Figures in one currency, with amounts in its minor unit. Refunds that failed after all, and disputes that were
    won, are subtracted when that becomes known, so these two amounts can be negative.

    ``successRate`` is the share of payments that succeeded among those that succeeded or were declined.
    """

    currency: str
    checkouts_created: int
    checkouts_expired: int
    checkouts_canceled: int
    payments_succeeded: int
    payments_declined: int
    success_rate: float | None
    declines: list[DeclineCount]
    amount_captured: int
    amount_refunded: int
    amount_disputed: int
    time_to_settle: TimeToSettle


class IntervalResponse(msgspec.Struct, frozen=True):
    """An interval, which ends just before ``to``, with figures for each currency in which anything happened."""

    from_: str = msgspec.field(name="from")
    to: str
    currencies: list[FiguresResponse]


class StatisticsResponse(msgspec.Struct, frozen=True, rename="camel"):
    """Figures for each interval, oldest first, and their totals. All that happened before ``upTo`` is counted."""

    merchant_id: str
    mode: str
    interval: str
    time_zone: str
    from_: str = msgspec.field(name="from")
    to: str
    up_to: str
    totals: list[FiguresResponse]
    data: list[IntervalResponse]


Counted = Annotated[int, Meta(description=f"Counted up to {COUNTED_MAX}.")]


class CurrentStatisticsResponse(msgspec.Struct, frozen=True, rename="camel"):
    """What is so at ``at``, with the time at which the oldest of each was created.

    ``outcomesUnknown`` are attempts that the provider is asked about; ``attemptsInReview`` wait for a person. A webhook
    endpoint that is paused does not count as failing.
    """

    merchant_id: str
    mode: str
    at: str
    outcomes_unknown: Counted
    oldest_unknown_at: str | None
    attempts_in_review: Counted
    oldest_in_review_at: str | None
    webhook_endpoints: int
    webhook_endpoints_failing: int
    webhook_endpoints_paused: int
    deliveries_waiting: Counted
    oldest_delivery_at: str | None


def figures_response(currency: str, figures: Figures) -> FiguresResponse:
    """Show figures in a currency."""
    return FiguresResponse(
        currency,
        figures.checkouts_created,
        figures.checkouts_expired,
        figures.checkouts_canceled,
        figures.payments_succeeded,
        figures.payments_declined,
        None if figures.success_rate is None else round(figures.success_rate, 4),
        [DeclineCount(code, count) for code, count in figures.declines.most_common()],
        figures.amount_captured,
        figures.amount_refunded,
        figures.amount_disputed,
        TimeToSettle(
            figures.settle_times.total(),
            quantile_ms(figures.settle_times, P50),
            quantile_ms(figures.settle_times, P95),
        ),
    )


def intervals_response(found: Statistics, bounds: list[Instant]) -> list[IntervalResponse]:
    """Show all intervals, also those in which nothing happened."""
    return [
        IntervalResponse(
            format_instant(begin),
            format_instant(end),
            [
                figures_response(currency, found.figures[number, currency])
                for currency in found.currencies
                if (number, currency) in found.figures
            ],
        )
        for number, (begin, end) in enumerate(pairwise(bounds))
    ]


def current_response(merchant_id: str, mode: str, state: CurrentState) -> CurrentStatisticsResponse:
    """Show what is so now."""
    return CurrentStatisticsResponse(
        merchant_id,
        mode,
        format_instant(state.at),
        state.unknown.count,
        _oldest(state.unknown),
        state.in_review.count,
        _oldest(state.in_review),
        state.endpoints,
        state.endpoints_failing,
        state.endpoints_paused,
        state.deliveries.count,
        _oldest(state.deliveries),
    )


def _oldest(waiting: Waiting) -> str | None:
    return None if waiting.oldest_at is None else format_instant(waiting.oldest_at)
