"""SQL statements that find and delete old rows. Those of a log name its merchant, so that a distributed database asks
one shard.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Final

from sqlalchemy import Delete, Select, Update, and_, bindparam, delete, exists, func, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql.dml import ReturningDelete

from paidonce import ids
from paidonce.clock import Instant
from paidonce.database.schema import (
    audit_entry,
    delivery,
    delivery_try,
    event,
    event_log,
    merchant,
    redelivery,
    webhook_endpoint,
)
from paidonce.database.sets import encode_rows, insert_json_rows, json_rows
from paidonce.database.statement import Statement
from paidonce.database.transaction import Transaction
from paidonce.merchants.model import Mode, Tenant
from paidonce.retention.model import Deletion, LogStart, OldDelivery


def _page(_dialect: str) -> Select[Any]:
    logs = {mode: event_log.alias(f"{mode}_log") for mode in Mode}
    joined: Any = merchant
    for mode, log in logs.items():
        joined = joined.outerjoin(log, and_(log.c.merchant_id == merchant.c.id, log.c.mode == mode.value))
    starts = [
        func.coalesce(logs[mode].c[name], 1)
        for mode in (Mode.TEST, Mode.LIVE)
        for name in ("first_sequence", "first_delivered")
    ]
    return (
        select(merchant.c.id, *starts)
        .select_from(joined)
        .where(merchant.c.id > bindparam("after"))
        .order_by(merchant.c.id)
        .limit(bindparam("limit"))
    )


def _deliveries(dialect: str) -> Select[Any]:
    wanted = json_rows(dialect, "wanted", id=str)
    return select(delivery.c.id, delivery.c.event_id, delivery.c.due_at.is_not(None), delivery.c.fence).where(
        delivery.c.event_id == wanted.c.id, delivery.c.merchant_id == bindparam("tenant")
    )


def _insert_log(dialect: str) -> postgresql.Insert | sqlite.Insert:
    given = insert_json_rows(dialect, event_log, "merchant_id", "mode", "first_sequence", "first_delivered")
    return given.on_conflict_do_nothing()


def _lock(_dialect: str) -> Select[Any]:
    """Lock the beginning of a log that is still where the old rows were found."""
    return (
        select(event_log.c.merchant_id)
        .where(
            _OF_LOG,
            event_log.c.first_sequence == bindparam("seen"),
            event_log.c.first_delivered == bindparam("seen_delivered"),
        )
        # A process that waited here would keep locks of payments from the same batch.
        .with_for_update(skip_locked=True)
    )


def _move(_dialect: str) -> Update:
    return (
        update(event_log)
        .where(_OF_LOG)
        .values(first_sequence=bindparam("first"), first_delivered=bindparam("first_delivered"))
    )


def _delete_tries(dialect: str) -> Delete:
    wanted = json_rows(dialect, "wanted", id=str)
    return delete(delivery_try).where(
        delivery_try.c.merchant_id == bindparam("tenant"), delivery_try.c.delivery_id.in_(select(wanted.c.id))
    )


def _delete_deliveries(dialect: str) -> ReturningDelete[Any]:
    wanted = json_rows(dialect, "wanted", id=str)
    return (
        delete(delivery)
        .where(
            delivery.c.merchant_id == bindparam("tenant"),
            delivery.c.id.in_(select(wanted.c.id)),
            delivery.c.due_at.is_(None),
        )
        .returning(delivery.c.endpoint_id, delivery.c.number)
    )


def _keep_numbers(dialect: str) -> Update:
    """Keep the highest number of an endpoint's deliveries where its newest delivery was deleted."""
    wanted = json_rows(dialect, "wanted", endpoint_id=str, number=int)
    newer = exists().where(
        delivery.c.endpoint_id == wanted.c.endpoint_id,
        delivery.c.merchant_id == bindparam("tenant"),
        delivery.c.number > wanted.c.number,
    )
    return (
        update(webhook_endpoint)
        .where(
            webhook_endpoint.c.id == wanted.c.endpoint_id,
            webhook_endpoint.c.merchant_id == bindparam("tenant"),
            webhook_endpoint.c.deleted_number < wanted.c.number,
            ~newer.correlate(wanted),
        )
        .values(deleted_number=wanted.c.number)
    )


_PAGE: Final = Statement(_page)
_DELIVERIES: Final = Statement(_deliveries)
_INSERT_LOG: Final = Statement(_insert_log)
_LOCK: Final = Statement(_lock)
_MOVE: Final = Statement(_move)
_DELETE_TRIES: Final = Statement(_delete_tries)
_DELETE_DELIVERIES: Final = Statement(_delete_deliveries)
_KEEP_NUMBERS: Final = Statement(_keep_numbers)
_OF_LOG: Final = and_(event_log.c.merchant_id == bindparam("tenant"), event_log.c.mode == bindparam("of_mode"))
_START: Final = select(event_log.c.first_sequence, event_log.c.first_delivered).where(_OF_LOG)
_NEXT_REDELIVERED: Final = (
    select(func.min(redelivery.c.next_sequence))
    .join(
        webhook_endpoint,
        (webhook_endpoint.c.id == redelivery.c.endpoint_id)
        & (webhook_endpoint.c.merchant_id == redelivery.c.merchant_id),
    )
    .where(
        webhook_endpoint.c.merchant_id == bindparam("tenant"),
        webhook_endpoint.c.mode == bindparam("of_mode"),
        webhook_endpoint.c.deleted_at.is_(None),
    )
)
_DELETE_EVENTS: Final = delete(event).where(
    event.c.merchant_id == bindparam("tenant"),
    event.c.mode == bindparam("of_mode"),
    event.c.sequence >= bindparam("first"),
    event.c.sequence < bindparam("end"),
)
_OLD_ENTRIES: Final = (
    select(audit_entry.c.id)
    .where(audit_entry.c.id < bindparam("before"))
    .order_by(audit_entry.c.id)
    .limit(bindparam("limit"))
)
_DELETE_ENTRIES: Final = delete(audit_entry).where(audit_entry.c.id.in_(_OLD_ENTRIES)).returning(audit_entry.c.id)


def read_starts(transaction: Transaction, *, after: str, limit: int) -> tuple[list[LogStart], str | None]:
    """Read where the logs of the next merchants begin, in the order of their ids, and the last of these merchants;
    None where there are no others.
    """
    rows = transaction.rows(_PAGE, {"after": after, "limit": limit})
    starts = [
        LogStart(Tenant(merchant_id, mode), first, first_delivered)
        for merchant_id, *logs in rows
        for mode, first, first_delivered in ((Mode.TEST.value, *logs[:2]), (Mode.LIVE.value, *logs[2:]))
    ]
    return starts, rows[-1][0] if len(rows) == limit else None


def read_start(transaction: Transaction, tenant: Tenant) -> LogStart:
    """Read where a log begins."""
    found = transaction.rows(_START, _names(tenant))
    return LogStart(tenant, found[0][0], found[0][1], is_stored=True) if found else LogStart(tenant)


def read_next_redelivered(transaction: Transaction, tenant: Tenant) -> int | None:
    """Read the lowest number that is still to be sent again to an endpoint; None where there is none."""
    found: int | None = transaction.rows(_NEXT_REDELIVERED, _names(tenant))[0][0]
    return found


def read_deliveries(transaction: Transaction, tenant: Tenant, event_ids: Iterable[str]) -> list[OldDelivery]:
    """Read the deliveries of events, in any order."""
    rows = transaction.rows(_DELIVERIES, {**_ids(event_ids), "tenant": tenant.merchant_id})
    return [OldDelivery(row[0], row[1], bool(row[2]), row[3]) for row in rows]


def lock_start(transaction: Transaction, seen: LogStart) -> bool:
    """Lock the beginning of a log; False where it is not where it was seen, or another process has locked it."""
    names = _names(seen.tenant)
    if not seen.is_stored:
        first = {"merchant_id": names["tenant"], "mode": names["of_mode"], "first_sequence": 1, "first_delivered": 1}
        transaction.run(_INSERT_LOG, {"rows": encode_rows([first])})
    parameters = {**names, "seen": seen.first_sequence, "seen_delivered": seen.first_delivered}
    return bool(transaction.rows(_LOCK, parameters))


def move_start(transaction: Transaction, deletion: Deletion) -> None:
    """Let a log begin where it does after a deletion."""
    first = {"first": deletion.first_sequence, "first_delivered": deletion.first_delivered}
    transaction.run(_MOVE, {**_names(deletion.tenant), **first})


def delete_deliveries(transaction: Transaction, deletion: Deletion) -> None:
    """Delete deliveries that are not open, with their tries."""
    if not deletion.delivery_ids:
        return
    of_merchant = {"tenant": deletion.tenant.merchant_id}
    wanted = {**_ids(deletion.delivery_ids), **of_merchant}
    transaction.run(_DELETE_TRIES, wanted)
    deleted = transaction.rows(_DELETE_DELIVERIES, wanted)
    assert len(deleted) == len(deletion.delivery_ids), "another process has just made one due: nothing is deleted"
    newest: dict[str, int] = {}
    for endpoint_id, number in deleted:
        newest[endpoint_id] = max(number, newest.get(endpoint_id, 0))
    rows = encode_rows({"endpoint_id": one, "number": newest[one]} for one in sorted(newest))
    transaction.run(_KEEP_NUMBERS, {"wanted": rows, **of_merchant})


def delete_events(transaction: Transaction, deletion: Deletion) -> None:
    """Delete the oldest events of a log, which have no deliveries."""
    first, end = deletion.start.first_sequence, deletion.first_sequence
    if end > first:
        transaction.run(_DELETE_EVENTS, {**_names(deletion.tenant), "first": first, "end": end})


def delete_entries(transaction: Transaction, *, before: Instant, limit: int) -> int:
    """Delete at most ``limit`` entries of the audit log that were made before an instant; returns how many."""
    parameters = {"before": ids.lowest_id(ids.AUDIT_ENTRY, before), "limit": limit}
    return len(transaction.rows(_DELETE_ENTRIES, parameters))


def _names(tenant: Tenant) -> dict[str, Any]:
    return {"tenant": tenant.merchant_id, "of_mode": tenant.mode}


def _ids(wanted: Iterable[str] | Sequence[str]) -> dict[str, str]:
    return {"wanted": encode_rows({"id": one} for one in wanted)}
