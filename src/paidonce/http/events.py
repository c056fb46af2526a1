"""The calls about events: by pages, as they happen, and one by one."""

import re
from functools import partial
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from paidonce.errors import FieldError, InvalidRequest
from paidonce.events.actions import list_events, load_events
from paidonce.events.store import EventFilter
from paidonce.http.answers import EventPage, event_answer
from paidonce.http.context import context_of
from paidonce.http.exchange import caller_of, merchant_of, refuse_parameters, scoped_id
from paidonce.http.key_lifetime import follow_while_key_lives
from paidonce.http.parameters_events import FollowEventsParameters, ListEventsParameters
from paidonce.http.rate_limits import count_stream
from paidonce.http.reading import read_parameters
from paidonce.http.responses import reply
from paidonce.http.streaming import EventStream, Pace, stream_head
from paidonce.service import Service

SEQUENCE: Final = re.compile(r"[0-9]{1,18}")


async def show_events(request: Request, service: Service) -> Response:
    """Show a page of events."""
    said = read_parameters(ListEventsParameters, request.query_params.multi_items())
    wanted = EventFilter(
        merchant_id=merchant_of(caller_of(request), said.merchant_id, where="merchantId"),
        limit=said.limit,
        after=said.after,
        types=_types(said.types),
        checkout_id=said.checkout_id,
    )
    page, has_more = await service.reader.submit(list_events, wanted)
    return reply(EventPage([event_answer(event) for event in page], has_more))


async def follow_events(request: Request, service: Service) -> ASGIApp:
    """Tell events as they happen, after those that happened since."""
    said = read_parameters(FollowEventsParameters, request.query_params.multi_items())
    merchant_id = merchant_of(caller_of(request), said.merchant_id, where="merchantId")
    position = _position(request.headers.get("last-event-id"), said.after)
    newest = await service.feed.newest(merchant_id)
    after = newest if position is None else position
    if after > newest:
        detail = f"No event has this number yet; the newest is {newest}."
        raise InvalidRequest([FieldError("after", "out_of_range", detail)])
    if request.method == "HEAD":
        return stream_head
    follow = partial(service.feed.follow, merchant_id, after=after, newest=newest)
    follow_on = partial(follow_while_key_lives, request, service, follow)
    return EventStream(follow_on, types=_types(said.types), pace=Pace(), visit=count_stream(context_of(request)))


async def get_event(request: Request, service: Service, event_id: str) -> Response:
    """Show an event."""
    refuse_parameters(request)
    found = await service.reader.submit(load_events, scoped_id(request, event_id))
    return reply(event_answer(found))


def _types(said: str | None) -> frozenset[str] | None:
    return frozenset(said.split(",")) if said else None


def _position(last_event_id: str | None, after: str) -> int | None:
    """Tell after which number to begin; None where only what is new is wanted. The header comes first: a browser that
    asks again repeats the address that it was given at first.
    """
    if not last_event_id:
        return None if after == "newest" else int(after)
    if not SEQUENCE.fullmatch(last_event_id.strip()):
        raise InvalidRequest([FieldError("Last-Event-ID", "wrong_format", "This takes the number of an event.")])
    return int(last_event_id)
