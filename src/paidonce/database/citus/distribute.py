"""Distributes the tables over the nodes of a Citus cluster, in one transaction."""

from typing import Final

import msgspec
from sqlalchemy import Connection, text

from paidonce.clock import Clock
from paidonce.database.citus.layout import (
    APART,
    DISTRIBUTION_COLUMNS,
    FIRST_TABLE,
    Kind,
    Place,
    citus_version,
    kind_of,
    left_local,
    misplaced,
    read_places,
)
from paidonce.database.citus.node_settings import set_node_settings
from paidonce.database.engine import Database, open_database
from paidonce.database.migrate import prepare_schema
from paidonce.database_url import DatabaseUrl
from paidonce.errors import CannotDistribute

SHARDS_DEFAULT: Final = 32  # As Citus' own. A cluster can grow to as many nodes as there are shards.

_KNOWS_COORDINATOR: Final = text("SELECT EXISTS (SELECT FROM pg_dist_node WHERE groupid = 0)")
_IS_COORDINATOR: Final = text("SELECT citus_is_coordinator()")

_STATEMENTS: Final = {
    Kind.REFERENCE: text("SELECT create_reference_table(:table)"),
    # With the tables that its foreign keys name, and those that name it: Citus takes them together.
    Kind.COORDINATOR: text("SELECT citus_add_local_table_to_metadata(:table, cascade_via_foreign_keys => true)"),
}
_APART: Final = text(
    "SELECT create_distributed_table(:table, :column, colocate_with => 'none', shard_count => CAST(:shards AS integer))"
)
_TOGETHER: Final = text("SELECT create_distributed_table(:table, :column, colocate_with => :first)")
_DELETE_LOCAL_ROWS: Final = text("SELECT truncate_local_data_after_distributing_table(:table)")


class Distribution(msgspec.Struct, frozen=True):
    """What was distributed: the tables, in order, and over how many shards the tables of merchants are distributed."""

    tables: list[str]
    shards: int


def distribute(url: DatabaseUrl, *, clock: Clock, shards: int | None) -> Distribution:
    """Distribute every table that is not distributed yet, all or none; does nothing where all are.

    Raises CannotDistribute where that is impossible, and SchemaOutdated where the database is not migrated. Writes of
    running servers wait until it has ended.
    """
    if url.dialect != "postgresql":
        message = f"{url.shown} cannot be distributed. Set DATABASE_URL to the coordinator of a Citus cluster."
        raise CannotDistribute(message)
    database = open_database(url, clock=clock)
    try:
        _require_coordinator(database)
        prepare_schema(database, migrating=False)
        distribution = _distribute_all(database, shards)
        set_node_settings(database)
        return distribution
    finally:
        database.close()


def _distribute_all(database: Database, shards: int | None) -> Distribution:
    with database.writes.connect() as connection, connection.begin():
        tables = _checked(database, read_places(connection), shards)
        if tables:
            _lock(connection, tables)
            # Somebody else may have distributed them while this process waited for the lock.
            places = read_places(connection)
            tables = _checked(database, places, shards)
            _distribute(connection, tables, _shards_of(places) or shards or SHARDS_DEFAULT)
        return Distribution(tables, _shards_of(read_places(connection)))


def _require_coordinator(database: Database) -> None:
    shown = database.url.shown
    with database.reads.connect() as connection:
        if citus_version(connection) is None:
            message = (
                f"{shown} is a plain PostgreSQL: the extension citus is not installed in this database. It can be "
                "served as it is. docs/distributed.md says how to set up a cluster."
            )
            raise CannotDistribute(message)
        if not connection.execute(_IS_COORDINATOR).scalar_one():
            message = f"{shown} is a worker node. Set DATABASE_URL to the coordinator for this command."
            raise CannotDistribute(message)
        if not connection.execute(_KNOWS_COORDINATOR).scalar_one():
            message = (
                f"{shown} does not know the address under which the other nodes reach it. Run there: "
                "SELECT citus_set_coordinator_host('address', port);"
            )
            raise CannotDistribute(message)


def _checked(database: Database, places: dict[str, Place], shards: int | None) -> list[str]:
    """Return which tables are left, or raise CannotDistribute where others are not as they have to be."""
    wrong = misplaced(places)
    if wrong:
        message = (
            f"{database.url.shown} has tables that are distributed in another way than this release needs: "
            f"{', '.join(wrong)}. Run undistribute_table or alter_distributed_table for each: see docs/distributed.md."
        )
        raise CannotDistribute(message)
    found = _shards_of(places)
    if shards is not None and found not in (0, shards):
        message = (
            f"{database.url.shown} is distributed over {found} shards already, not over {shards}. Leave out --shards, "
            "or change the number with alter_distributed_table: see docs/distributed.md."
        )
        raise CannotDistribute(message)
    return left_local(places)


def _shards_of(places: dict[str, Place]) -> int:
    """Return over how many shards the tables of merchants are distributed; 0 where they are not."""
    return places[FIRST_TABLE].shards


def _lock(connection: Connection, tables: list[str]) -> None:
    """Lock all tables at once, against writes and against a second process that distributes them."""
    quote = connection.dialect.identifier_preparer.quote
    connection.execute(text("SET LOCAL statement_timeout = 0"))
    connection.execute(text("SET LOCAL lock_timeout = 0"))
    connection.execute(text(f"LOCK TABLE {', '.join(map(quote, tables))} IN EXCLUSIVE MODE"))


def _distribute(connection: Connection, tables: list[str], shards: int) -> None:
    # Otherwise Citus opens a connection for each shard, which do not see each other's uncommitted tables.
    connection.execute(text("SET LOCAL citus.multi_shard_modify_mode = 'sequential'"))
    # A write on a node itself (shards.py) reaches one placement. A standby of each node is what survives its loss.
    connection.execute(text("SET LOCAL citus.shard_replication_factor = 1"))
    for table in tables:
        kind = kind_of(table)
        if kind is not Kind.DISTRIBUTED:
            if read_places(connection)[table].kind is Kind.LOCAL:
                connection.execute(_STATEMENTS[kind], {"table": table})
        else:
            given = {"table": table, "column": DISTRIBUTION_COLUMNS[table]}
            if table == FIRST_TABLE or table in APART:
                connection.execute(_APART, {**given, "shards": shards})
            else:
                connection.execute(_TOGETHER, {**given, "first": FIRST_TABLE})
    for table in tables:  # Last: a row that another table refers to cannot be deleted before that table is distributed.
        if kind_of(table) is not Kind.COORDINATOR:
            connection.execute(_DELETE_LOCAL_ROWS, {"table": table})
