"""Responses that wait for the outcome of a payment, as ``Prefer: wait=N`` asks for it, on both databases."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import httpx
import pytest

from paidonce.merchants.actions import create_merchants
from tests.support.in_process_service import InProcessService, open_in_process_service

SECONDS_MAX: Final = 90.0


@pytest.fixture
async def inside(migrated_database_url: str, tmp_path: Path) -> AsyncIterator[InProcessService]:
    async with open_in_process_service(
        migrated_database_url, str(tmp_path), migrating=False, waits_per_key=1
    ) as opened:
        yield opened


async def waiting_for(inside: InProcessService, checkout_id: str, *, key: str = "") -> httpx.Response:
    headers = {"Authorization": f"Bearer {key or inside.merchant_key}", "Prefer": "wait=30"}
    async with asyncio.timeout(SECONDS_MAX):
        return await inside.http.get(f"/checkouts/{checkout_id}", headers=headers)


async def test_a_response_waits_for_the_outcome_unless_too_many_of_its_key_wait_and_says_whether_it_did(
    inside: InProcessService,
) -> None:
    checkout = await inside.paying()
    # One of two is one too many for this key: its response shows that the other one waits.
    both = [asyncio.create_task(waiting_for(inside, checkout["id"])) for _ in range(2)]
    (refused,), (waiting,) = await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
    assert (refused.result().json()["status"], refused.result().headers.get("preference-applied")) == (
        "PROCESSING",
        None,
    )
    await inside.prove(checkout["attempt"]["id"])
    inside.service.settlement_waiters.notify(checkout["id"])
    response = await waiting
    assert (response.json()["status"], response.headers["preference-applied"]) == ("COMPLETED", "wait=30")


async def test_a_response_that_is_not_asked_to_wait_says_nothing_of_waiting(inside: InProcessService) -> None:
    checkout = await inside.paying()
    response = await inside.get(f"/checkouts/{checkout['id']}")
    assert (response.json()["status"], response.headers.get("preference-applied")) == ("PROCESSING", None)
    await inside.prove(checkout["attempt"]["id"])


async def test_a_checkout_that_no_outcome_is_awaited_of_is_shown_at_once(inside: InProcessService) -> None:
    for checkout_id, status in ((await inside.checkout(), "PENDING"), (await inside.paid(), "COMPLETED")):
        response = await waiting_for(inside, checkout_id)
        assert (response.json()["status"], response.headers["preference-applied"]) == (status, "wait=30")


async def test_a_checkout_that_no_outcome_is_awaited_of_is_shown_also_where_too_many_wait(
    inside: InProcessService,
) -> None:
    checkout = await inside.paying()
    both = [asyncio.create_task(waiting_for(inside, checkout["id"])) for _ in range(2)]
    _, (waiting,) = await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
    response = await waiting_for(inside, await inside.checkout())
    assert (response.json()["status"], response.headers["preference-applied"]) == ("PENDING", "wait=30")
    await inside.prove(checkout["attempt"]["id"])
    inside.service.settlement_waiters.notify(checkout["id"])
    await waiting


async def test_nobody_waits_for_a_checkout_of_another_merchant(inside: InProcessService) -> None:
    checkout = await inside.paying()
    another = inside.new_name("m")
    await inside.service.writer.submit(create_merchants, another)
    response = await waiting_for(inside, checkout["id"], key=await inside.api_key(another))
    assert (response.status_code, response.json()["code"]) == (404, "checkout_not_found")
