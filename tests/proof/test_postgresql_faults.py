"""PostgreSQL goes away in the middle: what is acknowledged is there, once, and the answer is the right one."""

import asyncio
import os
import pwd
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from sqlalchemy import URL, Engine, create_engine, func, make_url, select, text

from paidonce import ids
from paidonce.checkouts.actions import Created, Replayed, create_checkouts
from paidonce.checkouts.model import NewCheckout, ProviderRoute
from paidonce.clock import system_clock
from paidonce.database.batcher import Batcher, threaded_batcher
from paidonce.database.engine import Database, open_database
from paidonce.database.migrate import migrate
from paidonce.database.schema import attempt, checkout, event
from paidonce.database.transaction import Transaction
from paidonce.database_url import parse_database_url
from paidonce.errors import DatabaseUnavailable, Overloaded
from paidonce.events.model import Cause
from paidonce.events.store import write_events
from paidonce.idempotency.actions import IdempotentAction
from paidonce.idempotency.model import ClaimedRequest
from paidonce.merchants.model import TenantScopedId
from paidonce.payments.pay import Started, StartPayment, start_payments
from paidonce.payments.refund import StartRefund, start_refunds
from paidonce.payments.schedule import LookupSchedule
from paidonce.payments.settle import RecordEvidence, record_evidence
from paidonce.providers.evidence import Succeeded
from tests.proof.buyer import idempotency_for, summarize
from tests.proof.cutting_proxy import CuttingProxy
from tests.support.databases import SERVER_USER, _package_folder, fresh_database, server_url, session_directory

PURCHASES = 60


@contextmanager
def opened(url: str) -> Iterator[Database]:
    database = open_database(parse_database_url(url), clock=system_clock, before_commit=write_events)
    migrate(database)
    try:
        yield database
    finally:
        database.close()


@asynccontextmanager
async def writing(database: Database, chance: Callable[[], float]) -> AsyncIterator[Batcher]:
    batcher = threaded_batcher(database.write, name="writer", queue_limit=10_000, batch_limit=8, chance=chance)
    await batcher.start()
    try:
        yield batcher
    finally:
        await batcher.stop()


def new_checkout(key: int) -> NewCheckout:
    return NewCheckout(
        id=ids.new_id(ids.CHECKOUT), merchant_id="m", idempotency_key=str(key), amount=1000, currency="USD"
    )


def new_payment(checkout_id: str) -> StartPayment:
    return StartPayment(
        attempt_id=ids.new_id(ids.ATTEMPT),
        checkout=TenantScopedId(checkout_id, None),
        payment_method="tok_success",
        route=ProviderRoute("simulator"),
        lease_ms=60_000,
    )


def new_refund(checkout_id: str) -> ClaimedRequest:
    request = StartRefund(attempt_id=ids.new_id(ids.ATTEMPT), checkout=TenantScopedId(checkout_id, None), amount=400)
    return ClaimedRequest(request, idempotency_for("m", f"refund {checkout_id}", request.amount).claim)


def proof(attempt_id: str) -> RecordEvidence:
    return RecordEvidence(
        attempt_id=attempt_id,
        evidence=Succeeded("ch_1"),
        cause=Cause.PROVIDER_ANSWER,
        schedule=LookupSchedule(),
        chance=0.5,
        fence=1,
    )


async def at_once(batcher: Batcher, action: Any, requests: Sequence[Any]) -> list[Any]:  # noqa: ANN401 - any action
    """Submit all requests together. On a busy machine some wait too long behind lost connections: they come again."""

    async def until_taken(request: Any) -> Any:  # noqa: ANN401
        while True:
            with suppress(Overloaded):
                return await batcher.submit(action, request)
            await asyncio.sleep(0)

    return list(await asyncio.gather(*map(until_taken, requests)))


def counted(database: Database) -> dict[str, int]:
    """Count checkouts, attempts by kind, and events by type."""
    with database.writes.connect() as connection:
        counts = {"checkout": connection.execute(select(func.count()).select_from(checkout)).scalar_one()}
        for column in (attempt.c.kind, event.c.type):
            found = connection.execute(select(column, func.count()).group_by(column)).all()
            counts |= {str(name): number for name, number in found}
    return counts


async def test_a_connection_lost_during_commit_gives_each_request_its_outcome_once(
    postgres_url: str,
    chance: Random,
    report: Callable[[str], None],
) -> None:
    server = make_url(postgres_url)
    with TemporaryDirectory(prefix="proxy-") as folder, opened(postgres_url) as beside:
        proxy = CuttingProxy(Path(folder), server)
        through_proxy = URL.create(
            "postgresql", server.username, server.password, database=server.database, query={"host": folder}
        )
        with opened(through_proxy.render_as_string(hide_password=False)) as database:
            async with writing(database, chance.random) as batcher:
                proxy.every = 2
                created = await at_once(batcher, create_checkouts, [new_checkout(key) for key in range(PURCHASES)])
                checkout_ids = [one.checkout.id for one in created]
                started = await at_once(batcher, start_payments, [new_payment(one) for one in checkout_ids])
                await at_once(batcher, record_evidence, [proof(one.attempt.id) for one in started])
                refunds = await at_once(
                    batcher, IdempotentAction(start_refunds, summarize), [new_refund(one) for one in checkout_ids]
                )
            proxy.close()
        counts = counted(beside)
    report(f"COMMITs cut: {proxy.cut_after} before the answer, {proxy.cut_before} before the server")
    assert {type(one) for one in created} == {Created}
    assert {type(one) for one in (*started, *refunds)} == {Started}
    assert proxy.cut_after >= 8
    assert counts == dict.fromkeys(
        [
            *("checkout", "CHARGE", "REFUND"),
            *("checkout.created", "checkout.processing", "checkout.completed", "refund.created"),
        ],
        PURCHASES,
    )


async def test_a_backend_that_is_killed_in_the_middle_of_a_batch_costs_nothing(
    postgres_url: str,
    chance: Random,
) -> None:
    killed: list[int] = []

    def create_and_be_killed(transaction: Transaction, requests: Sequence[NewCheckout]) -> Sequence[Any]:
        outcomes = create_checkouts(transaction, requests)
        if len(killed) < 3:  # Fewer than the tries that a batch has.
            killed.append(len(requests))
            transaction.connection.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))
        return outcomes

    with opened(postgres_url) as database:
        async with writing(database, chance.random) as batcher:
            created = await at_once(batcher, create_and_be_killed, [new_checkout(key) for key in range(20)])
        counts = counted(database)
    assert len(killed) == 3
    assert {type(one) for one in created} == {Created}
    assert counts == {"checkout": 20, "checkout.created": 20}


async def test_a_pool_without_a_free_connection_refuses_and_is_well_again_when_there_is_one(
    postgres_url: str,
    chance: Random,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def create_impatient_engine(url: str, **options: Any) -> Engine:  # noqa: ANN401 - as SQLAlchemy's
        return create_engine(url, **{**options, "pool_timeout": 0.1})  # Else it waits for seconds.

    monkeypatch.setattr("paidonce.database.postgresql_engine.create_engine", create_impatient_engine)
    with opened(postgres_url) as database:
        async with writing(database, chance.random) as batcher:
            with ExitStack() as taken:
                for _ in range(8):
                    taken.enter_context(database.writes.connect())
                with pytest.raises(DatabaseUnavailable):
                    await batcher.submit(create_checkouts, new_checkout(1))
            assert isinstance(await batcher.submit(create_checkouts, new_checkout(1)), Created)
        assert counted(database) == {"checkout": 1, "checkout.created": 1}


async def test_an_immediate_restart_of_postgresql_loses_nothing_that_was_acknowledged(
    chance: Random,
) -> None:
    acknowledged: dict[int, str] = {}
    enough = asyncio.Event()
    with session_directory() as directory, fresh_database(server_url(directory)) as url, opened(url) as database:
        async with writing(database, chance.random) as batcher:

            async def buy(key: int) -> None:
                request = new_checkout(key)
                while key not in acknowledged:
                    with suppress(DatabaseUnavailable):
                        outcome = await batcher.submit(create_checkouts, request)
                        assert isinstance(outcome, Created)
                        acknowledged[key] = outcome.checkout.id
                        if len(acknowledged) >= 200:
                            enough.set()

            async def buy_on(first: int) -> None:
                for key in range(first, first + 150):
                    await buy(key)

            buyers = [asyncio.create_task(buy_on(1000 * number)) for number in range(8)]
            await enough.wait()
            await asyncio.to_thread(restart_at_once, directory)
            await asyncio.gather(*buyers)
            again = await at_once(batcher, create_checkouts, [new_checkout(key) for key in acknowledged])
        assert {type(one) for one in again} == {Replayed}
        assert [one.checkout.id for one in again] == list(acknowledged.values())
        assert counted(database) == {"checkout": 1200, "checkout.created": 1200}


def restart_at_once(directory: Path) -> None:
    """Restart the server as after a crash: it is given no time to write anything."""
    account = pwd.getpwnam(SERVER_USER) if os.geteuid() == 0 else None
    package = directory / _package_folder().name if account else _package_folder()
    options = f"-c listen_addresses='' -k '{directory}' -c max_connections=200"
    command: list[str | Path] = [
        package / "pginstall" / "bin" / "pg_ctl",
        "-D",
        "data",
        "-l",
        "log",
        "-w",
        "-m",
        "immediate",
    ]
    subprocess.run(
        [*command, "-m", "immediate", "-o", options, "restart"],
        cwd=directory,
        check=True,
        stdout=subprocess.DEVNULL,
        user=account.pw_uid if account else None,
        group=account.pw_gid if account else None,
        extra_groups=[] if account else None,
    )
