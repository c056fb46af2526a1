"""What decides on which node of a Citus cluster rows are stored, and which rows a request is about."""

from collections.abc import Collection, Mapping
from typing import Any, Final, NamedTuple

import msgspec
from sqlalchemy import Connection

from paidonce.database.schema import merchant
from paidonce.database.statement import execute_on_driver

DEPTH_MAX: Final = 8  # Requests are shallow.

_LOCATE: Final = """
SELECT wanted.relation, wanted.value, node.nodename || ':' || node.nodeport, placement.shardid
FROM unnest(%s::text[], %s::text[]) AS wanted(relation, value)
JOIN pg_dist_placement AS placement
    ON placement.shardid = get_shard_id_for_distribution_column(wanted.relation::regclass, wanted.value)
JOIN pg_dist_node AS node ON node.groupid = placement.groupid AND node.noderole = 'primary'
"""


class ShardKey(NamedTuple):
    """What decides on which node rows are stored: a table, and the value of its distribution column."""

    table: str
    value: str


class Location(NamedTuple):
    """Where a row is stored: on a node, in a shard of its table."""

    node: str
    shard: int


def locate(connection: Connection, keys: Collection[ShardKey]) -> dict[ShardKey, Location]:
    """Ask the coordinator where the rows with these keys are stored; raises DBAPIError."""
    asked = [[one.table for one in keys], [one.value for one in keys]]
    rows = execute_on_driver(connection, _LOCATE, asked).fetchall()
    return {ShardKey(table, value): Location(node, shard) for table, value, node, shard in rows}


def shard_keys_in(request: object) -> frozenset[ShardKey]:
    """Return where the rows are stored that a request is about: by the ``shard_key`` that it declares, and otherwise by
    the merchants that it names. Empty where it may be about any.
    """
    declared = getattr(request, "shard_key", None)
    if isinstance(declared, ShardKey):
        return frozenset([declared])
    return frozenset(ShardKey(merchant.name, one) for one in merchants_in(request))


def merchants_in(request: object) -> frozenset[str]:
    """Return the ids of the merchants that a request names: every field ``merchant_id`` in it, however deep."""
    return frozenset(one for one in merchant_fields_of(request) if one is not None)


def merchant_fields_of(request: object) -> frozenset[str | None]:
    """Do the same. None is among them where the request names something that may be any merchant's."""
    found: set[str | None] = set()
    _collect(request, found, DEPTH_MAX)
    return frozenset(found)


def _collect(value: Any, found: set[str | None], depth: int) -> None:  # noqa: ANN401 - any request
    if depth == 0:
        return
    fields: Mapping[str, Any] = {}
    if isinstance(value, msgspec.Struct):
        fields = msgspec.structs.asdict(value)
    elif isinstance(value, tuple) and hasattr(value, "_asdict"):
        fields = value._asdict()
    elif isinstance(value, list | tuple | set | frozenset):
        for one in value:
            _collect(one, found, depth - 1)
    elif isinstance(value, dict):
        for one in (*value.keys(), *value.values()):
            _collect(one, found, depth - 1)
    for name, one in fields.items():
        if name == "merchant_id" and (one is None or isinstance(one, str)):
            found.add(one)
        else:
            _collect(one, found, depth - 1)
