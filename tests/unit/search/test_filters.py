"""Filters beside each other and beside a text, and the pages of what they find."""

from unittest.mock import patch

from paidonce.search import finding
from tests.support.in_process_service import InProcessService
from tests.unit.search.test_search import found, index, search


async def test_what_a_text_names_must_fulfil_the_filters_too(inside: InProcessService) -> None:
    wanted = await inside.checkout(idempotencyKey="cart", amount=77)
    for text in (wanted, "cart"):
        assert await found(inside, query=text, amount=77, status="PENDING") == [wanted]
        assert await found(inside, query=text, amount=78) == []
        assert await found(inside, query=text, status="CANCELED") == []


async def test_what_words_find_must_fulfil_the_filters_too(inside: InProcessService) -> None:
    wanted = await inside.checkout(description="blue shirt", amount=77)
    other = await inside.checkout(description="blue shirt", amount=78)
    await index(inside)
    assert await found(inside, query="blue shirt") == [other, wanted]
    assert await found(inside, query="blue shirt", amount=77) == [wanted]


async def test_a_checkout_must_fulfil_every_filter(inside: InProcessService) -> None:
    wanted = await inside.checkout(amount=77, currency="EUR")
    await inside.checkout(amount=77, currency="USD")
    await inside.checkout(amount=78, currency="EUR")
    assert await found(inside, amount=77, currency="EUR", status="PENDING") == [wanted]


async def test_filters_find_a_page_at_a_time_and_each_checkout_once(inside: InProcessService) -> None:
    made = [await inside.checkout(amount=77) for _ in range(4)][::-1]
    await inside.checkout(amount=78)
    first = await search(inside, amount=77, limit=2)
    assert [one["id"] for one in first["data"]] == made[:2]
    assert (first["hasMore"], first["searchedUpTo"]) == (True, made[1])
    second = await search(inside, amount=77, limit=2, startingAfter=made[1])
    assert [one["id"] for one in second["data"]] == made[2:]
    assert second["hasMore"] is False
    assert await found(inside, amount=77, limit=4) == made


async def test_of_several_words_the_one_that_fewest_checkouts_have_is_looked_up(inside: InProcessService) -> None:
    wanted = await inside.checkout(description="blue shirt rare")
    for _ in range(30):
        await inside.checkout(description="blue shirt")
    await index(inside)
    with patch.object(finding, "STEPS", (1,)):
        for text in ("blue shirt rare", "rare blue shirt"):
            assert [one["id"] for one in (await search(inside, query=text))["data"]] == [wanted]
