"""Examines a PostgreSQL server: what it promises about a commit, its room, and its clock."""

from collections.abc import Mapping
from typing import Final

import msgspec
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError, NoSuchModuleError

from paidonce.clock import Clock
from paidonce.database.engine import open_database
from paidonce.database.health import Finding, Level, judge_schema
from paidonce.database.migrate import schema_version
from paidonce.database_url import DatabaseUrl

MAJOR_VERSION_MIN: Final = 15  # PostgreSQL's own maintenance of 14 ended in November 2026.
CONNECTIONS_OF_A_PROCESS: Final = 8  # The pool's size and its overflow; see database/engine.py.
SKEW_MS_WARNING: Final = 1000  # Any time service keeps a machine far closer than this.

SETTINGS: Final = (
    "fsync",
    "full_page_writes",
    "synchronous_commit",
    "default_transaction_read_only",
    "server_version",
    "server_version_num",
    "server_encoding",
    "max_connections",
    "superuser_reserved_connections",
)

# What was set for this database, whatever our own connections set over it.
_SETTINGS: Final = text("SELECT name, reset_val FROM pg_settings WHERE name = ANY(:names)")
_USED: Final = text("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'")
_STANDBY: Final = text("SELECT pg_is_in_recovery()")
_CLOCK: Final = text("SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000 AS bigint)")


class ServerFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What a server says of itself. ``skew_ms``: how far its clock is ahead of ours, give or take ``doubt_ms``."""

    settings: Mapping[str, str]
    used_connections: int
    is_standby: bool
    skew_ms: int
    doubt_ms: int
    schema: str | None


def examine_postgresql(url: DatabaseUrl, *, clock: Clock, skew_ms_max: float) -> list[Finding]:
    """Examine a PostgreSQL database; clocks that are further apart than ``skew_ms_max`` make leases meaningless."""
    try:
        database = open_database(url, clock=clock)
    except (ModuleNotFoundError, NoSuchModuleError):
        return [
            Finding("driver", Level.PROBLEM, "there is none for PostgreSQL", "run: pip install 'paidonce[postgres]'")
        ]
    try:
        with database.reads.connect() as connection:
            facts = _read_facts(connection, clock)
    except DBAPIError as error:
        found = f"{url.shown} cannot be reached: {' '.join(str(error.orig).split())}"
        remedy = "check DATABASE_URL, that the server runs, and that its pg_hba.conf lets this host in"
        return [Finding("server", Level.PROBLEM, found, remedy)]
    finally:
        database.close()
    return [Finding("server", Level.OK, f"{url.shown} answers"), *judge_server(facts, skew_ms_max=skew_ms_max)]


def _read_facts(connection: Connection, clock: Clock) -> ServerFacts:
    settings = {row.name: row.reset_val for row in connection.execute(_SETTINGS, {"names": list(SETTINGS)})}
    before = clock()
    there: int = connection.execute(_CLOCK).scalar_one()
    after = clock()
    return ServerFacts(
        settings=settings,
        used_connections=connection.execute(_USED).scalar_one(),
        is_standby=connection.execute(_STANDBY).scalar_one(),
        skew_ms=there - (before + after) // 2,
        doubt_ms=(after - before) // 2 + 1,
        schema=schema_version(connection),
    )


def judge_server(facts: ServerFacts, *, skew_ms_max: float) -> list[Finding]:
    """Judge everything that a server says of itself."""
    return [
        _judge_version(facts),
        _judge_on("fsync", facts, "after a power cut the whole database can be corrupt"),
        _judge_on("full_page_writes", facts, "a page that was half written at a power cut cannot be repaired"),
        _judge_commits(facts),
        _judge_writable(facts),
        _judge_connections(facts),
        _judge_clock(facts, skew_ms_max),
        _judge_encoding(facts),
        judge_schema(facts.schema),
    ]


def _judge_version(facts: ServerFacts) -> Finding:
    major, shown = int(facts.settings["server_version_num"]) // 10_000, facts.settings["server_version"]
    if major >= MAJOR_VERSION_MIN:
        return Finding("PostgreSQL", Level.OK, shown)
    found = f"{shown} gets no corrections any more"
    return Finding("PostgreSQL", Level.WARNING, found, f"upgrade the server to {MAJOR_VERSION_MIN} or later")


def _judge_on(name: str, facts: ServerFacts, consequence: str) -> Finding:
    if facts.settings[name] == "on":
        return Finding(name, Level.OK, "on")
    remedy = f"run: ALTER SYSTEM SET {name} = on; SELECT pg_reload_conf();"
    return Finding(name, Level.PROBLEM, f"{facts.settings[name]}: {consequence}", remedy)


def _judge_commits(facts: ServerFacts) -> Finding:
    value = facts.settings["synchronous_commit"]
    if value != "off":
        return Finding("synchronous_commit", Level.OK, value)
    found = "off: a crash takes back what was answered; our connections set it, but a pooler between may undo that"
    remedy = "set it on, with ALTER SYSTEM, ALTER DATABASE or ALTER ROLE, where it was set off"
    return Finding("synchronous_commit", Level.PROBLEM, found, remedy)


def _judge_writable(facts: ServerFacts) -> Finding:
    if facts.is_standby or facts.settings["default_transaction_read_only"] == "on":
        found = "no: this is a standby" if facts.is_standby else "no: default_transaction_read_only is on"
        return Finding(
            "writable", Level.PROBLEM, found, "point DATABASE_URL at the primary, at a database that takes writes"
        )
    return Finding("writable", Level.OK, "yes")


def _judge_connections(facts: ServerFacts) -> Finding:
    allowed = int(facts.settings["max_connections"]) - int(facts.settings["superuser_reserved_connections"])
    found = f"{facts.used_connections} of {allowed} are used"
    if allowed - facts.used_connections >= CONNECTIONS_OF_A_PROCESS:
        return Finding("connections", Level.OK, found)
    remedy = "raise max_connections, or end what holds them (SELECT * FROM pg_stat_activity)"
    return Finding("connections", Level.WARNING, f"{found}; a process takes {CONNECTIONS_OF_A_PROCESS}", remedy)


def _judge_clock(facts: ServerFacts, skew_ms_max: float) -> Finding:
    surely_ms = max(0, abs(facts.skew_ms) - facts.doubt_ms)
    direction = "ahead of" if facts.skew_ms > 0 else "behind"
    if surely_ms <= min(SKEW_MS_WARNING, skew_ms_max):
        return Finding("clock", Level.OK, "the server's and ours agree")
    found = f"the server's is {surely_ms / 1000:.1f} s {direction} ours"
    if surely_ms > skew_ms_max:
        found += "; between processes that far apart, leases end while their owner still works"
    level = Level.PROBLEM if surely_ms > skew_ms_max else Level.WARNING
    return Finding("clock", level, found, "run a time service (chrony, systemd-timesyncd) on every machine")


def _judge_encoding(facts: ServerFacts) -> Finding:
    encoding = facts.settings["server_encoding"]
    if encoding == "UTF8":
        return Finding("encoding", Level.OK, encoding)
    found = f"{encoding}: texts that it cannot write are refused with an error of ours"
    return Finding("encoding", Level.PROBLEM, found, "make the database with ENCODING 'UTF8' TEMPLATE template0")
