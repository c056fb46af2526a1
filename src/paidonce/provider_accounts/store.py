"""Statements over provider accounts. Every change is guarded by the version that it was made from."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import Select, Update, and_, func, or_, select, text, update
from sqlalchemy.sql.dml import ReturningInsert

from paidonce.database.paging import in_page, page_of
from paidonce.database.schema import USABLE_ACCOUNT, provider_account
from paidonce.database.sets import encode_rows, insert_json_rows, json_rows
from paidonce.database.statement import Row, Statement
from paidonce.database.transaction import Transaction
from paidonce.merchants.model import Mode
from paidonce.merchants.scoping import find_wanted, read_wanted
from paidonce.provider_accounts.model import AccountName, ProviderAccount

_COLUMNS: Final = [provider_account.c[name] for name in ProviderAccount.__struct_fields__]
_CHANGING: Final[dict[str, type[str] | type[int]]] = {
    "status": str,
    "credentials": str,
    "hints": str,
    "position": int,
    "updated_at": int,
    "disabled_at": int,
}


PREFERRED_MAX: Final = 32  # No payment tries more accounts, and a merchant may have any number of them.


class Preference(msgspec.Struct, frozen=True):
    """A merchant's request for its active accounts in a mode, with one provider or with any."""

    merchant_id: str
    mode: str
    provider: str | None


class AccountFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which accounts a page shows: newest first, or, with ``ending_before``, those just newer than an id."""

    limit: int
    merchant_id: str | None = None
    provider: str | None = None
    mode: Mode | None = None
    starting_after: str | None = None
    ending_before: str | None = None


def _insert(dialect: str) -> ReturningInsert[Any]:
    statement = insert_json_rows(dialect, provider_account, *ProviderAccount.__struct_fields__)
    return statement.on_conflict_do_nothing(index_elements=["id", "merchant_id"]).returning(provider_account.c.id)


def _by_name(dialect: str) -> Select[Any]:
    wanted = json_rows(dialect, "wanted", id=str, merchant_id=str, mode=str)
    return select(*_COLUMNS).where(
        provider_account.c.id == wanted.c.id,
        or_(wanted.c.merchant_id.is_(None), provider_account.c.merchant_id == wanted.c.merchant_id),
        or_(wanted.c.mode.is_(None), provider_account.c.mode == wanted.c.mode),
    )


def _preferred(dialect: str) -> Select[Any]:
    wanted = json_rows(dialect, "wanted", merchant_id=str, mode=str, provider=str)
    asked = (wanted.c.merchant_id, wanted.c.mode, wanted.c.provider)
    place = func.row_number().over(partition_by=asked, order_by=(provider_account.c.position, provider_account.c.id))
    found = and_(
        provider_account.c.merchant_id == wanted.c.merchant_id,
        provider_account.c.mode == wanted.c.mode,
        or_(wanted.c.provider.is_(None), provider_account.c.provider == wanted.c.provider),
        text(f"provider_account.{USABLE_ACCOUNT}"),
    )
    placed = (
        select(*(column.label(f"asked_{column.name}") for column in asked), *_COLUMNS, place.label("place"))
        .select_from(wanted.join(provider_account, found))
        .subquery("placed")
    )
    columns = [column for column in placed.c if column.name != "place"]
    return select(*columns).where(placed.c.place <= PREFERRED_MAX).order_by(placed.c.place)


def _change(dialect: str) -> Update:
    wanted = json_rows(dialect, "wanted", id=str, merchant_id=str, version=int, **_CHANGING)
    statement = update(provider_account).where(
        provider_account.c.id == wanted.c.id,
        provider_account.c.merchant_id == wanted.c.merchant_id,
        provider_account.c.version == wanted.c.version,
    )
    changes = {name: wanted.c[name] for name in _CHANGING}
    return statement.values(version=provider_account.c.version + 1, **changes).returning(provider_account.c.id)


def _last_positions(dialect: str) -> Select[Any]:
    wanted = json_rows(dialect, "wanted", id=str)
    return (
        select(provider_account.c.merchant_id, func.max(provider_account.c.position))
        .where(provider_account.c.merchant_id == wanted.c.id)
        .group_by(provider_account.c.merchant_id)
    )


_INSERT: Final = Statement(_insert)
_BY_NAME: Final = Statement(_by_name)
_PREFERRED: Final = Statement(_preferred)
_CHANGE: Final = Statement(_change)
_LAST_POSITIONS: Final = Statement(_last_positions)
_ALL: Final = select(*_COLUMNS)


def insert_accounts(transaction: Transaction, accounts: Sequence[ProviderAccount]) -> None:
    """Insert accounts."""
    if accounts:
        transaction.column(_INSERT, {"rows": encode_rows(accounts)})


def read_accounts(transaction: Transaction, names: Iterable[AccountName]) -> dict[AccountName, ProviderAccount]:
    """Read accounts. Those that do not exist, or do not fit their name, are left out. Raises DatabaseUnavailable where
    one may be stored on a node that does not respond.
    """
    wanted = list(names)
    return _fitting(wanted, read_wanted(transaction, _BY_NAME, wanted)) if wanted else {}


def find_accounts(transaction: Transaction, names: Iterable[AccountName]) -> dict[AccountName, ProviderAccount]:
    """Do the same, and leave those on nodes that do not respond out."""
    wanted = list(names)
    return _fitting(wanted, find_wanted(transaction, _BY_NAME, wanted))


def _fitting(names: Iterable[AccountName], rows: Iterable[Row]) -> dict[AccountName, ProviderAccount]:
    found = {one.id: one for one in (ProviderAccount(*row) for row in rows)}
    return {name: one for name in names if (one := found.get(name.id)) is not None and name.fits(one)}


def read_preferred(
    transaction: Transaction, wanted: Iterable[Preference]
) -> Mapping[Preference, list[ProviderAccount]]:
    """Read the active accounts for each request in the order of preference, at most PREFERRED_MAX.

    A request for which there is none is left out.
    """
    asked = set(wanted)
    if not asked:
        return {}
    preferred: defaultdict[Preference, list[ProviderAccount]] = defaultdict(list)
    for row in transaction.rows(_PREFERRED, {"wanted": encode_rows(asked)}):
        preferred[Preference(*row[:3])].append(ProviderAccount(*row[3:]))
    return preferred


def read_last_positions(transaction: Transaction, merchant_ids: Iterable[str]) -> dict[str, int]:
    """Read the highest position among each merchant's accounts. A merchant without accounts is left out."""
    wanted = encode_rows({"id": one} for one in merchant_ids)
    rows = transaction.rows(_LAST_POSITIONS, {"wanted": wanted})
    return {row[0]: row[1] for row in rows}


def change_accounts(transaction: Transaction, accounts: Sequence[ProviderAccount]) -> set[str]:
    """Write accounts as they shall be; returns the ids of those that still had the version that was seen."""
    if not accounts:
        return set()
    return transaction.column(_CHANGE, {"wanted": encode_rows(accounts)})


def read_page(transaction: Transaction, wanted: AccountFilter) -> tuple[list[ProviderAccount], bool]:
    """Read one page, newest first, and whether more accounts follow."""
    statement = in_page(
        _ALL,
        provider_account.c.id,
        limit=wanted.limit,
        starting_after=wanted.starting_after,
        ending_before=wanted.ending_before,
    )
    for name, value in (
        ("merchant_id", wanted.merchant_id),
        ("provider", wanted.provider),
        ("mode", wanted.mode),
    ):
        if value is not None:
            statement = statement.where(provider_account.c[name] == value)
    found = [ProviderAccount(*row) for row in transaction.rows(statement)]
    return page_of(found, limit=wanted.limit, is_reversed=wanted.ending_before is not None)


def read_all(transaction: Transaction, *, after: str, limit: int) -> list[ProviderAccount]:
    """Read accounts of all merchants in the order of their ids, starting after an id."""
    statement = _ALL.where(provider_account.c.id > after).order_by(provider_account.c.id).limit(limit)
    return [ProviderAccount(*row) for row in transaction.rows(statement)]


def any_exists(transaction: Transaction) -> bool:
    """Tell whether any merchant has an account."""
    return bool(transaction.rows(select(provider_account.c.id).limit(1)))
