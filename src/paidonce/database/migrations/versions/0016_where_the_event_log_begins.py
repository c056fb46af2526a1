"""Where the log of a merchant in a mode begins, once old events are deleted.

Deliveries are found by their event, through the index that keeps them unique: its columns are in another order now, so
there is no further index to write. The number of an endpoint's newest delivery is kept when that delivery is deleted.
The release before works with all of this, but it does not know where a log begins: retention is off until it is set.
"""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"

Id = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
UNIQUE = "delivery_once_for_each_event"
BEFORE = f"CONSTRAINT {UNIQUE} UNIQUE (endpoint_id, merchant_id, event_id)"
COLUMNS = "event_id, merchant_id, endpoint_id"
NEWEST = "number of the newest delivery that was deleted"


def upgrade() -> None:
    """Create the table, add the column and replace the index."""
    is_postgresql = op.get_bind().dialect.name == "postgresql"
    if is_postgresql:
        with op.get_context().autocommit_block():  # Others write meanwhile. It can be repeated: it is the first step.
            op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS new_{UNIQUE}")  # An interrupted build leaves an invalid one.
            op.execute(f"CREATE UNIQUE INDEX CONCURRENTLY new_{UNIQUE} ON delivery ({COLUMNS})")
    op.create_table(
        "event_log",
        sa.Column("merchant_id", Id, nullable=False),
        sa.Column("mode", sa.Text(), nullable=False),
        sa.Column("first_sequence", sa.BigInteger(), nullable=False, comment="events before this number are deleted"),
        sa.Column(
            "first_delivered",
            sa.BigInteger(),
            nullable=False,
            comment="deliveries of events before this number are deleted",
        ),
        sa.PrimaryKeyConstraint("merchant_id", "mode", name="event_log_pkey"),
        sa.CheckConstraint("mode IN ('test', 'live')", name="event_log_mode"),
        sa.CheckConstraint("1 <= first_sequence AND first_sequence <= first_delivered", name="event_log_begins"),
        sqlite_with_rowid=False,
    )
    if is_postgresql:
        op.execute("ALTER TABLE webhook_endpoint ADD COLUMN deleted_number BIGINT NOT NULL DEFAULT '0'")
        op.execute(f"COMMENT ON COLUMN webhook_endpoint.deleted_number IS '{NEWEST}'")
        op.execute(f"ALTER TABLE delivery DROP CONSTRAINT {UNIQUE}")
        op.execute(f"ALTER INDEX new_{UNIQUE} RENAME TO {UNIQUE}")
    else:
        _change_on_sqlite()


def _change_on_sqlite() -> None:
    op.execute("ALTER TABLE webhook_endpoint ADD COLUMN deleted_number BIGINT DEFAULT '0' NOT NULL")
    _rebuild_without("delivery", BEFORE)
    op.execute(f"CREATE UNIQUE INDEX {UNIQUE} ON delivery ({COLUMNS})")
    broken = op.get_bind().execute(sa.text("PRAGMA foreign_key_check")).all()
    assert not broken, f"rows refer to rows that are not there: {broken[:5]}"


def _rebuild_without(table: str, constraint: str) -> None:
    """Rebuild a table without a constraint, as SQLite's documentation of ALTER TABLE describes it."""
    connection = op.get_bind()
    defined = connection.execute(
        sa.text("SELECT type, sql FROM sqlite_master WHERE tbl_name = :name AND sql IS NOT NULL ORDER BY type DESC"),
        {"name": table},
    ).all()
    (_, made), *indexes = defined  # The table comes first.
    _, separator, body = made.partition("(")
    before = f"{constraint}, "
    assert body.count(before) == 1, f"{table} is not as the migrations before have left it"
    connection.exec_driver_sql(f"CREATE TABLE rebuilt {separator}{body.replace(before, '')}")
    connection.exec_driver_sql(f"INSERT INTO rebuilt SELECT * FROM {table}")  # noqa: S608 - the table above
    connection.exec_driver_sql(f"DROP TABLE {table}")
    connection.exec_driver_sql(f"ALTER TABLE rebuilt RENAME TO {table}")
    for _, index in indexes:
        connection.exec_driver_sql(index)
