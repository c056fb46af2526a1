"""Where each table belongs on a Citus cluster, and where it is."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

import msgspec
from sqlalchemy import Connection, text

from paidonce.database.schema import metadata

# The table whose shards all other tables of merchants share: the rows of a merchant are on one node.
FIRST_TABLE: Final = "merchant"

# The column that decides in which shard a row is. What is unique in a table, and its foreign keys, contain it.
DISTRIBUTION_COLUMNS: Final[Mapping[str, str]] = {
    FIRST_TABLE: "id",
    "api_key": "merchant_id",
    "merchant_profile": "merchant_id",
    "provider_account": "merchant_id",
    "checkout": "merchant_id",
    "attempt": "merchant_id",
    "dispute": "merchant_id",
    "event": "merchant_id",
    "event_log": "merchant_id",
    "idempotency_key": "merchant_id",
    "search_term": "merchant_id",
    "hourly_statistics": "merchant_id",
    "statistics_cursor": "merchant_id",
    "webhook_endpoint": "merchant_id",
    "delivery": "merchant_id",
    "redelivery": "merchant_id",
    "delivery_try": "merchant_id",
    # Webhooks of providers belong to no merchant until they are applied. Each is found by the provider's id.
    "provider_webhook": "id",
}

# Distributed tables that do not share the shards of the merchants.
APART: Final = frozenset({"provider_webhook"})

# Tables that stay whole on the coordinator, where all nodes can use them. People, sessions and what people did are few
# rows, and an e-mail address or a token is unique whoever the merchant is. A reference table could not be written, so
# that nobody could log in, while any node is down.
COORDINATOR_TABLES: Final = frozenset({"dashboard_user", "dashboard_session", "audit_entry"})

# Tables with a copy on each node: few rows, which every process reads when it starts, and only `db upgrade` writes.
REFERENCE_TABLES: Final = frozenset({"alembic_version"})


class Kind(StrEnum):
    """How the cluster keeps a table. ``LOCAL`` is a table that it knows nothing of, as `db upgrade` creates them."""

    LOCAL = "local"
    DISTRIBUTED = "distributed"
    REFERENCE = "reference"
    COORDINATOR = "coordinator"


class Place(msgspec.Struct, frozen=True):
    """How the cluster keeps a table. Tables with the same ``group`` share their shards."""

    kind: Kind
    column: str | None = None
    group: int = 0
    shards: int = 0


def tables_in_order() -> list[str]:
    """Return all tables in the order in which they can be distributed: each after those that its foreign keys name."""
    names = [table.name for table in metadata.sorted_tables]
    return [*sorted(REFERENCE_TABLES), FIRST_TABLE, *(name for name in names if name != FIRST_TABLE)]


def kind_of(table: str) -> Kind:
    """Return how a table has to be kept. Raises KeyError for a table that nobody has decided about."""
    if table in COORDINATOR_TABLES:
        return Kind.COORDINATOR
    if table in REFERENCE_TABLES:
        return Kind.REFERENCE
    assert DISTRIBUTION_COLUMNS[table]
    return Kind.DISTRIBUTED


_VERSION: Final = text("SELECT extversion FROM pg_extension WHERE extname = 'citus'")

# Citus' own tables, and none of its views: those ask every node, and fail where one is down.
_PLACES: Final = text("""
    SELECT c.relname AS name, p.partmethod, p.repmodel, g.colocationid, g.shardcount,
           CASE WHEN p.partmethod = 'h' THEN column_to_column_name(p.logicalrelid, p.partkey) END AS distribution_column
    FROM pg_class AS c
    LEFT JOIN pg_dist_partition AS p ON p.logicalrelid = c.oid
    LEFT JOIN pg_dist_colocation AS g ON g.colocationid = p.colocationid
    WHERE c.relnamespace = CAST(current_schema() AS regnamespace) AND c.relkind = 'r' AND c.relname = ANY(:names)
""")


def citus_version(connection: Connection) -> str | None:
    """Read the version of the extension in this database; None on a plain PostgreSQL."""
    version: str | None = connection.execute(_VERSION).scalar()
    return version


def read_places(connection: Connection) -> dict[str, Place]:
    """Read where each table is that exists, on a database that has the extension."""
    places = {}
    for row in connection.execute(_PLACES, {"names": tables_in_order()}):
        if row.partmethod is None:
            kind = Kind.LOCAL
        elif row.partmethod == "h":
            kind = Kind.DISTRIBUTED
        else:
            kind = Kind.REFERENCE if row.repmodel == "t" else Kind.COORDINATOR
        places[row.name] = Place(kind, row.distribution_column, row.colocationid or 0, row.shardcount or 0)
    return places


def left_local(places: Mapping[str, Place]) -> list[str]:
    """Name the tables that are not distributed yet, in the order in which they have to be."""
    return [name for name in tables_in_order() if name in places and places[name].kind is Kind.LOCAL]


def misplaced(places: Mapping[str, Place]) -> list[str]:
    """Name the tables that somebody has distributed in another way than this release needs."""
    return [name for name, place in places.items() if place.kind is not Kind.LOCAL and not _is_in_place(name, places)]


def _is_in_place(name: str, places: Mapping[str, Place]) -> bool:
    place = places[name]
    if place.kind is not kind_of(name):
        return False
    if place.kind is not Kind.DISTRIBUTED:
        return True
    first = places.get(FIRST_TABLE)
    shares = first is not None and place.group == first.group
    return place.column == DISTRIBUTION_COLUMNS[name] and shares is (name not in APART)
