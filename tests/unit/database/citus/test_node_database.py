"""Transactions on the shards of a node itself: what is run there, and what is run through the coordinator."""

import importlib
import json
import pkgutil
import re
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from typing import Any, Final, NamedTuple, cast
from unittest.mock import Mock, patch

import pytest
from sqlalchemy import Integer, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg

import paidonce
from paidonce.checkouts.actions import create_checkouts
from paidonce.checkouts.model import NewCheckout, ProviderRoute
from paidonce.clock import system_clock
from paidonce.database.batch import BatchRunner, Job
from paidonce.database.citus import node_database
from paidonce.database.citus.lanes import OTHER, NodeLanes, locate_merchants
from paidonce.database.citus.node_database import open_node
from paidonce.database.citus.node_writer import NodeWriter
from paidonce.database.citus.pruning import prune
from paidonce.database.citus.shards import READ_SECONDS_MAX, SHARDS, NeedsCoordinator, NodeShards, is_of_each_row
from paidonce.database.due import InsertsDue, MakesDue
from paidonce.database.engine import Database, open_database
from paidonce.database.sets import RowsInsert
from paidonce.database.statement import CITUS, Statement, execute_on_driver
from paidonce.database.transaction import Transaction
from paidonce.database_url import parse_database_url
from paidonce.errors import DatabaseNotSupported
from paidonce.events.model import Cause
from paidonce.merchants.model import TenantScopedId
from paidonce.payments.claiming import ClaimAttempts, claim_attempts
from paidonce.payments.pay import Started, StartPayment, start_payments
from paidonce.payments.schedule import LookupSchedule
from paidonce.payments.settle import RecordEvidence, record_evidence
from paidonce.providers.evidence import Succeeded
from paidonce.webhook_endpoints.outbox import write_events_and_deliveries
from tests.support.citus import require_cluster, waiting_for_locks
from tests.support.databases import fresh_database

MERCHANTS: Final = [f"m{number}" for number in range(30)]
WAIT_SECONDS_MAX: Final = 60.0


class Cluster(NamedTuple):
    """A distributed database, one of its nodes, and the merchants that this node and another one store."""

    url: str
    database: Database
    address: str
    node: Database
    here: list[str]
    elsewhere: list[str]


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    with ExitStack() as stack:
        url = stack.enter_context(fresh_database(require_cluster()[0]))
        database = open_database(parse_database_url(url), clock=system_clock, before_commit=write_events_and_deliveries)
        stack.callback(database.close)
        places = locate_merchants(database, MERCHANTS)
        address = places[MERCHANTS[0]].node
        node = open_node(database, address, lambda merchant_id: places[merchant_id].shard)
        stack.callback(node.close)
        here = [one for one in MERCHANTS if places[one].node == address]
        assert len({places[one].shard for one in here}) > 1
        yield Cluster(url, database, address, node, here, [one for one in MERCHANTS if one not in here])


def create(transaction: Transaction, merchants: Sequence[str], key: str) -> list[TenantScopedId]:
    new = [
        NewCheckout(id=f"chk_{key}_{one}", merchant_id=one, idempotency_key=key, amount=1000, currency="USD")
        for one in merchants
    ]
    create_checkouts(transaction, new)
    return [TenantScopedId(one.id, one.merchant_id, one.mode) for one in new]


def pay(transaction: Transaction, checkouts: Sequence[TenantScopedId]) -> list[Started]:
    requests = [
        StartPayment(
            attempt_id=one.id.replace("chk", "att"),
            checkout=one,
            payment_method="tok",
            route=ProviderRoute("simulator"),
            lease_ms=60_000,
        )
        for one in checkouts
    ]
    return cast("list[Started]", start_payments(transaction, requests))


def settle(transaction: Transaction, started: Sequence[Started]) -> None:
    evidence: list[Any] = [
        RecordEvidence(
            attempt_id=one.attempt.id,
            evidence=Succeeded(f"ch_{one.attempt.id}"),
            cause=Cause.PROVIDER_ANSWER,
            schedule=LookupSchedule(),
            chance=0.5,
            fence=one.attempt.fence,
            attempt=one.attempt,
        )
        for one in started
    ]
    assert all(one.transition for one in record_evidence(transaction, evidence))


def found_by_coordinator(cluster: Cluster, query: str) -> set[Any]:
    with cluster.database.reads.connect() as connection:
        return set(connection.execute(text(query)).scalars())


def test_what_is_created_paid_and_settled_on_a_node_is_what_the_coordinator_reads(cluster: Cluster) -> None:
    with cluster.node.write() as transaction:
        names = create(transaction, cluster.here, "1")
    with cluster.node.write() as transaction:
        started = pay(transaction, names)
    with cluster.node.write() as transaction:
        settle(transaction, started)
    assert found_by_coordinator(cluster, "SELECT id FROM checkout WHERE status = 'COMPLETED'") == {
        one.id for one in names
    }
    assert found_by_coordinator(cluster, "SELECT id FROM merchant WHERE event_sequence = 3") == set(cluster.here)


def test_a_statement_about_a_merchant_of_another_node_is_refused(cluster: Cluster) -> None:
    with pytest.raises(NeedsCoordinator), cluster.node.write() as transaction:
        create(transaction, [cluster.here[0], cluster.elsewhere[0]], "1")
    assert found_by_coordinator(cluster, "SELECT id FROM checkout") == set()


def find_any(transaction: Transaction) -> None:
    claim_attempts(transaction, [ClaimAttempts("simulator", 8, 60_000)])


def execute_sql(transaction: Transaction) -> None:
    transaction.rows(text("SELECT id FROM checkout"))


def name_no_merchant(transaction: Transaction) -> None:
    pay(transaction, [TenantScopedId("chk_1", None, None)])


@pytest.mark.parametrize("work", [find_any, execute_sql, name_no_merchant])
def test_what_may_be_about_any_merchant_is_refused(cluster: Cluster, work: Callable[[Transaction], None]) -> None:
    with pytest.raises(NeedsCoordinator), cluster.node.write() as transaction:
        work(transaction)


def test_a_shard_is_not_moved_before_the_end_of_a_transaction_on_it_and_not_written_to_afterwards(
    cluster: Cluster,
) -> None:
    merchant_id = cluster.here[0]
    shard = locate_merchants(cluster.database, [merchant_id])[merchant_id].shard

    def move() -> None:
        with cluster.database.reads.connect() as connection:
            connection.execute(text("SET statement_timeout = 0"))
            connection.execute(text("SET lock_timeout = 0"))
            connection.execute(_MOVE, {"shard": shard})

    with ThreadPoolExecutor(1) as pool:
        with cluster.node.write() as transaction:
            create(transaction, [merchant_id], "1")
            moving = pool.submit(move)
            deadline = time.monotonic() + WAIT_SECONDS_MAX
            while not waiting_for_locks(cluster.url):
                assert not moving.done(), "it did not wait"
                assert time.monotonic() < deadline
        moving.result(WAIT_SECONDS_MAX)
    assert found_by_coordinator(cluster, "SELECT idempotency_key FROM checkout") == {"1"}
    with pytest.raises(NeedsCoordinator), cluster.node.write() as transaction:
        create(transaction, [merchant_id], "2")


def test_a_shard_that_has_a_copy_on_another_node_is_not_written_to_on_one_of_them(cluster: Cluster) -> None:
    merchant_id = cluster.here[0]
    shard = locate_merchants(cluster.database, [merchant_id])[merchant_id].shard

    def create_beside_copy() -> None:
        with cluster.node.write() as transaction:
            transaction.connection.connection.cursor().execute(_COPY, {"shard": shard})
            create(transaction, [merchant_id], "1")

    with pytest.raises(NeedsCoordinator):
        create_beside_copy()


_COPY: Final = """
    INSERT INTO pg_dist_placement (placementid, shardid, shardstate, shardlength, groupid)
    SELECT 0, %(shard)s, 1, 0, 1 + max(groupid) FROM pg_dist_placement
"""
_MOVE: Final = text("""
    SELECT citus_move_shard_placement(
        :shard, here.nodename, here.nodeport, there.nodename, there.nodeport, shard_transfer_mode => 'block_writes'
    )
    FROM pg_dist_placement AS placement
    JOIN pg_dist_node AS here ON here.groupid = placement.groupid
    JOIN pg_dist_node AS there ON there.groupid NOT IN (0, here.groupid)
    WHERE placement.shardid = :shard
    LIMIT 1
""")


def test_a_server_that_the_coordinator_does_not_reach_at_this_address_is_not_used(cluster: Cluster) -> None:
    with (
        patch.object(node_database, "_server_start", lambda *_: "1"),
        closing(open_node(cluster.database, cluster.address, lambda _: None)) as node,
        pytest.raises(DatabaseNotSupported, match="not the server"),
        node.write(),
    ):
        pass


def test_a_batch_runs_on_the_node_or_else_through_the_coordinator(cluster: Cluster) -> None:
    sources: list[str] = []

    def tell(transaction: Transaction, requests: Sequence[list[str]]) -> list[None]:
        for number, merchants in enumerate(requests):
            create(transaction, merchants, str(number))
        sources.append("node" if SHARDS in transaction.connection.info else "coordinator")
        return [None] * len(requests)

    writer = NodeWriter(cluster.node, "the node")
    runner = BatchRunner(cluster.database.write, limit=16, chance=lambda: 0.5, run_work=writer.run)
    deadline = time.monotonic() + WAIT_SECONDS_MAX
    while not writer.is_usable():
        assert time.monotonic() < deadline
    for merchants in (cluster.here, cluster.here + cluster.elsewhere):
        runner.run([Job(1, tell, merchants, time.monotonic())])
    assert sources == ["node", "coordinator"]


def all_statements() -> Iterator[tuple[str, Statement]]:
    """Yield the statements of the stores with their names."""
    for module in pkgutil.walk_packages(paidonce.__path__, "paidonce."):
        if module.name.startswith("paidonce.") and ("store" in module.name or "outbox" in module.name):
            for name, value in vars(importlib.import_module(module.name)).items():
                inner = value.statement if isinstance(value, MakesDue | InsertsDue) else value
                if isinstance(inner, RowsInsert):
                    yield f"{module.name}.{name}", inner.of_known
                elif isinstance(inner, Statement):
                    yield f"{module.name}.{name}", inner


def test_every_statement_that_runs_on_shards_concerns_only_that_of_its_merchant(cluster: Cluster) -> None:
    """Citus finds one task in it, so every table in it is restricted to the merchant. PostgreSQL knows its tables."""
    dialect = PGDialect_psycopg()  # type: ignore[no-untyped-call]
    merchant_id = cluster.here[0]
    shard = locate_merchants(cluster.database, [merchant_id])[merchant_id].shard
    checked, refused, wrong = set(), set(), []
    for name, one in all_statements():
        made = one.for_shards(dialect)
        if not made.given:
            continue
        compiled: Any = prune(one.make(CITUS)).compile(dialect=dialect)
        columns = re.findall(r"->> '(\w+)'", compiled.string)
        row = {column: merchant_id if column == made.column else "1" for column in columns}
        values: dict[str, Any] = {}
        for key, bound in compiled.binds.items():
            if isinstance(bound.type, ARRAY):
                values[key] = [merchant_id]
            elif bound.required:
                values[key] = 1 if isinstance(bound.type, Integer) else "1"
            else:
                values[key] = bound.effective_value
        values[made.given] = json.dumps([row])
        with cluster.database.reads.connect() as connection:
            plan = str(execute_on_driver(connection, f"EXPLAIN {compiled.string}", values).fetchall())
        if re.findall(r"Task Count: (\d+)", plan) != ["1"]:
            wrong.append((name, plan))
        with cluster.node.writes.connect() as connection, connection.begin():
            shards: NodeShards = connection.info[SHARDS]
            try:
                named = shards.name_tables(shard, made.compiled.sql)
            except NeedsCoordinator:
                refused.add(name)
                continue
            execute_on_driver(connection, f"EXPLAIN {named}", values)
        checked.add(name)
    assert wrong == []
    assert {name.rpartition(".")[0] for name in refused} == {"paidonce.provider_webhooks.store"}  # In other shards.
    assert len(checked) > 40


def test_a_shard_has_the_name_of_its_table_as_an_alias_in_a_statement() -> None:
    shards = NodeShards(lambda _: 7)
    cursor = Mock(fetchall=lambda: [(7, "checkout", "checkout_102018"), (7, "event", "event_102020")])
    shards.read(lambda *_: cursor)
    sql = "SELECT 'event.x', of_shard.event.id FROM of_shard.checkout AS c, of_shard.event FOR UPDATE OF event"
    assert shards.name_tables(7, sql) == (
        "SELECT 'event.x', event.id FROM checkout_102018 AS c, event_102020 AS event FOR UPDATE OF event"
    )
    with pytest.raises(NeedsCoordinator):
        shards.name_tables(7, "SELECT id FROM of_shard.audit_entry")


def test_the_shards_of_a_node_are_read_again_after_some_seconds() -> None:
    now = 0.0
    shards = NodeShards(lambda _: 7, monotonic=lambda: now)
    execute = Mock(return_value=Mock(fetchall=lambda: [(7, "checkout", "checkout_102018")]))
    shards.read(execute)
    for now, reads in ((READ_SECONDS_MAX - 1, 1), (READ_SECONDS_MAX, 2), (READ_SECONDS_MAX + 1, 2)):  # noqa: B007 - read above
        shards.begin(execute)
        assert execute.call_count == reads


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT a FROM t, (SELECT b FROM r ORDER BY b) AS g WHERE t.a IS NOT DISTINCT FROM g.b", True),
        ("SELECT a, (SELECT max(b) FROM r WHERE r.a = t.a) FROM t", True),
        ("INSERT INTO t SELECT a FROM r RETURNING id", True),
        ("SELECT a FROM t ORDER BY a", False),
        ("SELECT a FROM t LIMIT 1", False),
        ("SELECT count(*) FROM t", False),
        ("SELECT DISTINCT a FROM t", False),
        ("SELECT a FROM (SELECT a, count(*) FROM t GROUP BY a) AS g", False),
        ("WITH c AS (SELECT a FROM t LIMIT 1) SELECT a FROM c", False),
    ],
)
def test_a_statement_is_split_by_shards_where_nothing_has_to_be_merged(sql: str, *, expected: bool) -> None:
    assert is_of_each_row(sql) is expected


def test_a_lane_of_each_node_writes_there(cluster: Cluster) -> None:
    made: list[str] = []
    with ExitStack() as stack:

        def make_runner(node: str, shard_of: Any) -> BatchRunner:  # noqa: ANN401 - as it is
            made.append(node)
            if node == OTHER:
                return BatchRunner(cluster.database.write, limit=64, chance=lambda: 0.5)
            writer = NodeWriter(stack.enter_context(closing(open_node(cluster.database, node, shard_of))), node)
            writer.is_usable()
            writer.wait_for_try()
            return BatchRunner(cluster.database.write, limit=64, chance=lambda: 0.5, run_work=writer.run)

        lanes = NodeLanes(make_runner, lambda merchants: locate_merchants(cluster.database, merchants))
        results: list[Any] = []
        sources: list[bool] = []

        def run(transaction: Transaction, requests: Sequence[NewCheckout]) -> list[Any]:
            outcomes = list(create_checkouts(transaction, requests))
            sources.append(SHARDS in transaction.connection.info)
            return outcomes

        lanes.start(lambda result: results.extend(result.results))
        new = [
            NewCheckout(id=f"chk_{one}", merchant_id=one, idempotency_key="1", amount=1, currency="USD")
            for one in MERCHANTS
        ]
        lanes.dispatch([Job(number, run, one, time.monotonic()) for number, one in enumerate(new)])
        lanes.stop()
    assert len(results) == len(MERCHANTS)
    assert len(set(made)) > 1
    assert all(sources)
    assert len(found_by_coordinator(cluster, "SELECT id FROM checkout")) == len(MERCHANTS)
