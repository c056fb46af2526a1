"""Statements that find due deliveries and claim them: endpoint by endpoint, each by its own part of one index, so that
what waits for one costs the others nothing.
"""

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import (
    CTE,
    ColumnElement,
    Select,
    Update,
    and_,
    bindparam,
    func,
    or_,
    select,
    true,
    update,
)
from sqlalchemy.sql.selectable import FromClause

from paidonce.clock import Instant
from paidonce.database.due import LOOK_AHEAD_MS, MakesDue
from paidonce.database.locks import change_unlocked
from paidonce.database.schema import delivery, webhook_endpoint
from paidonce.database.sets import encode_rows, json_rows
from paidonce.database.statement import CITUS, POSTGRESQL, SQLITE, Statement
from paidonce.database.transaction import DueTime, Transaction
from paidonce.merchants.model import TenantScopedId
from paidonce.webhook_endpoints.delivery_store import Held
from paidonce.webhook_endpoints.model import PLACES_OF_AN_ENDPOINT, Delivery, DeliveryStatus, sources_of

_COLUMNS: Final = [delivery.c[name] for name in Delivery.__struct_fields__]
_OPEN: Final = delivery.c.due_at.is_not(None)


class Waiting(msgspec.Struct, frozen=True):
    """An endpoint for which something is due."""

    endpoint_id: str
    merchant_id: str
    is_failing: bool


class Share(msgspec.Struct, frozen=True):
    """How many deliveries are to be claimed for an endpoint."""

    endpoint_id: str
    merchant_id: str
    places: int


def _endpoints_with_open() -> CTE:
    """Step from endpoint to endpoint through the index of what is open: as many steps as such endpoints, not as rows.

    Citus refuses it: there every endpoint is looked at.
    """
    first = select(func.min(delivery.c.endpoint_id).label("id")).where(_OPEN).cte("step", recursive=True)
    beyond = select(func.min(delivery.c.endpoint_id)).where(_OPEN, delivery.c.endpoint_id > first.c.id)
    return first.union_all(select(beyond.scalar_subquery()).where(first.c.id.is_not(None)))


def _has_open(dialect: str) -> tuple[ColumnElement[bool], ...]:
    return () if dialect == CITUS else (webhook_endpoint.c.id == _endpoints_with_open().c.id,)


def _waiting(dialect: str) -> Select[Any]:
    first_due = (
        select(func.min(delivery.c.due_at))
        .where(
            delivery.c.endpoint_id == webhook_endpoint.c.id,
            delivery.c.merchant_id == webhook_endpoint.c.merchant_id,
            _OPEN,
        )
        .scalar_subquery()
    )
    failing = webhook_endpoint.c.failing_since.is_not(None)
    found = (
        select(
            webhook_endpoint.c.id,
            webhook_endpoint.c.merchant_id,
            failing.label("is_failing"),
            first_due.label("first_due"),
        )
        .where(
            *_has_open(dialect),
            webhook_endpoint.c.paused_at.is_(None),
            webhook_endpoint.c.deleted_at.is_(None),
        )
        .subquery("found")
    )
    return (
        select(found.c.id, found.c.merchant_id, found.c.is_failing, found.c.first_due)
        .where(found.c.first_due <= bindparam("until"))
        .order_by(found.c.first_due > bindparam("now"), found.c.is_failing, found.c.first_due)
        .limit(bindparam("limit"))
    )


def _deleted(dialect: str) -> Select[Any]:
    """Select deleted endpoints that left something open, but for what is being sent: that ends with its lease."""
    left = select(delivery.c.id).where(
        delivery.c.endpoint_id == webhook_endpoint.c.id,
        delivery.c.merchant_id == webhook_endpoint.c.merchant_id,
        _OPEN,
        _nobodys(),
    )
    return (
        select(webhook_endpoint.c.id, webhook_endpoint.c.merchant_id)
        .where(*_has_open(dialect), webhook_endpoint.c.deleted_at.is_not(None), left.exists())
        .order_by(webhook_endpoint.c.id)
        .limit(bindparam("limit"))
    )


def _nobodys() -> ColumnElement[bool]:
    return or_(delivery.c.status == DeliveryStatus.PENDING, delivery.c.due_at <= bindparam("now"))


def _may_become(target: DeliveryStatus) -> ColumnElement[bool]:
    """Guard a transition by the table of allowed transitions."""
    return or_(*(delivery.c.status == source for source in sources_of(target)))


def _first_due(dialect: str) -> Select[Any]:
    """Select the longest due deliveries of each wanted endpoint, as many as it has places."""
    wanted = json_rows(dialect, "wanted", endpoint_id=str, merchant_id=str, places=int)
    head, joined = _HEADS[dialect](wanted)
    place = func.row_number().over(
        partition_by=(head.c.merchant_id, head.c.endpoint_id), order_by=(head.c.due_at, head.c.id)
    )
    ranked = (
        select(head.c.id, head.c.merchant_id, head.c.fence, place.label("place"), wanted.c.places)
        .select_from(joined)
        .subquery("ranked")
    )
    return select(ranked.c.id, ranked.c.merchant_id, ranked.c.fence).where(ranked.c.place <= ranked.c.places)


def _heads_by_lateral(wanted: FromClause) -> tuple[FromClause, FromClause]:
    head = (
        select(delivery)
        .where(
            delivery.c.endpoint_id == wanted.c.endpoint_id,
            delivery.c.merchant_id == wanted.c.merchant_id,
            delivery.c.due_at <= bindparam("now"),
        )
        .order_by(delivery.c.due_at, delivery.c.id)
        .limit(PLACES_OF_AN_ENDPOINT)
        .with_for_update(skip_locked=True)  # So that senders do not queue for the same rows.
        .lateral("head")
    )
    return head, wanted.join(head, true())


def _heads_by_id(wanted: FromClause) -> tuple[FromClause, FromClause]:
    """For SQLite, which has no LATERAL."""
    first, head = delivery.alias("first"), delivery.alias("head")
    few = (
        select(first.c.id)
        .where(
            first.c.endpoint_id == wanted.c.endpoint_id,
            first.c.merchant_id == wanted.c.merchant_id,
            first.c.due_at <= bindparam("now"),
        )
        .order_by(first.c.due_at, first.c.id)
        .limit(PLACES_OF_AN_ENDPOINT)
        .correlate(wanted)
    )
    return head, wanted.join(head, head.c.id.in_(few) & (head.c.merchant_id == wanted.c.merchant_id))


def _heads_by_array(wanted: FromClause) -> tuple[FromClause, FromClause]:
    """For Citus, which refuses both other forms. Which of those that are due at the same instant are chosen is left to
    the index, so that no more of them are read.
    """
    first, head = delivery.alias("first"), delivery.alias("head")
    few = (
        select(first.c.id)
        .where(
            first.c.endpoint_id == webhook_endpoint.c.id,
            first.c.merchant_id == webhook_endpoint.c.merchant_id,
            first.c.merchant_id == wanted.c.merchant_id,  # So that Citus looks for it on the shards of these only.
            first.c.due_at <= bindparam("now"),
        )
        .order_by(first.c.due_at)
        .limit(PLACES_OF_AN_ENDPOINT)
        .correlate(webhook_endpoint, wanted)
        .scalar_subquery()
    )
    # The ids of each endpoint become rows before they are joined: so they are looked for once for each endpoint.
    chosen = (
        select(
            wanted.c.endpoint_id.label("endpoint_id"),
            webhook_endpoint.c.merchant_id.label("merchant_id"),
            func.unnest(func.array(few)).label("id"),
        )
        .select_from(
            wanted.join(
                webhook_endpoint,
                (webhook_endpoint.c.id == wanted.c.endpoint_id)
                & (webhook_endpoint.c.merchant_id == wanted.c.merchant_id),
            )
        )
        .subquery("chosen")
    )
    of_endpoint = and_(
        head.c.id == chosen.c.id,
        head.c.merchant_id == chosen.c.merchant_id,
        head.c.merchant_id == wanted.c.merchant_id,
    )
    return head, wanted.join(chosen, chosen.c.endpoint_id == wanted.c.endpoint_id).join(head, of_endpoint)


_HEADS: Final = {POSTGRESQL: _heads_by_lateral, SQLITE: _heads_by_id, CITUS: _heads_by_array}


def _claim(dialect: str) -> Update:
    wanted = json_rows(dialect, "wanted", id=str, merchant_id=str, fence=int)
    statement = update(delivery).where(
        delivery.c.id == wanted.c.id,
        delivery.c.merchant_id == wanted.c.merchant_id,
        # Another sender may have claimed it since it was found: then it has another fence, and is not due.
        delivery.c.fence == wanted.c.fence,
        delivery.c.due_at <= bindparam("now"),
        _may_become(DeliveryStatus.SENDING),
    )
    return statement.values(
        status=DeliveryStatus.SENDING,
        fence=delivery.c.fence + 1,
        due_at=bindparam("lease_until"),
        updated_at=bindparam("now"),
    ).returning(*_COLUMNS)


def _drop() -> Update:
    few = (
        select(delivery.c.id)
        .where(
            delivery.c.endpoint_id == bindparam("wanted_id"),
            delivery.c.merchant_id == bindparam("of_merchant"),
            _OPEN,
            _nobodys(),
        )
        .limit(bindparam("limit"))
    )
    statement = update(delivery).where(
        delivery.c.id.in_(few),
        delivery.c.merchant_id == bindparam("of_merchant"),
        _OPEN,
        _nobodys(),
        _may_become(DeliveryStatus.DROPPED),
    )
    return statement.values(status=DeliveryStatus.DROPPED, due_at=None, updated_at=bindparam("now"))


_WAITING: Final = Statement(_waiting)
_FIRST_DUE: Final = Statement(_first_due)
_CLAIM: Final = MakesDue(delivery, Statement(_claim))
_DELETED: Final = Statement(_deleted)
_DROP: Final = _drop()


def find_waiting(transaction: Transaction, limit: int) -> list[Waiting]:
    """Name at most ``limit`` endpoints that something is due for: healthy ones first, then the longest due. Note when
    something is due soon for others.
    """
    now = transaction.now
    parameters = {"now": now, "until": now + LOOK_AHEAD_MS, "limit": limit}
    rows = transaction.rows_of_living_nodes(_WAITING, parameters)
    transaction.note_due(delivery, (DueTime(first_due) for *_, first_due in rows if first_due > now))
    waiting = [Waiting(row[0], row[1], bool(row[2])) for row in rows if row[3] <= now]
    return waiting[:limit]


def claim_due(transaction: Transaction, shares: Sequence[Share], *, lease_until: Instant) -> list[Delivery]:
    """Claim due deliveries until ``lease_until``, at most as many for each endpoint as it has places."""
    due = transaction.rows(_FIRST_DUE, {"wanted": encode_rows(shares), "now": transaction.now})

    def claim(deliveries: Sequence[Held]) -> list[Delivery]:
        parameters = {"wanted": encode_rows(deliveries), "now": transaction.now, "lease_until": lease_until}
        return [Delivery(*row) for row in _CLAIM.rows(transaction, parameters, [DueTime(lease_until)])]

    return list(change_unlocked(transaction.connection, [Held(*row) for row in due], claim))


def find_deleted(transaction: Transaction, limit: int) -> list[TenantScopedId]:
    """Find at most ``limit`` deleted endpoints that have open deliveries without a lease."""
    rows = transaction.rows_of_living_nodes(_DELETED, {"now": transaction.now, "limit": limit})
    return [TenantScopedId(*row) for row in rows[:limit]]


def drop_open(transaction: Transaction, endpoint: TenantScopedId, *, limit: int) -> None:
    """End at most ``limit`` open deliveries of an endpoint that is no more, but for those that are being sent."""
    names = {"wanted_id": endpoint.id, "of_merchant": endpoint.merchant_id}
    transaction.run(_DROP, {**names, "limit": limit, "now": transaction.now})
