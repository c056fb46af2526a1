"""A secret that is shown once is shown again to who repeats the call with its key, and to nobody else."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final, NamedTuple

import httpx
import pytest
from sqlalchemy import select

from paidonce.clock import format_instant
from paidonce.database.schema import idempotency_key
from paidonce.encryption import write_key
from paidonce.idempotency.actions import delete_expired_keys
from paidonce.merchants.model import OPERATOR
from tests.support.in_process_service import (
    ENDPOINT,
    NOW,
    Clock,
    InProcessService,
    Json,
    open_in_process_service,
)

DAY_MS: Final = 86_400_000
OTHER_KEY: Final = write_key(bytes(range(32)))


class Call(NamedTuple):
    path: str
    body: Json
    as_who: str


async def create_endpoint(inside: InProcessService) -> Call:
    return Call("/webhook-endpoints", ENDPOINT, inside.merchant_key)


async def rotate_secret(inside: InProcessService) -> Call:
    made = await inside.made("/webhook-endpoints", ENDPOINT)
    return Call(f"/webhook-endpoints/{made['id']}/rotate-secret", {}, inside.merchant_key)


async def create_key(inside: InProcessService) -> Call:
    return Call("/keys", {"merchantId": inside.merchant_id}, inside.operator_key)


async def rotate_key(inside: InProcessService) -> Call:
    issued = await inside.issued(inside.merchant_id)
    return Call(f"/keys/{issued.key.id}/rotate", {}, inside.operator_key)


SHOWING: Final = [create_endpoint, rotate_secret, create_key, rotate_key]
Prepare = Callable[[InProcessService], Awaitable[Call]]


async def told_twice(inside: InProcessService, call: Call) -> list[httpx.Response]:
    return [await inside.post(call.path, call.body, key="k", as_who=call.as_who) for _ in range(2)]


@pytest.mark.parametrize("prepare", SHOWING)
async def test_a_secret_is_shown_again_under_its_key_and_is_nowhere_in_the_database_in_clear(
    inside: InProcessService, prepare: Prepare
) -> None:
    call = await prepare(inside)
    first, again = await told_twice(inside, call)
    secret = first.json()["secret"]
    assert again.json()["secret"] == secret
    stored = str(inside.rows())
    drawn = secret.removeprefix("whsec_").removeprefix("sk_test_")[:30]
    assert drawn not in stored
    assert "secretShownAt" not in again.text


@pytest.mark.parametrize("prepare", SHOWING)
async def test_a_call_without_a_key_keeps_no_secret(inside: InProcessService, prepare: Prepare) -> None:
    call = await prepare(inside)
    before = inside.rows()["idempotency_key"]
    first, again = [await inside.post(call.path, call.body, as_who=call.as_who) for _ in range(2)]
    assert inside.rows()["idempotency_key"] == before
    assert "Idempotent-Replayed" not in again.headers
    assert first.json()["secret"] != again.json().get("secret")


async def test_a_secret_is_kept_as_long_as_its_key_and_no_longer(inside: InProcessService) -> None:
    call = await create_key(inside)
    first, _ = await told_twice(inside, call)
    inside.clock.now += 30 * DAY_MS - 1
    until_the_end = await inside.post(call.path, call.body, key="k", as_who=call.as_who)
    inside.clock.now += 1
    after = await inside.post(call.path, call.body, key="k", as_who=call.as_who)
    inside.clock.now += 30 * DAY_MS
    await inside.service.writer.submit(delete_expired_keys, 1000)
    assert until_the_end.json()["secret"] == first.json()["secret"]
    assert after.json()["secret"] != first.json()["secret"]
    assert inside.rows()["idempotency_key"] == []


async def test_two_operators_with_one_key_read_none_of_each_others_answers(inside: InProcessService) -> None:
    call = await create_key(inside)
    another = await inside.api_key(OPERATOR)
    first = await inside.post(call.path, call.body, key="k", as_who=call.as_who)
    others = await inside.post(call.path, call.body, key="k", as_who=another)
    assert (others.status_code, "Idempotent-Replayed" in others.headers) == (201, False)
    assert others.json()["id"] != first.json()["id"]
    assert others.json()["secret"] != first.json()["secret"]


async def test_an_operator_and_a_merchant_with_one_key_read_none_of_each_others_answers(
    inside: InProcessService,
) -> None:
    operators = await told_twice(inside, await create_key(inside))
    merchants = await told_twice(inside, await create_endpoint(inside))
    asked = [await inside.get("/idempotency-keys/k", as_who=one) for one in (inside.operator_key, inside.merchant_key)]
    assert [one.status_code for one in (*operators, *merchants)] == [201] * 4
    assert [one["path"] for answer in asked for one in answer.json()["data"]] == ["/keys", "/webhook-endpoints"]
    assert [answer.json()["merchantId"] for answer in asked] == [None, inside.merchant_id]


async def test_a_secret_that_an_operator_was_shown_is_not_shown_to_the_merchant_who_repeats_the_call(
    inside: InProcessService,
) -> None:
    body = {**ENDPOINT, "merchantId": inside.merchant_id}
    first = await inside.post("/webhook-endpoints", body, key="k", as_who=inside.operator_key)
    by_merchant = await inside.post("/webhook-endpoints", body, key="k")
    by_another_operator = await inside.post("/webhook-endpoints", body, key="k", as_who=await inside.api_key(OPERATOR))
    again = await inside.post("/webhook-endpoints", body, key="k", as_who=inside.operator_key)
    assert {one.json()["id"] for one in (by_merchant, by_another_operator, again)} == {first.json()["id"]}
    for one in (by_merchant, by_another_operator):
        assert "secret" not in one.json()
        assert one.json()["secretShownAt"] == format_instant(inside.clock.now)
    assert again.json()["secret"] == first.json()["secret"]


async def test_no_merchant_can_have_the_id_under_which_an_operators_idempotency_keys_are_kept(
    inside: InProcessService,
) -> None:
    await told_twice(inside, await create_key(inside))
    with inside.service.database.read() as transaction:
        spaces = {
            row.merchant_id
            for row in transaction.rows(select(idempotency_key.c.merchant_id).where(idempotency_key.c.path == "/keys"))
        }
    for space in spaces:
        refused = await inside.post("/merchants", {"id": space}, as_who=inside.operator_key)
        asked = await inside.get("/idempotency-keys/k", as_who=inside.operator_key, merchantId=space)
        assert (refused.status_code, asked.status_code) == (400, 400)
    assert spaces


async def test_what_became_of_an_operators_key_is_told_without_the_secret(inside: InProcessService) -> None:
    first, _ = await told_twice(inside, await create_key(inside))
    found = await inside.get("/idempotency-keys/k", as_who=inside.operator_key)
    missing = await inside.get("/idempotency-keys/another", as_who=inside.operator_key)
    of_merchant = await inside.get("/idempotency-keys/k", as_who=inside.operator_key, merchantId=inside.merchant_id)
    (use,) = found.json()["data"]
    assert (use["path"], use["status"], use["resource"]) == ("/keys", 201, f"/keys/{first.json()['id']}")
    assert "secret" not in found.text
    assert [(one.status_code, one.json()["code"]) for one in (missing, of_merchant)] == [
        (404, "idempotency_key_not_found")
    ] * 2


async def test_without_an_encryption_key_the_second_answer_says_when_the_secret_was_shown(
    database_url: str, tmp_path: Path
) -> None:
    async with open_in_process_service(database_url, str(tmp_path)):
        pass  # It migrates the database; a service that may migrate it would make an encryption key, too.
    async with open_in_process_service(database_url, str(tmp_path), migrating=False, encryption_keys="") as inside:
        first, again = await told_twice(inside, await create_key(inside))
        assert inside.rows()["idempotency_key"][0][-2:] == (None, None)
    assert [one.status_code for one in (first, again)] == [201, 201]
    assert again.json()["id"] == first.json()["id"]
    assert "secret" not in again.json()
    assert again.json()["secretShownAt"] == format_instant(NOW)
    assert "secretShownAt" not in first.json()


async def test_where_the_encryption_key_is_gone_the_second_answer_says_when_the_secret_was_shown(
    database_url: str, tmp_path: Path
) -> None:
    clock = Clock()
    async with open_in_process_service(database_url, str(tmp_path), clock=clock) as inside:
        operator_key = inside.operator_key
        call = Call("/keys", {"merchantId": inside.merchant_id}, operator_key)
        first = await inside.post(call.path, call.body, key="k", as_who=operator_key)
    async with open_in_process_service(database_url, str(tmp_path), clock=clock, encryption_keys=OTHER_KEY) as inside:
        again = await inside.post(call.path, call.body, key="k", as_who=operator_key)
    assert (again.status_code, again.json()["id"]) == (201, first.json()["id"])
    assert (again.json().get("secret"), again.json()["secretShownAt"]) == (None, format_instant(NOW))
