"""The classification of database errors: real errors of both databases, and every error code that has a meaning."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest
from psycopg.pq import DiagnosticField
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, TimeoutError as PoolTimeoutError

from paidonce.clock import system_clock
from paidonce.database.engine import Database, open_database
from paidonce.database.faults import BACKOFF_SECONDS, Fault, classify, with_retries
from paidonce.database_url import DatabaseUrl, parse_database_url
from paidonce.errors import CheckoutNotFound, DatabaseUnavailable

TRIES_MAX = len(BACKOFF_SECONDS) + 1


@contextmanager
def opened(url: str | DatabaseUrl) -> Iterator[Database]:
    database = open_database(parse_database_url(url) if isinstance(url, str) else url, clock=system_clock)
    try:
        yield database
    finally:
        database.close()


def fault_of(database: Database, *statements: str, **parameters: object) -> Fault:
    try:
        with database.writes.begin() as connection:
            for statement in statements:
                connection.execute(text(statement), parameters)
    except DBAPIError as error:
        return classify(error)
    pytest.fail("nothing went wrong")


def test_a_broken_constraint_and_a_bad_statement_are_ours(database_url: str) -> None:
    with opened(database_url) as database:
        with database.writes.begin() as connection:
            connection.execute(text("CREATE TABLE kept (n INTEGER PRIMARY KEY CHECK (n > 0))"))
        assert fault_of(database, "INSERT INTO kept VALUES (1)", "INSERT INTO kept VALUES (1)") is Fault.DEFECT
        assert fault_of(database, "INSERT INTO kept VALUES (-1)") is Fault.DEFECT
        assert fault_of(database, "SELEKT 1") is Fault.DEFECT
        assert fault_of(database, "SELECT * FROM nowhere") is Fault.DEFECT


def test_a_value_that_the_database_does_not_take_is_ours_and_no_lost_connection(postgres_url: str) -> None:
    with opened(postgres_url) as database:
        assert fault_of(database, "SELECT CAST(:value AS text)", value="a\x00b") is Fault.DEFECT
        assert fault_of(database, "SELECT CAST(:value AS jsonb)", value='["\\u0000"]') is Fault.DEFECT


def test_a_locked_sqlite_file_is_a_conflict(sqlite_url: str) -> None:
    with opened(sqlite_url) as database, database.writes.begin() as writing, database.reads.connect() as other:
        writing.execute(text("CREATE TABLE kept (n INTEGER)"))
        other.exec_driver_sql("PRAGMA busy_timeout = 0")
        other.exec_driver_sql("PRAGMA query_only = OFF")
        with pytest.raises(DBAPIError) as raised:
            other.exec_driver_sql("CREATE TABLE lost (n INTEGER)")
    assert classify(raised.value) is Fault.CONFLICT


def test_a_full_disk_makes_sqlite_unavailable(sqlite_url: str) -> None:
    with opened(sqlite_url) as database:
        with database.writes.begin() as connection:
            connection.execute(text("CREATE TABLE kept (t TEXT)"))
            connection.execute(text("PRAGMA max_page_count = 8"))
        full = fault_of(database, "INSERT INTO kept VALUES (:value)", value="x" * 100_000)
    assert full is Fault.UNAVAILABLE


def test_a_sqlite_file_that_may_only_be_read_is_unavailable(sqlite_url: str) -> None:
    with opened(sqlite_url) as database, database.reads.connect() as reading:
        with pytest.raises(DBAPIError) as raised:
            reading.execute(text("CREATE TABLE kept (t TEXT)"))
        assert classify(raised.value) is Fault.UNAVAILABLE


@pytest.mark.parametrize(
    ("state", "fault"),
    [
        ("40001", Fault.CONFLICT),
        ("40P01", Fault.CONFLICT),
        ("55P03", Fault.CONFLICT),
        ("08006", Fault.CONNECTION),
        ("53100", Fault.CONNECTION),
        ("53300", Fault.CONNECTION),
        ("57014", Fault.UNAVAILABLE),
        ("57P01", Fault.CONNECTION),
        ("57P03", Fault.CONNECTION),
        ("58030", Fault.CONNECTION),
        ("25006", Fault.CONNECTION),
        ("22P05", Fault.DEFECT),
        ("23505", Fault.DEFECT),
        ("42601", Fault.DEFECT),
        ("25001", Fault.DEFECT),
        ("P0001", Fault.DEFECT),
    ],
)
def test_every_code_of_postgresql_has_its_meaning(postgres_url: str, state: str, fault: Fault) -> None:
    with opened(postgres_url) as database:
        assert fault_of(database, f"DO $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '{state}'; END $$") is fault


def test_a_connection_that_the_server_ended_is_lost(postgres_url: str) -> None:
    with opened(postgres_url) as database:
        assert fault_of(database, "SELECT pg_terminate_backend(pg_backend_pid())") is Fault.CONNECTION


def test_a_server_that_is_not_there_is_a_lost_connection() -> None:
    with opened("postgresql://nobody@127.0.0.1:1/nowhere") as database:
        assert fault_of(database, "SELECT 1") is Fault.CONNECTION


ON_A_NODE = "while executing command on 127.0.0.1:6132"
REFUSED = (
    "connection to the remote node postgres@127.0.0.1:6132 failed with the following error: Connection refused\n"
    "\tIs the server running on that host and accepting TCP/IP connections?"
)


# Most were recorded on a cluster of Citus 13.2.2, whose second worker was killed, stopped or started meanwhile. The
# second, the fourth and the seventh line, and 57P03 and 57014 with the name of a node, were not seen there; they follow
# from the sources of Citus and libpq.
@pytest.mark.parametrize(
    ("state", "message", "context", "fault"),
    [
        ("08006", REFUSED, None, Fault.NODE),
        ("08006", "connection to the remote node postgres@127.0.0.1:6132 failed", None, Fault.NODE),
        ("08006", "could not establish any connections to the node 127.0.0.1:6132 after 1000 ms", None, Fault.NODE),
        ("25P03", "terminating connection due to idle-in-transaction timeout", ON_A_NODE, Fault.NODE),
        ("XX000", "failure on connection marked as essential: 127.0.0.1:6132", None, Fault.NODE),
        ("XX000", "SSL SYSCALL error: EOF detected\ninvalid socket", ON_A_NODE, Fault.NODE),
        ("XX000", "server closed the connection unexpectedly", ON_A_NODE, Fault.NODE),
        ("XX000", "could not commit transaction for shard 102015 on at least one active node", None, Fault.NODE),
        ("57P01", "terminating connection due to administrator command", ON_A_NODE, Fault.NODE),
        ("57P03", "the database system is starting up", ON_A_NODE, Fault.NODE),
        ("55P03", "canceling statement due to lock timeout", ON_A_NODE, Fault.CONFLICT),
        ("57014", "canceling statement due to statement timeout", ON_A_NODE, Fault.UNAVAILABLE),
        ("57P01", "terminating connection due to administrator command", None, Fault.CONNECTION),
        ("23505", 'duplicate key value violates unique constraint "merchant_pkey_102015"', ON_A_NODE, Fault.DEFECT),
        # INSERT … SELECT without ON CONFLICT, which the coordinator copies into the shards, loses the SQLSTATE.
        ("XX000", 'duplicate key value violates unique constraint "merchant_pkey_102012"', None, Fault.DEFECT),
        ("XX000", 'null value in column "created_at" of relation "merchant_102008" violates …', None, Fault.DEFECT),
    ],
)
def test_what_a_coordinator_says_about_a_node_is_told_from_defects(
    state: str, message: str, context: str | None, fault: Fault
) -> None:
    assert classify(reported(state, message, context)) is fault


def reported(state: str, message: str, context: str | None = None) -> DBAPIError:
    """Return an error of the driver with the fields that the server sent."""
    fields: dict[int, bytes | None] = {
        DiagnosticField.SQLSTATE: state.encode(),
        DiagnosticField.MESSAGE_PRIMARY: message.encode(),
        DiagnosticField.CONTEXT: None if context is None else context.encode(),
    }
    return DBAPIError("SELECT 1", None, psycopg.errors.lookup(state)(message, info=fields, encoding="utf-8"))


def test_the_loss_of_a_node_is_raised_at_once_as_that() -> None:
    def work() -> None:
        raise reported("08006", REFUSED)

    with pytest.raises(DatabaseUnavailable) as raised:
        with_retries(work, chance=lambda: 0.5, sleep=never)
    assert raised.value.is_of_one_node


def test_a_pool_without_a_free_connection_is_unavailable_and_any_other_error_ours() -> None:
    assert classify(PoolTimeoutError()) is Fault.UNAVAILABLE
    assert classify(ValueError()) is Fault.DEFECT


class Trouble(Exception):
    """A minimal error of a driver."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.sqlite_errorcode = code


def run(times: int, code: int) -> tuple[int, list[float]]:
    """Run a transaction that fails this many times; returns the number of runs and the pauses."""
    ran, pauses = 0, list[float]()

    def work() -> int:
        nonlocal ran
        ran += 1
        if ran <= times:
            raise DBAPIError("SELECT 1", None, Trouble(code))
        return ran

    with_retries(work, chance=lambda: 0.5, sleep=pauses.append)
    return ran, pauses


def never(_seconds: float) -> None:
    pytest.fail("it paused, to try again")


BUSY, FULL, CONSTRAINT = 5, 13, 19


def test_a_conflict_runs_again_after_pauses_that_grow() -> None:
    assert run(0, BUSY) == (1, [])
    assert run(TRIES_MAX - 1, BUSY) == (TRIES_MAX, list(BACKOFF_SECONDS))


def test_a_conflict_that_does_not_end_is_given_up() -> None:
    with pytest.raises(DatabaseUnavailable) as raised:
        run(TRIES_MAX, BUSY)
    assert isinstance(raised.value.__cause__, DBAPIError)


def test_what_is_unavailable_is_given_up_at_once() -> None:
    ran = 0

    def work() -> None:
        nonlocal ran
        ran += 1
        raise DBAPIError("SELECT 1", None, Trouble(FULL))

    with pytest.raises(DatabaseUnavailable):
        with_retries(work, chance=lambda: 0.5, sleep=never)
    assert ran == 1


def test_a_fault_of_ours_is_raised_as_it_is_and_never_repeated() -> None:
    with pytest.raises(DBAPIError):
        run(1, CONSTRAINT)


def test_a_fact_about_the_request_passes_through() -> None:
    def work() -> None:
        raise CheckoutNotFound

    with pytest.raises(CheckoutNotFound):
        with_retries(work, chance=lambda: 0.5, sleep=never)


@pytest.mark.parametrize(("chance", "scale"), [(0.0, 0.5), (0.999, 1.499)])
def test_chance_spreads_the_pauses(chance: float, scale: float) -> None:
    pauses: list[float] = []

    def work() -> None:
        raise DBAPIError("SELECT 1", None, Trouble(BUSY))

    with pytest.raises(DatabaseUnavailable):
        with_retries(work, chance=lambda: chance, sleep=pauses.append)
    assert pauses == pytest.approx([pause * scale for pause in BACKOFF_SECONDS])
