"""Filling a database with settled checkouts, as if a service had been running for long: by the database itself.

Every checkout has one attempt and three events, numbered without a gap for each merchant, so that every constraint
holds. The newest are under way at a provider that no worker knows: those are what is there to claim.
"""

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import click
from pysqlite3 import dbapi2 as sqlite

from bench.plan import MERCHANTS

UNDER_WAY: Final = 1000
PROVIDER_OF_NOBODY: Final = "nobody"
EVENTS_EACH: Final = 3
ROWS_AT_ONCE: Final = 100_000
BYTES_EACH: Final = 3000  # PostgreSQL with its WAL needs the most, SQLite half as much.
ID_BASE: Final = 10_000_000_000  # Gives all numbers the same length, because ids must sort by time.
ZEROS: Final = "000000000000000"  # With the eleven digits of the base, these are the 26 characters of an id.
STEP_MS: Final = 10
YEAR_MS: Final = 365 * 86_400_000

_NUMBERS: Final = "WITH RECURSIVE numbers(n) AS (SELECT {first} UNION ALL SELECT n + 1 FROM numbers WHERE n < {last})"
_NUMBER: Final = f"({ID_BASE} + n)"
_AT: Final = f"({{now}} - ({{rows}} - n) * {STEP_MS})"
_IS_UNDER_WAY: Final = f"n > {{rows}} - {UNDER_WAY}"
_FAILED: Final = "n % 19 = 7"

CHECKOUTS: Final = f"""
INSERT INTO checkout (id, merchant_id, idempotency_key, amount, currency, status, capture_method, amount_captured,
  attempt_count, attempt_id, created_at, updated_at, expires_at)
{_NUMBERS}
SELECT 'chk_{ZEROS}' || {_NUMBER}, 'm' || (n % {MERCHANTS}), 'filled-' || {_NUMBER}, 1000, 'USD',
  CASE WHEN {_IS_UNDER_WAY} THEN 'PROCESSING' WHEN {_FAILED} THEN 'FAILED' ELSE 'COMPLETED' END, 'automatic',
  CASE WHEN {_IS_UNDER_WAY} THEN 0 WHEN {_FAILED} THEN 0 ELSE 1000 END,
  1, 'att_{ZEROS}' || {_NUMBER}, {_AT}, {_AT} + 1000, {_AT} + {YEAR_MS}
FROM numbers"""

ATTEMPTS: Final = f"""
INSERT INTO attempt (id, merchant_id, checkout_id, kind, status, provider, provider_key, payment_method, amount,
  currency, due_at, fence, lookup_count, provider_reference, decline_code, created_at, updated_at, settled_at)
{_NUMBERS}
SELECT 'att_{ZEROS}' || {_NUMBER}, 'm' || (n % {MERCHANTS}), 'chk_{ZEROS}' || {_NUMBER}, 'CHARGE',
  CASE WHEN {_IS_UNDER_WAY} THEN 'UNKNOWN' WHEN {_FAILED} THEN 'DECLINED' ELSE 'SUCCEEDED' END,
  CASE WHEN {_IS_UNDER_WAY} THEN '{PROVIDER_OF_NOBODY}' ELSE 'simulator' END,
  'att_{ZEROS}' || {_NUMBER}, 'tok_success', 1000, 'USD',
  CASE WHEN {_IS_UNDER_WAY} THEN {_AT} END, 1, CASE WHEN {_IS_UNDER_WAY} THEN 1 ELSE 0 END,
  CASE WHEN {_IS_UNDER_WAY} THEN NULL WHEN {_FAILED} THEN NULL ELSE 'ch_{ZEROS}' || {_NUMBER} END,
  CASE WHEN {_IS_UNDER_WAY} THEN NULL WHEN {_FAILED} THEN 'do_not_honor' END,
  {_AT}, {_AT} + 1000, CASE WHEN {_IS_UNDER_WAY} THEN NULL ELSE {_AT} + 1000 END
FROM numbers"""

EVENTS: Final = f"""
INSERT INTO event (id, merchant_id, sequence, checkout_id, attempt_id, type, cause, detail, request_id, created_at)
{_NUMBERS}, steps(step) AS (SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3)
SELECT 'evt_{ZEROS}' || ({ID_BASE} + {EVENTS_EACH} * n + step), 'm' || (n % {MERCHANTS}),
  {EVENTS_EACH} * ((n - 1) / {MERCHANTS}) + step, 'chk_{ZEROS}' || {_NUMBER},
  CASE step WHEN 1 THEN NULL ELSE 'att_{ZEROS}' || {_NUMBER} END,
  CASE step WHEN 1 THEN 'checkout.created' WHEN 2 THEN 'checkout.processing'
    ELSE CASE WHEN {_IS_UNDER_WAY} THEN 'attempt.unknown' WHEN {_FAILED} THEN 'checkout.failed'
      ELSE 'checkout.completed' END END,
  CASE step WHEN 3 THEN 'provider_answer' ELSE 'request' END, NULL, 'req_{ZEROS}' || {_NUMBER}, {_AT}
FROM numbers CROSS JOIN steps ORDER BY n, step"""

MERCHANT: Final = """
INSERT INTO merchant (id, event_sequence, created_at) VALUES ('m{number}', {sequence}, {now})
ON CONFLICT (id) DO UPDATE SET event_sequence = excluded.event_sequence"""

Progress = Callable[[str], None]


def filled_checkout(number: int) -> tuple[str, int]:
    """Return the id and the merchant of the filled checkout with this number, counted from 1."""
    return f"chk_{ZEROS}{ID_BASE + number}", number % MERCHANTS


def require_space(folder: Path, rows: int) -> None:
    """Raise ClickException where the disk has no room for this many checkouts."""
    needed, free = rows * BYTES_EACH, shutil.disk_usage(folder).free
    if needed > free:
        raise click.ClickException(
            f"{rows:,} checkouts take up to {needed / 1e9:.0f} GB in {folder}, which has {free / 1e9:.0f} GB left"
        )


def fill_sqlite(path: Path, rows: int, progress: Progress) -> None:
    """Fill a migrated file that no process serves. An interrupted one is lost, because nothing is synced until the
    end.
    """
    connection = sqlite.connect(path, isolation_level=None)
    try:
        for pragma in ("journal_mode=OFF", "synchronous=OFF", "locking_mode=EXCLUSIVE", "cache_size=-1000000"):
            connection.execute(f"PRAGMA {pragma}")
        for statement in _statements(rows, progress):
            connection.execute(statement)
    finally:
        connection.close()


def fill_postgresql(url: str, rows: int, progress: Progress) -> None:
    """Fill a migrated database on a server. Its administrator may skip the checks of foreign keys, which hold."""
    import psycopg  # noqa: PLC0415 - SQLite is measured without it too

    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET synchronous_commit = off")
        try:
            connection.execute("SET session_replication_role = replica")
        except psycopg.errors.InsufficientPrivilege:
            progress("the server checks every foreign key: this takes longer")
        run: Any = connection.execute  # Its type wants literals; these are made of our own numbers.
        for statement in _statements(rows, progress):
            run(statement)
        connection.execute("VACUUM ANALYZE")
        connection.execute("CHECKPOINT")


def _statements(rows: int, progress: Progress) -> Iterator[str]:
    now = time.time_ns() // 1_000_000
    for first in range(1, rows + 1, ROWS_AT_ONCE):
        last = min(rows, first + ROWS_AT_ONCE - 1)
        for statement in (CHECKOUTS, ATTEMPTS, EVENTS):
            yield statement.format(first=first, last=last, rows=rows, now=now)
        if last % (10 * ROWS_AT_ONCE) == 0:
            progress(f"filled {last:,} of {rows:,}")
    for number in range(MERCHANTS):
        theirs = sum(1 for _ in range(number or MERCHANTS, rows + 1, MERCHANTS))
        yield MERCHANT.format(number=number, sequence=EVENTS_EACH * theirs, now=now)
