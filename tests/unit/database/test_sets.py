"""Rows as one JSON parameter: they are the same on both databases."""

from typing import Any

from hypothesis import given, settings, strategies as st
from sqlalchemy import select

from paidonce.clock import system_clock
from paidonce.database.engine import open_database
from paidonce.database.sets import encode_rows, json_rows
from paidonce.database.transaction import Transaction
from paidonce.database_url import parse_database_url

INT64_MAX = 2**63 - 1

# No NUL, which PostgreSQL's texts cannot hold, and no half of a surrogate pair, which UTF-8 cannot.
TEXTS = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=60) | st.sampled_from(
    [
        "",
        "null",
        "0",
        "1e3",
        "'; DROP TABLE checkout; --",
        '"',
        "\\",
        "\\u0000",
        "{}",
        "%s",
        ":now",
        "\N{PILE OF POO}",
        "\n",
    ]
)
NUMBERS = st.integers(min_value=-INT64_MAX - 1, max_value=INT64_MAX) | st.sampled_from([0, 2**53, 2**53 + 1, INT64_MAX])
ROWS = st.lists(st.tuples(st.none() | TEXTS, st.none() | NUMBERS), max_size=20)


def round_trip(transaction: Transaction, rows: list[tuple[str | None, int | None]]) -> list[tuple[Any, ...]]:
    wanted = json_rows(transaction.connection.dialect.name, "wanted", place=int, label=str, number=int)
    encoded = encode_rows({"place": place, "label": one, "number": two} for place, (one, two) in enumerate(rows))
    statement = select(wanted.c.label, wanted.c.number).order_by(wanted.c.place)
    return [tuple(row) for row in transaction.rows(statement, {"wanted": encoded})]


def test_every_text_and_number_and_null_comes_out_as_it_went_in(database_url: str) -> None:
    database = open_database(parse_database_url(database_url), clock=system_clock)

    @settings(max_examples=200)
    @given(ROWS)
    def holds(rows: list[tuple[str | None, int | None]]) -> None:
        with database.read() as transaction:
            assert round_trip(transaction, rows) == rows

    try:
        holds()
    finally:
        database.close()


def test_many_rows_are_one_statement_and_no_rows_are_none(database_url: str) -> None:
    database = open_database(parse_database_url(database_url), clock=system_clock)
    many: list[tuple[str | None, int | None]] = [(f"label {number}", number) for number in range(5000)]
    with database.read() as transaction:
        assert round_trip(transaction, many) == many
        assert round_trip(transaction, []) == []
    database.close()


def test_a_column_that_a_row_leaves_out_is_null(database_url: str) -> None:
    database = open_database(parse_database_url(database_url), clock=system_clock)
    with database.read() as transaction:
        wanted = json_rows(transaction.connection.dialect.name, "wanted", label=str, number=int)
        rows = transaction.rows(select(wanted), {"wanted": encode_rows([{"label": "alone"}, {"other": 1}])})
        assert [tuple(row) for row in rows] == [("alone", None), (None, None)]
    database.close()
