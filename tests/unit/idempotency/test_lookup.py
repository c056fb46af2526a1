"""What the call about an idempotency key tells, and to whom, on both databases."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import pytest

from paidonce.clock import format_instant
from paidonce.merchants.actions import create_merchants
from paidonce.merchants.model import OPERATOR, Mode
from tests.support.in_process_service import NOW, InProcessService, Json, open_in_process_service

RETENTION_MS: Final = 7 * 86_400_000


@pytest.fixture
async def inside(migrated_database_url: str, tmp_path: Path) -> AsyncIterator[InProcessService]:
    async with open_in_process_service(
        migrated_database_url, str(tmp_path), migrating=False, idempotency_days=7
    ) as opened:
        yield opened


async def test_each_call_that_took_effect_with_a_key_is_told_with_what_it_made(inside: InProcessService) -> None:
    checkout_id = await inside.checkout(idempotencyKey="purchase 1")
    paid = await inside.post(f"/checkouts/{checkout_id}/pay", key="purchase 1")
    found = await inside.get("/idempotency-keys/purchase%201")
    assert found.status_code == 200
    assert found.json() == {
        "key": "purchase 1",
        "merchantId": inside.merchant_id,
        "mode": "test",
        "data": [
            {
                "path": "/checkouts",
                "status": 201,
                "resource": f"/checkouts/{checkout_id}",
                "attemptId": None,
                "requestId": None,
                "createdAt": format_instant(NOW),
                "expiresAt": None,
            },
            {
                "path": f"/checkouts/{checkout_id}/pay",
                "status": 202,
                "resource": f"/checkouts/{checkout_id}",
                "attemptId": paid.json()["attempt"]["id"],
                "requestId": paid.headers["x-request-id"],
                "createdAt": format_instant(NOW),
                "expiresAt": format_instant(NOW + RETENTION_MS),
            },
        ],
    }


async def test_a_key_may_hold_slashes_which_are_sent_encoded(inside: InProcessService) -> None:
    await inside.checkout(idempotencyKey="shop/1/2?#%")
    found = await inside.get("/idempotency-keys/shop%2F1%2F2%3F%23%25")
    assert (found.status_code, found.json().get("key")) == (200, "shop/1/2?#%")


@pytest.mark.parametrize("path", ["unknown", "%C3%A9", "%00", "%FF", "k" * 256])
async def test_a_key_that_took_no_effect_and_one_that_cannot_exist_are_not_found(
    inside: InProcessService, path: str
) -> None:
    found = await inside.get(f"/idempotency-keys/{path}")
    assert (found.status_code, found.json()["code"]) == (404, "idempotency_key_not_found")


async def test_the_same_key_of_another_merchant_or_in_the_other_mode_is_another_key(inside: InProcessService) -> None:
    another = inside.new_name("m")
    await inside.service.writer.submit(create_merchants, another)
    checkout_id = await inside.checkout(idempotencyKey="k")
    await inside.post(f"/checkouts/{checkout_id}/pay", key="k")
    strangers = [await inside.api_key(another), await inside.api_key(inside.merchant_id, mode=Mode.LIVE)]
    assert [(await inside.get("/idempotency-keys/k", as_who=one)).status_code for one in strangers] == [404, 404]
    named = {"merchantId": inside.merchant_id, "as_who": inside.operator_key}
    of_modes = [await inside.get("/idempotency-keys/k", **named, mode=mode) for mode in ("test", "live")]
    assert [one.status_code for one in of_modes] == [200, 404]


async def test_an_operators_key_is_told_to_the_api_key_that_sent_it_and_to_no_other(inside: InProcessService) -> None:
    body: Json = {"merchantId": inside.merchant_id, "scopes": ["checkouts:read"]}
    made = await inside.post("/keys", body, key="k", as_who=inside.operator_key)
    assert made.status_code == 201
    found = (await inside.get("/idempotency-keys/k", as_who=inside.operator_key)).json()
    assert (found["merchantId"], found["mode"]) == (None, None)
    assert [(one["path"], one["status"], one["resource"]) for one in found["data"]] == [
        ("/keys", 201, f"/keys/{made.json()['id']}")
    ]
    assert made.json()["secret"] not in str(found)
    others = [inside.merchant_key, await inside.api_key(OPERATOR)]
    assert [(await inside.get("/idempotency-keys/k", as_who=one)).status_code for one in others] == [404, 404]


async def test_while_authentication_is_off_whoever_asks_for_a_key_names_its_merchant(
    migrated_sqlite_url: str, tmp_path: Path
) -> None:
    async with open_in_process_service(migrated_sqlite_url, str(tmp_path), migrating=False, auth="off") as opened:
        checkout_id = await opened.checkout(idempotencyKey="k", merchantId="m")
        refused = await opened.get("/idempotency-keys/k")
        found = await opened.get("/idempotency-keys/k", merchantId="m")
    assert (refused.status_code, [one["code"] for one in refused.json()["errors"]]) == (400, ["missing"])
    assert [one["resource"] for one in found.json()["data"]] == [f"/checkouts/{checkout_id}"]
