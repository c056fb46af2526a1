"""Reading statistics: figures for intervals, and up to when they are complete. The cost depends on the hours read."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import and_, bindparam, func, literal, select, tuple_

from paidonce.clock import Instant
from paidonce.database.batcher import Batcher
from paidonce.database.schema import event, hourly_statistics, statistics_cursor
from paidonce.database.transaction import Transaction
from paidonce.merchants.model import Tenant
from paidonce.statistics.intervals import interval_of
from paidonce.statistics.model import ADDED, Figures
from paidonce.statistics.store import add_row

ROWS_MAX: Final = 300  # In one read: about five milliseconds, after which others read.

_PLACE: Final = ("hour", "currency", "provider")
_COLUMNS: Final = [hourly_statistics.c[name] for name in (*_PLACE, *ADDED, "declines", "settle_times")]

_IS_TENANTS: Final = and_(event.c.merchant_id == bindparam("tenant"), event.c.mode == bindparam("of_mode"))
_COUNTED: Final = (
    select(statistics_cursor.c.sequence)
    .where(statistics_cursor.c.merchant_id == bindparam("tenant"), statistics_cursor.c.mode == bindparam("of_mode"))
    .scalar_subquery()
)
_FIRST_NOT_COUNTED: Final = (
    select(event.c.created_at)
    .where(_IS_TENANTS, event.c.sequence > func.coalesce(_COUNTED, literal(0)))
    .order_by(event.c.sequence)
    .limit(1)
)


class FiguresRange(msgspec.Struct, frozen=True, kw_only=True):
    """A merchant's hours from the first of these bounds to the last, in the intervals between them.

    ``currency`` and ``provider`` restrict what is read. ``after`` is the hour, the currency and the provider of the
    last row that was read; None at the beginning.
    """

    tenant: Tenant
    bounds: Sequence[Instant]
    currency: str | None = None
    provider: str | None = None
    after: tuple[Instant, str, str] | None = None


class FiguresPage(msgspec.Struct, frozen=True):
    """Figures by the number of their interval and their currency; ``after`` is None where there are no more."""

    figures: dict[tuple[int, str], Figures]
    after: tuple[Instant, str, str] | None


def load_figures(transaction: Transaction, requests: Sequence[FiguresRange]) -> list[FiguresPage]:
    """Read the next rows of each range, and add those of the same interval and currency."""
    return [_load_page(transaction, request) for request in requests]


def _load_page(transaction: Transaction, wanted: FiguresRange) -> FiguresPage:
    table = hourly_statistics.c
    # Currencies and providers are restricted last: the rows of all of them are in the order of the hours.
    statement = select(*_COLUMNS).where(
        table.merchant_id == wanted.tenant.merchant_id,
        table.mode == wanted.tenant.mode,
        table.hour < wanted.bounds[-1],
        tuple_(*(table[name] for name in _PLACE)) > tuple_(*map(literal, wanted.after or (wanted.bounds[0], "", ""))),
    )
    rows = transaction.rows(statement.order_by(*(table[name] for name in _PLACE)).limit(ROWS_MAX))
    found: dict[tuple[int, str], Figures] = {}
    for hour, currency, provider, *values in rows:
        if wanted.currency in (None, currency) and wanted.provider in (None, provider):
            place = interval_of(hour, wanted.bounds), currency
            add_row(found.setdefault(place, Figures()), values)
    return FiguresPage(found, _place_of(rows[-1]) if len(rows) == ROWS_MAX else None)


def _place_of(row: Sequence[Any]) -> tuple[Instant, str, str]:
    hour, currency, provider, *_ = row
    return hour, currency, provider


def load_complete_up_to(transaction: Transaction, requests: Sequence[Tenant]) -> list[Instant]:
    """Tell up to when all events of a merchant and mode are counted: now, or when the first was written that is not."""
    instants = []
    for tenant in requests:
        found = transaction.rows(_FIRST_NOT_COUNTED, {"tenant": tenant.merchant_id, "of_mode": tenant.mode})
        instants.append(found[0][0] if found else transaction.now)
    return instants


class Statistics(msgspec.Struct, frozen=True):
    """Figures by the number of their interval and their currency, complete up to ``up_to``."""

    figures: dict[tuple[int, str], Figures]
    up_to: Instant

    def total(self, currency: str) -> Figures:
        """Add the figures of all intervals."""
        total = Figures()
        for (_, one), figures in self.figures.items():
            if one == currency:
                total.add(figures)
        return total

    @property
    def currencies(self) -> list[str]:
        """The currencies in which anything happened, in alphabetical order."""
        return sorted({currency for _, currency in self.figures})


async def read_statistics(reader: Batcher, wanted: FiguresRange) -> Statistics:
    """Read the figures of a range, in several reads where it has many rows, so that others are not delayed."""
    up_to = await reader.submit(load_complete_up_to, wanted.tenant)  # First: what is counted since may be included.
    page = await reader.submit(load_figures, wanted)
    figures = page.figures
    while page.after is not None:
        page = await reader.submit(load_figures, msgspec.structs.replace(wanted, after=page.after))
        for place, added in page.figures.items():
            figures.setdefault(place, Figures()).add(added)
    return Statistics(figures, up_to)
