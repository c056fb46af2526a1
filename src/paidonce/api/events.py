"""The calls about events: by pages, as they happen, and one by one."""

import re
from functools import partial
from typing import Final

from litestar import Controller, get
from litestar.params import FromPath

from paidonce.api import operations_events as operations
from paidonce.api.answers import EventPage, event_answer
from paidonce.api.exchange import AnyRequest, Injected, caller_of, merchant_of, refuse_parameters
from paidonce.api.operations import described
from paidonce.api.parameters_events import FollowEventsParameters, ListEventsParameters
from paidonce.api.reading import read_parameters
from paidonce.api.reply import Reply, reply
from paidonce.api.streaming import EventStream, Pace
from paidonce.errors import EventNotFound, FieldError, InvalidRequest
from paidonce.events.actions import find_events, list_events
from paidonce.events.store import EventFilter

SEQUENCE: Final = re.compile(r"[0-9]{1,18}")


class EventController(Controller):
    """What a client learns from the log."""

    path = "/events"

    @get(opt=described(operations.LIST_EVENTS))
    async def list_events(self, request: AnyRequest, service: Injected) -> Reply:
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

    @get("/stream", opt=described(operations.FOLLOW_EVENTS))
    async def follow_events(self, request: AnyRequest, service: Injected) -> EventStream:
        """Tell events as they happen, after those that happened since."""
        said = read_parameters(FollowEventsParameters, request.query_params.multi_items())
        merchant_id = merchant_of(caller_of(request), said.merchant_id, where="merchantId")
        position = _position(request.headers.get("last-event-id"), said.after)
        newest = await service.feed.newest(merchant_id)
        after = newest if position is None else position
        if after > newest:
            detail = f"No event has this number yet; the newest is {newest}."
            raise InvalidRequest([FieldError("after", "out_of_range", detail)])
        follow = partial(service.feed.follow, merchant_id, after=after, newest=newest)
        return EventStream(follow, types=_types(said.types), pace=Pace())

    @get("/{event_id:str}", opt=described(operations.GET_EVENT))
    async def get_event(self, request: AnyRequest, service: Injected, event_id: FromPath[str]) -> Reply:
        """Show an event."""
        refuse_parameters(request)
        found = await service.reader.submit(find_events, event_id)
        assert not isinstance(found, Exception)  # The batcher raises those.
        if caller_of(request).merchant_id not in (None, found.merchant_id):
            raise EventNotFound
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
