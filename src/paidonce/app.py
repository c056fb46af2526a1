"""The composition root, which creates the parts of the service and connects them."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from functools import partial

from starlette.routing import BaseRoute, Mount

from paidonce.checkouts.page_tokens import PageTokens
from paidonce.checkouts.waiters import SettlementWaiters
from paidonce.clock import Clock, system_clock
from paidonce.database.batch import BatchRunner, BeginTransaction
from paidonce.database.batcher import Batcher, threaded_batcher
from paidonce.database.citus.lanes import OTHER, NodeLanes, is_distributed, locate_merchants
from paidonce.database.citus.node_database import open_node
from paidonce.database.citus.node_writer import NodeWriter
from paidonce.database.citus.shards import ShardOf
from paidonce.database.durability import require_durable_server
from paidonce.database.engine import Database, open_database
from paidonce.database.migrate import prepare_schema
from paidonce.database.process import ProcessExecutor, fork_executor
from paidonce.database_url import DatabaseUrl
from paidonce.encryption import Keyring, key_finder
from paidonce.events.feed import Feed
from paidonce.ids import secret_bytes, system_chance
from paidonce.merchants.api_key_cache import ApiKeyCache
from paidonce.payments.attempt_queue import WorkerSettings
from paidonce.payments.providers import PaymentProviders
from paidonce.payments.schedule import LookupSchedule
from paidonce.payments.unproven_outcomes import UnprovenOutcomeMonitor
from paidonce.payments.worker import PaymentWorker
from paidonce.profiles.cache import ProfileCache
from paidonce.provider_accounts.connections import ProviderConnections
from paidonce.provider_accounts.opening import AccountOpener, Connectors
from paidonce.provider_webhooks.processor import ProviderWebhookProcessor
from paidonce.providers.base import Provider
from paidonce.providers.registry import CONNECTORS
from paidonce.providers.simulator.books import make_books
from paidonce.providers.simulator.page import page_routes
from paidonce.providers.simulator.provider import Simulator
from paidonce.retention.model import periods_of
from paidonce.retention.worker import RetentionWorker
from paidonce.service import Service
from paidonce.settings import Settings
from paidonce.statistics.rollup import Rollup
from paidonce.webhook_endpoints.model import Schedule
from paidonce.webhook_endpoints.outbox import write_events_and_deliveries
from paidonce.webhook_endpoints.sender import SenderSettings
from paidonce.webhook_endpoints.service import WebhookEndpointService


@asynccontextmanager
async def open_service(
    settings: Settings,
    *,
    with_worker: bool,
    migrating: bool = False,
    writer_process: ProcessExecutor | None = None,
    connectors: Connectors = CONNECTORS,
) -> AsyncIterator[Service]:
    """Open the database, and start all parts of the service; on leaving, stop them in order.

    Writes go to ``writer_process``, or to a thread where it is None. Merchants can have accounts with ``connectors``.
    Raises DatabaseInUse, DatabaseNotSupported, DatabaseUnavailable, NotDurable, or, unless ``migrating``,
    SchemaOutdated.
    """
    clock = system_clock
    encryption = _encryption(settings, making_key=migrating)
    async with (
        _open_batchers(settings, writer_process, migrating=migrating) as (database, writer, reader),
        _open_simulator(settings, clock) as simulator,
        _open_accounts(reader, AccountOpener(connectors, encryption, settings, clock=clock)) as provider_accounts,
        _open_rollup(writer, reader, settings, is_running=with_worker) as rollup,
        _open_retention(writer, reader, settings, clock, is_running=with_worker),
    ):
        feed = _start_feed(writer, reader, settings)
        settlement_waiters = SettlementWaiters(poll_seconds=settings.poll_seconds)
        providers = PaymentProviders({simulator.name: simulator}, provider_accounts)
        worker = _payment_worker(writer, reader, providers, settings, settlement_waiters, clock=clock)
        provider_webhook_processor = _provider_webhook_processor(writer, reader, settings, clock, settlement_waiters)
        api_key_cache = ApiKeyCache(reader, monotonic=time.monotonic)
        profiles = ProfileCache(reader, monotonic=time.monotonic)
        unproven_outcome_monitor = UnprovenOutcomeMonitor(reader, clock=clock)
        webhook_endpoints = _webhook_endpoints(writer, reader, settings, clock, encryption)
        try:
            if with_worker:
                await webhook_endpoints.start(alone=database.exclusive)
                await worker.start(alone=database.exclusive)
                provider_webhook_processor.start()
                unproven_outcome_monitor.start()
            yield Service(
                settings=settings,
                database=database,
                writer=writer,
                reader=reader,
                settlement_waiters=settlement_waiters,
                worker=worker,
                provider_webhook_processor=provider_webhook_processor,
                webhook_endpoints=webhook_endpoints,
                feed=feed,
                rollup=rollup,
                api_key_cache=api_key_cache,
                encryption=encryption,
                page_tokens=PageTokens(encryption, is_on=settings.checkout_page == "on"),
                payment_providers=providers,
                provider_accounts=provider_accounts,
                profiles=profiles,
                provider_pages=_pages_of(simulator),
                clock=clock,
            )
        finally:
            settlement_waiters.close()
            await feed.stop()
            await api_key_cache.stop()
            await profiles.stop()
            await unproven_outcome_monitor.stop()
            await provider_webhook_processor.stop()
            await asyncio.gather(
                worker.stop(grace_seconds=settings.shutdown_seconds),
                webhook_endpoints.stop(grace_seconds=settings.shutdown_seconds),
            )


@contextmanager
def fork_writer(settings: Settings) -> Iterator[ProcessExecutor | None]:
    """Fork the writer process, before this process does anything else; None for an in-memory database."""
    if settings.database.is_in_memory:
        yield None
        return
    with fork_executor(lambda: _open_batch_runner(settings), prepare=preload) as process:
        yield process


@contextmanager
def _open_batch_runner(settings: Settings) -> Iterator[BatchRunner | NodeLanes]:
    """Open the database in the writer process, while the server process holds its lock.

    A distributed database has a runner for each node.
    """
    database = open_database(
        settings.database, clock=system_clock, before_commit=write_events_and_deliveries, exclusive=False
    )
    make_runner = partial(BatchRunner, database.write, limit=settings.batch_limit, chance=system_chance)
    with ExitStack() as nodes:

        def make_runner_of(node: str, shard_of: ShardOf) -> BatchRunner:
            if node == OTHER:
                return make_runner()
            writer = NodeWriter(open_node(database, node, shard_of), node)
            nodes.callback(writer.close)
            return make_runner(run_work=writer.run)

        nodes.callback(database.close)
        has_nodes = is_distributed(database)
        yield NodeLanes(make_runner_of, partial(locate_merchants, database)) if has_nodes else make_runner()


@asynccontextmanager
async def _open_batchers(
    settings: Settings, writer_process: ProcessExecutor | None, *, migrating: bool
) -> AsyncIterator[tuple[Database, Batcher, Batcher]]:
    """Open the database, and start the batchers for writes and reads. For an in-memory database they are the same."""
    database = _open_migrated(settings, migrating=migrating)
    try:
        if writer_process is None:
            writer = _batcher(database.write, "writer", settings)
        else:
            if database.lock is not None:
                writer_process.share_descriptor(database.lock)
            writer = Batcher(writer_process, limit=settings.queue_limit)
        reader = _batcher(database.read, "reader", settings) if database.has_separate_reads else writer
        batchers = [writer] if reader is writer else [writer, reader]
        for batcher in batchers:
            await batcher.start()
        try:
            yield database, writer, reader
        finally:
            for batcher in batchers:
                await batcher.stop()
    finally:
        database.close()


def _open_migrated(settings: Settings, *, migrating: bool) -> Database:
    database = open_database(settings.database, clock=system_clock, before_commit=write_events_and_deliveries)
    try:
        require_durable_server(database)
        prepare_schema(database, migrating=migrating)
    except BaseException:
        database.close()
        raise
    return database


def preload() -> None:
    """Import modules and warm up what opening the service needs: for a process that waits to start."""
    open_database(DatabaseUrl("sqlite"), clock=system_clock).close()


def preload_server(settings: Settings) -> None:
    """Do what ``preload`` does, and import the HTTP client where a provider is called over HTTP."""
    preload()
    if settings.simulator_url:
        import paidonce.providers.simulator.connector  # noqa: F401 - imported to be loaded


@asynccontextmanager
async def _open_simulator(settings: Settings, clock: Clock) -> AsyncIterator[Provider]:
    """Open the simulated provider: over HTTP where the settings name its URL, otherwise in this process."""
    if settings.simulator_url:
        from paidonce.providers.simulator.connector import ConnectorSettings, SimulatorConnector

        connector = SimulatorConnector(
            ConnectorSettings(
                url=settings.simulator_url,
                timeout_seconds=settings.provider_timeout_seconds,
                webhook_secret=settings.simulator_webhook_secret,
                deduplicates=settings.simulator_deduplicates,
                key_lifetime_seconds=settings.simulator_key_lifetime_seconds,
            ),
            clock=clock,
        )
        try:
            yield connector
        finally:
            await connector.disconnect()
        return
    books = open_database(settings.simulator_books, clock=clock, exclusive=False)
    make_books(books)
    bookkeeper = _batcher(books.write, "simulator", settings)
    await bookkeeper.start()
    try:
        yield Simulator(
            bookkeeper,
            latency_ms=settings.simulator_latency_ms,
            webhook_secret=settings.simulator_webhook_secret,
            clock=clock,
        )
    finally:
        await bookkeeper.stop()
        books.close()


def _start_feed(writer: Batcher, reader: Batcher, settings: Settings) -> Feed:
    feed = Feed(poll_seconds=settings.poll_seconds, limit=settings.follower_limit)
    feed.start(reader)
    writer.add_commit_listener(feed.committed)
    return feed


@asynccontextmanager
async def _open_accounts(reader: Batcher, opener: AccountOpener) -> AsyncIterator[ProviderConnections]:
    """Open merchants' accounts with providers when they are used, and disconnect them on leaving."""
    connections = ProviderConnections(reader, opener, grace_seconds=opener.timeout_seconds, monotonic=time.monotonic)
    connections.start()
    try:
        yield connections
    finally:
        await connections.stop()


@asynccontextmanager
async def _open_rollup(
    writer: Batcher, reader: Batcher, settings: Settings, *, is_running: bool
) -> AsyncIterator[Rollup]:
    """Count statistics in the background, where this process has a worker."""
    rollup = Rollup(writer, reader, poll_seconds=settings.poll_seconds)
    if is_running:
        rollup.start()
        writer.add_commit_listener(rollup.committed)
    try:
        yield rollup
    finally:
        await rollup.stop()


@asynccontextmanager
async def _open_retention(
    writer: Batcher, reader: Batcher, settings: Settings, clock: Clock, *, is_running: bool
) -> AsyncIterator[None]:
    """Delete old rows in the background, where this process has a worker."""
    worker = RetentionWorker(writer, reader, periods_of(settings), poll_seconds=settings.poll_seconds, clock=clock)
    if is_running:
        worker.start()
    try:
        yield
    finally:
        await worker.stop()


def _pages_of(simulator: Provider) -> Sequence[BaseRoute]:
    """Return the routes of the simulator's page, where it runs in this process."""
    return (
        [Mount("/simulator/pay", routes=page_routes(simulator.simulation))] if isinstance(simulator, Simulator) else []
    )


def _payment_worker(
    writer: Batcher,
    reader: Batcher,
    providers: PaymentProviders,
    settings: Settings,
    settlement_waiters: SettlementWaiters,
    *,
    clock: Clock,
) -> PaymentWorker:
    return PaymentWorker(
        writer,
        reader,
        providers,
        worker_settings(settings),
        clock=clock,
        chance=system_chance,
        settled=settlement_waiters.notify,
    )


def _provider_webhook_processor(
    writer: Batcher, reader: Batcher, settings: Settings, clock: Clock, settlement_waiters: SettlementWaiters
) -> ProviderWebhookProcessor:
    return ProviderWebhookProcessor(
        writer,
        reader,
        schedule=worker_settings(settings).schedule,
        poll_seconds=settings.poll_seconds,
        keep_days=settings.provider_webhook_days,
        clock=clock,
        chance=system_chance,
        settled=settlement_waiters.notify,
    )


def _encryption(settings: Settings, *, making_key: bool) -> Keyring:
    find = key_finder(settings.encryption_keys, settings.encryption_key_file, make=secret_bytes if making_key else None)
    return Keyring(find, draw=secret_bytes)


def _webhook_endpoints(
    writer: Batcher, reader: Batcher, settings: Settings, clock: Clock, encryption: Keyring
) -> WebhookEndpointService:
    return WebhookEndpointService(
        writer,
        reader,
        SenderSettings(
            timeout_seconds=settings.webhook_timeout_seconds,
            concurrency=settings.webhook_concurrency,
            poll_seconds=settings.poll_seconds,
            schedule=Schedule(settings.webhook_retry_first_seconds),
        ),
        allow_private=settings.webhook_allow_private,
        keyring=encryption,
        clock=clock,
        chance=system_chance,
        draw=secret_bytes,
    )


def _batcher(begin: BeginTransaction, name: str, settings: Settings) -> Batcher:
    return threaded_batcher(
        begin,
        name=name,
        queue_limit=settings.queue_limit,
        batch_limit=settings.batch_limit,
        chance=system_chance,
    )


def worker_settings(settings: Settings) -> WorkerSettings:
    """Return the settings of the worker."""
    return WorkerSettings(
        lease_seconds=settings.lease_seconds,
        provider_timeout_seconds=settings.provider_timeout_seconds,
        provider_concurrency=settings.provider_concurrency,
        poll_seconds=settings.poll_seconds,
        schedule=LookupSchedule(first_seconds=settings.reconcile_first_seconds),
    )
