"""Searching for checkouts, on both databases: by what names them, by words, and by filters."""

from typing import Any
from unittest.mock import patch

import pytest

from paidonce import ids
from paidonce.clock import format_instant
from paidonce.merchants.model import Mode, Tenant
from paidonce.providers.evidence import Authorized
from paidonce.search import finding
from paidonce.statistics import actions
from paidonce.statistics.actions import CountLogs, count_logs, store_counts
from tests.isolation.routes import ACCOUNT
from tests.support.in_process_service import InProcessService, Json


async def search(inside: InProcessService, *, as_who: str | None = None, **parameters: object) -> Json:
    answer = await inside.get(
        "/checkouts/search", as_who=as_who, **{name: str(one) for name, one in parameters.items()}
    )
    assert answer.status_code == 200, answer.text
    found: Json = answer.json()
    return found


async def found(inside: InProcessService, **parameters: Any) -> list[str]:  # noqa: ANN401 - as ``search`` has them
    page = await search(inside, **parameters)
    assert page["hasMore"] == (page["searchedUpTo"] is not None)
    return [one["id"] for one in page["data"]]


async def indexed(inside: InProcessService, **fields: Any) -> str:  # noqa: ANN401 - fields of a body
    """Create a checkout, and write its terms."""
    checkout_id = await inside.checkout(**fields)
    await index(inside)
    return checkout_id


async def index(inside: InProcessService) -> None:
    """Write the terms of all checkouts, as the worker would."""
    await inside.service.rollup.catch_up()


def terms(inside: InProcessService) -> list[str]:
    """The terms of all checkouts of the merchant."""
    return [term for merchant_id, _, term, _ in inside.rows()["search_term"] if merchant_id == inside.merchant_id]


async def test_a_checkout_is_found_by_its_id_and_by_its_idempotency_key(inside: InProcessService) -> None:
    await inside.checkout()
    wanted = await inside.checkout(idempotencyKey="cart 7/a")
    assert await found(inside, query=wanted) == [wanted]
    assert await found(inside, query="cart 7/a") == [wanted]
    assert await found(inside, query="cart 7") == []


async def test_a_checkout_is_found_by_the_reference_that_a_provider_gave_its_payment_and_by_its_refund(
    inside: InProcessService,
) -> None:
    await inside.made("/provider-accounts", ACCOUNT)
    wanted = await inside.paid(idempotencyKey="paid")
    refund = await inside.made(f"/checkouts/{wanted}/refunds", {"amount": 100})
    attempt = (await inside.get(f"/checkouts/{wanted}")).json()["attempt"]
    assert await found(inside, query=attempt["providerReference"]) == [wanted]
    assert await found(inside, query=attempt["id"]) == [wanted]
    assert await found(inside, query=refund["id"]) == [wanted]


async def test_a_checkout_is_found_by_words_of_its_description_and_values_of_its_metadata(
    inside: InProcessService,
) -> None:
    shirt = await indexed(inside, description="Order 77: blue shirt", metadata={"email": "anna@example.com"})
    trousers = await indexed(inside, description="Order 78: blue trousers", metadata={"email": "ben@example.com"})
    assert await found(inside, query="blue") == [trousers, shirt]
    assert await found(inside, query="Blue 77") == [shirt]
    assert await found(inside, query="anna@example.com") == [shirt]
    assert await found(inside, query="blue anna@example.com trousers") == []
    assert await found(inside, query="blue", amount=1) == []


async def test_words_are_found_a_page_at_a_time_and_each_checkout_once(inside: InProcessService) -> None:
    made = [await inside.checkout(description=f"shirt {number}") for number in range(5)]
    named = await inside.checkout(idempotencyKey="shirt")
    await index(inside)
    pages: list[list[str]] = []
    after: dict[str, str] = {}
    while True:
        page = await search(inside, query="shirt", limit=2, **after)
        pages.append([one["id"] for one in page["data"]])
        if not page["hasMore"]:
            break
        after = {"startingAfter": page["searchedUpTo"]}
    assert pages == [[named, made[4]], [made[3], made[2]], [made[1], made[0]]]


@pytest.mark.parametrize(
    ("name", "value"),
    [("status", "CANCELED"), ("currency", "EUR"), ("amount", 77), ("provider", "simulator")],
)
async def test_a_filter_finds_what_fulfils_it(inside: InProcessService, name: str, value: object) -> None:
    await inside.checkout()
    wanted = await inside.checkout(amount=77, currency="EUR")
    await inside.made(f"/checkouts/{wanted}/pay")
    if name == "status":
        wanted = await inside.checkout()
        await inside.made(f"/checkouts/{wanted}/cancel")
    await inside.checkout()
    assert await found(inside, **{name: value}) == [wanted]


@pytest.mark.parametrize("apart_ms", [1000, 3_600_000])
async def test_a_time_of_creation_is_found_at_its_place_and_exactly(inside: InProcessService, apart_ms: int) -> None:
    first = await inside.checkout()
    began = inside.clock.now
    inside.clock.now = began + apart_ms
    later = ids.lowest_id(ids.CHECKOUT, inside.clock.now)
    with patch("paidonce.checkouts.http.ids.new_id", lambda _prefix: later):
        second = await inside.checkout()
    between = format_instant(began + apart_ms // 2)
    assert await found(inside, createdAfter=between) == [second]
    assert await found(inside, createdBefore=between) == [first]
    assert await found(inside, createdAfter=between, createdBefore=between) == []


async def test_a_filter_that_nothing_fulfils_examines_a_bounded_number_and_says_where_to_go_on(
    inside: InProcessService,
) -> None:
    wanted = await inside.checkout(amount=77)
    others = [await inside.checkout() for _ in range(5)]
    with patch.object(finding, "STEPS", (1, 2)):
        page = await search(inside, amount=77)
        assert page == {"data": [], "hasMore": True, "searchedUpTo": others[2]}
        page = await search(inside, amount=77, startingAfter=page["searchedUpTo"])
        assert ([one["id"] for one in page["data"]], page["searchedUpTo"]) == ([wanted], wanted)
        page = await search(inside, amount=77, startingAfter=wanted)
        assert page == {"data": [], "hasMore": False, "searchedUpTo": None}


async def test_what_is_named_waits_for_the_page_on_which_it_has_its_place(inside: InProcessService) -> None:
    named = await inside.checkout(idempotencyKey="shirt")
    others = [await inside.checkout(description="shirt") for _ in range(3)]
    await index(inside)
    with patch.object(finding, "STEPS", (1, 1)):
        page = await search(inside, query="shirt", limit=5)
        assert [one["id"] for one in page["data"]] == [others[2], others[1]]
        page = await search(inside, query="shirt", limit=5, startingAfter=page["searchedUpTo"])
    assert [one["id"] for one in page["data"]] == [others[0], named]


async def test_nothing_of_another_merchant_or_of_the_other_mode_is_found(inside: InProcessService) -> None:
    await inside.made("/provider-accounts", ACCOUNT)
    wanted = await inside.paid(idempotencyKey="mine", description="shirt", amount=77)
    await index(inside)
    attempt = (await inside.get(f"/checkouts/{wanted}")).json()["attempt"]
    other = inside.new_name("m")
    await inside.made("/merchants", {"id": other}, as_who=inside.operator_key)
    strangers = [await inside.api_key(other), await inside.api_key(inside.merchant_id, mode=Mode.LIVE)]
    for text in (wanted, "mine", "shirt", attempt["id"], attempt["providerReference"]):
        assert await found(inside, query=text) == [wanted]
        for stranger in strangers:
            assert await found(inside, query=text, as_who=stranger) == []
    for stranger in strangers:
        assert await found(inside, amount=77, as_who=stranger) == []


async def test_a_payment_with_the_simulator_is_found_by_its_reference(inside: InProcessService) -> None:
    await inside.checkout()
    wanted = await inside.checkout()
    paying = await inside.made(f"/checkouts/{wanted}/pay")
    reference = "ch_" + paying["attempt"]["id"].removeprefix("att_")
    await inside.prove(paying["attempt"]["id"], reference)
    await inside.checkout()
    assert await found(inside, query=reference) == [wanted]
    assert await found(inside, query=reference[:-1] + ("0" if reference[-1] != "0" else "1")) == []


async def test_a_capture_with_the_simulator_is_found_by_its_reference_and_by_that_of_the_authorization(
    inside: InProcessService,
) -> None:
    wanted = await inside.checkout(captureMethod="manual")
    paying = await inside.made(f"/checkouts/{wanted}/pay")
    authorized = "ch_" + paying["attempt"]["id"].removeprefix("att_")
    await inside.record(paying["attempt"]["id"], Authorized(authorized))
    capturing = await inside.made(f"/checkouts/{wanted}/capture")
    captured = "cg_" + capturing["attempt"]["id"].removeprefix("att_")
    await inside.prove(capturing["attempt"]["id"], captured)
    assert [await found(inside, query=one) for one in (authorized, captured)] == [[wanted], [wanted]]


async def test_an_operator_names_the_merchant_that_is_searched(inside: InProcessService) -> None:
    wanted = await inside.checkout()
    unnamed = await inside.get("/checkouts/search", as_who=inside.operator_key)
    assert unnamed.status_code in (400, 403)
    assert await found(inside, query=wanted) == [wanted]


async def test_terms_are_written_in_small_steps_however_many_checkouts_were_created(inside: InProcessService) -> None:
    made = [await inside.checkout(description=f"a blue shirt {number}") for number in range(4)]
    with patch.object(actions, "TERMS_MAX", 1):
        await index(inside)
    assert await found(inside, query="blue shirt") == made[::-1]
    assert len(terms(inside)) == 4 * 4


async def test_a_checkout_without_texts_has_no_terms(inside: InProcessService) -> None:
    await indexed(inside)
    assert terms(inside) == []


async def test_terms_are_written_once_although_two_processes_read_the_same_events(inside: InProcessService) -> None:
    await inside.checkout(description="blue")
    request = CountLogs([Tenant(inside.merchant_id, "test")], 100)
    [[first], [second]] = [await inside.service.reader.submit(count_logs, request) for _ in range(2)]
    assert [await inside.service.writer.submit(store_counts, one) for one in (first, second)] == [True, False]
    assert terms(inside) == ["blue"]
