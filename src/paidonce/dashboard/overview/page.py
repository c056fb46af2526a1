"""The page of the overview."""

from typing import ClassVar, Final, Literal, NamedTuple

from starlette.responses import Response

from paidonce.checkouts.schemas import check_currency
from paidonce.clock import DAY_MS, Instant
from paidonce.dashboard import paths
from paidonce.dashboard.declarations import page
from paidonce.dashboard.overview.figures import shown
from paidonce.dashboard.overview.texts import duration_text
from paidonce.dashboard.request import DashboardRequest
from paidonce.errors import InvalidRequest
from paidonce.http.fields import Fields
from paidonce.statistics.current import COUNTED_MAX, CurrentState, Waiting, load_current_states
from paidonce.statistics.intervals import IntervalName, read_zone, split
from paidonce.statistics.reading import FiguresRange, Statistics, read_statistics
from paidonce.statistics.schemas import check_zone
from paidonce.users.model import Role


class Period(NamedTuple):
    """A period that can be shown: its name, how long it is, and the intervals of its charts."""

    name: str
    length_ms: int
    interval: IntervalName


PERIODS: Final = {
    "day": Period("Day", DAY_MS, "hour"),
    "week": Period("Week", 7 * DAY_MS, "day"),
    "month": Period("Month", 30 * DAY_MS, "day"),
}
CURRENCY_DEFAULT: Final = "USD"  # Where there are no figures yet.


class OverviewParameters(Fields, frozen=True, kw_only=True):
    """What the overview shows. Without a currency it is the one with most checkouts."""

    period: Literal["day", "week", "month"] = "week"
    currency: str | None = None
    time_zone: str = "UTC"

    checks: ClassVar = {"currency": check_currency, "timeZone": check_zone}


@page(paths.TENANT, role=Role.VIEWER)
async def overview(request: DashboardRequest) -> Response:
    """Show the figures of a period, and what needs attention now."""
    problems: dict[str, str] = {}
    parameters = OverviewParameters()
    try:
        parameters = request.parameters(OverviewParameters)
    except InvalidRequest as error:
        problems = {one.pointer: one.detail for one in error.fields}
    period = PERIODS[parameters.period]
    zone = read_zone(parameters.time_zone)
    assert zone is not None, "the parameters were checked"
    now = request.service.clock()
    bounds = split(now - period.length_ms, now, period.interval, zone)
    reader = request.service.reader
    found = await read_statistics(reader, FiguresRange(tenant=request.tenant, bounds=bounds))
    state = await reader.submit(load_current_states, request.tenant)
    currency = parameters.currency or _most_used(found)
    values = {
        "path": request.tenant_path,
        "parameters": parameters,
        "problems": problems,
        "periods": [(name, one.name) for name, one in PERIODS.items()],
        "currencies": [(one, one) for one in sorted({*found.currencies, currency})],
        "currency": currency,
        "period": period,
        "up_to": found.up_to,
        "is_behind": found.up_to < now,
        "attention": [_linked(request, one) for one in _attention(state, now)],
        "shown": shown(found, currency, bounds, period.interval, zone),
    }
    return request.page("overview.html", values, title="Overview", status=400 if problems else 200)


def _most_used(found: Statistics) -> str:
    return max(found.currencies, key=lambda one: found.total(one).checkouts_created, default=CURRENCY_DEFAULT)


class Attention(NamedTuple):
    """Something that is so now: how many, since when, and whether somebody should look."""

    name: str
    text: str
    note: str
    is_calm: bool
    link: str = ""


def _linked(request: DashboardRequest, one: Attention) -> Attention:
    """Link to the page about it, where there is one."""
    return one if paths.TENANT + one.link in request.declared else one._replace(link="")


def _attention(state: CurrentState, now: Instant) -> list[Attention]:
    def waiting(name: str, found: Waiting, link: str, nothing: str) -> Attention:
        if found.oldest_at is None:
            return Attention(name, "0", nothing, is_calm=True, link=link)
        count = f"{COUNTED_MAX} or more" if found.count >= COUNTED_MAX else f"{found.count}"
        return Attention(
            name, count, f"the oldest for {duration_text(now - found.oldest_at)}", is_calm=False, link=link
        )

    unhealthy = state.endpoints_failing + state.endpoints_paused
    health = f"{state.endpoints_failing} failing, {state.endpoints_paused} paused, of {state.endpoints}"
    health = health if state.endpoints else "There is none yet."
    return [
        waiting("Unknown outcomes", state.unknown, "/review", "Every outcome is known."),
        waiting("Needs review", state.in_review, "/review", "Nothing waits for a person."),
        Attention("Webhook endpoints", f"{unhealthy}", health, is_calm=unhealthy == 0, link="/webhooks"),
        waiting("Deliveries waiting", state.deliveries, "/webhooks", "Every event is delivered."),
    ]
