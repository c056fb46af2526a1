"""SQL statements for profiles. Every change is guarded by the version that it was made from."""

from collections.abc import Collection, Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import Integer, Select, bindparam, case, func, literal_column, null, select, text
from sqlalchemy.sql.dml import ReturningInsert

from paidonce.database.schema import WITHOUT_PAGE, merchant_profile
from paidonce.database.sets import encode_rows, insert_json_rows, json_rows
from paidonce.database.statement import Statement
from paidonce.database.transaction import Transaction
from paidonce.merchants.model import Tenant
from paidonce.profiles.model import Logo, Profile

_SHOWN: Final = (
    "merchant_id",
    "mode",
    "display_name",
    "color",
    "checkout_page",
    "support_email",
    "support_url",
    "logo_digest",
    "logo_type",
    "logo_width",
    "logo_height",
    "version",
    "updated_at",
)


def _profiles(dialect: str) -> Select[Any]:
    wanted = json_rows(dialect, "wanted", merchant_id=str, mode=str)
    return select(*(merchant_profile.c[name] for name in _SHOWN)).where(
        merchant_profile.c.merchant_id == wanted.c.merchant_id, merchant_profile.c.mode == wanted.c.mode
    )


def _write(dialect: str) -> ReturningInsert[Any]:
    insert = insert_json_rows(dialect, merchant_profile, *_SHOWN, "logo")
    changes: dict[str, Any] = {name: insert.excluded[name] for name in _SHOWN[2:]}
    # A change of other fields does not carry the logo.
    kept = func.coalesce(insert.excluded.logo, merchant_profile.c.logo)
    changes["logo"] = case((insert.excluded.logo_digest.is_(None), null()), else_=kept)
    return insert.on_conflict_do_update(
        index_elements=["merchant_id", "mode"],
        set_=changes,
        # No parameter: Citus sends a worker this part of the statement without the parameters of the rest.
        where=merchant_profile.c.version == insert.excluded.version - literal_column("1", Integer),
    ).returning(merchant_profile.c.merchant_id)


_PROFILES: Final = Statement(_profiles)
_WITHOUT_PAGE: Final = (
    select(merchant_profile.c.merchant_id, merchant_profile.c.mode).where(text(WITHOUT_PAGE)).limit(bindparam("limit"))
)
_WRITE: Final = Statement(_write)
_LOGO: Final = (
    select(merchant_profile.c.logo, merchant_profile.c.logo_type)
    .where(merchant_profile.c.logo_digest == bindparam("digest"))
    .limit(1)
)


def read_profiles(transaction: Transaction, tenants: Collection[Tenant]) -> dict[Tenant, Profile]:
    """Read profiles. Those that were never changed are left out."""
    rows = transaction.rows(_PROFILES, {"wanted": encode_rows(tenants)})
    return {Tenant(one.merchant_id, one.mode): one for one in map(_profile, rows)}


def write_profile(transaction: Transaction, profile: Profile, logo: str | None) -> bool:
    """Write a profile, with the bytes of its logo in base64 where it has another one; tells whether it still had the
    version before.
    """
    found = profile.logo
    row = {
        **msgspec.structs.asdict(profile),
        "checkout_page": int(profile.checkout_page),
        "logo_digest": None if found is None else found.digest,
        "logo_type": None if found is None else found.media_type,
        "logo_width": None if found is None else found.width,
        "logo_height": None if found is None else found.height,
        "logo": logo,
    }
    return bool(transaction.column(_WRITE, {"rows": encode_rows([row])}))


def read_logo(transaction: Transaction, digest: str) -> tuple[str, str] | None:
    """Read the logo with this digest, whosever it is: its bytes in base64, and its media type."""
    rows = transaction.rows(_LOGO, {"digest": digest})
    return (rows[0][0], rows[0][1]) if rows else None


def _profile(row: Sequence[Any]) -> Profile:
    values = dict(zip(_SHOWN, row, strict=True))
    digest, *rest = (values.pop(name) for name in ("logo_digest", "logo_type", "logo_width", "logo_height"))
    checkout_page = bool(values.pop("checkout_page"))
    return Profile(logo=None if digest is None else Logo(digest, *rest), checkout_page=checkout_page, **values)


def read_without_page(transaction: Transaction, limit: int) -> list[Tenant]:
    """Read at most ``limit`` merchants, with the mode, that have switched the pages of their checkouts off."""
    return [Tenant(*row) for row in transaction.rows(_WITHOUT_PAGE, {"limit": limit})]
