"""What a service asks its database again and again is answered from an index, however many checkouts there are."""

from collections.abc import Iterator
from typing import Any, Final
from unittest.mock import patch

import pytest
from sqlalchemy import Connection, event

from paidonce import ids
from paidonce.checkouts.actions import expire_checkouts
from paidonce.clock import system_clock
from paidonce.database import statement
from paidonce.database.engine import Database, open_database
from paidonce.database.migrate import migrate
from paidonce.database.statement import run_at_driver
from paidonce.database.transaction import Transaction
from paidonce.database_url import parse_database_url
from paidonce.idempotency.actions import forget_expired_keys
from paidonce.inbox.store import find_applied, find_due
from paidonce.outbox.deliveries import find_waiting, release_all as release_deliveries
from paidonce.payments.capture import VoidExpired, void_expired
from paidonce.payments.settle import ClaimAttempts, claim_attempts, release_all_attempts
from paidonce.payments.store import count_unproven

LARGE: Final = ("checkout", "attempt", "event", "delivery", "delivery_try", "idempotency_key", "provider_webhook")


def look_after(transaction: Transaction) -> None:
    """Do what a process does at its start and at every poll."""
    release_all_attempts(transaction, [None])
    release_deliveries(transaction)
    claim_attempts(transaction, [ClaimAttempts("simulator", 8, 30_000)])
    expire_checkouts(transaction, [500])
    void_expired(transaction, [VoidExpired(500, ids.new_id)])
    forget_expired_keys(transaction, [500])
    find_waiting(transaction, 100)
    find_due(transaction, 100)
    find_applied(transaction, before=0, limit=100)
    count_unproven(transaction)


@pytest.fixture
def database(sqlite_url: str) -> Iterator[Database]:
    database = open_database(parse_database_url(sqlite_url), clock=system_clock)
    migrate(database)
    yield database
    database.close()


def test_nothing_that_is_asked_at_every_poll_reads_a_whole_table(database: Database) -> None:
    asked: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, sql: str, values: Any, *_rest: Any) -> None:  # noqa: ANN401 - SQLAlchemy's
        asked.append((sql, values))

    def run_and_note(connection: Connection, sql: str, values: Any = ()) -> Any:  # noqa: ANN401 - as it is
        asked.append((sql, values))
        return run_at_driver(connection, sql, values)

    event.listen(database.writes, "before_cursor_execute", note)
    with patch.object(statement, "run_at_driver", run_and_note), database.write() as transaction:
        look_after(transaction)
    event.remove(database.writes, "before_cursor_execute", note)
    assert len(asked) >= 10
    scans = []
    with database.reads.connect() as connection:
        for sql, values in asked:
            steps = run_at_driver(connection, f"EXPLAIN QUERY PLAN {sql}", values).fetchall()
            scans += [(step[3], sql) for step in steps if step[3] in {f"SCAN {table}" for table in LARGE}]
    assert scans == []
