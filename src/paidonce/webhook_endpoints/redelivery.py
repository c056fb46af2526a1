"""Sending a range of events again, in steps: an order is a row that says which events are still to be looked at.

What an order costs is bounded by rows: a step looks at a few events, and only while few deliveries of the endpoint are
open. So an order is carried out as fast as its receiver takes what is due, and whoever orders much delays nobody else.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Final, TypeAlias

import msgspec
from sqlalchemy import Delete, Select, Update, bindparam, delete, func, select, tuple_, update
from sqlalchemy.sql.selectable import ScalarSelect

from paidonce.clock import Instant
from paidonce.database.due import MakesDue
from paidonce.database.schema import delivery, merchant, redelivery, webhook_endpoint
from paidonce.database.sets import encode_rows, insert_json_rows, json_rows
from paidonce.database.statement import Statement
from paidonce.database.transaction import DueTime, Transaction
from paidonce.errors import EventsDeleted, TooManyRedeliveries, WebhookEndpointNotFound
from paidonce.events.store import COUNTER_OF, lock_starts
from paidonce.merchants.model import Mode, TenantScopedId
from paidonce.webhook_endpoints import redelivery_store, store
from paidonce.webhook_endpoints.model import WebhookEndpoint

REDELIVERED_MAX: Final = 10_000  # Events in one range.
REDELIVERIES_MAX: Final = 8  # Orders of an endpoint that are not carried out yet.
STEP_EVENTS_MAX: Final = 100  # Some milliseconds of the writer.
PUT_OFF_MS: Final = 60_000  # After a step that failed because of a defect.
GIVE_UP_MS: Final = 72 * 3_600_000  # After an order is given, if its steps fail: as long as a delivery is tried.
OPEN_DELIVERIES_MAX: Final = 200  # An endpoint that has so many waiting need not have more made due.


class Redelivery(msgspec.Struct, frozen=True):
    """An order to send the events of a range again; ``next_sequence`` is the first that was not looked at yet."""

    id: str
    merchant_id: str
    endpoint_id: str
    from_sequence: int
    to_sequence: int
    next_sequence: int
    created_at: Instant
    updated_at: Instant

    @property
    def remaining(self) -> int:
        """How many events are still to be looked at."""
        return self.to_sequence - self.next_sequence + 1


class RedeliveryName(msgspec.Struct, frozen=True):
    """An order's primary key."""

    id: str
    merchant_id: str


class RedeliverRange(msgspec.Struct, frozen=True, kw_only=True):
    """A request to send again, to one endpoint, the events with these numbers, both ends included. The order's id is
    fixed here, so that it is the same after a commit whose answer was lost.
    """

    id: str
    endpoint: TenantScopedId
    from_sequence: int
    to_sequence: int


class RangeRedelivered(msgspec.Struct, frozen=True):
    """How many deliveries were made due at once, and how many events are still to be looked at."""

    deliveries: int
    remaining: int


RangeOutcome: TypeAlias = RangeRedelivered | EventsDeleted | WebhookEndpointNotFound | TooManyRedeliveries

_COLUMNS: Final = [redelivery.c[name] for name in Redelivery.__struct_fields__]
_OF_ENDPOINT: Final = (
    select(*_COLUMNS)
    .where(redelivery.c.endpoint_id == bindparam("wanted_id"), redelivery.c.merchant_id == bindparam("of_merchant"))
    .order_by(redelivery.c.id)
)
_INSERT: Final = MakesDue(
    redelivery,
    Statement(
        lambda dialect: insert_json_rows(dialect, redelivery, *Redelivery.__struct_fields__, merchants_exist=True)
    ),
)
_LOCK_MERCHANT: Final = (
    update(merchant)
    .where(merchant.c.id == bindparam("wanted_id"))
    .values(event_sequence=merchant.c.event_sequence)
    .returning(*(merchant.c[name].label(mode) for mode, name in COUNTER_OF.items()))
)
_DELETE_OF_ENDPOINT: Final = delete(redelivery).where(
    redelivery.c.endpoint_id == bindparam("wanted_id"), redelivery.c.merchant_id == bindparam("of_merchant")
)


def _by_name(dialect: str) -> Select[Any]:
    wanted = json_rows(dialect, "wanted", id=str, merchant_id=str)
    return select(*_COLUMNS).where(redelivery.c.id == wanted.c.id, redelivery.c.merchant_id == wanted.c.merchant_id)


def _advance(dialect: str) -> Update:
    wanted = json_rows(dialect, "wanted", id=str, merchant_id=str, next_sequence=int)
    statement = update(redelivery).where(
        redelivery.c.id == wanted.c.id, redelivery.c.merchant_id == wanted.c.merchant_id
    )
    return statement.values(next_sequence=wanted.c.next_sequence, updated_at=bindparam("now"))


def _put_off(dialect: str) -> Update:
    wanted = json_rows(dialect, "wanted", id=str, merchant_id=str)
    statement = update(redelivery).where(
        redelivery.c.id == wanted.c.id, redelivery.c.merchant_id == wanted.c.merchant_id
    )
    return statement.values(updated_at=bindparam("until"))


def _give_up(dialect: str) -> Delete:
    return _end(dialect).where(redelivery.c.created_at <= bindparam("before"))


def _end(dialect: str) -> Delete:
    wanted = json_rows(dialect, "wanted", id=str, merchant_id=str)
    return delete(redelivery).where(
        tuple_(redelivery.c.id, redelivery.c.merchant_id).in_(select(wanted.c.id, wanted.c.merchant_id))
    )


def _open_deliveries(endpoint_id: Any, merchant_id: Any) -> ScalarSelect[int]:  # noqa: ANN401 - a column or a parameter
    """Count an endpoint's open deliveries, but not beyond the bound ``open_max``."""
    few = (
        select(delivery.c.id)
        .where(
            delivery.c.endpoint_id == endpoint_id, delivery.c.merchant_id == merchant_id, delivery.c.due_at.is_not(None)
        )
        .limit(bindparam("open_max"))
        .correlate(webhook_endpoint)
        .subquery("few")
    )
    return select(func.count()).select_from(few).correlate(webhook_endpoint).scalar_subquery()


_BY_NAME: Final = Statement(_by_name)
_ADVANCE: Final = Statement(_advance)
_END: Final = Statement(_end)
_PUT_OFF: Final = Statement(_put_off)
_GIVE_UP: Final = Statement(_give_up)
_COUNT_OPEN: Final = select(_open_deliveries(bindparam("wanted_id"), bindparam("of_merchant")))
_READY: Final = Statement(
    lambda _: (
        select(redelivery.c.id, redelivery.c.merchant_id)
        .join(
            webhook_endpoint,
            (webhook_endpoint.c.id == redelivery.c.endpoint_id)
            & (webhook_endpoint.c.merchant_id == redelivery.c.merchant_id),
        )
        .where(
            webhook_endpoint.c.paused_at.is_(None) | webhook_endpoint.c.deleted_at.is_not(None),
            _open_deliveries(webhook_endpoint.c.id, webhook_endpoint.c.merchant_id) < bindparam("open_max"),
            redelivery.c.updated_at <= bindparam("now"),  # Later than now where it was put off.
        )
        .order_by(redelivery.c.updated_at, redelivery.c.id)
        .limit(bindparam("limit"))
    )
)


def redeliver_ranges(transaction: Transaction, requests: Sequence[RedeliverRange]) -> list[RangeOutcome]:
    """Order ranges to be sent again, and take the first step of each. What is left, the sender carries out.

    Events from before the endpoint was there, or that its filter left out then, are delivered for the first time.
    """
    return [_order(transaction, request) for request in requests]


def _order(transaction: Transaction, request: RedeliverRange) -> RangeOutcome:
    endpoint = store.read_endpoints(transaction, [request.endpoint]).get(request.endpoint)
    if endpoint is None or endpoint.deleted_at is not None:
        return WebhookEndpointNotFound()
    first = lock_starts(transaction, endpoint.merchant_id)[endpoint.mode]
    newest = _lock_merchant(transaction, endpoint.merchant_id)[Mode(endpoint.mode)]
    unfinished = read_redeliveries(transaction, endpoint)
    before = next((one for one in unfinished if one.id == request.id), None)
    if before is not None:  # Our own, from a commit whose answer was lost.
        return RangeRedelivered(0, before.remaining)
    if len(unfinished) >= REDELIVERIES_MAX:
        return TooManyRedeliveries(REDELIVERIES_MAX)
    if request.from_sequence < first:
        return EventsDeleted(first)
    order = Redelivery(
        id=request.id,
        merchant_id=endpoint.merchant_id,
        endpoint_id=endpoint.id,
        from_sequence=request.from_sequence,
        to_sequence=min(request.to_sequence, newest),
        next_sequence=request.from_sequence,
        created_at=transaction.now,
        updated_at=transaction.now,
    )
    order, made = _step(transaction, order, endpoint)
    if order.remaining <= 0:
        return RangeRedelivered(made, 0)
    _INSERT.run(transaction, {"rows": encode_rows([order])}, [DueTime(order.updated_at)])
    return RangeRedelivered(made, order.remaining)


def _step(transaction: Transaction, order: Redelivery, endpoint: WebhookEndpoint) -> tuple[Redelivery, int]:
    """Look at the next events of an order, while its merchant is locked; returns it as it is then, and how many
    deliveries were made due.
    """
    wanted = {"wanted_id": endpoint.id, "of_merchant": endpoint.merchant_id, "open_max": OPEN_DELIVERIES_MAX}
    (waiting,) = transaction.rows(_COUNT_OPEN, wanted)[0]
    events = min(STEP_EVENTS_MAX, OPEN_DELIVERIES_MAX - waiting, order.remaining)
    if events <= 0:
        return order, 0
    beyond = order.next_sequence + events
    made = redelivery_store.redeliver_range(transaction, endpoint, order.next_sequence, beyond - 1)
    return msgspec.structs.replace(order, next_sequence=beyond), made


def _lock_merchant(transaction: Transaction, merchant_id: str) -> dict[Mode, int]:
    """Lock a merchant, as before a commit: nobody else numbers deliveries of its endpoints. Returns the number of its
    newest event in each mode.
    """
    rows = transaction.rows(_LOCK_MERCHANT, {"wanted_id": merchant_id})
    return {mode: int(getattr(rows[0], mode)) if rows else 0 for mode in Mode}


def read_redeliveries(transaction: Transaction, endpoint: WebhookEndpoint) -> list[Redelivery]:
    """Read an endpoint's orders that are not carried out yet, oldest first."""
    names = {"wanted_id": endpoint.id, "of_merchant": endpoint.merchant_id}
    return [Redelivery(*row) for row in transaction.rows(_OF_ENDPOINT, names)]


def list_redeliveries(
    transaction: Transaction, names: Sequence[TenantScopedId]
) -> list[list[Redelivery] | WebhookEndpointNotFound]:
    """Read the orders of endpoints that are not carried out yet, oldest first."""
    found = store.read_endpoints(transaction, names)
    return [
        read_redeliveries(transaction, endpoint)
        if (endpoint := found.get(name)) is not None and endpoint.deleted_at is None
        else WebhookEndpointNotFound()
        for name in names
    ]


def delete_redeliveries(transaction: Transaction, endpoint: WebhookEndpoint) -> None:
    """Forget the orders of an endpoint."""
    transaction.run(_DELETE_OF_ENDPOINT, {"wanted_id": endpoint.id, "of_merchant": endpoint.merchant_id})


def find_ready(transaction: Transaction, limit: int) -> list[RedeliveryName]:
    """Name at most ``limit`` orders that a step can be taken of, those that waited longest first."""
    wanted = {"now": transaction.now, "limit": limit, "open_max": OPEN_DELIVERIES_MAX}
    rows = transaction.rows_of_living_nodes(_READY, wanted)
    return [RedeliveryName(*row) for row in rows[:limit]]


def put_off_redeliveries(transaction: Transaction, names: Sequence[RedeliveryName]) -> None:
    """Let orders wait whose step failed because of a defect; one that was given three days ago is given up."""
    wanted = {"wanted": encode_rows(names)}
    transaction.run(_GIVE_UP, {**wanted, "before": transaction.now - GIVE_UP_MS})
    transaction.run(_PUT_OFF, {**wanted, "until": transaction.now + PUT_OFF_MS})


def advance_redeliveries(transaction: Transaction, names: Iterable[RedeliveryName]) -> None:
    """Take a step of each of these orders, and end those that are carried out or whose endpoint is deleted."""
    # Merchants are locked in one order in every process, as before a commit: so two processes cannot deadlock.
    for name in sorted(names, key=lambda one: (one.merchant_id, one.id)):
        lock_starts(transaction, name.merchant_id)
        _lock_merchant(transaction, name.merchant_id)
        wanted = {"wanted": encode_rows([name])}
        # Read again under the lock: another process may have taken the step.
        for order in (Redelivery(*row) for row in transaction.rows(_BY_NAME, wanted)):
            of = TenantScopedId(order.endpoint_id, order.merchant_id)
            endpoint = store.read_endpoints(transaction, [of])[of]
            if endpoint.deleted_at is None:
                after, _ = _step(transaction, order, endpoint)
                if after.remaining > 0:
                    transaction.run(_ADVANCE, {"wanted": encode_rows([after]), "now": transaction.now})
                    continue
            transaction.run(_END, wanted)
