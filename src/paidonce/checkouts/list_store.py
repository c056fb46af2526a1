"""SQL statements for lists of checkouts. Each reads a bounded number of rows of one index, whatever the filters are."""

import operator
from typing import Any, Final

import msgspec
from sqlalchemy import ColumnElement, Select, select, union_all

from paidonce import ids
from paidonce.checkouts.model import Checkout
from paidonce.checkouts.store import WITH_ATTEMPT, checkout_of_row
from paidonce.clock import Instant
from paidonce.database.schema import checkout
from paidonce.database.sets import materialized
from paidonce.database.transaction import Transaction
from paidonce.merchants.model import Mode, TenantFilter

EXAMINED_MAX: Final = 1000  # By one read, so that others read in between: about 3 ms (docs/decisions/0059).

# The id of a checkout is made before its transaction commits, and by another clock where there are several processes.
CLOCK_SKEW_MS: Final = 600_000


class CheckoutFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which checkouts a page has: newest first, or with ``ending_before`` those just newer than an id.

    ``examined_max`` is about how many one read examines.
    """

    limit: int
    tenant: TenantFilter = TenantFilter()
    status: str | None = None
    created_after: Instant | None = None
    created_before: Instant | None = None
    starting_after: str | None = None
    ending_before: str | None = None
    examined_max: int = EXAMINED_MAX

    @property
    def reads_backwards(self) -> bool:
        """Whether the checkouts are read oldest first."""
        return self.ending_before is not None


class ExaminedRange(msgspec.Struct, frozen=True):
    """The checkouts that one read found, in the order in which they are read, at most one more than the page may have.

    ``examined_to`` is the last id that was examined; None where no other checkout follows.
    """

    found: list[Checkout]
    examined_to: str | None


def read_range(transaction: Transaction, wanted: CheckoutFilter) -> ExaminedRange:
    """Read the first checkouts that are wanted, as far as one read examines them."""
    filters = _filters(wanted)
    if not filters:
        rows, examined_to = _first_ids(wanted, wanted.limit + 1), None
    else:
        # Each statement has its own snapshot on PostgreSQL. What is created between the two is in the range as well.
        last = transaction.rows(_first_ids(wanted, wanted.examined_max).limit(1).offset(wanted.examined_max - 1))
        examined_to = last[0][0] if last else None
        rows = _first_ids(wanted, 2 * wanted.examined_max, up_to=examined_to)
    # Chosen before anything is compared: otherwise PostgreSQL reads another index, of a status, say, without a bound.
    chosen = materialized(rows)
    statement = WITH_ATTEMPT.where(checkout.c.id == chosen.c.id, *filters)
    if wanted.tenant.merchant_id is not None:
        statement = statement.where(checkout.c.merchant_id == wanted.tenant.merchant_id)
    found = transaction.rows(_in_order(statement, chosen.c.id, wanted).limit(wanted.limit + 1))
    return ExaminedRange([checkout_of_row(row) for row in found], examined_to)


def _filters(wanted: CheckoutFilter) -> list[ColumnElement[bool]]:
    """Return the conditions that each examined checkout is compared with."""
    return _given(
        (checkout.c.status, operator.eq, wanted.status),
        (checkout.c.created_at, operator.gt, wanted.created_after),
        (checkout.c.created_at, operator.lt, wanted.created_before),
    )


def _first_ids(wanted: CheckoutFilter, count: int, *, up_to: str | None = None) -> Select[Any]:
    """Select the first ids from an index, in the order in which they are read, up to an id."""
    place = checkout.c.id
    is_reached = operator.le if wanted.reads_backwards else operator.ge
    conditions = _given(
        (checkout.c.merchant_id, operator.eq, wanted.tenant.merchant_id),
        (checkout.c.mode, operator.eq, wanted.tenant.mode),
        (place, operator.lt, wanted.starting_after),
        (place, operator.gt, wanted.ending_before),
        (place, is_reached, up_to),
    )
    conditions += created_between(place, wanted.created_after, wanted.created_before)
    rows = select(place.label("id")).where(*conditions)
    if wanted.tenant.merchant_id is None or wanted.tenant.mode is not None:
        return _in_order(rows, place, wanted).limit(count)
    # The index is in the order of ids only within a mode: so the ids are picked from as many of each mode.
    of_modes = [_in_order(rows.where(checkout.c.mode == mode), place, wanted).limit(count).subquery() for mode in Mode]
    both = union_all(*(select(one.c.id) for one in of_modes)).subquery()
    return _in_order(select(both.c.id), both.c.id, wanted).limit(count)


def _in_order(rows: Select[Any], place: ColumnElement[str], wanted: CheckoutFilter) -> Select[Any]:
    return rows.order_by(place.asc() if wanted.reads_backwards else place.desc())


def created_between(
    place: ColumnElement[str], created_after: Instant | None, created_before: Instant | None
) -> list[ColumnElement[bool]]:
    """Return conditions on the ids of checkouts that were created between two instants. Ids sort by time."""
    return _given(
        (place, operator.gt, None if created_after is None else _lowest_id(created_after - CLOCK_SKEW_MS)),
        (place, operator.lt, None if created_before is None else _lowest_id(created_before + CLOCK_SKEW_MS)),
    )


def _lowest_id(instant: Instant) -> str:
    return ids.lowest_id(ids.CHECKOUT, max(0, instant))


def _given(*comparisons: tuple[ColumnElement[Any], Any, object]) -> list[ColumnElement[bool]]:
    return [comparison(column, value) for column, comparison, value in comparisons if value is not None]
