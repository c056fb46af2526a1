"""An operator's calls about merchants and their API keys, on both databases."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import update
from structlog.testing import capture_logs

from paidonce import ids
from paidonce.clock import format_instant
from paidonce.database.schema import idempotency_key
from paidonce.merchants.actions import create_merchants
from paidonce.merchants.model import MERCHANT_SCOPES, OPERATOR
from tests.support.in_process_service import NOW, InProcessService, Json, open_in_process_service


@pytest.fixture
async def inside(migrated_database_url: str, tmp_path: Path) -> AsyncIterator[InProcessService]:
    async with open_in_process_service(migrated_database_url, str(tmp_path), migrating=False) as opened:
        yield opened


async def keys(inside: InProcessService, **parameters: str) -> Json:
    page: Json = (await inside.get("/keys", as_who=inside.operator_key, **parameters)).json()
    return page


async def test_a_key_that_is_made_is_valid_at_once_and_shown_later_without_its_secret(inside: InProcessService) -> None:
    body: Json = {"merchantId": inside.merchant_id, "mode": "live", "scopes": ["events:read", "checkouts:read"]}
    made = await inside.post("/keys", body, as_who=inside.operator_key)
    assert (made.status_code, made.headers["cache-control"]) == (201, "no-store")
    secret = made.json()["secret"]
    expected = {
        "id": made.json()["id"],
        "merchantId": inside.merchant_id,
        "mode": "live",
        "scopes": ["checkouts:read", "events:read"],
        "shown": f"{secret[:12]}…",
        "status": "ACTIVE",
        "createdAt": format_instant(NOW),
        "expiresAt": None,
        "revokedAt": None,
        "replacedBy": None,
    }
    assert made.json() == {**expected, "secret": secret}
    assert (await inside.get("/checkouts", as_who=secret)).status_code == 200
    assert (await keys(inside, merchantId=inside.merchant_id))["data"][0] == expected


async def test_a_key_without_named_scopes_has_all_that_a_merchant_may_have(inside: InProcessService) -> None:
    made = await inside.made("/keys", {"merchantId": inside.merchant_id}, as_who=inside.operator_key)
    assert (made["mode"], set(made["scopes"])) == ("test", {scope.value for scope in MERCHANT_SCOPES})


async def test_keys_are_listed_newest_first_by_pages_and_those_of_operators_never(inside: InProcessService) -> None:
    another = inside.new_name("m")
    await inside.service.writer.submit(create_merchants, another)
    made = [(await inside.issued(one)).key.id for one in (inside.merchant_id, another, inside.merchant_id)]
    operators = (await inside.issued(OPERATOR)).key.id
    listed: list[str] = []
    position: dict[str, str] = {}
    while True:
        page = await keys(inside, limit="2", **position)
        assert len(page["data"]) <= 2
        listed += [one["id"] for one in page["data"]]
        if not page["hasMore"]:
            break
        position = {"startingAfter": listed[-1]}
    assert listed == sorted(listed, reverse=True)
    assert set(made) < set(listed)
    assert operators not in listed
    of_another = await keys(inside, merchantId=another)
    assert ([one["id"] for one in of_another["data"]], of_another["hasMore"]) == ([made[1]], False)


async def test_a_merchants_key_may_neither_list_nor_make_keys(inside: InProcessService) -> None:
    answers = [await inside.get("/keys"), await inside.post("/keys", {"merchantId": inside.merchant_id})]
    assert [(one.status_code, one.json()["code"]) for one in answers] == [(403, "insufficient_scope")] * 2


async def test_a_key_that_is_revoked_or_replaced_says_when_it_ends_and_what_follows_it(
    inside: InProcessService,
) -> None:
    revoked, replaced = [(await inside.issued(inside.merchant_id)).key.id for _ in range(2)]
    ended = await inside.made(f"/keys/{revoked}/revoke", as_who=inside.operator_key)
    assert (ended["id"], ended["status"], ended["revokedAt"]) == (revoked, "REVOKED", format_instant(NOW))
    new = await inside.made(f"/keys/{replaced}/rotate", {"overlapSeconds": 60}, as_who=inside.operator_key)
    found = {one["id"]: one for one in (await keys(inside, merchantId=inside.merchant_id))["data"]}
    assert found[replaced]["replacedBy"] == new["id"]
    assert (found[replaced]["status"], found[replaced]["expiresAt"]) == ("ACTIVE", format_instant(NOW + 60_000))
    inside.clock.now += 60_000
    after = {one["id"]: one["status"] for one in (await keys(inside, merchantId=inside.merchant_id))["data"]}
    assert (after[replaced], after[new["id"]]) == ("EXPIRED", "ACTIVE")


async def test_a_key_that_is_replaced_again_with_the_same_idempotency_key_is_shown_as_the_first_time(
    inside: InProcessService,
) -> None:
    former = (await inside.issued(inside.merchant_id)).key.id
    with capture_logs() as logs:
        first, again = [
            await inside.post(f"/keys/{former}/rotate", {"overlapSeconds": 60}, key="k", as_who=inside.operator_key)
            for _ in range(2)
        ]
    assert (first.status_code, first.json()) == (again.status_code, again.json()) == (201, first.json())
    assert first.json()["id"].startswith(f"{ids.KEY}_")
    assert (await inside.get("/checkouts", as_who=first.json()["secret"])).status_code == 200
    told = [(one["event"], one.get("key_id"), one.get("merchant_id")) for one in logs]
    assert told.count(("key_rotated", first.json()["id"], inside.merchant_id)) == 1


async def test_an_operators_key_can_neither_be_replaced_nor_revoked_by_a_call(inside: InProcessService) -> None:
    operators = await inside.issued(OPERATOR)
    for call in ("rotate", "revoke"):
        refused = await inside.post(f"/keys/{operators.key.id}/{call}", as_who=inside.operator_key)
        assert (refused.status_code, refused.json()["code"]) == (404, "key_not_found")


async def test_a_key_that_does_not_exist_can_neither_be_replaced_nor_revoked(inside: InProcessService) -> None:
    for call in ("rotate", "revoke"):
        refused = await inside.post(f"/keys/{ids.new_id(ids.KEY)}/{call}", as_who=inside.operator_key)
        assert (refused.status_code, refused.json()["code"]) == (404, "key_not_found")


async def test_a_key_whose_secret_could_not_be_kept_is_shown_again_with_when_it_was_shown(
    inside: InProcessService,
) -> None:
    body = {"merchantId": inside.merchant_id}
    first = (await inside.post("/keys", body, key="k", as_who=inside.operator_key)).json()
    with inside.service.database.write() as transaction:
        transaction.run(update(idempotency_key).values(secret=None))
    again = (await inside.post("/keys", body, key="k", as_who=inside.operator_key)).json()
    assert again == {**{name: first[name] for name in first if name != "secret"}, "secretShownAt": format_instant(NOW)}


async def test_a_merchant_that_is_made_again_with_its_key_is_answered_and_told_as_the_first_time(
    inside: InProcessService,
) -> None:
    for replayed in (None, "true"):
        made = await inside.post("/merchants", {"id": "SHOP"}, key="make a shop", as_who=inside.operator_key)
        assert (made.status_code, made.headers.get("idempotent-replayed")) == (201, replayed)
        assert made.json() == {"id": "SHOP", "createdAt": format_instant(NOW)}
    (use,) = (await inside.get("/idempotency-keys/make%20a%20shop", as_who=inside.operator_key)).json()["data"]
    assert (use["status"], use["resource"]) == (201, "/merchants/SHOP")
    page = (await inside.get("/merchants", as_who=inside.operator_key, limit="1")).json()
    assert [one["id"] for one in page["data"]] == ["SHOP"]  # Capital letters come first.


async def test_merchants_are_made_once_and_listed_in_order_of_their_ids(inside: InProcessService) -> None:
    first = await inside.post("/merchants", {"id": "shop_b"}, as_who=inside.operator_key)
    again = await inside.post("/merchants", {"id": "shop_b"}, as_who=inside.operator_key)
    await inside.made("/merchants", {"id": "shop_a"}, as_who=inside.operator_key)
    assert first.json() == again.json() == {"id": "shop_b", "createdAt": format_instant(NOW)}
    assert (first.status_code, again.status_code) == (201, 201)
    assert [one.headers.get("idempotent-replayed") for one in (first, again)] == [None, "true"]
    page = (await inside.get("/merchants", as_who=inside.operator_key, prefix="shop_")).json()
    assert ([one["id"] for one in page["data"]], page["hasMore"]) == (["shop_a", "shop_b"], False)
    rest = (await inside.get("/merchants", as_who=inside.operator_key, prefix="shop_", startingAfter="shop_a")).json()
    assert [one["id"] for one in rest["data"]] == ["shop_b"]
