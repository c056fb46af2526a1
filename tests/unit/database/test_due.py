"""Statements that make rows due: each is executed with when, so that its commit wakes whoever waits for these rows."""

import importlib
import pkgutil
import re
from collections.abc import Iterator
from typing import Any, Final

import pytest
from sqlalchemy import Insert, Update, bindparam, update
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite

import paidonce
from paidonce.clock import system_clock
from paidonce.database.due import MakesDue
from paidonce.database.engine import open_database
from paidonce.database.migrate import migrate
from paidonce.database.schema import delivery
from paidonce.database.sets import RowsInsert
from paidonce.database.statement import SQLITE, Statement
from paidonce.database.transaction import DueKey, DueTime
from paidonce.database_url import parse_database_url

# When the rows of these tables are due.
DUE_COLUMNS: Final = {
    "attempt": "due_at",
    "checkout": "expires_at",
    "delivery": "due_at",
    "provider_webhook": "due_at",
    "redelivery": "updated_at",
}
NOT_AWAITED: Final = {
    "payments.claim_store._RELEASE": "It is for other processes: this one stops, or has no place.",
    "payments.claim_store._RELEASE_ALL": "The worker starts, and looks for what is due.",
    "webhook_endpoints.delivery_store._RELEASE": "It is for other processes: this one stops.",
    "webhook_endpoints.delivery_store._RELEASE_ALL": "The sender starts, and looks for what is due.",
    "webhook_endpoints.due_delivery_store._DROP": "What is dropped is not due any more.",
    "webhook_endpoints.redelivery._ADVANCE": "Whoever takes a step takes the next one.",
    "webhook_endpoints.redelivery._PUT_OFF": "It is put off for a minute, because of a defect.",
}


def statements() -> Iterator[tuple[str, Any]]:
    """Yield all statements that are made where a module is loaded, but for those that are executed with when."""
    for module in pkgutil.walk_packages(paidonce.__path__, "paidonce."):
        if not module.name.startswith(("paidonce.database.migrations", "paidonce.__main__")):
            for name, value in vars(importlib.import_module(module.name)).items():
                made = value.of_any if isinstance(value, RowsInsert) else value
                made = made.make(SQLITE) if isinstance(made, Statement) else made
                if isinstance(made, Insert | Update):
                    yield f"{module.name.removeprefix('paidonce.')}.{name}", made


def writes(statement: Any, column: str) -> bool:  # noqa: ANN401 - an Insert or an Update
    sql = str(statement.compile(dialect=SQLiteDialect_pysqlite()))
    written = sql.split("WHERE", maxsplit=1)[0] if isinstance(statement, Update) else sql.split(")", maxsplit=1)[0]
    return re.search(rf"\b{column}\b", written) is not None


def test_every_statement_that_writes_when_rows_are_due_is_executed_with_when_or_says_who_needs_it_not() -> None:
    found = {
        name
        for name, statement in statements()
        if statement.table.name in DUE_COLUMNS and writes(statement, DUE_COLUMNS[statement.table.name])
    }
    assert found == NOT_AWAITED.keys()


def test_a_transaction_knows_the_earliest_time_of_what_it_makes_due(sqlite_url: str) -> None:
    statement = MakesDue(delivery, Statement(lambda _: update(delivery).values(due_at=bindparam("at"))))
    database = open_database(parse_database_url(sqlite_url), clock=system_clock)
    migrate(database)
    with database.write() as transaction:
        statement.run(transaction, {"at": 5}, [DueTime(7), DueTime(5), DueTime(None), DueTime(9, "fast")])
        statement.run(transaction, {"at": 6}, [DueTime(6)])
        assert transaction.due == {DueKey("delivery", ""): 5, DueKey("delivery", "fast"): 9}
    database.close()


@pytest.mark.parametrize("column", ["due_at", "status"])
def test_the_search_for_statements_sees_what_an_update_writes_and_not_what_it_reads(column: str) -> None:
    made = update(delivery).where(delivery.c.due_at > 0).values({column: 1})
    assert writes(made, "due_at") is (column == "due_at")
