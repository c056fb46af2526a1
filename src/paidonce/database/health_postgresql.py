"""Examines a PostgreSQL server: its durability settings, its capacity, and its clock."""

from collections.abc import Mapping
from typing import Final

import msgspec
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError, NoSuchModuleError

from paidonce.clock import Clock
from paidonce.database.citus.health import CONNECTIONS_OF_A_PROCESS, check_cluster, read_cluster
from paidonce.database.engine import open_database
from paidonce.database.health import Finding, Level, check_schema
from paidonce.database.migrate import schema_version
from paidonce.database_url import DatabaseUrl
from paidonce.errors import DatabaseNotSupported

MAJOR_VERSION_MIN: Final = 15  # PostgreSQL's own maintenance of 14 ended in November 2026.
SKEW_MS_WARNING: Final = 1000  # A machine with a time service is far more accurate than this.

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

# The values that are set for this database. Our own connections may set others.
_SETTINGS: Final = text("SELECT name, reset_val FROM pg_settings WHERE name = ANY(:names)")
_USED: Final = text("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'")
_STANDBY: Final = text("SELECT pg_is_in_recovery()")
_CLOCK: Final = text("SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000 AS bigint)")


class ServerFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What a server reports. ``skew_ms`` is how far its clock is ahead of ours, within ``uncertainty_ms``."""

    settings: Mapping[str, str]
    used_connections: int
    is_standby: bool
    skew_ms: int
    uncertainty_ms: int
    schema: str | None


def examine_postgresql(url: DatabaseUrl, *, clock: Clock, skew_ms_max: float) -> list[Finding]:
    """Examine a PostgreSQL database. Leases do not work between clocks that differ by more than ``skew_ms_max``."""
    try:
        database = open_database(url, clock=clock)
    except (ModuleNotFoundError, NoSuchModuleError):
        return [
            Finding(
                "driver",
                Level.PROBLEM,
                "the driver for PostgreSQL is not installed",
                "run: pip install 'paidonce[postgres]'",
            )
        ]
    try:
        with database.reads.connect() as connection:
            facts = _read_facts(connection, clock)
        with database.writes.begin() as connection:
            cluster = read_cluster(connection)
    except DBAPIError as error:
        found = f"{url.shown} is not reachable: {' '.join(str(error.orig).split())}"
        remedy = "check DATABASE_URL, that the server is running, and that its pg_hba.conf allows this host"
        return [Finding("server", Level.PROBLEM, found, remedy)]
    except DatabaseNotSupported as error:
        remedy = "set DATABASE_URL to the PostgreSQL server itself: see docs/scaling.md"
        return [Finding("server", Level.PROBLEM, error.detail, remedy)]
    finally:
        database.close()
    return [
        Finding("server", Level.OK, f"{url.shown} responds"),
        *check_server(facts, skew_ms_max=skew_ms_max),
        *(check_cluster(cluster) if cluster is not None else ()),
    ]


def _read_facts(connection: Connection, clock: Clock) -> ServerFacts:
    settings = {row.name: row.reset_val for row in connection.execute(_SETTINGS, {"names": list(SETTINGS)})}
    before = clock()
    server_ms: int = connection.execute(_CLOCK).scalar_one()
    after = clock()
    return ServerFacts(
        settings=settings,
        used_connections=connection.execute(_USED).scalar_one(),
        is_standby=connection.execute(_STANDBY).scalar_one(),
        skew_ms=server_ms - (before + after) // 2,
        uncertainty_ms=(after - before) // 2 + 1,
        schema=schema_version(connection),
    )


def check_server(facts: ServerFacts, *, skew_ms_max: float) -> list[Finding]:
    """Check everything that a server reports."""
    return [
        _check_version(facts),
        _check_on("fsync", facts, "a power cut can corrupt the whole database"),
        _check_on("full_page_writes", facts, "a page that was partly written at a power cut cannot be repaired"),
        _check_synchronous_commit(facts),
        _check_writable(facts),
        _check_connections(facts),
        _check_clock(facts, skew_ms_max),
        _check_encoding(facts),
        check_schema(facts.schema),
    ]


def _check_version(facts: ServerFacts) -> Finding:
    major, shown = int(facts.settings["server_version_num"]) // 10_000, facts.settings["server_version"]
    if major >= MAJOR_VERSION_MIN:
        return Finding("PostgreSQL", Level.OK, shown)
    found = f"{shown} is no longer maintained"
    return Finding("PostgreSQL", Level.WARNING, found, f"upgrade the server to {MAJOR_VERSION_MIN} or later")


def _check_on(name: str, facts: ServerFacts, consequence: str) -> Finding:
    if facts.settings[name] == "on":
        return Finding(name, Level.OK, "on")
    remedy = f"run: ALTER SYSTEM SET {name} = on; SELECT pg_reload_conf();"
    return Finding(name, Level.PROBLEM, f"{facts.settings[name]}: {consequence}", remedy)


def _check_synchronous_commit(facts: ServerFacts) -> Finding:
    value = facts.settings["synchronous_commit"]
    if value != "off":
        return Finding("synchronous_commit", Level.OK, value)
    found = (
        "off: a crash can lose acknowledged commits; our connections turn it on, but a pooler in between may undo that"
    )
    remedy = "turn it on with ALTER SYSTEM, ALTER DATABASE or ALTER ROLE, wherever it was turned off"
    return Finding("synchronous_commit", Level.PROBLEM, found, remedy)


def _check_writable(facts: ServerFacts) -> Finding:
    if facts.is_standby or facts.settings["default_transaction_read_only"] == "on":
        found = "no: this is a standby" if facts.is_standby else "no: default_transaction_read_only is on"
        return Finding(
            "writable", Level.PROBLEM, found, "set DATABASE_URL to the primary, and to a database that accepts writes"
        )
    return Finding("writable", Level.OK, "yes")


def _check_connections(facts: ServerFacts) -> Finding:
    allowed = int(facts.settings["max_connections"]) - int(facts.settings["superuser_reserved_connections"])
    found = f"{facts.used_connections} of {allowed} in use"
    if allowed - facts.used_connections >= CONNECTIONS_OF_A_PROCESS:
        return Finding("connections", Level.OK, found)
    remedy = "raise max_connections, or close connections (SELECT * FROM pg_stat_activity)"
    return Finding("connections", Level.WARNING, f"{found}; each process needs {CONNECTIONS_OF_A_PROCESS}", remedy)


def _check_clock(facts: ServerFacts, skew_ms_max: float) -> Finding:
    certain_skew_ms = max(0, abs(facts.skew_ms) - facts.uncertainty_ms)
    direction = "ahead of" if facts.skew_ms > 0 else "behind"
    if certain_skew_ms <= min(SKEW_MS_WARNING, skew_ms_max):
        return Finding("clock", Level.OK, "the server's clock and the local clock agree")
    found = f"the server's clock is {certain_skew_ms / 1000:.1f} s {direction} the local clock"
    if certain_skew_ms > skew_ms_max:
        found += "; with this clock skew a lease can end while its owner is still working"
    level = Level.PROBLEM if certain_skew_ms > skew_ms_max else Level.WARNING
    return Finding("clock", level, found, "run a time service (chrony, systemd-timesyncd) on every machine")


def _check_encoding(facts: ServerFacts) -> Finding:
    encoding = facts.settings["server_encoding"]
    if encoding == "UTF8":
        return Finding("encoding", Level.OK, encoding)
    found = f"{encoding}: texts that it cannot store are refused with an internal error"
    return Finding("encoding", Level.PROBLEM, found, "create the database with ENCODING 'UTF8' TEMPLATE template0")
