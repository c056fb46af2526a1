"""Opens a node of a Citus cluster itself, for transactions on the shards that it stores."""

from functools import partial
from typing import Any, Final

from sqlalchemy import Connection, event, make_url
from sqlalchemy.pool import ConnectionPoolEntry

from paidonce.database.citus.layout import FIRST_TABLE
from paidonce.database.citus.shards import SHARDS, NodeShards, ShardOf, refuse_others
from paidonce.database.engine import Database
from paidonce.database.postgresql_engine import make_engine
from paidonce.database.statement import execute_on_driver
from paidonce.database_url import DatabaseUrl
from paidonce.errors import DatabaseNotSupported

PREPARED_MAX: Final = 2000  # Each statement is prepared for each shard.

# An address in the metadata of Citus may lead this process elsewhere, such as to another cluster.
SERVER_START: Final = "SELECT extract(epoch FROM pg_postmaster_start_time())::text"
_IS_OWNER: Final = f"SELECT pg_has_role(relowner, 'USAGE') FROM pg_class WHERE oid = '{FIRST_TABLE}'::regclass"  # noqa: S608 - a name of ours
_ON_NODE: Final = "SELECT result FROM master_run_on_worker(%s::text[], %s::int[], %s::text[], true) WHERE success"


def open_node(database: Database, address: str, shard_of: ShardOf) -> Database:
    """Open a node of a distributed database. ``address`` is its host and port; the rest of the URL is the
    coordinator's. Its connections raise DatabaseNotSupported where it cannot be used.

    The database's watchdog watches its transactions too.
    """
    host, _, port = address.rpartition(":")
    server = make_url(database.url.server).set(host=host, port=int(port))
    server = server.difference_update_query(["host", "hostaddr", "port"])
    url = DatabaseUrl("postgresql", server=server.render_as_string(hide_password=False))
    engine = make_engine(url, pool_size=1, max_overflow=1)

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, record: ConnectionPoolEntry) -> None:  # noqa: ANN401 - the driver's connection
        connection.prepared_max = PREPARED_MAX
        connection.autocommit = True
        [here] = connection.execute(SERVER_START).fetchone()
        [is_owner] = connection.execute(_IS_OWNER).fetchone()
        if not is_owner:
            message = f"The user does not own the tables in {url.shown}, and may not lock their shards."
            raise DatabaseNotSupported(message)
        if here != _server_start(database, host, int(port)):
            message = f"{url.shown} is not the server that the coordinator reaches at this address."
            raise DatabaseNotSupported(message)
        record.info[SHARDS] = NodeShards(shard_of)
        record.info[SHARDS].read(connection.execute)
        connection.autocommit = False

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.info[SHARDS].begin(partial(execute_on_driver, connection))

    @event.listens_for(engine, "before_cursor_execute")
    def _refuse(_connection: Connection, _cursor: object, sql: str, *_rest: object) -> None:
        refuse_others(sql)

    return Database(url, engine, engine, database.clock, database.before_commit, watch=database.watch)


def _server_start(database: Database, host: str, port: int) -> str | None:
    """Ask a node through the coordinator when its server was started, which tells servers apart."""
    with database.read() as transaction:
        cursor = execute_on_driver(transaction.connection, _ON_NODE, [[host], [port], [SERVER_START]])
        answers = cursor.fetchall()
    return answers[0][0] if answers else None
