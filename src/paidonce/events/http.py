"""The calls about events: by pages, as they happen, and one by one."""

import re
from functools import partial
from typing import Final

from starlette.responses import Response
from starlette.types import ASGIApp

from paidonce.errors import EventNotFound, EventsDeleted, FieldError, InvalidRequest, WrongMerchant, WrongMode
from paidonce.events.actions import list_events, load_events, position_too_high
from paidonce.events.schemas import (
    EventPage,
    EventResponse,
    FollowEventsParameters,
    ListEventsParameters,
    event_response,
)
from paidonce.events.store import EventFilter
from paidonce.events.streaming import EventStream, Pace, respond_to_head
from paidonce.http.key_expiry import follow_while_key_is_valid
from paidonce.http.operation import ResponseSpec, get
from paidonce.http.rate_limits import count_stream
from paidonce.http.request import ApiRequest
from paidonce.http.responses import json_response
from paidonce.merchants.model import Scope

TAG: Final = "Events"
SEQUENCE: Final = re.compile(r"[0-9]{1,18}")


@get(
    "/events",
    ListEventsParameters,
    operation_id="listEvents",
    tag=TAG,
    scope=Scope.EVENTS_READ,
    summary="List events",
    description="A merchant's events in one mode, in the order in which they happened, by pages: pass the last "
    "`sequence` as `after` for the next. Numbers have no gaps, and no event appears later before one that you have "
    "seen. Without a mode it is `test`. Old events may be deleted: the log begins with `firstSequence`, and so does "
    "a page after 0. A position before it is a 410, and one after the newest event a 400.",
    responses={200: ResponseSpec(description="A page, oldest first.", schema=EventPage)},
    errors=[WrongMerchant, WrongMode, EventsDeleted],
)
async def get_events(request: ApiRequest, parameters: ListEventsParameters) -> Response:
    """Return a page of events."""
    wanted = EventFilter(
        tenant=request.tenant(parameters),
        limit=parameters.limit,
        after=parameters.after,
        types=_types(parameters.types),
        checkout_id=parameters.checkout_id,
    )
    page = await request.service.reader.submit(list_events, wanted)
    shown = [event_response(event) for event in page.events]
    return json_response(EventPage(shown, page.has_more, page.first_sequence))


@get(
    "/events/stream",
    FollowEventsParameters,
    operation_id="followEvents",
    tag=TAG,
    scope=Scope.EVENTS_READ,
    summary="Stream events",
    description="Server-Sent Events without an end: `id` is the event's `sequence`, `event` its type, `data` the event "
    "as in the list. Reconnect with `Last-Event-ID`, as browsers do by themselves, and no event is lost or repeated. A "
    "position whose next event is deleted is a 410; 0 is always where the log begins.",
    headers=["Last-Event-ID"],
    responses={
        200: ResponseSpec(description="Past events, and then new ones as they happen.", media_type="text/event-stream")
    },
    errors=[WrongMerchant, WrongMode, EventsDeleted],
)
async def stream_events(request: ApiRequest, parameters: FollowEventsParameters) -> ASGIApp:
    """Send events as they happen, after those that happened since."""
    feed = request.service.feed
    tenant = request.tenant(parameters)
    position = _position(request.http.headers.get("last-event-id"), parameters.after)
    log = await feed.bounds_to_follow(tenant)
    after = log.newest if position is None else position or log.first - 1
    if after > log.newest:
        raise position_too_high(log.newest)
    if after < log.first - 1:
        raise EventsDeleted(log.first)
    if request.http.method == "HEAD":
        return respond_to_head
    follow = partial(feed.follow, tenant, after=after, newest=log.newest)
    follow_on = partial(follow_while_key_is_valid, request, follow)
    return EventStream(follow_on, types=_types(parameters.types), pace=Pace(), rate_limit=count_stream(request.context))


@get(
    "/events/{event_id}",
    operation_id="getEvent",
    tag=TAG,
    scope=Scope.EVENTS_READ,
    summary="Get an event",
    responses={200: ResponseSpec(description="As it was written; events never change.", schema=EventResponse)},
    errors=[EventNotFound],
)
async def get_event(request: ApiRequest) -> Response:
    """Return an event."""
    found = await request.service.reader.submit(load_events, request.resource)
    return json_response(event_response(found))


def _types(types: str | None) -> frozenset[str] | None:
    return frozenset(types.split(",")) if types else None


def _position(last_event_id: str | None, after: str) -> int | None:
    """Tell after which number to begin; None where only new events are wanted.

    The header comes first: a browser that reconnects repeats the address that it was given at first.
    """
    if not last_event_id:
        return None if after == "newest" else int(after)
    if not SEQUENCE.fullmatch(last_event_id.strip()):
        raise InvalidRequest([FieldError("Last-Event-ID", "wrong_format", "This takes the number of an event.")])
    return int(last_event_id)
