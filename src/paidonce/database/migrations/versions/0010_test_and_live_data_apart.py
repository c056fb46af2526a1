"""Test and live data of a merchant are kept apart: each row has a mode, and each mode has its own event numbers.

Existing rows become test data, except for checkouts with an attempt through a live account, and what belongs to them.
Events keep their numbers. So in the logs of a merchant that has a live account, numbers are missing where events of the
other mode were, and both logs go on after the highest number.

On PostgreSQL, nothing is locked for longer than a moment, however large the tables are: columns with a constant default
are added without a rewrite, constraints are validated and indexes are built while others write, and only the last step
replaces them. Every step before it can be repeated, where a migration was interrupted. The release before cannot write
after that step: its inserts name the former constraints.
"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"

TABLES = ("checkout", "attempt", "event", "idempotency_key", "webhook_endpoint")
IS_A_MODE = "mode IN ('test', 'live')"
COUNTER = "live_event_sequence"

# Table, constraint, kind of constraint, columns before, columns now.
KEYS = (
    (
        "checkout",
        "checkout_idempotency_key",
        "UNIQUE",
        "merchant_id, idempotency_key",
        "merchant_id, mode, idempotency_key",
    ),
    ("event", "event_sequence", "UNIQUE", "merchant_id, sequence", "merchant_id, mode, sequence"),
    ("idempotency_key", "idempotency_key_pkey", "PRIMARY KEY", 'merchant_id, "key"', 'merchant_id, mode, "key"'),
)
LIST, LIST_COLUMNS = "checkout_by_merchant", "merchant_id, mode, id"

COMMENTS = (
    ("merchant.event_sequence", "number of the newest event in test mode"),
    (f"merchant.{COUNTER}", "number of the newest event in live mode"),
    ("event.sequence", "gap-free for each merchant and mode"),
)

HAS_LIVE_ACCOUNT = "SELECT count(*) FROM (SELECT id FROM provider_account WHERE mode = 'live' LIMIT 1) AS found"
MARK_LIVE = (
    """UPDATE checkout SET mode = 'live' WHERE (id, merchant_id) IN (
        SELECT attempt.checkout_id, attempt.merchant_id FROM attempt JOIN provider_account
        ON provider_account.id = attempt.account_id AND provider_account.merchant_id = attempt.merchant_id
        WHERE provider_account.mode = 'live')""",
    """UPDATE attempt SET mode = 'live' WHERE (checkout_id, merchant_id) IN (
        SELECT id, merchant_id FROM checkout WHERE mode = 'live')""",
    """UPDATE event SET mode = 'live' WHERE (checkout_id, merchant_id) IN (
        SELECT id, merchant_id FROM checkout WHERE mode = 'live')""",
    # An account's events belong to the mode of the account.
    """UPDATE event SET mode = 'live' WHERE checkout_id IS NULL
        AND merchant_id IN (SELECT merchant_id FROM provider_account WHERE mode = 'live')
        AND type LIKE 'provider_account.%' AND detail LIKE '%"mode":"live"%'""",
    """UPDATE idempotency_key SET mode = 'live' WHERE (merchant_id, resource) IN (
        SELECT merchant_id, '/checkouts/' || id FROM checkout WHERE mode = 'live'
        UNION ALL SELECT merchant_id, '/refunds/' || id FROM attempt WHERE mode = 'live' AND kind = 'REFUND'
        UNION ALL SELECT merchant_id, '/provider-accounts/' || id FROM provider_account WHERE mode = 'live')""",
    """UPDATE merchant SET live_event_sequence = event_sequence WHERE id IN (
        SELECT merchant_id FROM provider_account WHERE mode = 'live')""",
)


def upgrade() -> None:
    """Add the modes, and count the events of each."""
    if op.get_bind().dialect.name == "postgresql":
        _add_on_postgresql()
        _mark_live()
        _replace_keys_on_postgresql()
    else:
        _add_on_sqlite()
        _mark_live()


def _mark_live() -> None:
    """Find what is live. Without a live account there is nothing, and no large table is read."""
    connection = op.get_bind()
    if connection.execute(sa.text(HAS_LIVE_ACCOUNT)).scalar():
        for statement in MARK_LIVE:
            connection.execute(sa.text(statement.replace(":", r"\:")))  # A colon would begin a parameter.


def _add_on_postgresql() -> None:
    with op.get_context().autocommit_block():  # Each statement is a transaction.
        op.execute(f"ALTER TABLE merchant ADD COLUMN IF NOT EXISTS {COUNTER} BIGINT NOT NULL DEFAULT '0'")
        for table in TABLES:
            op.execute(f"ALTER TABLE {table} ADD COLUMN IF NOT EXISTS mode TEXT NOT NULL DEFAULT 'test'")
            op.execute(
                f"ALTER TABLE {table} DROP CONSTRAINT IF EXISTS {table}_mode,"
                f" ADD CONSTRAINT {table}_mode CHECK ({IS_A_MODE}) NOT VALID"
            )
            op.execute(f"ALTER TABLE {table} VALIDATE CONSTRAINT {table}_mode")
        for table, name, _, _, columns in KEYS:
            op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS new_{name}")  # An interrupted build leaves an invalid one.
            op.execute(f"CREATE UNIQUE INDEX CONCURRENTLY new_{name} ON {table} ({columns})")
        op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS new_{LIST}")
        op.execute(f"CREATE INDEX CONCURRENTLY new_{LIST} ON checkout ({LIST_COLUMNS})")


def _replace_keys_on_postgresql() -> None:
    for table, name, kind, _, _ in KEYS:
        op.execute(f"ALTER TABLE {table} DROP CONSTRAINT {name}, ADD CONSTRAINT {name} {kind} USING INDEX new_{name}")
    op.execute(f"DROP INDEX {LIST}")
    op.execute(f"ALTER INDEX new_{LIST} RENAME TO {LIST}")
    for column, comment in COMMENTS:
        op.execute(f"COMMENT ON COLUMN {column} IS '{comment}'")


def _add_on_sqlite() -> None:
    op.execute(f"ALTER TABLE merchant ADD COLUMN {COUNTER} BIGINT DEFAULT '0' NOT NULL")
    for table in TABLES:
        op.execute(
            f"ALTER TABLE {table} ADD COLUMN mode TEXT DEFAULT 'test' NOT NULL"
            f" CONSTRAINT {table}_mode CHECK ({IS_A_MODE})"
        )
    op.execute(f"DROP INDEX {LIST}")
    op.execute(f"CREATE INDEX {LIST} ON checkout ({LIST_COLUMNS})")
    for table, name, kind, before, now in KEYS:
        _rebuild(table, f"CONSTRAINT {name} {kind} ({before})", f"CONSTRAINT {name} {kind} ({now})")
    broken = op.get_bind().execute(sa.text("PRAGMA foreign_key_check")).all()
    assert not broken, f"rows refer to rows that are not there: {broken[:5]}"


def _rebuild(table: str, before: str, now: str) -> None:
    """Rebuild a table with another constraint, as SQLite's documentation of ALTER TABLE describes it.

    Its own definition is taken, and only the constraint is replaced in it.
    """
    connection = op.get_bind()
    defined = connection.execute(
        sa.text("SELECT type, sql FROM sqlite_master WHERE tbl_name = :name AND sql IS NOT NULL ORDER BY type DESC"),
        {"name": table},
    ).all()
    (_, made), *indexes = defined  # The table comes first.
    _, separator, body = made.partition("(")
    assert body.count(before) == 1, f"{table} is not as the migrations before have left it"
    connection.exec_driver_sql(f"CREATE TABLE rebuilt {separator}{body.replace(before, now)}")
    connection.exec_driver_sql(f"INSERT INTO rebuilt SELECT * FROM {table}")  # noqa: S608 - one of the tables above
    connection.exec_driver_sql(f"DROP TABLE {table}")
    connection.exec_driver_sql(f"ALTER TABLE rebuilt RENAME TO {table}")
    for _, index in indexes:
        connection.exec_driver_sql(index)
