"""Which shards statements run on. A statement over one merchant's rows is one task on one shard."""

import importlib
import pkgutil
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from typing import Any, Final
from unittest.mock import patch

import pytest
from sqlalchemy import Connection, event, text
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg

import paidonce
from paidonce.checkouts.actions import create_checkouts, load_checkouts, load_timelines
from paidonce.checkouts.model import Checkout, NewCheckout, ProviderRoute
from paidonce.clock import system_clock
from paidonce.database import statement
from paidonce.database.citus.pruning import is_of_each, prune
from paidonce.database.due import InsertsDue, MakesDue
from paidonce.database.engine import Database, open_database
from paidonce.database.locks import unless_locked
from paidonce.database.postgresql_engine import CITUS_TRANSACTION_LIMITS, PLANNER_SETTINGS
from paidonce.database.sets import RowsInsert
from paidonce.database.statement import CITUS, Statement, execute_on_driver
from paidonce.database.transaction import Transaction
from paidonce.database_url import parse_database_url
from paidonce.events.actions import EventsAfter, list_events, load_events_after
from paidonce.events.model import Cause
from paidonce.events.store import EventFilter, ReadPosition
from paidonce.idempotency.model import Claim, ScopedKey, StoredResponse
from paidonce.idempotency.store import claim_keys, read_records, store_responses
from paidonce.merchants.model import Tenant, TenantScopedId
from paidonce.payments.claiming import ClaimAttempts, claim_attempts
from paidonce.payments.pay import StartPayment, start_payments
from paidonce.payments.schedule import LookupSchedule
from paidonce.payments.settle import RecordEvidence, record_evidence
from paidonce.providers.evidence import Succeeded
from paidonce.webhook_endpoints import delivery_store, due_delivery_store
from paidonce.webhook_endpoints.actions import CreateEndpoint, create_endpoints
from paidonce.webhook_endpoints.outbox import write_events_and_deliveries
from tests.support.citus import require_cluster
from tests.support.databases import fresh_database

# Statements over given rows that may be any merchant's, or of tables that are whole on one node.
OF_ANY_MERCHANT: Final = {
    "events.store": {"_LOCK_STARTS"},
    "merchants.store": {"_INSERT_MERCHANTS", "_INSERT_KEYS", "_KEYS_BY_HASH", "_KEYS_BY_ID"},
    "payments.dispute_store": {"_INSERT"},
    "payments.claim_store": {"_DUE_EXCEPT", "_DUE_UNSENT"},
    "payments.store": {"_BY_ID"},
    "profiles.store": {"_WRITE"},
    "provider_accounts.store": {"_INSERT"},
    "provider_webhooks.store": {"_INSERT"},
    "retention.store": {"_INSERT_LOG"},
    "users.audit_store": {"_FINISH_ENTRIES", "_INSERT_ENTRIES"},
    "users.store": {"_INSERT_SESSIONS", "_INSERT_USERS", "_PEOPLE_BY_TOKEN"},
    "webhook_endpoints.redelivery_store": {"_AMONG"},
    "webhook_endpoints.store": {"_INSERT"},
}


def test_every_statement_over_given_rows_names_their_merchants_or_is_known_to_concern_any() -> None:
    found: dict[str, set[str]] = {}
    for module in pkgutil.walk_packages(paidonce.__path__, "paidonce."):
        if module.name.endswith("store") or module.name.startswith("paidonce.webhook_endpoints."):
            for name, value in vars(importlib.import_module(module.name)).items():
                inner = value.statement if isinstance(value, MakesDue | InsertsDue) else value
                made = inner.of_known if isinstance(inner, RowsInsert) else inner
                if isinstance(made, Statement) and not _is_pruned(made):
                    found.setdefault(module.name.removeprefix("paidonce."), set()).add(name)
    assert found == OF_ANY_MERCHANT


def _is_pruned(one: Statement) -> bool:
    compiled: Any = prune(one.make(CITUS)).compile(dialect=PGDialect_psycopg())  # type: ignore[no-untyped-call]
    has_rows = "jsonb_array_elements" in compiled.string
    is_of_one = re.search(r"merchant_id = %\(\w+\)s", compiled.string) is not None
    return not has_rows or is_of_one or any(map(is_of_each, compiled.binds))


@pytest.fixture
def database() -> Iterator[Database]:
    """Yield a distributed database, as a process of the service opens it."""
    with (
        fresh_database(require_cluster()[0]) as url,
        closing(
            open_database(parse_database_url(url), clock=system_clock, before_commit=write_events_and_deliveries)
        ) as database,
    ):
        yield database


def merchants_of_two_shards(database: Database) -> tuple[str, str]:
    with database.reads.connect() as connection:
        shard_of = {
            merchant_id: connection.execute(
                text("SELECT get_shard_id_for_distribution_column('merchant', CAST(:id AS text))"), {"id": merchant_id}
            ).scalar_one()
            for merchant_id in (f"m{number}" for number in range(20))
        }
    first, *others = shard_of
    return first, next(one for one in others if shard_of[one] != shard_of[first])


def tasks_of(database: Database, work: Callable[[Transaction], object]) -> dict[str, int]:
    """Run work in a transaction; returns in how many tasks each of its statements runs."""
    executed: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, sql: str, values: Any, *_rest: Any) -> None:  # noqa: ANN401 - SQLAlchemy's
        executed.append((sql, values))

    def run_and_note(connection: Connection, sql: str, values: Any = ()) -> Any:  # noqa: ANN401 - as it is
        executed.append((sql, values))
        return execute_on_driver(connection, sql, values)

    event.listen(database.writes, "before_cursor_execute", note)
    with patch.object(statement, "execute_on_driver", run_and_note), database.write() as transaction:
        work(transaction)
    event.remove(database.writes, "before_cursor_execute", note)
    with database.reads.connect() as connection:
        return {
            sql: _tasks(str(execute_on_driver(connection, f"EXPLAIN {sql}", values).fetchall()))
            for sql, values in executed
            if sql.startswith(("SELECT", "INSERT", "UPDATE", "DELETE", "WITH"))
        }


def _tasks(plan: str) -> int:
    through_coordinator = re.search("pull to coordinator|repartition|Distributed Subplan", plan)
    return 1000 if through_coordinator else sum(map(int, re.findall(r"Task Count: (\d+)", plan)))


def create(transaction: Transaction, merchants: Sequence[str], key: str) -> list[TenantScopedId]:
    money: Any = {"amount": 1000, "currency": "USD"}
    commands = [NewCheckout(id=f"chk_{key}_{one}", merchant_id=one, idempotency_key=key, **money) for one in merchants]
    create_checkouts(transaction, commands)
    return [TenantScopedId(one.id, one.merchant_id, one.mode) for one in commands]


def sell(transaction: Transaction, merchants: Sequence[str]) -> None:
    """Create checkouts, pay them, settle them and read them; each with an idempotency key."""
    keys = [ScopedKey(one, "test", "pay") for one in merchants]
    claims = [
        Claim(id=f"clm_{one.merchant_id}", name=one, path="/", fields={}, request_id="r", retention_ms=1000)
        for one in keys
    ]
    claim_keys(transaction, claims)
    names = create(transaction, merchants, "sold")
    start_payments(
        transaction,
        [
            StartPayment(
                attempt_id=f"att_{one.merchant_id}",
                checkout=one,
                payment_method="tok",
                route=ProviderRoute("simulator"),
                lease_ms=60_000,
            )
            for one in names
        ],
    )
    store_responses(transaction, [(one, StoredResponse(status=202, resource="/checkouts/1")) for one in keys])
    read_records(transaction, keys)
    create(transaction, merchants, "sold")  # Again: a replay.
    load_checkouts(transaction, names)
    for one in names:
        load_timelines(transaction, [one])
        list_events(transaction, [EventFilter(tenant=Tenant(one.merchant_id or "", "test"), limit=10)])
    load_events_after(transaction, [EventsAfter([ReadPosition(one, "test", 0) for one in merchants], 10)])


def settle(transaction: Transaction, attempts: Sequence[Any]) -> None:
    evidence = [
        RecordEvidence(
            attempt_id=one.id,
            evidence=Succeeded("ch_1"),
            cause=Cause.PROVIDER_ANSWER,
            schedule=LookupSchedule(),
            chance=0.5,
            fence=one.fence,
            attempt=one,
        )
        for one in attempts
    ]
    assert all(one.transition for one in record_evidence(transaction, evidence))


def deliver(transaction: Transaction, endpoints: Sequence[tuple[str, str]]) -> None:
    shares = [due_delivery_store.Share(endpoint_id, merchant_id, 8) for merchant_id, endpoint_id in endpoints]
    claimed = due_delivery_store.claim_due(transaction, shares, lease_until=transaction.now + 60_000)
    assert claimed
    assert len(delivery_store.read_messages(transaction, claimed)) == len(claimed)
    first = claimed[0]
    mark = delivery_store.DeliveryMark(
        id=first.id,
        merchant_id=first.merchant_id,
        fence=first.fence,
        status="DELIVERED",
        due_at=None,
        failures=0,
        delivered_at=transaction.now,
    )
    assert delivery_store.mark_deliveries(transaction, [mark]) == {first.id}


@pytest.mark.parametrize("count", [1, 2])
def test_what_is_done_for_merchants_is_as_many_tasks_as_they_have_shards(database: Database, count: int) -> None:
    merchants = merchants_of_two_shards(database)[:count]
    with database.write() as transaction:
        create(transaction, merchants, "first")  # From here on the merchants exist.
        endpoints = create_endpoints(
            transaction,
            [
                CreateEndpoint(
                    id=f"we_{one}",
                    merchant_id=one,
                    url="https://x.test/",
                    event_types=None,
                    description=None,
                    secret="v1.x",
                )
                for one in merchants
            ],
        )
        assert all(endpoints)
    executed = tasks_of(database, lambda transaction: sell(transaction, merchants))
    with database.write() as transaction:
        assert claim_attempts(transaction, [ClaimAttempts("simulator", 8, 60_000)]) == [[]]  # They are leased.
    with database.read() as transaction:
        checkouts = load_checkouts(transaction, [TenantScopedId(f"chk_sold_{one}", one) for one in merchants])
        assert all(isinstance(one, Checkout) for one in checkouts)
    executed |= tasks_of(database, lambda transaction: deliver(transaction, [(one, f"we_{one}") for one in merchants]))
    assert len(executed) > 15
    assert [(tasks, sql) for sql, tasks in executed.items() if tasks > count] == []


def test_a_claim_asks_all_shards_once_and_changes_rows_where_they_are(database: Database) -> None:
    merchants = merchants_of_two_shards(database)
    claimed: list[Any] = []
    with database.write() as transaction:
        names = create(transaction, merchants, "due")
        start_payments(
            transaction,
            [
                StartPayment(
                    attempt_id=f"att_{one.merchant_id}",
                    checkout=one,
                    payment_method="tok",
                    route=ProviderRoute("simulator"),
                )
                for one in names
            ],
        )
    executed = tasks_of(
        database,
        lambda transaction: claimed.extend(claim_attempts(transaction, [ClaimAttempts("simulator", 8, 60_000)])[0]),
    )
    assert len(claimed) == 2
    assert sorted(executed.values()) == [2, 4]  # The cluster of the tests has four shards.
    executed = tasks_of(database, lambda transaction: settle(transaction, claimed))
    assert [(tasks, sql) for sql, tasks in executed.items() if tasks > 2] == []


def test_a_claim_reads_few_of_many_deliveries_that_are_due_at_the_same_instant(database: Database) -> None:
    new = {"url": "https://x.test/", "event_types": None, "description": None, "secret": "v1.x"}
    with database.write() as transaction:
        create_endpoints(transaction, [CreateEndpoint(id="we_m", merchant_id="m", **new)])  # type: ignore[arg-type] # as above
    with database.write() as transaction:
        for number in range(300):
            create(transaction, ["m"], f"{number}")
    share = due_delivery_store.Share("we_m", "m", 8)
    executed: list[tuple[str, Any]] = []

    def run_and_note(connection: Connection, sql: str, values: Any = ()) -> Any:  # noqa: ANN401 - as it is
        executed.append((sql, values))
        return execute_on_driver(connection, sql, values)

    with patch.object(statement, "execute_on_driver", run_and_note), database.write() as transaction:
        assert len(due_delivery_store.claim_due(transaction, [share], lease_until=transaction.now + 60_000)) == 8
    found, values = executed[0]
    with database.reads.connect() as connection:
        plan = str(execute_on_driver(connection, f"EXPLAIN (ANALYZE) {found}", values).fetchall())
    assert max(map(int, re.findall(r"actual time=\S+ rows=(\d+)", plan))) < 50


def test_settings_of_the_planner_and_the_limits_of_a_transaction_hold_on_the_workers(database: Database) -> None:
    with database.write() as transaction:
        create(transaction, ["m"], "1")
    wanted = CITUS_TRANSACTION_LIMITS | PLANNER_SETTINGS
    shown = ", ".join(f"current_setting('{name}')" for name in wanted)
    with database.write() as transaction:
        [(port, *values)] = transaction.connection.execute(
            text(f"SELECT inet_server_port(), {shown} FROM merchant WHERE id = 'm'")
        ).all()
        assert port != transaction.connection.execute(text("SELECT inet_server_port()")).scalar_one()
    assert dict(zip(wanted, values, strict=True)) == wanted


def test_who_waits_for_a_lock_on_a_worker_gives_up_after_half_a_second(database: Database) -> None:
    with database.write() as transaction:
        create(transaction, ["m"], "1")
    change = text("UPDATE merchant SET event_sequence = event_sequence WHERE id = 'm'")
    with database.write() as first, database.writes.connect() as other, other.begin():
        first.connection.execute(change)
        # Without the limit it would wait for the limit of a statement, and raise another error.
        assert unless_locked(other, lambda: other.execute(change), wait_ms=500) is None
        assert other.execute(text("SELECT count(*) FROM merchant")).scalar_one() == 1  # The transaction goes on.
