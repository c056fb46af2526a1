"""The pages of the event log, and the stream that keeps them live."""

import asyncio
import re

import pytest
from sqlalchemy import delete, update
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from paidonce.dashboard import events
from paidonce.database.schema import dashboard_session, dashboard_user
from paidonce.web import WebApp
from tests.support.dashboard_client import DashboardClient, base, logged_in, text_of
from tests.support.in_process_service import NOW, InProcessService


async def test_events_are_shown_newest_first_by_pages_without_a_gap(
    inside: InProcessService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "PAGE_LENGTH", 3)
    for _ in range(7):
        await inside.checkout()
    viewer = await logged_in(inside)
    seen: list[int] = []
    parameters: dict[str, str] = {}
    for _ in range(3):
        page = await viewer.get(f"{base(inside)}/events", **parameters)
        seen += [int(one) for one in re.findall(r'<th scope="row" class="number">(\d+)</th>', page.text)]
        older = re.search(r'before=(\d+)" rel="next"', page.text)
        parameters = {"before": older[1]} if older else {}
    assert parameters == {}
    assert seen == [7, 6, 5, 4, 3, 2, 1]


async def test_only_the_newest_page_is_live(inside: InProcessService) -> None:
    await inside.checkout()
    viewer = await logged_in(inside)
    assert "data-live" in (await viewer.get(f"{base(inside)}/events")).text
    assert "data-live" not in (await viewer.get(f"{base(inside)}/events", before="1")).text


async def test_a_page_of_a_log_without_events_says_so(inside: InProcessService) -> None:
    assert "Nothing has happened yet." in text_of(await (await logged_in(inside)).get(f"{base(inside)}/events"))


async def test_an_event_shows_its_detail(inside: InProcessService) -> None:
    checkout_id = await inside.paid()
    found = (await inside.get("/events", checkoutId=checkout_id)).json()["data"][-1]
    shown = text_of(await (await logged_in(inside)).get(f"{base(inside)}/events/{found['id']}"))
    assert "providerReference ch_1" in shown
    assert checkout_id in shown


class Stream:
    """The event stream of a page, as a browser receives it."""

    def __init__(self, inside: InProcessService, person: DashboardClient) -> None:
        self.received = b""
        self._has_changed = asyncio.Event()
        cookies = "; ".join(f"{name}={value}" for name, value in person.cookies.items())
        path = f"{base(inside)}/events/stream"
        scope: Scope = {
            "type": "http",
            "http_version": "1.1",
            "method": "GET",
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"after=0",
            "headers": [(b"host", b"paidonce"), (b"cookie", cookies.encode())],
            "client": ("192.0.2.1", 1),
        }
        requests: list[Message] = [{"type": "http.request", "body": b"", "more_body": False}]

        async def receive() -> Message:
            if requests:
                return requests.pop()
            await asyncio.Event().wait()
            raise AssertionError

        async def send(message: Message) -> None:
            self.received += message.get("body", b"")
            self._has_changed.set()

        self._task = asyncio.create_task(self._run(WebApp(inside.service), scope, receive, send))

    async def _run(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        await app(scope, receive, send)

    async def until(self, wanted: bytes) -> None:
        async with asyncio.timeout(60):
            while wanted not in self.received:
                self._has_changed.clear()
                await self._has_changed.wait()

    async def ended(self) -> None:
        async with asyncio.timeout(60):
            await self._task


async def test_a_stream_tells_what_happens_and_ends_with_the_session(
    inside: InProcessService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "SESSION_CHECK_SECONDS", 0.01)
    viewer = await logged_in(inside)
    checkout_id = await inside.checkout()
    stream = Stream(inside, viewer)
    await stream.until(checkout_id.encode())
    another = await inside.checkout()
    await stream.until(another.encode())
    with inside.service.database.write() as transaction:
        transaction.run(delete(dashboard_session))
    await stream.ended()


async def test_a_stream_ends_when_its_person_is_disabled(
    inside: InProcessService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "SESSION_CHECK_SECONDS", 0.01)
    viewer = await logged_in(inside)
    stream = Stream(inside, viewer)
    await stream.until(b"retry:")
    with inside.service.database.write() as transaction:
        transaction.run(update(dashboard_user).where(dashboard_user.c.id == viewer.user.id).values(disabled_at=NOW))
    await stream.ended()
