"""Statements on the shards that a node of a Citus cluster stores, without Citus' planner.

A shard is an ordinary table of its node. To plan a statement over the distributed table takes Citus longer than
PostgreSQL needs to execute it, and it is done again for each execution. So a transaction on a connection to the node
itself names the shards: PostgreSQL plans each statement once (docs/decisions/0063).

Only a statement whose given rows name their merchants is executed in this way, on the shard of each of them. Anything
else raises NeedsCoordinator, and its transaction is run again through the coordinator.
"""

import re
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any, Final, TypeAlias, TypeVar

from paidonce.database.citus.layout import FIRST_TABLE

SHARDS: Final = "shards"  # What the pool remembers of a connection to a node itself: a NodeShards.

T = TypeVar("T")

Execute: TypeAlias = Callable[..., Any]
"""Executes SQL with a list of parameters, and returns a cursor of the driver."""

ShardOf: TypeAlias = Callable[[str], int | None]
"""Returns the shard of the table of merchants that a merchant is in; None where it is not known."""

# For each shard of the merchants' table, the shards of the other tables with the same merchants.
_TABLES: Final = f"""
SELECT first.shardid, relation.relname, shard_name(shard.logicalrelid, shard.shardid)
FROM pg_dist_shard AS first
JOIN pg_dist_placement AS placement ON placement.shardid = first.shardid
JOIN pg_dist_local_group USING (groupid)
JOIN pg_dist_partition AS of_first ON of_first.logicalrelid = first.logicalrelid
JOIN pg_dist_partition AS together ON together.colocationid = of_first.colocationid
JOIN pg_dist_shard AS shard
    ON shard.logicalrelid = together.logicalrelid AND shard.shardminvalue = first.shardminvalue
JOIN pg_class AS relation ON relation.oid = shard.logicalrelid
WHERE first.logicalrelid = '{FIRST_TABLE}'::regclass
"""  # noqa: S608 - a name of ours
# The lock that Citus itself takes for a write (5 is a share lock). Whoever moves or splits a shard takes one that
# conflicts before the last of its rows are copied. So placements that are read after it hold until the commit.
_LOCK: Final = "SELECT lock_shard_metadata(5, %s::bigint[])"
# A shard that has a copy on another node is written to through the coordinator, which writes to both.
_PLACED: Final = """
SELECT shardid FROM pg_dist_placement WHERE shardid = ANY(%s::bigint[])
GROUP BY shardid HAVING array_agg(groupid) = (SELECT array_agg(groupid) FROM pg_dist_local_group)
"""

PREFIX: Final = "of_shard"  # A schema that stands for it in the text of a statement.
# SQLAlchemy writes the schema before a table and before its columns. A shard gets the name of its table as an alias, by
# which the columns and FOR UPDATE OF name it.
_TABLE: Final = re.compile(rf"\b{PREFIX}\.(?P<table>\w+)(?P<next>\.| AS )?")
_IN_PARENTHESES: Final = re.compile(r"\([^()]*\)")
# What the rows of several shards would have to be merged for. It is read from the SQL, because what a statement of
# SQLAlchemy has of LIMIT, GROUP BY and DISTINCT is private.
_MERGES_ANYWHERE: Final = re.compile(r"\b(WITH|LIMIT|UNION|EXCEPT|INTERSECT|OVER|GROUP BY|DISTINCT(?! FROM))\b")
_MERGES_OUTSIDE: Final = re.compile(r"\b(ORDER BY|count|sum|min|max|avg)\b")

READ_SECONDS_MAX: Final = 5.0  # An operator may have moved shards to this node.

_OF_TRANSACTIONS: Final = ("SET LOCAL ", "SAVEPOINT ", "RELEASE SAVEPOINT ", "ROLLBACK TO SAVEPOINT ")


class NeedsCoordinator(Exception):
    """A transaction on a node itself met a statement that is not about given merchants of that node."""


class NodeShards:
    """The shards of the node that a connection is to, and where merchants are. ``monotonic`` returns seconds."""

    def __init__(self, shard_of: ShardOf, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._shard_of = shard_of
        self._monotonic = monotonic
        self._tables: dict[int, dict[str, str]] = {}
        self._named: dict[tuple[int, str], str] = {}
        self._locked: set[int] = set()
        self._execute: Execute | None = None
        self._read_until = 0.0

    def read(self, execute: Execute) -> None:
        """Read which shards the node stores."""
        tables: defaultdict[int, dict[str, str]] = defaultdict(dict)
        for shard, table, name in execute(_TABLES).fetchall():
            tables[shard][table] = name
        self._tables = dict(tables)
        self._read_until = self._monotonic() + READ_SECONDS_MAX
        self._named.clear()

    def begin(self, execute: Execute) -> None:
        """Begin a transaction, which has locked no shard yet. From time to time, read again which shards are here."""
        self._execute = execute
        self._locked.clear()
        if self._monotonic() >= self._read_until:
            self.read(execute)

    def group(self, rows: Iterable[T], merchant_of: Callable[[T], str | None]) -> list[tuple[int, list[T]]]:
        """Group rows by the shard of their merchant, always in the same order, so that fewer transactions deadlock.

        Until the transaction ends, these shards stay on this node. It waits while one of them is moved away. Raises
        NeedsCoordinator where one is not on this node.
        """
        groups: defaultdict[int, list[T]] = defaultdict(list)
        for row in rows:
            merchant_id = merchant_of(row)
            shard = None if merchant_id is None else self._shard_of(merchant_id)
            if shard not in self._tables:
                raise NeedsCoordinator
            assert shard is not None
            groups[shard].append(row)
        if not groups.keys() <= self._locked:
            self._lock(groups.keys() - self._locked)
        return sorted(groups.items())

    def _lock(self, shards: set[int]) -> None:
        assert self._execute is not None, "no transaction has begun"
        wanted = [sorted(shards)]
        self._execute(_LOCK, wanted)
        self._locked.update(shard for (shard,) in self._execute(_PLACED, wanted).fetchall())
        if not shards <= self._locked:
            raise NeedsCoordinator

    def name_tables(self, shard: int, sql: str) -> str:
        """Replace the names of distributed tables by those of a shard. Raises NeedsCoordinator for another table."""
        named = self._named.get((shard, sql))
        if named is None:
            tables = self._tables[shard]

            def name(found: re.Match[str]) -> str:
                table, following = found["table"], found["next"]
                if following == ".":
                    return f"{table}."
                if table not in tables:
                    raise NeedsCoordinator
                return f"{tables[table]}{following or f' AS {table}'}"

            named = self._named[shard, sql] = _TABLE.sub(name, sql)
        return named


def is_of_each_row(sql: str) -> bool:
    """Tell whether what a statement returns for some rows is what it returns for each of them, in any order."""
    outside, inside = sql, ""
    while outside != inside:
        inside, outside = outside, _IN_PARENTHESES.sub("", outside)
    return not _MERGES_ANYWHERE.search(sql) and not _MERGES_OUTSIDE.search(outside)


def refuse_others(sql: str) -> None:
    """Raise NeedsCoordinator for a statement that was not made for shards, unless it concerns the transaction only."""
    if not sql.startswith(_OF_TRANSACTIONS):
        raise NeedsCoordinator
