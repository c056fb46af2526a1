"""The calls about statistics."""

from typing import Final

from starlette.responses import Response

from paidonce.clock import DAY_MS, Instant, format_instant, parse_instant
from paidonce.errors import FieldError, InvalidRequest, MerchantNotFound, WrongMerchant, WrongMode
from paidonce.http.operation import ResponseSpec, get
from paidonce.http.request import ApiRequest
from paidonce.http.responses import json_response
from paidonce.merchants.model import Scope
from paidonce.statistics.current import load_current_states
from paidonce.statistics.intervals import RANGE_MS_DEFAULT, RANGE_MS_MAX, read_zone, split
from paidonce.statistics.reading import FiguresRange, read_statistics
from paidonce.statistics.schemas import (
    CurrentStatisticsParameters,
    CurrentStatisticsResponse,
    StatisticsParameters,
    StatisticsResponse,
    current_response,
    figures_response,
    intervals_response,
)

TAG: Final = "Statistics"

INSTANT_MAX: Final = 250_000_000_000_000  # In the year 9892: Python's calendar ends soon after.
INSTANT_MIN: Final = 0


@get(
    "/statistics",
    StatisticsParameters,
    operation_id="getStatistics",
    tag=TAG,
    scope=Scope.CHECKOUTS_READ,
    summary="Get statistics",
    description="A merchant's volume, payments, declines and times in one mode, for each hour, day, week or month, "
    "counted from the events in the background: `upTo` says up to when they are complete. Without a mode it is `test`.",
    responses={200: ResponseSpec(description="The intervals, oldest first.", schema=StatisticsResponse)},
    errors=[WrongMerchant, WrongMode, MerchantNotFound],
)
async def get_statistics(request: ApiRequest, parameters: StatisticsParameters) -> Response:
    """Return figures for each interval of a range."""
    tenant = request.tenant(parameters)
    await request.require_merchant(tenant.merchant_id)
    begin, end = _range_of(parameters, request.service.clock())
    zone = read_zone(parameters.time_zone)
    assert zone is not None, "the parameters were checked"
    bounds = split(begin, end, parameters.interval, zone)
    wanted = FiguresRange(tenant=tenant, bounds=bounds, currency=parameters.currency, provider=parameters.provider)
    found = await read_statistics(request.service.reader, wanted)
    return json_response(
        StatisticsResponse(
            tenant.merchant_id,
            tenant.mode,
            parameters.interval,
            parameters.time_zone,
            format_instant(bounds[0]),
            format_instant(bounds[-1]),
            format_instant(found.up_to),
            [figures_response(currency, found.total(currency)) for currency in found.currencies],
            intervals_response(found, bounds),
        )
    )


@get(
    "/statistics/current",
    CurrentStatisticsParameters,
    operation_id="getCurrentStatistics",
    tag=TAG,
    scope=Scope.CHECKOUTS_READ,
    summary="Get what needs attention now",
    description="Unknown outcomes, attempts that wait for a person, and the health of webhooks, of a merchant in one "
    "mode. Without a mode it is `test`.",
    responses={200: ResponseSpec(description="As it is now.", schema=CurrentStatisticsResponse)},
    errors=[WrongMerchant, WrongMode, MerchantNotFound],
)
async def get_current_statistics(request: ApiRequest, parameters: CurrentStatisticsParameters) -> Response:
    """Return what is so now."""
    tenant = request.tenant(parameters)
    await request.require_merchant(tenant.merchant_id)
    state = await request.service.reader.submit(load_current_states, tenant)
    return json_response(current_response(tenant.merchant_id, tenant.mode, state))


def _range_of(parameters: StatisticsParameters, now: Instant) -> tuple[Instant, Instant]:
    """Tell from when to when figures are asked for; raises InvalidRequest."""
    end = parse_instant(parameters.to) if parameters.to else now
    begin = parse_instant(parameters.from_) if parameters.from_ else end - RANGE_MS_DEFAULT[parameters.interval]
    longest = RANGE_MS_MAX[parameters.interval]
    for name, instant in (("from", begin), ("to", end)):
        if not INSTANT_MIN <= instant <= INSTANT_MAX:
            raise InvalidRequest([FieldError(name, "out_of_range", "This is before 1970 or too far in the future.")])
    if begin >= end:
        raise InvalidRequest([FieldError("from", "out_of_range", "This must be earlier than to.")])
    if end - begin > longest:
        detail = f"With interval={parameters.interval}, the range can have at most {longest // DAY_MS} days."
        raise InvalidRequest([FieldError("from", "out_of_range", detail)])
    return begin, end
