"""The composition root: the one place where parts are put together."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, asynccontextmanager

from paidonce.checkouts.watch import Watch
from paidonce.clock import Clock, system_clock
from paidonce.database.batcher import Batcher
from paidonce.database.engine import AfterCommit, BeforeCommit, Database, open_database, require_durable_server
from paidonce.database.migrate import prepare_schema
from paidonce.database.transaction import Transaction
from paidonce.database_url import DatabaseUrl
from paidonce.encryption import Keyring as EncryptionKeyring
from paidonce.events.feed import Feed
from paidonce.ids import secret_bytes, system_chance
from paidonce.inbox.inbox import Inbox
from paidonce.merchants.keyring import Keyring
from paidonce.outbox.model import Schedule
from paidonce.outbox.outbox import Outbox, key_finder
from paidonce.outbox.sender import SenderSettings
from paidonce.outbox.writing import write_events_and_deliveries
from paidonce.payments.alarm import Alarm
from paidonce.payments.model import LookupSchedule
from paidonce.payments.worker import Worker, WorkerSettings
from paidonce.providers.base import Provider
from paidonce.providers.simulator.books import make_books
from paidonce.providers.simulator.connector import ConnectorSettings, SimulatorConnector
from paidonce.providers.simulator.provider import Simulator
from paidonce.service import Service
from paidonce.settings import Settings


@asynccontextmanager
async def open_service(settings: Settings, *, with_worker: bool, migrating: bool = False) -> AsyncIterator[Service]:
    """Open the database, start the batchers, the simulator, worker and sender; on leaving, end them in the right order.

    Raises DatabaseInUse, DatabaseUnavailable, NotDurable, or SchemaOutdated where the schema is another release's and
    ``migrating`` does not ask for it to be brought up to date.
    """
    clock = system_clock
    feed = Feed(poll_seconds=settings.poll_seconds, limit=settings.follower_limit)
    hint: list[Callable[[], None]] = []  # The sender's, which is made later and needs the database.

    def before_commit(transaction: Transaction) -> None:
        if write_events_and_deliveries(transaction):
            for one in hint:
                one()

    database = _open_migrated(settings, clock, before_commit, feed.committed, migrating=migrating)
    batchers = [_batcher(database.write, "writer", settings)]
    writer = reader = batchers[0]
    if database.reads_beside_writes:
        reader = _batcher(database.read, "reader", settings)
        batchers.append(reader)
    for batcher in batchers:
        batcher.start()
    feed.start(reader)
    watch = Watch(poll_seconds=settings.poll_seconds)
    async with _open_simulator(settings, clock) as simulator:
        providers = {simulator.name: simulator}
        worker = Worker(
            writer, providers, worker_settings(settings), clock=clock, chance=system_chance, settled=watch.notify
        )
        inbox = Inbox(
            writer,
            reader,
            schedule=worker_settings(settings).schedule,
            poll_seconds=settings.poll_seconds,
            keep_days=settings.provider_webhook_days,
            clock=clock,
            chance=system_chance,
            settled=watch.notify,
        )
        keyring = Keyring(reader, seconds=time.monotonic)
        alarm = Alarm(reader, clock=clock)
        outbox = _outbox(writer, reader, settings, clock, making_key=migrating)
        try:
            if with_worker:
                await outbox.start(alone=database.exclusive)
                hint.append(outbox.hint)
                await worker.start(alone=database.exclusive)
                inbox.start()
                alarm.start()
            yield Service(
                settings, database, writer, reader, watch, worker, inbox, outbox, feed, keyring, providers, clock
            )
        finally:
            watch.close()
            await feed.stop()
            await keyring.stop()
            await alarm.stop()
            await inbox.stop()
            await asyncio.gather(
                worker.stop(grace_seconds=settings.shutdown_seconds),
                outbox.stop(grace_seconds=settings.shutdown_seconds),
            )
            for batcher in batchers:
                await batcher.stop()
            database.close()


def _open_migrated(
    settings: Settings, clock: Clock, before_commit: BeforeCommit, after_commit: AfterCommit, *, migrating: bool
) -> Database:
    database = open_database(settings.database, clock=clock, before_commit=before_commit, after_commit=after_commit)
    try:
        require_durable_server(database)
        prepare_schema(database, migrating=migrating)
    except BaseException:
        database.close()
        raise
    return database


def preload() -> None:
    """Load what opening the service would load: for a process that has time now, and none when its turn comes."""
    open_database(DatabaseUrl("sqlite"), clock=system_clock).close()


@asynccontextmanager
async def _open_simulator(settings: Settings, clock: Clock) -> AsyncIterator[Provider]:
    """Open the simulated provider: over HTTP where the settings say where it is, else in this process."""
    if settings.simulator_url:
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
            connector.close()
        return
    books = open_database(settings.simulator_books, clock=clock, exclusive=False)
    make_books(books)
    bookkeeper = _batcher(books.write, "simulator", settings)
    bookkeeper.start()
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


def _outbox(writer: Batcher, reader: Batcher, settings: Settings, clock: Clock, *, making_key: bool) -> Outbox:
    find = key_finder(settings.encryption_keys, settings.encryption_key_file, make=secret_bytes if making_key else None)
    return Outbox(
        writer,
        reader,
        SenderSettings(
            timeout_seconds=settings.webhook_timeout_seconds,
            concurrency=settings.webhook_concurrency,
            poll_seconds=settings.poll_seconds,
            schedule=Schedule(settings.webhook_retry_first_seconds),
        ),
        allow_private=settings.webhook_allow_private,
        keyring=EncryptionKeyring(find, draw=secret_bytes),
        clock=clock,
        chance=system_chance,
        draw=secret_bytes,
    )


def _batcher(begin: Callable[[], AbstractContextManager[Transaction]], name: str, settings: Settings) -> Batcher:
    return Batcher(
        begin,
        name=name,
        queue_limit=settings.queue_limit,
        batch_limit=settings.batch_limit,
        chance=system_chance,
    )


def worker_settings(settings: Settings) -> WorkerSettings:
    """Take the worker's part of the settings."""
    return WorkerSettings(
        lease_seconds=settings.lease_seconds,
        provider_timeout_seconds=settings.provider_timeout_seconds,
        provider_concurrency=settings.provider_concurrency,
        poll_seconds=settings.poll_seconds,
        schedule=LookupSchedule(first_seconds=settings.reconcile_first_seconds),
    )
