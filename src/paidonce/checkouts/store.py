"""SQL statements for checkouts. Each runs over a batch and is compiled once for each database."""

from collections.abc import Collection, Iterable, Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import BigInteger, Select, Update, and_, bindparam, func, or_, select, text, update
from sqlalchemy.sql.dml import ReturningInsert

from paidonce.checkouts.model import EVENT_OF, Checkout, CheckoutStatus, CheckoutTransition, LatestAttempt, NewCheckout
from paidonce.clock import Instant
from paidonce.database.due import LOOK_AHEAD_MS, InsertsDue, MakesDue
from paidonce.database.schema import EXPIRING, attempt, checkout
from paidonce.database.sets import RowsInsert, encode_rows, insert_json_rows, json_rows
from paidonce.database.statement import Statement
from paidonce.database.transaction import AnyRow, DueTime, Transaction
from paidonce.events.model import EventType, NewEvent
from paidonce.merchants.model import TenantScopedId, pick_visible
from paidonce.merchants.scoping import find_wanted, is_found, read_wanted, wanted_ids

_CHECKOUT_COLUMNS: Final = [checkout.c[name] for name in Checkout.__struct_fields__[:-1]]
_ATTEMPT_COLUMNS: Final = [attempt.c[name] for name in LatestAttempt.__struct_fields__]

# Selects checkouts, each with its newest attempt, for ``checkout_of_row``.
WITH_ATTEMPT: Final = select(*_CHECKOUT_COLUMNS, *_ATTEMPT_COLUMNS).select_from(
    checkout.outerjoin(
        attempt, and_(attempt.c.id == checkout.c.attempt_id, attempt.c.merchant_id == checkout.c.merchant_id)
    )
)


class NewCheckoutRow(msgspec.Struct, frozen=True):
    """The columns of a new checkout. The others have their default values."""

    id: str
    merchant_id: str
    mode: str
    idempotency_key: str
    amount: int
    currency: str
    status: CheckoutStatus
    capture_method: str
    description: str | None
    metadata: str | None
    success_url: str | None
    cancel_url: str | None
    created_at: Instant
    updated_at: Instant
    expires_at: Instant


def _insert(dialect: str, merchants_exist: bool) -> ReturningInsert[Any]:  # noqa: FBT001 - as RowsInsert calls it
    columns = NewCheckoutRow.__struct_fields__
    statement = insert_json_rows(dialect, checkout, *columns, merchants_exist=merchants_exist)
    # RETURNING leaves out rows that exist already; they are read back by key.
    key = ["merchant_id", "mode", "idempotency_key"]
    return statement.on_conflict_do_nothing(index_elements=key).returning(checkout.c.id)


def _by_id(dialect: str) -> Select[Any]:
    return WITH_ATTEMPT.where(is_found(checkout, wanted_ids(dialect)))


def _by_key(dialect: str) -> Select[Any]:
    wanted = json_rows(dialect, "wanted", merchant_id=str, mode=str, idempotency_key=str)
    return WITH_ATTEMPT.where(
        checkout.c.merchant_id == wanted.c.merchant_id,
        checkout.c.mode == wanted.c.mode,
        checkout.c.idempotency_key == wanted.c.idempotency_key,
    )


def _apply_transition(dialect: str) -> Update:
    wanted = json_rows(
        dialect,
        "wanted",
        checkout_id=str,
        merchant_id=str,
        source=str,
        target=str,
        seen_attempt_id=str,
        new_attempt_id=str,
        attempts_added=int,
        captured=int,
    )
    statement = update(checkout).where(
        checkout.c.id == wanted.c.checkout_id,
        checkout.c.merchant_id == wanted.c.merchant_id,
        checkout.c.status == wanted.c.source,
        checkout.c.attempt_id.is_not_distinct_from(wanted.c.seen_attempt_id),
    )
    changes = statement.values(
        status=wanted.c.target,
        attempt_count=checkout.c.attempt_count + wanted.c.attempts_added,
        attempt_id=func.coalesce(wanted.c.new_attempt_id, checkout.c.attempt_id),
        amount_captured=checkout.c.amount_captured + wanted.c.captured,
        updated_at=bindparam("now"),
    )
    return changes.returning(checkout.c.id)


def _add_refunds(dialect: str) -> Update:
    wanted = json_rows(
        dialect,
        "wanted",
        checkout_id=str,
        merchant_id=str,
        pending=int,
        refunded=int,
        seen_refunded=int,
        seen_pending=int,
    )
    statement = update(checkout).where(
        checkout.c.id == wanted.c.checkout_id,
        checkout.c.merchant_id == wanted.c.merchant_id,
        checkout.c.amount_refunded == wanted.c.seen_refunded,
        checkout.c.amount_refund_pending == wanted.c.seen_pending,
    )
    changes = statement.values(
        amount_refund_pending=checkout.c.amount_refund_pending + wanted.c.pending,
        amount_refunded=checkout.c.amount_refunded + wanted.c.refunded,
        updated_at=bindparam("now"),
    )
    return changes.returning(checkout.c.id)


_ADD_DISPUTED: Final = (
    update(checkout)
    .where(checkout.c.id == bindparam("checkout_id"), checkout.c.merchant_id == bindparam("tenant"))
    .values(
        amount_disputed=checkout.c.amount_disputed + bindparam("added", type_=BigInteger()), updated_at=bindparam("now")
    )
)
_LIMIT_EXPIRY: Final = MakesDue(
    checkout,
    Statement(
        lambda _: (
            update(checkout)
            .where(
                checkout.c.id == bindparam("checkout_id"),
                checkout.c.merchant_id == bindparam("tenant"),
                checkout.c.status == CheckoutStatus.AUTHORIZED,
                checkout.c.expires_at > bindparam("lapses_at"),
            )
            .values(
                expires_at=bindparam("lapses_at"),
                expires_at_requested=func.coalesce(checkout.c.expires_at_requested, checkout.c.expires_at),
                updated_at=bindparam("now"),
            )
        )
    ),
)
_INSERT: Final = InsertsDue(checkout, RowsInsert(_insert))
_BY_ID: Final = Statement(_by_id)
_BY_KEY: Final = Statement(_by_key)
_APPLY_TRANSITION: Final = Statement(_apply_transition)
_ADD_REFUNDS: Final = Statement(_add_refunds)
_EXPIRED: Final = Statement(
    lambda _: (
        WITH_ATTEMPT.where(
            text(f"checkout.{EXPIRING}"),
            checkout.c.expires_at <= bindparam("until"),
            or_(checkout.c.attempt_id.is_(None), attempt.c.settled_at.is_not(None)),
        )
        .order_by(checkout.c.expires_at)
        .limit(bindparam("limit"))
    )
)


def checkout_of_row(row: AnyRow) -> Checkout:
    """Return the checkout of a row that ``WITH_ATTEMPT`` selected."""
    of_checkout, of_attempt = row[: len(_CHECKOUT_COLUMNS)], row[len(_CHECKOUT_COLUMNS) :]
    newest = None if of_attempt[0] is None else LatestAttempt(*of_attempt)
    return Checkout(*(*of_checkout, newest))


def insert_new(transaction: Transaction, requests: Iterable[NewCheckout]) -> set[str]:
    """Insert checkouts whose merchant and idempotency key are new; returns the ids that were inserted."""
    rows = [_new_row(request, transaction.now) for request in requests]
    due = [DueTime(row.expires_at) for row in rows]
    return {checkout_id for (checkout_id,) in _INSERT.rows(transaction, rows, due)}


def _new_row(request: NewCheckout, now: Instant) -> NewCheckoutRow:
    return NewCheckoutRow(
        request.id,
        request.merchant_id,
        request.mode,
        request.idempotency_key,
        request.amount,
        request.currency,
        CheckoutStatus.PENDING,
        request.capture_method,
        request.description,
        request.metadata,
        request.success_url,
        request.cancel_url,
        now,
        now,
        now + request.expires_in_seconds * 1000,
    )


def read_by_id(transaction: Transaction, wanted: Collection[TenantScopedId]) -> dict[TenantScopedId, Checkout]:
    """Read checkouts with their newest attempt. Those that are missing, or that their id does not find, are left out.
    Raises DatabaseUnavailable where one may be stored on a node that does not respond.
    """
    rows = read_wanted(transaction, _BY_ID, wanted)
    return pick_visible(wanted, {one.id: one for one in map(checkout_of_row, rows)})


def find_by_id(transaction: Transaction, wanted: Collection[TenantScopedId]) -> dict[TenantScopedId, Checkout]:
    """Do the same, and leave those on nodes that do not respond out."""
    rows = find_wanted(transaction, _BY_ID, wanted)
    return pick_visible(wanted, {one.id: one for one in map(checkout_of_row, rows)})


def id_of(checkout: Checkout) -> TenantScopedId:
    """Return the id of a checkout, scoped to its merchant and its mode."""
    return TenantScopedId(checkout.id, checkout.merchant_id, checkout.mode)


class CheckoutKey(msgspec.Struct, frozen=True):
    """What identifies the creation of a checkout."""

    merchant_id: str
    mode: str
    idempotency_key: str


def key_of(checkout: Checkout | NewCheckout) -> CheckoutKey:
    """Return the key of a checkout, or of a request to create one."""
    return CheckoutKey(checkout.merchant_id, checkout.mode, checkout.idempotency_key)


def read_by_key(transaction: Transaction, keys: Iterable[CheckoutKey]) -> dict[CheckoutKey, Checkout]:
    """Read checkouts by their keys."""
    rows = transaction.rows(_BY_KEY, {"wanted": encode_rows(keys)})
    return {key_of(one): one for one in map(checkout_of_row, rows)}


def read_expired(transaction: Transaction, limit: int) -> list[Checkout]:
    """Read at most ``limit`` expired checkouts that have no attempt under way, longest expired first; note when others
    expire soon.
    """
    rows = transaction.rows_of_living_nodes(_EXPIRED, {"until": transaction.now + LOOK_AHEAD_MS, "limit": limit})
    found = [checkout_of_row(row) for row in rows]
    transaction.note_due(checkout, (DueTime(one.expires_at) for one in found if one.expires_at > transaction.now))
    return [one for one in found if one.expires_at <= transaction.now][:limit]


def apply_transitions(transaction: Transaction, transitions: Sequence[CheckoutTransition]) -> set[str]:
    """Apply transitions, each with its event; returns the ids of the checkouts that were unchanged since they were
    read.
    """
    if not transitions:
        return set()
    rows = encode_rows(
        {
            "checkout_id": transition.checkout_id,
            "merchant_id": transition.merchant_id,
            "source": transition.source,
            "target": transition.target,
            "seen_attempt_id": transition.seen_attempt_id,
            "new_attempt_id": transition.attempt_id if transition.starts else None,
            "attempts_added": int(transition.counts),
            "captured": transition.captured,
        }
        for transition in transitions
    )
    applied = transaction.column(_APPLY_TRANSITION, {"wanted": rows, "now": transaction.now})
    transaction.events.extend(
        NewEvent(
            type=EVENT_OF[transition.target]
            if transition.source is not transition.target
            else EventType.ATTEMPT_STARTED,
            cause=transition.cause,
            merchant_id=transition.merchant_id,
            mode=transition.mode,
            checkout_id=transition.checkout_id,
            attempt_id=transition.attempt_id,
            origin=transition.origin,
            detail=transition.detail,
        )
        for transition in transitions
        if transition.checkout_id in applied
    )
    return applied


class RefundSums(msgspec.Struct, frozen=True, kw_only=True):
    """Changes to a checkout's sums of refunds, in minor units, which apply if the sums are still as read."""

    checkout: Checkout
    pending: int
    refunded: int = 0


def add_refunds(transaction: Transaction, sums: Sequence[RefundSums]) -> set[str]:
    """Change the sums of refunds, one row for each checkout; returns the ids of those whose sums were still as read."""
    wanted = encode_rows(
        {
            "checkout_id": one.checkout.id,
            "merchant_id": one.checkout.merchant_id,
            "pending": one.pending,
            "refunded": one.refunded,
            "seen_refunded": one.checkout.amount_refunded,
            "seen_pending": one.checkout.amount_refund_pending,
        }
        for one in sums
    )
    return transaction.column(_ADD_REFUNDS, {"wanted": wanted, "now": transaction.now})


def add_disputed(transaction: Transaction, disputed: TenantScopedId, amount: int) -> None:
    """Add to the amount of a checkout that is disputed, in minor units, or take from it."""
    wanted = {"checkout_id": disputed.id, "tenant": disputed.merchant_id, "added": amount, "now": transaction.now}
    transaction.run(_ADD_DISPUTED, wanted)


def limit_expiry(transaction: Transaction, authorized: TenantScopedId, lapses_at: Instant) -> None:
    """Have an AUTHORIZED checkout expire when its authorization lapses, unless it expires before that."""
    wanted = {
        "checkout_id": authorized.id,
        "tenant": authorized.merchant_id,
        "lapses_at": lapses_at,
        "now": transaction.now,
    }
    _LIMIT_EXPIRY.run(transaction, wanted, [DueTime(lapses_at)])
