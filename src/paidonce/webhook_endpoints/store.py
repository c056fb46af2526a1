"""Statements over webhook endpoints. Every change is guarded by the version that it was made from."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import Select, Update, bindparam, func, select, text, update
from sqlalchemy.sql.dml import ReturningInsert

from paidonce.clock import Instant
from paidonce.database.paging import in_page, page_of
from paidonce.database.schema import FAILING, delivery, webhook_endpoint
from paidonce.database.sets import encode_rows, insert_json_rows, json_rows
from paidonce.database.statement import CITUS, SQLITE, Statement
from paidonce.database.transaction import Transaction
from paidonce.merchants.model import Tenant, TenantFilter, TenantScopedId, pick_visible
from paidonce.merchants.scoping import is_found, read_wanted, wanted_ids
from paidonce.webhook_endpoints.model import WebhookEndpoint

FAILING_MAX: Final = 1000
_COLUMNS: Final = [webhook_endpoint.c[name] for name in WebhookEndpoint.__struct_fields__]
_CHANGING: Final[dict[str, type[str] | type[int]]] = {
    "url": str,
    "event_types": str,
    "description": str,
    "secret": str,
    "former_secret": str,
    "former_secret_until": int,
    "failing_since": int,
    "paused_at": int,
    "pause_reason": str,
    "updated_at": int,
    "deleted_at": int,
}


def _insert(dialect: str) -> ReturningInsert[Any]:
    statement = insert_json_rows(dialect, webhook_endpoint, *WebhookEndpoint.__struct_fields__)
    return statement.on_conflict_do_nothing(index_elements=["id", "merchant_id"]).returning(webhook_endpoint.c.id)


def _by_name(dialect: str) -> Select[Any]:
    return select(*_COLUMNS).where(is_found(webhook_endpoint, wanted_ids(dialect)))


def _change(dialect: str) -> Update:
    wanted = json_rows(dialect, "wanted", id=str, merchant_id=str, version=int, **_CHANGING)
    statement = update(webhook_endpoint).where(
        webhook_endpoint.c.id == wanted.c.id,
        webhook_endpoint.c.merchant_id == wanted.c.merchant_id,
        webhook_endpoint.c.version == wanted.c.version,
    )
    changes = {name: wanted.c[name] for name in _CHANGING}
    return statement.values(version=webhook_endpoint.c.version + 1, **changes).returning(webhook_endpoint.c.id)


def _of_tenants(dialect: str) -> Select[Any]:
    wanted = json_rows(dialect, "wanted", merchant_id=str, mode=str)
    newest = (
        select(func.max(delivery.c.number))
        .where(
            delivery.c.endpoint_id == webhook_endpoint.c.id,
            delivery.c.merchant_id == webhook_endpoint.c.merchant_id,
            # Citus looks for it on the shards of the given rows only.
            *([delivery.c.merchant_id == wanted.c.merchant_id] if dialect == CITUS else ()),
        )
        .scalar_subquery()
    )
    # The newest of all may be deleted, and was not necessarily the last one to be.
    greatest = func.max if dialect == SQLITE else func.greatest
    return select(
        webhook_endpoint.c.id,
        webhook_endpoint.c.merchant_id,
        webhook_endpoint.c.mode,
        webhook_endpoint.c.event_types,
        greatest(func.coalesce(newest, 0), webhook_endpoint.c.deleted_number).label("newest"),
    ).where(
        webhook_endpoint.c.merchant_id == wanted.c.merchant_id,
        webhook_endpoint.c.mode == wanted.c.mode,
        webhook_endpoint.c.deleted_at.is_(None),
    )


_INSERT: Final = Statement(_insert)
_BY_NAME: Final = Statement(_by_name)
_CHANGE: Final = Statement(_change)
_OF_TENANTS: Final = Statement(_of_tenants)
_FAILING: Final = (
    select(
        webhook_endpoint.c.id,
        webhook_endpoint.c.merchant_id,
        webhook_endpoint.c.failing_since,
        webhook_endpoint.c.paused_at.is_not(None),
    )
    .where(text(FAILING), webhook_endpoint.c.failing_since < bindparam("before"))
    .order_by(webhook_endpoint.c.failing_since)
    .limit(FAILING_MAX)
)
_ALL: Final = select(*_COLUMNS).where(webhook_endpoint.c.deleted_at.is_(None)).order_by(webhook_endpoint.c.id)


class Subscription(msgspec.Struct, frozen=True):
    """What a merchant's endpoint wants to hear of, and the number of its newest delivery."""

    endpoint_id: str
    merchant_id: str
    mode: str
    event_types: str | None
    newest: int

    @property
    def tenant(self) -> Tenant:
        """Whose events it gets."""
        return Tenant(self.merchant_id, self.mode)


def insert_endpoints(transaction: Transaction, endpoints: Iterable[WebhookEndpoint]) -> set[str]:
    """Insert endpoints; returns the ids of those that were not there."""
    return transaction.column(_INSERT, {"rows": encode_rows(endpoints)})


def read_endpoints(transaction: Transaction, names: Iterable[TenantScopedId]) -> dict[TenantScopedId, WebhookEndpoint]:
    """Read endpoints, deleted ones too; those that are missing, or that their id does not find, are left out."""
    wanted = list(names)
    rows = read_wanted(transaction, _BY_NAME, wanted)
    return pick_visible(wanted, {one.id: one for one in (WebhookEndpoint(*row) for row in rows)})


def change_endpoints(transaction: Transaction, endpoints: Sequence[WebhookEndpoint]) -> set[str]:
    """Write endpoints as they shall be; returns the ids of those that were still of the version that was seen."""
    if not endpoints:
        return set()
    return transaction.column(_CHANGE, {"wanted": encode_rows(endpoints)})


def subscriptions_of(transaction: Transaction, tenants: Iterable[Tenant]) -> list[Subscription]:
    """Read what the endpoints of merchants want to hear of, each in one mode."""
    rows = transaction.rows(_OF_TENANTS, {"wanted": encode_rows(tenants)})
    return [Subscription(*row) for row in rows]


class EndpointFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which endpoints a page shows: newest first, or, with ``ending_before``, those just newer than an id."""

    limit: int
    tenant: TenantFilter = TenantFilter()
    starting_after: str | None = None
    ending_before: str | None = None


def read_page(transaction: Transaction, wanted: EndpointFilter) -> tuple[list[WebhookEndpoint], bool]:
    """Read one page, newest first, and whether more lies beyond it."""
    statement = in_page(
        _ALL,
        webhook_endpoint.c.id,
        limit=wanted.limit,
        starting_after=wanted.starting_after,
        ending_before=wanted.ending_before,
    )
    if wanted.tenant.merchant_id is not None:
        statement = statement.where(webhook_endpoint.c.merchant_id == wanted.tenant.merchant_id)
    if wanted.tenant.mode is not None:
        statement = statement.where(webhook_endpoint.c.mode == wanted.tenant.mode)
    found = [WebhookEndpoint(*row) for row in transaction.rows(statement)]
    return page_of(found, limit=wanted.limit, is_reversed=wanted.ending_before is not None)


def read_all(transaction: Transaction, *, after: str, limit: int) -> list[WebhookEndpoint]:
    """Read endpoints that are not deleted, in the order of their ids, those after an id."""
    statement = _ALL.where(webhook_endpoint.c.id > after).limit(limit)
    return [WebhookEndpoint(*row) for row in transaction.rows(statement)]


class FailingEndpoint(msgspec.Struct, frozen=True):
    """An endpoint whose receiver has not taken a webhook since an instant, and whether it is paused."""

    id: str
    merchant_id: str
    failing_since: Instant
    is_paused: bool


def read_failing(transaction: Transaction, *, before: Instant) -> list[FailingEndpoint]:
    """Read at most FAILING_MAX endpoints that have failed since before an instant, those that fail longest first."""
    rows = transaction.rows(_FAILING, {"before": before})
    return [FailingEndpoint(row[0], row[1], row[2], bool(row[3])) for row in rows]
