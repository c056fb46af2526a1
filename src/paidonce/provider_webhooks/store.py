"""Statements of the inbox. A webhook is stored once for each provider and id, and marked as applied once."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import Delete, Select, Update, bindparam, delete, exists, func, select, text, tuple_, update
from sqlalchemy.sql.dml import Insert
from sqlalchemy.sql.selectable import FromClause

from paidonce.clock import Instant
from paidonce.database.due import LOOK_AHEAD_MS, MakesDue
from paidonce.database.schema import GIVEN_UP, provider_webhook
from paidonce.database.sets import encode_rows, insert_json_rows, json_rows
from paidonce.database.statement import Statement
from paidonce.database.transaction import DueTime, Transaction
from paidonce.provider_webhooks.model import GIVEN_UP_RESULTS, ProviderWebhook, WebhookResult

COUNTED_MAX: Final = 1000  # Whoever counts says "at least" then, instead of reading a backlog of years.
_COLUMNS: Final = [provider_webhook.c[name] for name in ProviderWebhook.__struct_fields__]


class WebhookName(msgspec.Struct, frozen=True):
    """A webhook's primary key: providers name theirs independently of each other."""

    provider: str
    id: str

    def __str__(self) -> str:
        """Return it as people read it, such as in the audit log."""
        return f"{self.provider} {self.id}"


class DuePosition(msgspec.Struct, frozen=True):
    """A webhook that is due, and its position among all that are due."""

    due_at: Instant
    name: WebhookName


class WebhookMark(msgspec.Struct, frozen=True, kw_only=True):
    """What a try came to. ``tries_seen`` guards it: of two processes that try at once, one counts."""

    provider: str
    id: str
    tries_seen: int
    result: str
    applied_at: Instant | None
    due_at: Instant | None


def _insert(dialect: str) -> Insert:
    statement = insert_json_rows(dialect, provider_webhook, *ProviderWebhook.__struct_fields__)
    return statement.on_conflict_do_nothing(index_elements=["provider", "id"])


def _by_name(dialect: str) -> Select[Any]:
    wanted = json_rows(dialect, "wanted", provider=str, id=str)
    return select(*_COLUMNS).where(
        provider_webhook.c.provider == wanted.c.provider, provider_webhook.c.id == wanted.c.id
    )


def _mark(dialect: str) -> Update:
    wanted = json_rows(dialect, "wanted", provider=str, id=str, tries_seen=int, result=str, applied_at=int, due_at=int)
    return _update_seen(wanted).values(
        tries=provider_webhook.c.tries + 1,
        result=wanted.c.result,
        applied_at=wanted.c.applied_at,
        due_at=wanted.c.due_at,
    )


def _hold(dialect: str) -> Update:
    wanted = json_rows(dialect, "wanted", provider=str, id=str, tries_seen=int)
    return _update_seen(wanted).values(tries=provider_webhook.c.tries)


def _update_seen(wanted: FromClause) -> Update:
    """Update the webhooks that nobody has tried since they were read, and return their names."""
    statement = update(provider_webhook).where(
        provider_webhook.c.provider == wanted.c.provider,
        provider_webhook.c.id == wanted.c.id,
        provider_webhook.c.tries == wanted.c.tries_seen,
    )
    return statement.returning(provider_webhook.c.provider, provider_webhook.c.id)


def _delete_applied(dialect: str) -> Delete:
    wanted = json_rows(dialect, "wanted", provider=str, id=str)
    return delete(provider_webhook).where(
        tuple_(provider_webhook.c.provider, provider_webhook.c.id).in_(select(wanted.c.provider, wanted.c.id)),
        provider_webhook.c.applied_at.is_not(None),
    )


_INSERT: Final = MakesDue(provider_webhook, Statement(_insert))
_BY_NAME: Final = Statement(_by_name)
_MARK: Final = MakesDue(provider_webhook, Statement(_mark))
_HOLD: Final = Statement(_hold)
_DELETE_APPLIED: Final = Statement(_delete_applied)
_APPLIED_BEFORE: Final = (
    select(provider_webhook.c.provider, provider_webhook.c.id)
    .where(provider_webhook.c.applied_at < bindparam("before"))
    .order_by(provider_webhook.c.applied_at)
    .limit(bindparam("limit"))
)
_POSITION: Final = (provider_webhook.c.due_at, provider_webhook.c.provider, provider_webhook.c.id)
_SELECT_DUE: Final = (
    select(*_POSITION)
    .where(provider_webhook.c.due_at <= bindparam("until"))
    .order_by(*_POSITION)
    .limit(bindparam("limit"))
)
_DUE: Final = Statement(lambda _: _SELECT_DUE)
_DUE_AFTER: Final = Statement(
    lambda _: _SELECT_DUE.where(
        provider_webhook.c.due_at >= bindparam("after_due_at"),  # The part that the index of due webhooks knows.
        tuple_(*_POSITION) > tuple_(bindparam("after_due_at"), bindparam("after_provider"), bindparam("after_id")),
    )
)
_BY_ID: Final = select(*_COLUMNS).where(provider_webhook.c.id == bindparam("wanted_id"))
_APPLIED_LAST: Final = (
    select(*_COLUMNS)
    .where(provider_webhook.c.applied_at.is_not(None))
    .order_by(provider_webhook.c.applied_at.desc())
    .limit(bindparam("limit"))
)
_DUE_LAST: Final = (
    select(*_COLUMNS)
    .where(provider_webhook.c.due_at.is_not(None))
    .order_by(provider_webhook.c.due_at.desc())
    .limit(bindparam("limit"))
)
_WAITING: Final = (provider_webhook.c.received_at, provider_webhook.c.provider, provider_webhook.c.id)
_GIVEN_UP: Final = (
    select(*_COLUMNS)
    .where(text(GIVEN_UP), provider_webhook.c.result == bindparam("of_result"))
    .order_by(*_WAITING)
    .limit(bindparam("limit"))
)
_NEWEST_GIVEN_UP: Final = _GIVEN_UP.order_by(None).order_by(provider_webhook.c.received_at.desc())
_GIVEN_UP_AFTER: Final = _GIVEN_UP.where(
    provider_webhook.c.received_at >= bindparam("after_received_at"),  # The part that the index knows.
    tuple_(*_WAITING) > tuple_(bindparam("after_received_at"), bindparam("after_provider"), bindparam("after_id")),
)
_OLDEST_GIVEN_UP: Final = (
    select(provider_webhook.c.received_at)
    .where(text(GIVEN_UP), provider_webhook.c.result == bindparam("of_result"))
    .order_by(provider_webhook.c.received_at)
    .limit(COUNTED_MAX)
    .subquery("oldest")
)
_COUNT_GIVEN_UP: Final = select(func.count(), func.min(_OLDEST_GIVEN_UP.c.received_at)).select_from(_OLDEST_GIVEN_UP)
_ANY_OF: Final = select(exists().where(provider_webhook.c.provider == bindparam("of_provider")))


def insert_webhooks(transaction: Transaction, webhooks: Sequence[ProviderWebhook]) -> None:
    """Store webhooks; one whose provider and id are there already is left as it is."""
    _INSERT.run(transaction, {"rows": encode_rows(webhooks)}, [DueTime(one.due_at) for one in webhooks])


def read_webhooks(transaction: Transaction, names: Sequence[WebhookName]) -> dict[WebhookName, ProviderWebhook]:
    """Read webhooks by name; those that are not there are left out."""
    rows = transaction.rows(_BY_NAME, {"wanted": encode_rows(names)})
    return {WebhookName(one.provider, one.id): one for one in (ProviderWebhook(*row) for row in rows)}


def hold_webhooks(transaction: Transaction, webhooks: Iterable[ProviderWebhook]) -> set[WebhookName]:
    """Keep others from changing webhooks until the transaction ends; returns those that are still as they were read."""
    wanted = [{"provider": one.provider, "id": one.id, "tries_seen": one.tries} for one in webhooks]
    return {WebhookName(*row) for row in transaction.rows(_HOLD, {"wanted": encode_rows(wanted)})} if wanted else set()


def mark_webhooks(transaction: Transaction, marks: Sequence[WebhookMark]) -> set[WebhookName]:
    """Write what tries came to; returns the webhooks whose try counts."""
    if not marks:
        return set()
    rows = _MARK.rows(transaction, {"wanted": encode_rows(marks)}, [DueTime(one.due_at) for one in marks])
    return {WebhookName(*row) for row in rows}


def find_due(transaction: Transaction, limit: int, after: DuePosition | None) -> list[DuePosition]:
    """Find at most ``limit`` webhooks that are due, after a position, those that have been due longest first; note when
    others are due soon.
    """
    parameters: dict[str, Any] = {"until": transaction.now + LOOK_AHEAD_MS, "limit": limit}
    statement = _DUE
    if after is not None:
        statement = _DUE_AFTER
        parameters |= {"after_due_at": after.due_at, "after_provider": after.name.provider, "after_id": after.name.id}
    rows = sorted(transaction.rows_of_living_nodes(statement, parameters))
    transaction.note_due(provider_webhook, (DueTime(at) for at, *_ in rows if at > transaction.now))
    due = [DuePosition(at, WebhookName(provider, of_provider)) for at, provider, of_provider in rows]
    return [one for one in due if one.due_at <= transaction.now][:limit]


def find_applied(transaction: Transaction, *, before: Instant, limit: int) -> list[WebhookName]:
    """Name at most ``limit`` webhooks that were applied before an instant, the oldest first."""
    return [WebhookName(*row) for row in transaction.rows(_APPLIED_BEFORE, {"before": before, "limit": limit})]


def delete_applied(transaction: Transaction, names: Sequence[WebhookName]) -> None:
    """Delete webhooks; one that is not applied stays."""
    transaction.run(_DELETE_APPLIED, {"wanted": encode_rows(names)})


def find_by_id(transaction: Transaction, webhook_id: str) -> list[ProviderWebhook]:
    """Find the webhooks with an id: one of each provider at the most."""
    return [ProviderWebhook(*row) for row in transaction.rows(_BY_ID, {"wanted_id": webhook_id})]


def read_newest(transaction: Transaction, *, limit: int, applied_too: bool) -> list[ProviderWebhook]:
    """Read at most ``limit`` webhooks, newest first: all, or those that are not applied.

    Each webhook would pay for an index of when it was received. Without one, they are the newest of those that were
    given up, of those that are due last, and of those that were applied last.
    """
    rows = [*transaction.rows(_DUE_LAST, {"limit": limit})]
    for result in GIVEN_UP_RESULTS:
        rows += transaction.rows(_NEWEST_GIVEN_UP, {"of_result": result, "limit": limit})
    if applied_too:
        rows += transaction.rows(_APPLIED_LAST, {"limit": limit})
    found = [ProviderWebhook(*row) for row in rows]
    return sorted(found, key=lambda one: one.received_at, reverse=True)[:limit]


def read_given_up(
    transaction: Transaction, result: WebhookResult, *, limit: int, after: ProviderWebhook | None
) -> list[ProviderWebhook]:
    """Read at most ``limit`` webhooks that came to a result and are not tried again, those after one, oldest first."""
    parameters: dict[str, Any] = {"of_result": result, "limit": limit}
    statement = _GIVEN_UP
    if after is not None:
        statement = _GIVEN_UP_AFTER
        parameters |= {"after_received_at": after.received_at, "after_provider": after.provider, "after_id": after.id}
    return [ProviderWebhook(*row) for row in transaction.rows(statement, parameters)]


def count_given_up(transaction: Transaction, result: WebhookResult) -> tuple[int, Instant | None]:
    """Count, up to COUNTED_MAX, the webhooks that came to a result and are not tried again, and tell when the oldest
    was received.
    """
    [row] = transaction.rows(_COUNT_GIVEN_UP, {"of_result": result})
    return row[0], row[1]


def has_webhook(transaction: Transaction, provider: str) -> bool:
    """Tell whether any webhook of a provider, or of one account with it, is stored."""
    [row] = transaction.rows(_ANY_OF, {"of_provider": provider})
    return bool(row[0])
