"""What is read for statistics and for a merchant's state is found through an index, on both databases."""

from collections.abc import Iterator

import pytest
from sqlalchemy import insert

from paidonce.clock import HOUR_MS, system_clock
from paidonce.database.engine import Database, open_database
from paidonce.database.schema import webhook_endpoint
from paidonce.database_url import parse_database_url
from paidonce.merchants.model import Tenant
from paidonce.statistics.actions import FindUncounted, find_uncounted
from paidonce.statistics.current import load_current_states
from paidonce.statistics.reading import FiguresRange, load_complete_up_to, load_figures
from tests.support.plans import plans_of

pytestmark = pytest.mark.plain_postgresql(reason="a cluster has plans of its own")

TENANT = Tenant("m", "test")


@pytest.fixture
def database(migrated_database_url: str) -> Iterator[Database]:
    opened = open_database(parse_database_url(migrated_database_url), clock=system_clock)
    new = {"id": "we_1", "merchant_id": "m", "mode": "test", "url": "http://example.com", "secret": "v1.sealed"}
    with opened.write() as transaction:
        transaction.run(insert(webhook_endpoint).values(**new, version=1, created_at=1, updated_at=1))
    yield opened
    opened.close()


def test_a_merchants_state_is_read_through_indexes_of_the_merchant(database: Database) -> None:
    plans = plans_of(database, lambda transaction: load_current_states(transaction, [TENANT]))
    indexes = [
        "webhook_endpoint_by_merchant",
        "delivery_due",
        "attempt_awaiting_proof",
        "attempt_awaiting_proof",
    ]
    assert len(plans) == len(indexes)
    for plan, index in zip(plans, indexes, strict=True):
        assert index in plan
        assert "Seq Scan" not in plan
        # In the order of the index: nothing is read only to be sorted.
        assert "Sort" not in plan
        assert "TEMP B-TREE" not in plan


def test_figures_are_read_in_the_order_of_their_key_from_the_place_where_the_page_begins(database: Database) -> None:
    wanted = FiguresRange(tenant=TENANT, bounds=[0, HOUR_MS], currency="USD", provider="simulator")
    (plan,) = plans_of(database, lambda transaction: load_figures(transaction, [wanted]))
    assert "hourly_statistics_pkey" in plan or "SEARCH hourly_statistics USING PRIMARY KEY" in plan
    assert "(hour,currency,provider)>" in plan or "(ROW(hour, currency, provider) >" in plan
    assert "Sort" not in plan
    assert "TEMP B-TREE" not in plan


def test_up_to_when_figures_are_complete_is_read_through_the_numbers_of_events(database: Database) -> None:
    (plan,) = plans_of(database, lambda transaction: load_complete_up_to(transaction, [TENANT]))
    assert "event_sequence" in plan or "(merchant_id=? AND mode=? AND sequence>?)" in plan
    assert "Sort" not in plan
    assert "Seq Scan" not in plan


def test_a_page_of_merchants_is_read_in_the_order_of_their_ids(database: Database) -> None:
    (plan,) = plans_of(database, lambda transaction: find_uncounted(transaction, [FindUncounted("m", 500)]))
    assert "Seq Scan" not in plan
    assert "SCAN " not in plan
    assert "Sort" not in plan
