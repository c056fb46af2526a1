"""SQL statements for statistics. Each reads an index, and no more rows than its limit or its range of hours has."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, TypeAlias

import msgspec
from sqlalchemy import Select, Update, and_, bindparam, func, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from paidonce.clock import Instant
from paidonce.database.locks import change_unlocked
from paidonce.database.schema import attempt, checkout, event, hourly_statistics, merchant, statistics_cursor
from paidonce.database.sets import encode_rows, insert_json_rows, json_rows
from paidonce.database.statement import POSTGRESQL, Statement
from paidonce.database.transaction import Transaction
from paidonce.events.model import Event, EventType
from paidonce.merchants.model import Mode, Tenant
from paidonce.statistics.counting import FOLLOWING, AttemptFacts
from paidonce.statistics.model import ADDED, Figures, FiguresKey, LogCount, UncountedLogs

_KEY: Final = FiguresKey.__struct_fields__
_COLUMNS: Final = (*_KEY, *ADDED, "declines", "settle_times")
_HISTORY: Final = (*sorted(FOLLOWING), EventType.REFUND_SUCCEEDED.value)

Names: TypeAlias = Mapping[str, str]
"""Ids, each with the merchant of what it names."""

_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(dict[str, int]).decode


def _cursors(dialect: str) -> Select[Any]:
    wanted = json_rows(dialect, "wanted", merchant_id=str, mode=str)
    return select(statistics_cursor.c.merchant_id, statistics_cursor.c.mode, statistics_cursor.c.sequence).where(
        statistics_cursor.c.merchant_id == wanted.c.merchant_id, statistics_cursor.c.mode == wanted.c.mode
    )


def _insert_cursors(dialect: str) -> postgresql.Insert | sqlite.Insert:
    given = insert_json_rows(
        dialect, statistics_cursor, "merchant_id", "mode", "sequence", "counted_at", merchants_exist=True
    )
    return given.on_conflict_do_nothing()


def _unmoved(dialect: str) -> Select[Any]:
    """Select the cursors that are still where their events were read from, and that no other process is moving."""
    wanted = json_rows(dialect, "wanted", merchant_id=str, mode=str, after=int)
    unmoved = select(statistics_cursor.c.merchant_id, statistics_cursor.c.mode).where(
        statistics_cursor.c.merchant_id == wanted.c.merchant_id,
        statistics_cursor.c.mode == wanted.c.mode,
        statistics_cursor.c.sequence == wanted.c.after,
    )
    # A process that waited here would keep locks of payments from the same batch.
    return unmoved.with_for_update(skip_locked=True, of=statistics_cursor) if dialect == POSTGRESQL else unmoved


def _move_cursors(dialect: str) -> Update:
    wanted = json_rows(dialect, "wanted", merchant_id=str, mode=str, after=int, to=int, counted_at=int)
    return (
        update(statistics_cursor)
        .where(
            statistics_cursor.c.merchant_id == wanted.c.merchant_id,
            statistics_cursor.c.mode == wanted.c.mode,
            statistics_cursor.c.sequence == wanted.c.after,
        )
        .values(sequence=wanted.c.to, counted_at=wanted.c.counted_at)
        .returning(statistics_cursor.c.merchant_id, statistics_cursor.c.mode)
    )


def _figures(dialect: str) -> Select[Any]:
    wanted = json_rows(dialect, "wanted", merchant_id=str, mode=str, hour=int, currency=str, provider=str)
    return select(*(hourly_statistics.c[name] for name in _COLUMNS)).where(
        *(hourly_statistics.c[name] == wanted.c[name] for name in _KEY)
    )


def _write_figures(dialect: str) -> postgresql.Insert | sqlite.Insert:
    given = insert_json_rows(dialect, hourly_statistics, *_COLUMNS, merchants_exist=True)
    return given.on_conflict_do_update(
        index_elements=list(_KEY), set_={name: given.excluded[name] for name in _COLUMNS[len(_KEY) :]}
    )


def _currencies(dialect: str) -> Select[Any]:
    wanted = json_rows(dialect, "wanted", id=str, merchant_id=str)
    return select(checkout.c.id, checkout.c.currency).where(
        checkout.c.id == wanted.c.id, checkout.c.merchant_id == wanted.c.merchant_id
    )


def _attempts(dialect: str) -> Select[Any]:
    wanted = json_rows(dialect, "wanted", id=str, merchant_id=str)
    return select(attempt.c.id, attempt.c.provider, attempt.c.amount).where(
        attempt.c.id == wanted.c.id, attempt.c.merchant_id == wanted.c.merchant_id
    )


def _paid(dialect: str) -> Select[Any]:
    wanted = json_rows(dialect, "wanted", id=str, merchant_id=str)
    # Events of a checkout are in its log in their order, whatever the clocks of several processes said.
    return (
        select(event.c.checkout_id, event.c.created_at)
        .where(
            event.c.checkout_id == wanted.c.id,
            event.c.merchant_id == wanted.c.merchant_id,
            event.c.type == EventType.CHECKOUT_PROCESSING,
        )
        .order_by(event.c.merchant_id, event.c.mode, event.c.sequence)
    )


def _history(dialect: str) -> Select[Any]:
    wanted = json_rows(dialect, "wanted", id=str, merchant_id=str)
    columns = (event.c[name] for name in Event.__struct_fields__[:-1])
    return (
        select(*columns)
        .where(
            event.c.checkout_id == wanted.c.id,
            event.c.merchant_id == wanted.c.merchant_id,
            or_(*(event.c.type == kind for kind in _HISTORY)),
        )
        .order_by(event.c.merchant_id, event.c.mode, event.c.sequence)
    )


def _uncounted(_dialect: str) -> Select[Any]:
    cursors = {mode: statistics_cursor.alias(f"{mode}_cursor") for mode in Mode}
    joined: Any = merchant
    for mode, cursor in cursors.items():
        joined = joined.outerjoin(cursor, and_(cursor.c.merchant_id == merchant.c.id, cursor.c.mode == mode.value))
    counted = (func.coalesce(cursors[mode].c.sequence, 0) for mode in (Mode.TEST, Mode.LIVE))
    return (
        select(merchant.c.id, merchant.c.event_sequence, merchant.c.live_event_sequence, *counted)
        .select_from(joined)
        .where(merchant.c.id > bindparam("after"))
        .order_by(merchant.c.id)
        .limit(bindparam("limit"))
    )


_CURSORS: Final = Statement(_cursors)
_INSERT_CURSORS: Final = Statement(_insert_cursors)
_UNMOVED: Final = Statement(_unmoved)
_MOVE_CURSORS: Final = Statement(_move_cursors)
_FIGURES: Final = Statement(_figures)
_WRITE_FIGURES: Final = Statement(_write_figures)
_CURRENCIES: Final = Statement(_currencies)
_ATTEMPTS: Final = Statement(_attempts)
_PAID: Final = Statement(_paid)
_HISTORY_OF: Final = Statement(_history)
_UNCOUNTED: Final = Statement(_uncounted)


def read_cursors(transaction: Transaction, tenants: Iterable[Tenant]) -> dict[Tenant, int]:
    """Read up to which number each log is counted; logs of which nothing is counted are left out."""
    rows = transaction.rows(_CURSORS, {"wanted": encode_rows(tenants)})
    return {Tenant(merchant_id, mode): sequence for merchant_id, mode, sequence in rows}


def read_uncounted(transaction: Transaction, *, after: str, limit: int) -> UncountedLogs:
    """Read which of the next merchants have events that are not counted, in the order of their ids."""
    rows = sorted(transaction.rows_of_living_nodes(_UNCOUNTED, {"after": after, "limit": limit}))[:limit]
    found = [
        Tenant(merchant_id, mode)
        for merchant_id, test, live, test_counted, live_counted in rows
        for mode, newest, counted in ((Mode.TEST.value, test, test_counted), (Mode.LIVE.value, live, live_counted))
        if newest > counted
    ]
    return UncountedLogs(found, rows[-1][0] if len(rows) == limit else None)


def move_cursors(transaction: Transaction, counts: Sequence[LogCount]) -> set[Tenant]:
    """Move the cursors of logs; returns those that were where the events were read from, and are locked now."""
    new = [one for one in counts if one.after == 0]
    if new:
        rows = encode_rows({**_names(one.tenant), "sequence": 0, "counted_at": one.to_created_at} for one in new)
        transaction.run(_INSERT_CURSORS, {"rows": rows})
    given = {
        one.tenant: {**_names(one.tenant), "after": one.after, "to": one.to, "counted_at": one.to_created_at}
        for one in counts
    }

    def move(tenants: Sequence[Tenant]) -> list[Tenant]:
        wanted = encode_rows(given[one] for one in tenants)
        return [Tenant(*row) for row in transaction.rows(_MOVE_CURSORS, {"wanted": wanted})]

    unmoved = transaction.rows(_UNMOVED, {"wanted": encode_rows(given.values())})
    return set(change_unlocked(transaction.connection, [Tenant(*row) for row in unmoved], move))


def _names(tenant: Tenant) -> dict[str, Any]:
    return {"merchant_id": tenant.merchant_id, "mode": tenant.mode}


def add_figures(transaction: Transaction, added: Mapping[FiguresKey, Figures]) -> None:
    """Add figures to those that are stored. The cursors of their logs must be locked by this transaction."""
    if not added:
        return
    sums = {key: Figures() for key in sorted(added)}
    for row in transaction.rows(_FIGURES, {"wanted": encode_rows(added)}):
        add_row(sums[FiguresKey(*row[: len(_KEY)])], row[len(_KEY) :])
    for key, figures in added.items():
        sums[key].add(figures)
    rows = encode_rows(_row(key, figures) for key, figures in sums.items())
    transaction.run(_WRITE_FIGURES, {"rows": rows})


def add_row(figures: Figures, values: Sequence[Any]) -> None:
    """Add the columns of a row that follow those of the key."""
    *sums, declines, settle_times = values
    figures.add_values(sums, _decode(declines), _decode(settle_times))


def _row(key: FiguresKey, figures: Figures) -> dict[str, Any]:
    row = msgspec.structs.asdict(key) | msgspec.structs.asdict(figures)
    return row | {name: _encode(row[name]).decode() for name in ("declines", "settle_times")}


def read_currencies(transaction: Transaction, checkouts: Names) -> dict[str, str]:
    """Read the currencies of checkouts, by their ids."""
    return dict(transaction.rows(_CURRENCIES, _names_of(checkouts)))


def read_attempt_facts(transaction: Transaction, attempts: Names) -> dict[str, AttemptFacts]:
    """Read what never changes of attempts, by their ids."""
    rows = transaction.rows(_ATTEMPTS, _names_of(attempts)) if attempts else ()
    return {attempt_id: AttemptFacts(provider, amount) for attempt_id, provider, amount in rows}


def read_first_paid(transaction: Transaction, checkouts: Names) -> dict[str, Instant]:
    """Read when checkouts were paid first, by their ids."""
    rows = transaction.rows(_PAID, _names_of(checkouts)) if checkouts else ()
    return dict(reversed(rows))  # The first replaces the others.


def read_histories(transaction: Transaction, checkouts: Names) -> dict[str, list[Event]]:
    """Read the events of checkouts that tell of outcomes of refunds and of disputes, in their order."""
    found: defaultdict[str, list[Event]] = defaultdict(list)
    for row in transaction.rows(_HISTORY_OF, _names_of(checkouts)) if checkouts else ():
        one = Event(*row)
        found[one.checkout_id or ""].append(one)
    return found


def _names_of(names: Names) -> dict[str, str]:
    return {"wanted": encode_rows({"id": one, "merchant_id": merchant_id} for one, merchant_id in names.items())}
