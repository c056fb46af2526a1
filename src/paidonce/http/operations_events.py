"""What the calls about events say of themselves in the OpenAPI document."""

from typing import Final

from paidonce.errors import EventNotFound, WrongMerchant
from paidonce.http.answers import EventAnswer, EventPage
from paidonce.http.bodies import NoParameters
from paidonce.http.openapi import Answer, Operation
from paidonce.http.parameters_events import FollowEventsParameters, ListEventsParameters
from paidonce.merchants.model import Scope

LIST_EVENTS: Final = Operation(
    id="listEvents",
    tag="Events",
    scope=Scope.EVENTS_READ,
    summary="List events",
    description="A merchant's events in the order in which they happened, by pages: pass the last `sequence` as "
    "`after` for the next. Numbers have no gaps, and none appears behind one that you have seen.",
    parameters=ListEventsParameters,
    answers={200: Answer(description="A page, oldest first.", kind=EventPage)},
    errors=[WrongMerchant],
)

FOLLOW_EVENTS: Final = Operation(
    id="followEvents",
    tag="Events",
    scope=Scope.EVENTS_READ,
    summary="Follow events",
    description="Server-Sent Events without an end: `id` is the event's `sequence`, `event` its type, `data` the event "
    "as in the list. Ask again with `Last-Event-ID`, as browsers do by themselves, and none is missed or told twice.",
    parameters=FollowEventsParameters,
    headers=["Last-Event-ID"],
    answers={200: Answer(description="What happened since, and then what happens.", media_type="text/event-stream")},
    errors=[WrongMerchant],
)

GET_EVENT: Final = Operation(
    id="getEvent",
    tag="Events",
    scope=Scope.EVENTS_READ,
    summary="Get an event",
    parameters=NoParameters,
    answers={200: Answer(description="As it was written; none is ever changed.", kind=EventAnswer)},
    errors=[EventNotFound],
)
