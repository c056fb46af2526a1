"""The event log of a merchant: a table, newest first, which is live where the script runs, and one event."""

import asyncio
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Annotated, Final

import msgspec
from msgspec import Meta
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from paidonce.dashboard import cookies
from paidonce.dashboard.declarations import page
from paidonce.dashboard.request import DashboardRequest
from paidonce.errors import PaidonceError
from paidonce.events.actions import list_events, load_events, load_log_bounds
from paidonce.events.feed import Follower
from paidonce.events.model import Event
from paidonce.events.schemas import SEQUENCE_MAX, event_response
from paidonce.events.store import EventFilter
from paidonce.events.streaming import EventStream, Pace
from paidonce.http.context import context_of
from paidonce.http.fields import Fields
from paidonce.http.rate_limits import count_page_stream, count_stream
from paidonce.users.model import Role
from paidonce.users.sessions import load_people

SEQUENCE: Final = re.compile(r"[0-9]{1,18}")
PAGE_LENGTH: Final = 50
SESSION_CHECK_SECONDS: Final = 5.0  # A stream lasts no longer than this after its session.


class EventsParameters(Fields, frozen=True, kw_only=True):
    """Which events to show: those below a number; without one the newest."""

    before: Annotated[int, Meta(ge=1, le=SEQUENCE_MAX)] | None = None


@page("/m/{merchant_id}/{mode}/events", role=Role.VIEWER)
async def events(request: DashboardRequest) -> Response:
    """Show a page of events, newest first. Numbers have no gaps, so that a page is a range of them."""
    reader = request.service.reader
    log = await reader.submit(load_log_bounds, request.tenant)
    before = request.parameters(EventsParameters).before
    last = log.newest if before is None else min(before - 1, log.newest)
    first = max(log.first, last - PAGE_LENGTH + 1)
    wanted = EventFilter(tenant=request.tenant, limit=max(1, last - first + 1), after=first - 1)
    found = (await reader.submit(list_events, wanted)).events if last >= log.first else []
    path = f"{request.tenant_path}/events"
    values = {
        "events": [event_response(one) for one in reversed(found)],
        "older": f"{path}?before={first}" if first > log.first else "",
        "newer": f"{path}?before={last + PAGE_LENGTH + 1}" if last < log.newest else "",
        "live": f"{path}/stream?after={last}" if last == log.newest else "",
        "first_sequence": log.first,
    }
    return request.page("events.html", values, title="Events")


@page("/m/{merchant_id}/{mode}/events/stream", role=Role.VIEWER)
async def event_stream(request: DashboardRequest) -> Response:
    """Send events as they happen, as the API does, until the session ends."""
    feed = request.service.feed
    log = await feed.bounds_to_follow(request.tenant)
    given = request.http.headers.get("last-event-id") or request.http.query_params.get("after", "")
    # A page that is older than the log goes on where the log begins.
    after = min(max(int(given), log.first - 1), log.newest) if SEQUENCE.fullmatch(given) else log.newest
    follow = partial(feed.follow, request.tenant, after=after, newest=log.newest)
    context = context_of(request.http)
    count_page_stream(context)
    return _Streaming(
        EventStream(
            partial(_follow_while_logged_in, request, follow), types=None, pace=Pace(), rate_limit=count_stream(context)
        )
    )


@page("/m/{merchant_id}/{mode}/events/{event_id}", role=Role.VIEWER)
async def event(request: DashboardRequest) -> Response:
    """Show an event with its detail."""
    found = await request.service.reader.submit(load_events, request.caller.scoped_id(request.path_values["event_id"]))
    values = {"event": event_response(found), "detail": _detail(found)}
    return request.page("event.html", values, title=found.type)


def _detail(found: Event) -> dict[str, object]:
    return {} if found.detail is None else msgspec.json.decode(found.detail, type=dict[str, object])


@contextmanager
def _follow_while_logged_in(
    request: DashboardRequest, follow: Callable[[], AbstractContextManager[Follower]]
) -> Iterator[Follower]:
    """Follow until the session ends, or its person may not see the merchant any more."""
    with follow() as follower:
        watching = asyncio.create_task(_end_with_session(request, follower))
        try:
            yield follower
        finally:
            watching.cancel()


async def _end_with_session(request: DashboardRequest, follower: Follower) -> None:
    token = cookies.read_cookie(request.http, cookies.SESSION)
    while not follower.ended:
        await asyncio.sleep(SESSION_CHECK_SECONDS)
        try:
            person = await request.service.reader.submit(load_people, token)
        except PaidonceError:
            follower.end()  # The browser connects again, and is asked who it is.
            return
        if person is None or not person.may_see(request.tenant.merchant_id):
            follower.end()


class _Streaming(Response):
    """A response without an end, as the handler of a page returns it."""

    def __init__(self, stream: EventStream) -> None:
        super().__init__()
        self._stream = stream

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        await self._stream(scope, receive, send)
