"""Statements that show deliveries, and that have them sent again."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import ColumnElement, Select, TextClause, Update, bindparam, or_, select, text, update

from paidonce import ids
from paidonce.clock import Instant
from paidonce.database.due import MakesDue
from paidonce.database.paging import in_page, page_of
from paidonce.database.schema import FAILED, delivery, delivery_try, event, webhook_endpoint
from paidonce.database.sets import encode_rows, json_rows
from paidonce.database.statement import Statement
from paidonce.database.transaction import DueTime, NamedRow, Transaction
from paidonce.merchants.model import Tenant, TenantScopedId
from paidonce.merchants.scoping import is_tenants, tenant_parameters
from paidonce.webhook_endpoints.delivery_store import NewTry
from paidonce.webhook_endpoints.model import Delivery, DeliveryStatus, WebhookEndpoint, sources_of, wants
from paidonce.webhook_endpoints.outbox import insert_deliveries, new_delivery, read_filter
from paidonce.webhook_endpoints.store import subscriptions_of

TRIES_SHOWN_MAX: Final = 20  # The newest; a delivery that was made due by hand again and again may have more.

REDELIVERED_MAX: Final = 1000  # Failed deliveries that are made due in one transaction.

# One that is being sent is left to its sender. One that is pending stays so, and becomes due.
RESENDABLE: Final = {DeliveryStatus.PENDING, *sources_of(DeliveryStatus.PENDING)} - {DeliveryStatus.SENDING}

_COLUMNS: Final = [delivery.c[name] for name in Delivery.__struct_fields__]
_TRY_COLUMNS: Final = [delivery_try.c[name] for name in NewTry.__struct_fields__]


class ShownDelivery(msgspec.Struct, frozen=True):
    """A delivery with its endpoint's mode, its event's type and number, and its newest tries, oldest first."""

    delivery: Delivery
    mode: str
    type: str
    sequence: int
    tries: list[NewTry]

    @property
    def tenant(self) -> Tenant:
        """Whose it is: its endpoint's."""
        return Tenant(self.delivery.merchant_id, self.mode)


_WITH_EVENT: Final = (
    select(*_COLUMNS, webhook_endpoint.c.mode, event.c.type, event.c.sequence)
    .join(event, (event.c.id == delivery.c.event_id) & (event.c.merchant_id == delivery.c.merchant_id))
    .join(
        webhook_endpoint,
        (webhook_endpoint.c.id == delivery.c.endpoint_id) & (webhook_endpoint.c.merchant_id == delivery.c.merchant_id),
    )
)
_ONE: Final = _WITH_EVENT.where(
    delivery.c.id == bindparam("wanted_id"), webhook_endpoint.c.deleted_at.is_(None), is_tenants(webhook_endpoint)
)


def _tries(dialect: str) -> Select[Any]:
    wanted = json_rows(dialect, "wanted", id=str, merchant_id=str, fence=int)
    return (
        select(*_TRY_COLUMNS)
        .where(
            delivery_try.c.delivery_id == wanted.c.id,
            delivery_try.c.merchant_id == wanted.c.merchant_id,
            delivery_try.c.number > wanted.c.fence - TRIES_SHOWN_MAX,
        )
        .order_by(delivery_try.c.delivery_id, delivery_try.c.number)
    )


def _among(dialect: str) -> Select[Any]:
    wanted = json_rows(dialect, "wanted", id=str)
    return select(delivery.c.id).where(delivery.c.id == wanted.c.id)


def _redeliver(dialect: str) -> Update:
    """Make due what is not under way. What is dropped stays so: its endpoint is no more."""
    wanted = json_rows(dialect, "wanted", id=str, merchant_id=str)
    statement = update(delivery).where(
        delivery.c.id == wanted.c.id,
        delivery.c.merchant_id == wanted.c.merchant_id,
        or_(*(delivery.c.status == one for one in sorted(RESENDABLE))),
        # However often the same is asked for, nothing is written for what is due already.
        or_(delivery.c.status != DeliveryStatus.PENDING, delivery.c.due_at > bindparam("now"), delivery.c.failures > 0),
    )
    return statement.values(
        status=DeliveryStatus.PENDING, due_at=bindparam("now"), failures=0, updated_at=bindparam("now")
    )


_NEWEST_FAILED: Final = (
    select(delivery.c.id, delivery.c.created_at)
    .where(
        delivery.c.endpoint_id == bindparam("wanted_id"),
        delivery.c.merchant_id == bindparam("of_merchant"),
        text(FAILED),
    )
    .order_by(delivery.c.id.desc())
    .limit(REDELIVERED_MAX + 1)
)
_TRIES: Final = Statement(_tries)
_AMONG: Final = Statement(_among)
_REDELIVER: Final = MakesDue(delivery, Statement(_redeliver))
_MAKE_DUE: Final = MakesDue(
    delivery,
    Statement(
        lambda _: (
            update(delivery)
            .where(
                delivery.c.endpoint_id == bindparam("wanted_id"),
                delivery.c.merchant_id == bindparam("of_merchant"),
                delivery.c.status == DeliveryStatus.PENDING,
                delivery.c.due_at.is_not(None),
                # What is due and never failed is as it should be: as much is written as has failed, not as is waiting.
                or_(delivery.c.due_at > bindparam("now"), delivery.c.failures > 0),
            )
            .values(due_at=bindparam("now"), failures=0, updated_at=bindparam("now"))
        )
    ),
)
_RANGE: Final = (
    select(event.c.id, event.c.type, event.c.detail, delivery.c.id.label("delivery_id"))
    .outerjoin(
        delivery,
        (delivery.c.event_id == event.c.id)
        & (delivery.c.merchant_id == event.c.merchant_id)
        & (delivery.c.endpoint_id == bindparam("wanted_id")),
    )
    .where(
        event.c.merchant_id == bindparam("of_merchant"),
        event.c.mode == bindparam("of_mode"),
        event.c.sequence.between(bindparam("first"), bindparam("last")),
    )
    .order_by(event.c.sequence)
)


def read_delivery(transaction: Transaction, wanted: TenantScopedId) -> ShownDelivery | None:
    """Read a delivery with its tries; None where its id does not find it, or its endpoint is deleted."""
    rows = transaction.rows(_ONE, tenant_parameters(wanted))
    return next(iter(_shown(transaction, rows)), None)


def read_page(
    transaction: Transaction,
    endpoint: WebhookEndpoint,
    *,
    limit: int,
    status: str | None,
    starting_after: str | None,
    ending_before: str | None,
) -> tuple[list[ShownDelivery], bool]:
    """Read one page of an endpoint's deliveries, newest first, and whether more lies beyond it."""
    statement = _WITH_EVENT.where(delivery.c.endpoint_id == endpoint.id, delivery.c.merchant_id == endpoint.merchant_id)
    if status is not None:
        statement = statement.where(delivery.c.status == status, *_of_index(status))
    statement = in_page(
        statement, delivery.c.id, limit=limit, starting_after=starting_after, ending_before=ending_before
    )
    rows, has_more = page_of(transaction.rows(statement), limit=limit, is_reversed=ending_before is not None)
    return _shown(transaction, rows), has_more


def _of_index(status: str) -> list[ColumnElement[bool] | TextClause]:
    """Name the partial index that has the deliveries with a status. Most are delivered, and in none."""
    if status == DeliveryStatus.FAILED:
        return [text(FAILED)]
    is_open = status in (DeliveryStatus.PENDING, DeliveryStatus.SENDING)
    return [delivery.c.due_at.is_not(None)] if is_open else []


def _shown(transaction: Transaction, rows: Sequence[NamedRow]) -> list[ShownDelivery]:
    if not rows:
        return []
    wanted = encode_rows({"id": row.id, "merchant_id": row.merchant_id, "fence": row.fence} for row in rows)
    tries: defaultdict[str, list[NewTry]] = defaultdict(list)
    for row in transaction.rows(_TRIES, {"wanted": wanted}):
        one = NewTry(**dict(zip(NewTry.__struct_fields__, row, strict=True)))
        tries[one.delivery_id].append(one)
    return [ShownDelivery(Delivery(*row[:-3]), row.mode, row.type, row.sequence, tries[row.id]) for row in rows]


def ids_among(transaction: Transaction, delivery_ids: Iterable[str]) -> set[str]:
    """Tell which of these deliveries are there."""
    wanted = encode_rows({"id": one} for one in delivery_ids)
    return transaction.column(_AMONG, {"wanted": wanted})


def redeliver_one(transaction: Transaction, wanted: TenantScopedId) -> None:
    """Make a delivery due at once, unless it is under way."""
    rows = transaction.rows(_ONE, tenant_parameters(wanted))
    _redeliver_all(transaction, [(row.id, row.merchant_id) for row in rows])


def _redeliver_all(transaction: Transaction, names: Sequence[tuple[str, str]]) -> None:
    wanted = encode_rows({"id": one, "merchant_id": merchant_id} for one, merchant_id in names)
    due = [DueTime(transaction.now)] if names else []  # A delivery that does not exist wakes nobody.
    _REDELIVER.run(transaction, {"wanted": wanted, "now": transaction.now}, due)


def redeliver_failed(transaction: Transaction, endpoint: WebhookEndpoint, since: Instant) -> tuple[int, bool]:
    """Make due at once an endpoint's failed deliveries that were created since an instant, the newest REDELIVERED_MAX
    at the most; returns how many, and whether there may be more.
    """
    whose = {"wanted_id": endpoint.id, "of_merchant": endpoint.merchant_id}
    newest = transaction.rows(_NEWEST_FAILED, whose)
    wanted = [row.id for row in newest[:REDELIVERED_MAX] if row.created_at >= since]
    if wanted:
        _redeliver_all(transaction, [(one, endpoint.merchant_id) for one in wanted])
    return len(wanted), len(wanted) == REDELIVERED_MAX < len(newest)


def make_due(transaction: Transaction, endpoint: WebhookEndpoint) -> None:
    """Make due at once what waits for an endpoint, with all tries before it."""
    parameters = {"wanted_id": endpoint.id, "of_merchant": endpoint.merchant_id, "now": transaction.now}
    _MAKE_DUE.run(transaction, parameters, [DueTime(transaction.now)])


def redeliver_range(transaction: Transaction, endpoint: WebhookEndpoint, first: int, last: int) -> int:
    """Make due at once the events of a range that an endpoint wants or had; returns how many.

    Its merchant is locked: nobody else numbers deliveries of its endpoints.
    """
    types = read_filter(endpoint.id, endpoint.event_types)
    of = TenantScopedId(endpoint.id, endpoint.merchant_id, endpoint.mode)
    rows = transaction.rows(_RANGE, {**tenant_parameters(of), "first": first, "last": last})
    there = [(row.delivery_id, endpoint.merchant_id) for row in rows if row.delivery_id is not None]
    _redeliver_all(transaction, there)
    tenant = Tenant(endpoint.merchant_id, endpoint.mode)
    newest = {one.endpoint_id: one.newest for one in subscriptions_of(transaction, [tenant])}
    missing = [row.id for row in rows if row.delivery_id is None and wants(types, row.type)]
    insert_deliveries(
        transaction,
        [
            new_delivery(
                ids.new_id(ids.DELIVERY),
                endpoint.id,
                endpoint.merchant_id,
                event_id,
                number=number,
                now=transaction.now,
            )
            for number, event_id in enumerate(missing, newest[endpoint.id] + 1)
        ],
    )
    return len(there) + len(missing)
