"""Reading from the living nodes of a distributed database (Citus) while others are lost.

A query over all merchants fails as a whole while one node does not respond. Here the coordinator passes it to each
living node on its own, where it reads the shards that this node stores. It costs a new connection to each node, so it
is only used while a node is lost.
"""

import json
import re
from collections import defaultdict
from itertools import chain, zip_longest
from typing import Any, Final

from sqlalchemy import Connection

from paidonce.database.schema import metadata
from paidonce.database.statement import Parameters, Row, Statement, execute_on_driver

# The shards that each node stores of some tables, by the node, the table and the name of the shard's own table.
_SHARDS: Final = """
SELECT node.nodename, node.nodeport, shard.logicalrelid::text, shard_name(shard.logicalrelid, shard.shardid)
FROM pg_dist_shard AS shard
JOIN pg_dist_placement AS placement USING (shardid)
JOIN pg_dist_node AS node ON node.groupid = placement.groupid AND node.noderole = 'primary'
WHERE shard.logicalrelid::text = ANY(%s)
"""
_RUN: Final = """
SELECT node_name || ':' || node_port, success, result
FROM master_run_on_worker(%s::text[], %s::int[], %s::text[], true)
"""
_WORDS: Final = re.compile(r"\b[a-z_]+\b")


def rows_by_node(
    connection: Connection, statement: Statement, parameters: Parameters, *, lost_nodes: frozenset[str]
) -> list[Row]:
    """Run a query that only reads on each node that is not lost, over its own shards; returns the rows of all nodes.

    A node that is lost meanwhile is left out. The rows are in turns of each node. Raises DBAPIError.
    """
    sql, values = statement.prepare(connection, parameters)
    driver: Any = connection.dialect.loaded_dbapi  # Not imported above: a server on SQLite has no driver of PostgreSQL.
    query = driver.ClientCursor(connection.connection.driver_connection).mogrify(sql, values)
    tables = sorted(metadata.tables.keys() & set(_WORDS.findall(sql)))
    shards: defaultdict[tuple[str, int], defaultdict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for name, port, table, shard in execute_on_driver(connection, _SHARDS, [tables]).fetchall():
        if f"{name}:{port}" not in lost_nodes:
            shards[name, port][table].append(shard)
    commands = [_over_shards(query, of_node) for of_node in shards.values()]
    asked = [[name for name, _ in shards], [port for _, port in shards], commands]
    answers = execute_on_driver(connection, _RUN, asked).fetchall() if commands else []
    found = [_decode(result) for _, success, result in answers if success]
    return [row for row in chain.from_iterable(zip_longest(*found)) if row is not None]


def _over_shards(query: str, shards: dict[str, list[str]]) -> str:
    """Return the query with its tables replaced by a node's shards of them, and all of its rows as one JSON array."""
    parts = []
    for table, names in shards.items():
        shards_of_table = " UNION ALL ".join(f"SELECT * FROM {name}" for name in names)  # noqa: S608 - names of tables
        parts.append(f"{table} AS NOT MATERIALIZED ({shards_of_table})")
    rows = f"SELECT coalesce(json_agg(to_json(found)), '[]') FROM ({query}) AS found"  # noqa: S608 - a statement of ours
    return f"WITH {', '.join(parts)} {rows}"


def _decode(result: str) -> list[Row]:
    """Return rows as the driver would. Two columns may have the same name."""
    rows: list[Any] = json.loads(result, object_pairs_hook=lambda pairs: tuple(value for _, value in pairs))
    return rows
