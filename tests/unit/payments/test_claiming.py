"""Claiming: a worker gets no more than it has places for, on both databases and whatever plan the database makes."""

from collections.abc import Iterator
from typing import Any, Final

import pytest
from sqlalchemy import text

from paidonce.checkouts.actions import create_checkouts
from paidonce.checkouts.model import NewCheckout, ProviderRoute
from paidonce.clock import system_clock
from paidonce.database.engine import Database, open_database
from paidonce.database_url import parse_database_url
from paidonce.events.store import write_events
from paidonce.merchants.model import TenantScopedId
from paidonce.payments.claiming import ClaimAttempts, claim_attempts
from paidonce.payments.pay import StartPayment, start_payments
from tests.support.databases import make_schema

DUE: Final = 40
PLACES: Final = 3
SIMULATOR: Final = ProviderRoute("simulator")
# What the planner may do is its own business: with each of these off it takes another way.
PLANS: Final = (
    (),
    ("enable_hashagg", "enable_sort", "enable_hashjoin", "enable_mergejoin", "enable_material"),
    ("enable_nestloop",),
    ("enable_hashjoin", "enable_indexscan", "enable_bitmapscan"),
)

KEPT_OFF: Final = ("enable_seqscan", "enable_hashjoin", "enable_mergejoin")  # By us, for every statement.


@pytest.fixture
def database(migrated_database_url: str) -> Iterator[Database]:
    database = open_database(parse_database_url(migrated_database_url), clock=system_clock, before_commit=write_events)
    make_schema(database)
    yield database
    database.close()


def have_due(database: Database, due: int = DUE, *, route: ProviderRoute = SIMULATOR, prefix: str = "") -> None:
    names = [f"{prefix}{number:02}" for number in range(due)]
    with database.write() as transaction:
        money: Any = {"amount": 1000, "currency": "USD"}
        wishes = [NewCheckout(id=f"chk_{n}", merchant_id="m", idempotency_key=n, **money) for n in names]
        create_checkouts(transaction, wishes)
        pays = [
            StartPayment(
                attempt_id=f"att_{n}", checkout=TenantScopedId(f"chk_{n}", "m"), payment_method="tok", route=route
            )
            for n in names
        ]
        start_payments(transaction, pays)


@pytest.mark.parametrize("off", PLANS, ids=lambda off: "-".join(off) or "any")
def test_a_claim_takes_as_many_as_there_are_places_whatever_the_plan(database: Database, off: tuple[str, ...]) -> None:
    have_due(database)
    claimed: set[str] = set()
    for _ in range(2):
        with database.write() as transaction:
            for way in KEPT_OFF if database.url.dialect == "postgresql" else ():
                transaction.connection.execute(text(f"SET LOCAL {way} = on"))
            for way in off if database.url.dialect == "postgresql" else ():
                transaction.connection.execute(text(f"SET LOCAL {way} = off"))
            [attempts] = claim_attempts(transaction, [ClaimAttempts("simulator", PLACES, 30_000)])
        assert len(attempts) == PLACES
        assert claimed.isdisjoint(one.id for one in attempts)
        claimed |= {one.id for one in attempts}


def test_a_claim_is_restricted_to_one_account_or_to_all_but_some(database: Database) -> None:
    accounts = (None, "pac_a", "pac_b", "pac_c")
    for account_id in accounts:
        have_due(database, due=2, route=ProviderRoute("fake", account_id), prefix=account_id or "none")
    have_due(database, due=2, route=ProviderRoute("other", "pac_b"), prefix="other")

    def claimed(limit: int = DUE, except_for: tuple[str, ...] = (), only: str | None = None) -> list[str]:
        request = ClaimAttempts("fake", limit, 30_000, except_for=except_for, only=only)
        with database.write() as transaction:
            [attempts] = claim_attempts(transaction, [request])
        return sorted(one.account_id or "" for one in attempts)

    assert claimed(only="pac_b", limit=1) == ["pac_b"]
    assert claimed(except_for=("pac_a", "pac_b")) == ["", "", "pac_c", "pac_c"]
    assert claimed(only="pac_c") == []
    assert claimed(except_for=("pac_b",)) == ["pac_a", "pac_a"]
    assert claimed() == ["pac_b"]


def test_the_attempts_of_a_provider_without_accounts_can_be_left_out_too(database: Database) -> None:
    have_due(database, due=2)
    for restriction, number in ((("",), 0), (("pac_a",), 2)):
        with database.write() as transaction:
            request = ClaimAttempts("simulator", DUE, 30_000, except_for=restriction)
            [attempts] = claim_attempts(transaction, [request])
        assert len(attempts) == number
