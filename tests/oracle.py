"""What must always hold, held against the provider's own books and the rows: see "What must always hold" in the design.

The books are the oracle: what our tables say of money is only believed where the provider says the same.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, NamedTuple

import pysqlite3.dbapi2
from sqlalchemy import Connection, Row, create_engine, select, update
from sqlalchemy.pool import NullPool

from paidonce.checkouts.model import ALLOWED, EVENT_OF, CheckoutStatus
from paidonce.database.schema import attempt, checkout, event, merchant

STATUS_OF_EVENT: Final = {"checkout.created": CheckoutStatus.PENDING} | {
    str(kind): status for status, kind in EVENT_OF.items()
}
UNDER_WAY: Final = ("READY", "SENT", "UNKNOWN", "NEEDS_REVIEW")

AnyRow = Row[*tuple[Any, ...]]


class Charge(NamedTuple):
    """A line of the provider's books."""

    key: str
    checkout_id: str
    merchant_id: str
    amount: int
    currency: str
    status: str
    created_at: int


def charges(books: Path) -> list[Charge]:
    """Read the provider's books, without going through any code of the service."""
    with closing(pysqlite3.dbapi2.connect(str(books), timeout=10)) as connection:
        found = connection.execute(f"SELECT {', '.join(Charge._fields)} FROM charge").fetchall()
    return [Charge(*row) for row in found]


def charges_of(books: Path, checkout_id: str) -> list[Charge]:
    """Read what the provider charged for one checkout."""
    return [one for one in charges(books) if one.checkout_id == checkout_id and one.status == "succeeded"]


@contextmanager
def database(url: str) -> Iterator[Connection]:
    """Open the service's database beside it, in a transaction that is committed at the end."""
    if url.startswith("file:"):
        path = url.removeprefix("file:")
        arguments: dict[str, Any] = {"connect_args": {"timeout": 10}, "module": pysqlite3.dbapi2}
        engine = create_engine(f"sqlite+pysqlite:///{path}", poolclass=NullPool, **arguments)
    else:
        engine = create_engine(f"postgresql+psycopg://{url.partition('://')[2]}", poolclass=NullPool)
    with engine.begin() as connection:
        yield connection


def attempts_of(url: str, checkout_ids: Sequence[str]) -> Sequence[AnyRow]:
    """Read the attempts to pay these checkouts, oldest first."""
    with database(url) as connection:
        wanted = attempt.c.checkout_id.in_(checkout_ids)
        return connection.execute(select(attempt).where(wanted).order_by(attempt.c.id)).all()


def let_time_run_out(url: str, checkout_id: str) -> None:
    """Make a checkout one whose time was over long ago."""
    with database(url) as connection:
        changed = connection.execute(update(checkout).where(checkout.c.id == checkout_id).values(expires_at=1))
        assert changed.rowcount == 1


def broken_invariants(url: str, books: Path, *, of_merchant: str | None = None) -> list[str]:
    """Say each way in which rows and books contradict what must hold; empty where all is well."""
    with database(url) as connection:
        checkouts = _rows(connection, checkout, "merchant_id", of_merchant)
        attempts = _rows(connection, attempt, "merchant_id", of_merchant)
        events = _rows(connection, event, "merchant_id", of_merchant)
        merchants = _rows(connection, merchant, "id", of_merchant)
    booked = [one for one in charges(books) if of_merchant in (None, one.merchant_id)]
    return [
        *_of_money(checkouts, booked),
        *_of_attempts(checkouts, attempts, booked),
        *_of_sequences(merchants, events),
        *_of_histories(checkouts, events),
    ]


def _rows(connection: Connection, table: Any, column: str, value: str | None) -> Sequence[AnyRow]:  # noqa: ANN401 - a table
    statement = select(table) if value is None else select(table).where(table.c[column] == value)
    return connection.execute(statement).all()


def _of_money(checkouts: Sequence[AnyRow], booked: Sequence[Charge]) -> Iterator[str]:
    charged: defaultdict[str, list[Charge]] = defaultdict(list)
    for one in booked:
        if one.status == "succeeded":
            charged[one.checkout_id].append(one)
    for row in checkouts:
        paid = charged.pop(row.id, [])
        if len(paid) > 1:
            yield f"1. {row.id} is charged {len(paid)} times"
        if row.status == "COMPLETED" and not paid:
            yield f"3. {row.id} is COMPLETED and not charged"
        if row.status not in ("COMPLETED", "PROCESSING") and paid:
            yield f"4. {row.id} is {row.status} and charged"
        if any(
            (one.amount, one.currency, one.merchant_id) != (row.amount, row.currency, row.merchant_id) for one in paid
        ):
            yield f"3. {row.id} is charged another amount, currency or merchant: {paid}"
    if charged:
        yield f"2. there is no checkout for these charges: {dict(charged)}"


def _of_attempts(checkouts: Sequence[AnyRow], attempts: Sequence[AnyRow], booked: Sequence[Charge]) -> Iterator[str]:
    by_key = {row.provider_key: row for row in attempts}
    for one in booked:
        row = by_key.get(one.key)
        if row is None or row.checkout_id != one.checkout_id:
            yield f"5. {one.key} is charged without an attempt of {one.checkout_id}"
        elif row.created_at > one.created_at:
            yield f"5. {one.key} is charged before its attempt was written"
    count: defaultdict[str, int] = defaultdict(int)
    open_count: defaultdict[str, int] = defaultdict(int)
    for row in (one for one in attempts if one.kind != "REFUND"):  # Those are resources of their own.
        count[row.checkout_id] += 1
        open_count[row.checkout_id] += row.status in UNDER_WAY
    for row in checkouts:
        if open_count[row.id] != (row.status == "PROCESSING"):
            yield f"6. {row.id} is {row.status} and has {open_count[row.id]} attempts under way"
        if count[row.id] != row.attempt_count:
            yield f"10. {row.id} counts {row.attempt_count} attempts and has {count[row.id]}"


def _of_sequences(merchants: Sequence[AnyRow], events: Sequence[AnyRow]) -> Iterator[str]:
    numbers: defaultdict[str, list[int]] = defaultdict(list)
    for row in events:
        numbers[row.merchant_id].append(row.sequence)
    for row in merchants:
        if sorted(numbers[row.id]) != list(range(1, row.event_sequence + 1)):
            yield f"12. the events of {row.id} have gaps: {len(numbers[row.id])} up to {row.event_sequence}"


def _of_histories(checkouts: Sequence[AnyRow], events: Sequence[AnyRow]) -> Iterator[str]:
    history: defaultdict[str, list[CheckoutStatus]] = defaultdict(list)
    for row in sorted(events, key=lambda one: one.sequence):
        if row.type in STATUS_OF_EVENT:
            history[row.checkout_id].append(STATUS_OF_EVENT[row.type])
    for row in checkouts:
        told = history[row.id]
        if not told or told[0] != CheckoutStatus.PENDING or told[-1] != row.status:
            yield f"10. {row.id} is {row.status} and its events tell {told}"
        for before, after in pairwise(told):
            if after not in ALLOWED[before]:
                yield f"8. {row.id} went from {before} to {after}"


def status_of(url: str, checkout_id: str) -> str:
    """Read a checkout's status without asking the service, which might change it on being asked."""
    with database(url) as connection:
        found: str = connection.execute(select(checkout.c.status).where(checkout.c.id == checkout_id)).scalar_one()
    return found
