"""Statements that go directly to the driver: their parameters, their rows, and errors of the driver."""

from collections.abc import Iterator
from enum import StrEnum
from typing import Any

import pytest
from sqlalchemy import Column, Integer, MetaData, Table, Text, bindparam, insert, select, text
from sqlalchemy.exc import DBAPIError, IntegrityError

from paidonce.clock import system_clock
from paidonce.database.engine import Database, open_database
from paidonce.database.faults import Fault, classify
from paidonce.database.statement import Statement
from paidonce.database_url import parse_database_url

kept = Table("kept", MetaData(), Column("number", Integer, primary_key=True), Column("word", Text))


class Word(StrEnum):
    """A member whose name is not its value."""

    YES = "it is so"


INSERT = Statement(lambda _: insert(kept).values(number=bindparam("n"), word=Word.YES))
SELECT = Statement(lambda _: select(kept.c.number, kept.c.word).where(kept.c.number > bindparam("least")))
NUMBERS = Statement(lambda _: select(kept.c.number))


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    database = open_database(parse_database_url(database_url), clock=system_clock)
    with database.writes.begin() as connection:
        kept.metadata.create_all(connection)
    yield database
    database.close()


def test_rows_are_bare_tuples_and_a_member_is_stored_as_its_value(database: Database) -> None:
    with database.write() as transaction:
        for number in (1, 2, 3):
            transaction.run(INSERT, {"n": number})
    with database.read() as transaction:
        assert transaction.rows(SELECT, {"least": 1}) == [(2, "it is so"), (3, "it is so")]
        assert transaction.column(NUMBERS, {}) == {1, 2, 3}


def test_what_a_statement_and_sqlalchemy_write_is_one_transaction(database: Database) -> None:
    def fail_after(order: list[Any]) -> None:
        with database.write() as transaction:
            for run in order:
                run(transaction)
            raise LookupError

    by_statement = lambda transaction: transaction.run(INSERT, {"n": 1})  # noqa: E731 - one of two
    by_sqlalchemy = lambda transaction: transaction.run(insert(kept).values(number=2))  # noqa: E731 - the other
    for order in ([by_statement, by_sqlalchemy], [by_sqlalchemy, by_statement]):
        with pytest.raises(LookupError):
            fail_after(order)
    with database.read() as transaction:
        assert transaction.column(NUMBERS, {}) == set()


def test_a_drivers_error_is_raised_as_sqlalchemys_and_nothing_stays(database: Database) -> None:
    with pytest.raises(IntegrityError) as raised, database.write() as transaction:  # noqa: PT012 - the second fails
        transaction.run(INSERT, {"n": 4711})
        transaction.run(INSERT, {"n": 4711})
    assert classify(raised.value) is Fault.DEFECT
    with database.read() as transaction:
        assert transaction.column(NUMBERS, {}) == set()


def test_an_error_that_comes_with_the_rows_is_one_like_any_other(sqlite_url: str) -> None:
    database = open_database(parse_database_url(sqlite_url), clock=system_clock)
    late = Statement(lambda _: text("SELECT 1 UNION ALL SELECT abs(-9223372036854775808)"))  # The second row overflows.
    with pytest.raises(DBAPIError), database.read() as transaction:
        transaction.rows(late, {})
    database.close()


def test_a_lost_connection_raises_an_error_and_the_next_transaction_has_a_new_one(postgres_url: str) -> None:
    database = open_database(parse_database_url(postgres_url), clock=system_clock)
    ended = Statement(lambda _: text("SELECT pg_terminate_backend(pg_backend_pid())"))
    one = Statement(lambda _: text("SELECT 1"))
    others = [database.writes.connect() for _ in range(3)]
    for other in others:
        other.execute(text("SELECT 1"))
        other.close()  # Idle in the pool from here on: lost as well when the server goes away.
    idle = database.writes.pool
    with pytest.raises(DBAPIError) as raised, database.write() as transaction:
        transaction.rows(ended, {})
    assert classify(raised.value) is Fault.CONNECTION
    assert database.writes.pool is not idle
    with database.write() as transaction:
        assert transaction.rows(one, {}) == [(1,)]
    database.close()


def test_a_list_that_grows_is_refused_when_the_statement_is_made(database: Database) -> None:
    growing = Statement(lambda _: select(kept.c.number).where(kept.c.number.in_([1, 2])))
    with database.read() as transaction, pytest.raises(AssertionError, match="a list"):
        transaction.rows(growing, {})
