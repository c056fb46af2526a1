"""The SQL statements for webhooks of providers, on both databases."""

import pytest

from paidonce.provider_webhooks.model import GIVEN_UP_RESULTS, ProviderWebhook, WebhookResult
from paidonce.provider_webhooks.store import insert_webhooks, read_newest
from tests.unit.provider_webhooks.conftest import Shop


def webhook(name: str, received_at: int, *, due: bool = False, result: str | None = None) -> ProviderWebhook:
    applied_at = received_at + 1 if result == "CHANGED" else None
    due_at = received_at + 1000 if due else None
    return ProviderWebhook("stripe", name, None, None, None, "{}", received_at, 1, due_at, applied_at, result)


@pytest.fixture
def full(shop: Shop) -> Shop:
    """Have webhooks that wait, that were given up for every reason, and that were applied, two of each."""
    given_up = [
        webhook(f"{result} {number}", 10 * number + place, result=result)
        for number in (1, 2)
        for place, result in enumerate(GIVEN_UP_RESULTS)
    ]
    waiting = [webhook(f"due {number}", 10 * number + 5, due=True) for number in (1, 2)]
    applied = [webhook(f"applied {number}", 10 * number + 6, result=WebhookResult.CHANGED) for number in (1, 2)]
    with shop.database.write() as transaction:
        insert_webhooks(transaction, [*given_up, *waiting, *applied])
    return shop


@pytest.mark.parametrize(
    ("limit", "applied_too", "received_at"),
    [
        (99, False, [25, 23, 22, 21, 20, 15, 13, 12, 11, 10]),
        (99, True, [26, 25, 23, 22, 21, 20, 16, 15, 13, 12, 11, 10]),
        (1, False, [25]),
        (1, True, [26]),
        (3, True, [26, 25, 23]),
    ],
)
def test_webhooks_are_listed_newest_first_with_those_that_were_applied_only_where_they_are_asked_for(
    full: Shop, limit: int, received_at: list[int], *, applied_too: bool
) -> None:
    with full.database.read() as transaction:
        found = read_newest(transaction, limit=limit, applied_too=applied_too)
    assert [one.received_at for one in found] == received_at
