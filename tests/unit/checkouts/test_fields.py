"""Which values the fields of a new checkout, and the parameters of the list of checkouts, may have."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import pytest

from tests.support.in_process_service import InProcessService, Json, open_in_process_service

URL: Final = "https://shop.example/"


@pytest.fixture
async def inside(migrated_sqlite_url: str, tmp_path: Path) -> AsyncIterator[InProcessService]:
    async with open_in_process_service(migrated_sqlite_url, str(tmp_path), migrating=False) as opened:
        yield opened


def body(inside: InProcessService, **changed: object) -> Json:
    return {"amount": 1000, "currency": "USD", "idempotencyKey": inside.new_name("k"), **changed}


@pytest.mark.parametrize(
    ("field", "accepted", "refused"),
    [
        ("amount", [1, 999_999_999_999], [0, -1, 1_000_000_000_000, 1.5, "1"]),
        ("currency", ["EUR", "JPY"], ["eur", "XXX", "EURO", ""]),
        ("idempotencyKey", ["k" * 255, " a key "], ["k" * 256, "", "k\n", "ключ"]),
        ("expiresIn", [300, 2_592_000], [299, 2_592_001]),
        ("captureMethod", ["automatic", "manual"], ["later"]),
        ("description", ["Two books"], ["", "a\0b"]),
        ("metadata", [{"k" * 40: "v" * 500}, {"name": ""}], [{"k" * 41: ""}, {"": ""}, {"name": "v" * 501}]),
        ("metadata", [{str(key): "" for key in range(50)}], [{str(key): "" for key in range(51)}]),
        ("metadata", [], [{"a\0b": ""}, {"name": "a\0b"}, {"name": 1}]),
        ("successUrl", ["http://shop.example", URL.ljust(2048, "a")], [URL.ljust(2049, "a"), "ftp://shop.example"]),
        ("cancelUrl", [f"{URL}?a=b#c"], ["https://", f"{URL} ", "https://shop.example:99999/", "javascript:alert(1)"]),
    ],
)
async def test_a_field_is_accepted_up_to_its_limits_and_no_further(
    inside: InProcessService, field: str, accepted: list[Any], refused: list[Any]
) -> None:
    for value in accepted:
        answer = await inside.post("/checkouts", body(inside, **{field: value}))
        assert answer.status_code == 201, (value, answer.text)
    for value in refused:
        answer = await inside.post("/checkouts", body(inside, **{field: value}))
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request"), value
        (fault,) = answer.json()["errors"]
        assert fault["pointer"].split("/")[1] == field


async def test_a_checkout_without_an_idempotency_key_is_refused(inside: InProcessService) -> None:
    answer = await inside.post("/checkouts", {"amount": 1000, "currency": "USD"})
    assert answer.status_code == 400
    assert [one["pointer"] for one in answer.json()["errors"]] == ["/idempotencyKey"]


async def test_a_key_in_the_header_takes_the_place_of_the_field_also_where_another_field_is_missing(
    inside: InProcessService,
) -> None:
    authorized = {"Authorization": f"Bearer {inside.merchant_key}", "Idempotency-Key": "order-1"}
    missing = await inside.http.post("/checkouts", json={"currency": "USD"}, headers=authorized)
    assert [one["pointer"] for one in missing.json()["errors"]] == ["/amount"]
    made = await inside.http.post("/checkouts", json={"amount": 1000, "currency": "USD"}, headers=authorized)
    assert (made.status_code, made.json()["idempotencyKey"]) == (201, "order-1")


@pytest.mark.parametrize("bound", ["createdAfter", "createdBefore"])
async def test_a_bound_of_a_list_that_is_no_instant_is_refused_by_its_name(
    inside: InProcessService, bound: str
) -> None:
    for value in ("2026-02-30T00:00:00Z", "2026-01-01T00:00:00"):
        refused = await inside.get("/checkouts", **{bound: value})
        assert (refused.status_code, refused.json()["code"]) == (400, "invalid_request"), value
        assert [one["pointer"] for one in refused.json()["errors"]] == [bound]


async def test_a_list_has_ten_checkouts_where_no_limit_is_named_and_those_of_a_range_of_time(
    inside: InProcessService,
) -> None:
    made = []
    for _ in range(11):
        made.append(await inside.checkout())
        inside.clock.now += 1000
    listed = (await inside.get("/checkouts")).json()
    assert ([one["id"] for one in listed["data"]], listed["hasMore"]) == (made[:0:-1], True)
    early, late = "2001-01-01T00:00:00Z", "2100-01-01T00:00:00Z"
    for bounds, count in (
        ({"createdAfter": early, "createdBefore": late}, 10),
        ({"createdBefore": early}, 0),
        ({"createdAfter": late}, 0),
    ):
        assert len((await inside.get("/checkouts", **bounds)).json()["data"]) == count
