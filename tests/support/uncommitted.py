"""A transaction that is never committed, as where its process dies just before the commit."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from paidonce.database.engine import Database
from paidonce.database.transaction import Transaction


class _Died(Exception):
    pass


@contextmanager
def uncommitted(database: Database) -> Iterator[Transaction]:
    """Write in a transaction that is rolled back when the block ends."""
    with suppress(_Died), database.write() as transaction:
        yield transaction
        raise _Died
