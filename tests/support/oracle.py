"""Reads what scenarios check beside the service: its rows and the provider's books. The rules are in
paidonce.proving.oracle.

The provider's books are the oracle: what our tables say about money is correct only where the provider agrees.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pysqlite3.dbapi2
from sqlalchemy import Connection, create_engine, select, update
from sqlalchemy.pool import NullPool

from paidonce.database.schema import attempt, checkout
from paidonce.proving.oracle import find_violations
from paidonce.proving.snapshot import AnyRow, Charge, take_snapshot

LOCK_SECONDS_MAX: Final = 30.0


def violated_invariants(url: str, books: Path, *, of_merchant: str | None = None, ended: bool = False) -> list[str]:
    """Return each invariant that rows and books violate; empty where all is well.

    The service may be running. ``ended``: it must have ended every payment.
    """
    snapshot = take_snapshot(url, books, of_merchant=of_merchant)
    return [str(one) for one in find_violations(snapshot, ended=ended)]


def charges(books: Path) -> Sequence[Charge]:
    """Read the provider's books without using the code of the service."""
    with database(f"file:{books}") as connection:
        found = connection.exec_driver_sql(f"SELECT {', '.join(Charge._fields)} FROM charge").all()
    return [Charge(*row) for row in found]


def charges_of(books: Path, checkout_id: str) -> list[Charge]:
    """Read the charges of one checkout."""
    return [one for one in charges(books) if one.checkout_id == checkout_id and one.status == "succeeded"]


@contextmanager
def database(url: str) -> Iterator[Connection]:
    """Open the database while the service is running, in a transaction that is committed at the end."""
    if url.startswith("file:"):
        path = url.removeprefix("file:")
        arguments: dict[str, Any] = {"connect_args": {"timeout": LOCK_SECONDS_MAX}, "module": pysqlite3.dbapi2}
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


def expire_checkout(url: str, checkout_id: str) -> None:
    """Make a checkout expire long ago, and the sessions that its buyer can pay."""
    with database(url) as connection:
        changed = connection.execute(update(checkout).where(checkout.c.id == checkout_id).values(expires_at=1))
        assert changed.rowcount == 1
        sessions = (attempt.c.checkout_id == checkout_id) & attempt.c.session_expires_at.is_not(None)
        connection.execute(update(attempt).where(sessions).values(session_expires_at=1))


def expire_leases(url: str, checkout_ids: Sequence[str]) -> None:
    """Make the leases of the attempts of these checkouts expire long ago."""
    with database(url) as connection:
        leased = attempt.c.checkout_id.in_(checkout_ids) & attempt.c.due_at.is_not(None)
        assert connection.execute(update(attempt).where(leased).values(due_at=1)).rowcount == len(checkout_ids)


def status_of(url: str, checkout_id: str) -> str:
    """Read a checkout's status from the database, because a request could change it."""
    with database(url) as connection:
        found: str = connection.execute(select(checkout.c.status).where(checkout.c.id == checkout_id)).scalar_one()
    return found
