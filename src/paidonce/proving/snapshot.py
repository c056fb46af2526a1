"""A consistent snapshot of the service's rows and of the provider's books, even while both are being written.

It reads with its own SQL and does not use the code of the service, which is under test.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

import pysqlite3.dbapi2
from sqlalchemy import Connection, Row, create_engine, text
from sqlalchemy.pool import NullPool

from paidonce.database_url import parse_database_url

LOCK_SECONDS_MAX: Final = 30.0  # SQLite's readers wait only for a checkpoint or a recovery.

AnyRow = Row[*tuple[Any, ...]]


NOT_APPLIED: Final = "SELECT provider, id, result FROM provider_webhook WHERE applied_at IS NULL AND result IS NOT NULL"


class Charge(NamedTuple):
    """A charge in the provider's books. Amounts are in minor units; ``created_at`` is Unix time in milliseconds."""

    key: str
    reference: str
    checkout_id: str
    merchant_id: str
    amount: int
    currency: str
    status: str
    decline_code: str | None
    amount_captured: int
    amount_refunded: int
    created_at: int


class Change(NamedTuple):
    """A capture, void or refund in the provider's books: done, or declined with a code."""

    key: str
    reference: str
    charge_reference: str
    kind: str
    amount: int
    decline_code: str | None
    created_at: int


class Snapshot(NamedTuple):
    """All rows and books, of one merchant or of all. Rows have their columns as attributes.

    ``webhooks`` are those of providers that were tried and are not applied; of one merchant they are not known.
    """

    checkouts: Sequence[Any]
    attempts: Sequence[Any]
    events: Sequence[Any]
    merchants: Sequence[Any]
    charges: Sequence[Any] = ()
    changes: Sequence[Any] = ()
    logs: Sequence[Any] = ()  # Where the log of a merchant and mode begins; the others begin with 1.
    webhooks: Sequence[Any] = ()


def take_snapshot(url: str, books: Path, *, of_merchant: str | None = None) -> Snapshot:
    """Read the database at ``url`` in one transaction, and the books so that they fit it.

    Books and rows are two databases, so no transaction spans both. What the rows say was done must be in books that
    are read after them. What the books hold must have an attempt in the rows; only a line that was not there before the
    rows were read, and whose attempt they do not know, belongs to a payment that began later, and is left out.
    """
    with opened_books(books) as connection:
        booked_before = set(connection.execute(text("SELECT key FROM charge UNION SELECT key FROM change")).scalars())
    with opened_database(url) as connection:
        rows = read_rows(connection, of_merchant)
    with opened_books(books) as connection:
        charges = [Charge(*line) for line in connection.execute(text(_select(Charge, "charge")))]
        changes = [Change(*line) for line in connection.execute(text(_select(Change, "change")))]
    known = booked_before | {row.provider_key for row in rows.attempts}
    if of_merchant is not None:
        charges = [one for one in charges if one.merchant_id == of_merchant]
    references = {one.reference for one in charges}
    changes = [one for one in changes if one.charge_reference in references]
    return rows._replace(
        charges=_without_later_changes(
            [one for one in charges if one.key in known], [one for one in changes if one.key not in known]
        ),
        changes=[one for one in changes if one.key in known],
    )


def read_rows(connection: Connection, of_merchant: str | None = None) -> Snapshot:
    """Read the rows of the service, without the books. They are consistent within the transaction of the caller."""

    def rows(table: str, column: str = "merchant_id") -> Sequence[AnyRow]:
        wanted = f"SELECT * FROM {table}"  # noqa: S608 - the names are the five below
        if of_merchant is None:
            return connection.execute(text(wanted)).all()
        return connection.execute(text(f"{wanted} WHERE {column} = :merchant"), {"merchant": of_merchant}).all()

    return Snapshot(
        rows("checkout"),
        rows("attempt"),
        rows("event"),
        rows("merchant", "id"),
        logs=rows("event_log"),
        webhooks=connection.execute(text(NOT_APPLIED)).all() if of_merchant is None else (),
    )


@contextmanager
def opened_database(url: str) -> Iterator[Connection]:
    """Open the service's database for a read-only transaction with a consistent snapshot."""
    place = parse_database_url(url)
    if place.path is not None:
        with opened_books(place.path) as connection:
            yield connection
        return
    engine = create_engine(
        f"postgresql+psycopg://{place.server.partition('://')[2]}", poolclass=NullPool, hide_parameters=True
    )
    # With READ COMMITTED, the default, each statement would have its own snapshot.
    seeing = engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
    with seeing.connect() as connection:
        yield connection


@contextmanager
def opened_books(path: Path) -> Iterator[Connection]:
    """Open a SQLite file for a read-only transaction with a consistent snapshot."""
    engine = create_engine(
        f"sqlite+pysqlite:///{path}",
        module=pysqlite3.dbapi2,
        poolclass=NullPool,
        connect_args={"timeout": LOCK_SECONDS_MAX, "isolation_level": None},
    )
    with engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA query_only = ON")
        connection.exec_driver_sql("BEGIN")  # The driver begins no transaction by itself for reads.
        yield connection


def _select(kind: type[Charge | Change], table: str) -> str:
    return f"SELECT {', '.join(kind._fields)} FROM {table}"  # noqa: S608 - both are written above


def _without_later_changes(charges: Sequence[Charge], later: Sequence[Change]) -> list[Charge]:
    """Undo, in copies of the charges, the changes that came after the rows were read."""
    by_reference = {one.reference: one for one in charges}
    for change in later:
        charge = by_reference.get(change.charge_reference)
        if charge is None or change.decline_code is not None:
            continue
        if change.kind == "REFUND":
            charge = charge._replace(amount_refunded=charge.amount_refunded - change.amount)
        else:  # A capture or a void: the money was held before.
            charge = charge._replace(status="authorized", amount_captured=0)
        by_reference[charge.reference] = charge
    return list(by_reference.values())
