"""SQL statements that find checkouts. Each reads a bounded number of rows of one index, whatever the filters are."""

import operator
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import ColumnElement, Select, exists, select, union
from sqlalchemy.sql.dml import ReturningInsert

from paidonce.checkouts.list_store import created_between
from paidonce.checkouts.model import Checkout
from paidonce.checkouts.store import WITH_ATTEMPT, checkout_of_row
from paidonce.database.schema import attempt, checkout, search_term
from paidonce.database.sets import encode_rows, insert_json_rows, json_rows, materialized
from paidonce.database.statement import Statement
from paidonce.database.transaction import Transaction
from paidonce.merchants.model import Tenant
from paidonce.search.model import Search, TermRow, terms_of_checkout

PROBE_MAX: Final = 1000  # Terms that more checkouts have than this are equally common.


class Step(msgspec.Struct, frozen=True):
    """A part of a search: at most ``examined_max`` rows of an index, from the newest before ``before``.

    The index is that of the checkouts with ``terms[0]``, or of all where there are none.
    """

    wanted: Search
    before: str | None
    examined_max: int
    terms: tuple[str, ...] = ()


class StepResult(msgspec.Struct, frozen=True):
    """The checkouts that a step found, newest first, at most one more than the page may hold.

    ``examined_to`` is the oldest id that was examined; None where nothing older can be wanted.
    """

    found: list[Checkout]
    examined_to: str | None


def take_step(transaction: Transaction, step: Step) -> StepResult:
    """Examine the next rows of the index."""
    place = search_term.c.checkout_id if step.terms else checkout.c.id
    rows = select(place.label("id")).where(*_range(step, place)).order_by(place.desc())
    # Each statement has its own snapshot on PostgreSQL. What is created between the two is in the range as well.
    examined_to = _first(transaction, rows.limit(1).offset(step.examined_max - 1))
    if examined_to is not None:
        rows = rows.where(place >= examined_to)
    # Chosen before anything is compared: otherwise PostgreSQL reads another index, of a status, say, without a bound.
    chosen = materialized(rows.limit(2 * step.examined_max))
    tenant = step.wanted.tenant
    statement = (
        WITH_ATTEMPT.where(*_is_tenants(checkout, tenant), checkout.c.id == chosen.c.id)
        .where(*_filters(step.wanted), *(_has_term(tenant, term, chosen.c.id) for term in step.terms[1:]))
        .order_by(chosen.c.id.desc())
        .limit(step.wanted.limit + 1)
    )
    return StepResult([checkout_of_row(row) for row in transaction.rows(statement)], examined_to)


def _first(transaction: Transaction, statement: Select[Any]) -> str | None:
    rows = transaction.rows(statement)
    return rows[0][0] if rows else None


def _range(step: Step, place: ColumnElement[str]) -> list[ColumnElement[bool]]:
    """Return the conditions that the index fulfils: it is read from one id to another."""
    wanted = step.wanted
    if step.terms:
        conditions = [*_is_tenants(search_term, wanted.tenant), search_term.c.term == step.terms[0]]
    else:
        conditions = _is_tenants(checkout, wanted.tenant)
    if step.before is not None:
        conditions.append(place < step.before)
    conditions += created_between(place, wanted.created_after, wanted.created_before)
    return conditions


def _is_tenants(table: Any, tenant: Tenant) -> list[ColumnElement[bool]]:  # noqa: ANN401 - a table or an alias of one
    return [table.c.merchant_id == tenant.merchant_id, table.c.mode == tenant.mode]


def _filters(wanted: Search) -> list[ColumnElement[bool]]:
    filters = [
        comparison(column, value)
        for column, comparison, value in (
            (checkout.c.status, operator.eq, wanted.status),
            (checkout.c.currency, operator.eq, wanted.currency),
            (checkout.c.amount, operator.eq, wanted.amount),
            (checkout.c.created_at, operator.gt, wanted.created_after),
            (checkout.c.created_at, operator.lt, wanted.created_before),
            (attempt.c.provider, operator.eq, wanted.provider),
        )
        if value is not None
    ]
    if wanted.reference is not None:  # A capture has its own reference, and that of the charge.
        filters.append(
            (attempt.c.provider_reference == wanted.reference) | (attempt.c.charge_reference == wanted.reference)
        )
    return filters


def _has_term(tenant: Tenant, term: str, checkout_id: ColumnElement[str]) -> ColumnElement[bool]:
    other = search_term.alias()
    return exists().where(*_is_tenants(other, tenant), other.c.term == term, other.c.checkout_id == checkout_id)


def read_named(transaction: Transaction, wanted: Search) -> list[Checkout]:
    """Read the checkouts that the text names: by their id, their idempotency key, the id of an attempt or a refund, or
    a provider's reference of one; newest first.
    """
    text, tenant = wanted.text, wanted.tenant
    of_attempts = [
        attempt.c.id == text,
        # With the condition of the partial index: the references that come from accounts with providers.
        (attempt.c.provider_reference == text) & attempt.c.account_id.is_not(None),
        (attempt.c.session_reference == text) & attempt.c.account_id.is_not(None),
    ]
    named = union(
        select(checkout.c.id).where(*_is_tenants(checkout, tenant), checkout.c.id == text),
        select(checkout.c.id).where(*_is_tenants(checkout, tenant), checkout.c.idempotency_key == text),
        *(select(attempt.c.checkout_id).where(*_is_tenants(attempt, tenant), one) for one in of_attempts),
    )
    found = [one for (one,) in transaction.rows(named)]
    if not found:
        return []
    statement = WITH_ATTEMPT.where(
        *_is_tenants(checkout, tenant), checkout.c.id.in_(found), *_filters(wanted)
    ).order_by(checkout.c.id.desc())
    return [checkout_of_row(row) for row in transaction.rows(statement)]


def rarest_first(transaction: Transaction, tenant: Tenant, terms: Collection[str]) -> tuple[str, ...]:
    """Return terms in the order of how many checkouts have them, counted up to ``PROBE_MAX``."""
    if len(terms) == 1:
        return tuple(terms)
    return tuple(sorted(terms, key=lambda term: _count(transaction, tenant, term)))


def _count(transaction: Transaction, tenant: Tenant, term: str) -> int:
    place = search_term.c.checkout_id
    having = select(place).where(*_is_tenants(search_term, tenant), search_term.c.term == term)
    for count in (1, 30, PROBE_MAX):
        if _first(transaction, having.order_by(place.desc()).limit(1).offset(count - 1)) is None:
            return count
    return PROBE_MAX + 1


def _insert_terms(dialect: str) -> ReturningInsert[Any]:
    statement = insert_json_rows(dialect, search_term, *TermRow.__struct_fields__, merchants_exist=True)
    return statement.on_conflict_do_nothing().returning(search_term.c.term)


def _texts(dialect: str) -> Select[Any]:
    wanted = json_rows(dialect, "wanted", id=str, merchant_id=str)
    return select(
        checkout.c.id, checkout.c.merchant_id, checkout.c.mode, checkout.c.description, checkout.c.metadata
    ).where(
        checkout.c.id == wanted.c.id,
        checkout.c.merchant_id == wanted.c.merchant_id,
        checkout.c.description.is_not(None) | checkout.c.metadata.is_not(None),
    )


_INSERT_TERMS: Final = Statement(_insert_terms)
_TEXTS: Final = Statement(_texts)


def read_terms(transaction: Transaction, checkouts: Mapping[str, str]) -> list[TermRow]:
    """Make the terms of checkouts, from texts that never change. Those without texts have none.

    ``checkouts`` are their ids, each with its merchant.
    """
    wanted = encode_rows({"id": one, "merchant_id": merchant_id} for one, merchant_id in sorted(checkouts.items()))
    rows = transaction.rows(_TEXTS, {"wanted": wanted})
    return [
        TermRow(merchant_id, mode, term, checkout_id)
        for checkout_id, merchant_id, mode, description, metadata in rows
        for term in terms_of_checkout(description, metadata)
    ]


def insert_terms(transaction: Transaction, terms: Iterable[TermRow]) -> None:
    """Insert terms. Those that are there already stay."""
    rows: Sequence[TermRow] = sorted(terms)
    if rows:
        transaction.run(_INSERT_TERMS, {"rows": encode_rows(rows)})
