"""The call that lists events: which of them it takes by their types."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.in_process_service import InProcessService, open_in_process_service


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
