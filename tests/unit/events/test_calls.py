"""The call that lists events: which of them it takes by their types."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from paidonce.web import WebApp
from tests.support.in_process_service import InProcessService, open_in_process_service
from tests.support.in_process_transport import InProcessTransport


@pytest.fixture
async def inside(migrated_sqlite_url: str, tmp_path: Path) -> AsyncIterator[InProcessService]:
    async with open_in_process_service(migrated_sqlite_url, str(tmp_path), migrating=False) as opened:
        yield opened


@pytest.mark.parametrize(
    ("types", "expected"),
    [
        ({}, ["checkout.created", "checkout.canceled", "checkout.created"]),
        ({"types": "checkout.canceled"}, ["checkout.canceled"]),
        ({"types": "checkout.created,checkout.completed"}, ["checkout.created"] * 2),
        ({"types": "checkout.canceled,checkout.created", "after": "1"}, ["checkout.canceled", "checkout.created"]),
        ({"types": "checkout.completed"}, []),
    ],
)
async def test_events_are_listed_by_all_the_types_that_are_named_and_of_every_type_where_none_is(
    inside: InProcessService, types: dict[str, str], expected: list[str]
) -> None:
    canceled = await inside.checkout()
    await inside.made(f"/checkouts/{canceled}/cancel")
    await inside.checkout()
    listed = (await inside.get("/events", **types)).json()
    assert [one["type"] for one in listed["data"]] == expected


async def test_events_of_one_checkout_are_listed_and_one_is_shown_as_in_the_list(inside: InProcessService) -> None:
    await inside.checkout()
    paid = await inside.paid()
    listed = (await inside.get("/events", checkoutId=paid)).json()["data"]
    assert [(one["type"], one["checkoutId"], one["attemptKind"]) for one in listed] == [
        ("checkout.created", paid, None),
        ("checkout.processing", paid, "CHARGE"),
        ("checkout.completed", paid, "CHARGE"),
    ]
    for one in listed:
        assert (await inside.get(f"/events/{one['id']}")).json() == one


async def test_a_stream_is_never_stored_and_only_a_head_asks_for_nothing_but_its_headers(
    inside: InProcessService,
) -> None:
    headers = {"Authorization": f"Bearer {inside.merchant_key}"}
    got = await inside.http.get("/events/stream", headers=headers)
    asked = await inside.http.head("/events/stream", headers=headers)
    for answer in (got, asked):
        assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
        assert answer.headers["content-type"].startswith("text/event-stream")
    assert (got.text.startswith("retry: "), asked.text) == (True, "")


async def test_a_stream_sends_events_of_the_types_that_are_named_from_where_it_is_asked_to_begin(
    inside: InProcessService,
) -> None:
    for _ in range(2):
        await inside.made(f"/checkouts/{await inside.checkout()}/cancel")
    transport = InProcessTransport(WebApp(inside.service), stream_messages=2)
    async with httpx.AsyncClient(transport=transport, base_url="http://paidonce") as http:
        headers = {"Authorization": f"Bearer {inside.merchant_key}"}
        stream = await http.get("/events/stream", params={"types": "checkout.canceled", "after": "2"}, headers=headers)
    sent = [line for line in stream.text.splitlines() if line.startswith(("id:", "event:"))]
    assert sent == ["id: 2", "id: 4", "event: checkout.canceled"]


@pytest.mark.parametrize("more", [{}, {"types": "checkout.completed"}])
@pytest.mark.parametrize("path", ["/events", "/events/stream"])
async def test_whoever_has_read_further_than_the_log_goes_is_told_so(
    inside: InProcessService, path: str, more: dict[str, str]
) -> None:
    await inside.checkout()
    headers = {"Authorization": f"Bearer {inside.merchant_key}"}
    refused = await inside.http.get(path, params={"after": "2", **more}, headers=headers)
    assert (refused.status_code, refused.json()["code"]) == (400, "invalid_request")
    wrong = {"pointer": "after", "code": "out_of_range", "detail": "No event has this number yet; the newest is 1."}
    assert refused.json()["errors"] == [wrong]
    if path == "/events":
        newest = await inside.http.get(path, params={"after": "1", **more}, headers=headers)
        assert (newest.status_code, newest.json()["data"]) == (200, [])


async def test_a_last_event_id_that_is_no_number_is_refused_by_its_name(inside: InProcessService) -> None:
    headers = {"Authorization": f"Bearer {inside.merchant_key}", "Last-Event-ID": "x"}
    refused = await inside.http.get("/events/stream", headers=headers)
    assert (refused.status_code, refused.json()["code"]) == (400, "invalid_request")
    assert [(one["pointer"], one["code"]) for one in refused.json()["errors"]] == [("Last-Event-ID", "wrong_format")]
