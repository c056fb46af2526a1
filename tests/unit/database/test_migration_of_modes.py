"""The migration that keeps test and live data apart, of databases with data, on both kinds of databases."""

from collections.abc import Iterator
from typing import Any, Final

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, insert, select, text
from sqlalchemy.exc import DBAPIError, IntegrityError

from paidonce.clock import system_clock
from paidonce.database.engine import Database, open_database
from paidonce.database.migrate import FOLDER, is_migrated, migrate
from paidonce.database.schema import checkout, delivery, event, idempotency_key, merchant
from paidonce.database_url import parse_database_url
from paidonce.events.actions import EventsAfter, load_events_after, load_newest_sequences
from paidonce.events.model import Cause, EventType, NewEvent
from paidonce.events.store import ReadPosition, write_events
from paidonce.merchants.model import Tenant

pytestmark = pytest.mark.plain_postgresql(reason="it begins with a database without tables")

LIVE: Final = "chk_live"
CHECKOUTS: Final = ("chk_untried", "chk_simulated", "chk_tested", LIVE)
# What each attempt of merchant m was sent through; the live checkout was tried at the simulator before.
ATTEMPTS: Final = (
    ("att_1", "chk_simulated", "CHARGE", None),
    ("att_2", "chk_tested", "CHARGE", "pac_test"),
    ("att_3", LIVE, "CHARGE", None),
    ("att_4", LIVE, "CHARGE", "pac_live"),
    ("ref_5", LIVE, "REFUND", "pac_live"),
)
KEYS: Final = {
    "pay-test": "/checkouts/chk_tested",
    "pay-live": f"/checkouts/{LIVE}",
    "refund-live": "/refunds/ref_5",
    "account-live": "/provider-accounts/pac_live",
    "endpoint": "/webhook-endpoints/whe_1",
}
EVENTS: Final = (
    ("provider_account.created", None, '{"accountId":"pac_test","provider":"fake","mode":"test"}'),
    ("provider_account.created", None, '{"accountId":"pac_live","provider":"fake","mode":"live"}'),
    *(("checkout.created", one, None) for one in CHECKOUTS),
    ("checkout.completed", LIVE, None),
    ("checkout.completed", "chk_tested", None),
)


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """Open a database of the release before, with two merchants; only the first one has a live account."""
    opened = open_database(parse_database_url(database_url), clock=system_clock, before_commit=write_events)
    with opened.writes.connect() as connection:
        config = Config()
        config.set_main_option("script_location", str(FOLDER))
        config.attributes["connection"] = connection
        command.upgrade(config, "0009")
    with opened.writes.begin() as connection:
        fill(connection)
    yield opened
    opened.close()


def fill(connection: Connection) -> None:
    def add(table: str, **values: object) -> None:
        columns, names = ", ".join(f'"{name}"' for name in values), ", ".join(f":{name}" for name in values)
        connection.execute(text(f"INSERT INTO {table} ({columns}) VALUES ({names})"), values)

    at = {"created_at": 7, "updated_at": 7}
    for merchant_id, count in (("m", len(EVENTS)), ("n", 1)):
        add("merchant", id=merchant_id, event_sequence=count, created_at=7)
    for mode in ("test", "live"):
        shown = {"name": "The Fake", "status": "ACTIVE", "credentials": "v1.x", "hints": "{}", "position": 1}
        add("provider_account", id=f"pac_{mode}", merchant_id="m", provider="fake", mode=mode, version=0, **shown, **at)
    money = {"amount": 1000, "currency": "USD"}
    for merchant_id, checkout_id in (*(("m", one) for one in CHECKOUTS), ("n", LIVE)):
        kept = {"idempotency_key": checkout_id, "status": "CANCELED", "capture_method": "automatic", "expires_at": 8}
        add("checkout", id=checkout_id, merchant_id=merchant_id, **kept, **money, **at)
    for attempt_id, checkout_id, kind, account_id in ATTEMPTS:
        sent = {"provider": "fake", "provider_key": attempt_id, "payment_method": "tok", "fence": 1}
        ended = {"status": "DECLINED", "decline_code": "no", "settled_at": 7, "account_id": account_id}
        add(
            "attempt",
            id=attempt_id,
            merchant_id="m",
            checkout_id=checkout_id,
            kind=kind,
            **sent,
            **ended,
            **money,
            **at,
        )
    for number, (kind, about, detail) in enumerate(EVENTS, 1):
        told = {"type": kind, "cause": "request", "detail": detail, "checkout_id": about, "created_at": 7}
        add("event", id=f"evt_{number}", merchant_id="m", sequence=number, **told)
    created = {"type": "checkout.created", "cause": "request", "checkout_id": LIVE, "created_at": 7}
    add("event", id="evt_n", merchant_id="n", sequence=1, **created)
    add("webhook_endpoint", id="whe_1", merchant_id="m", url="https://shop.example/", secret="s", version=0, **at)
    delivered = {"number": 1, "status": "FAILED", "fence": 0, "failures": 1}
    add("delivery", id="dlv_1", merchant_id="m", endpoint_id="whe_1", event_id="evt_7", **delivered, **at)
    for key, resource in KEYS.items():
        used = {"claim_id": "clm", "path": "/", "fields": "{}", "status": 202, "created_at": 7, "expires_at": 8}
        add("idempotency_key", merchant_id="m", key=key, resource=resource, **used)


def modes(database: Database, table: Any, column: str, merchant_id: str = "m") -> dict[str, str]:  # noqa: ANN401 - a table
    wanted = select(table.c[column], table.c.mode).where(table.c.merchant_id == merchant_id)
    with database.read() as transaction:
        return {row[0]: row[1] for row in transaction.rows(wanted)}


def numbers(database: Database, mode: str, *, after: int = 0, merchant_id: str = "m") -> list[int]:
    with database.read() as transaction:
        seen = [ReadPosition(merchant_id, mode, after)]
        (found,) = load_events_after(transaction, [EventsAfter(seen, 100)])
    return [one.sequence for one in found]


def test_what_was_paid_through_a_live_account_becomes_live_and_all_else_is_test_data(database: Database) -> None:
    assert migrate(database)
    assert modes(database, checkout, "id") == {one: "live" if one == LIVE else "test" for one in CHECKOUTS}
    assert modes(database, checkout, "id", "n") == {LIVE: "test"}
    live = {"pay-live", "refund-live", "account-live"}
    assert modes(database, idempotency_key, "key") == {one: "live" if one in live else "test" for one in KEYS}
    with database.read() as transaction:
        attempts = transaction.rows(text("SELECT id FROM attempt WHERE mode = 'live' ORDER BY id"))
        endpoints = transaction.rows(text("SELECT mode FROM webhook_endpoint"))
    assert [row[0] for row in attempts] == ["att_3", "att_4", "ref_5"]
    assert [row[0] for row in endpoints] == ["test"]


def test_events_keep_their_numbers_and_both_logs_go_on_after_the_newest(database: Database) -> None:
    assert migrate(database)
    assert (numbers(database, "test"), numbers(database, "live")) == ([1, 3, 4, 5, 8], [2, 6, 7])
    with database.write() as transaction:
        transaction.events.extend(
            NewEvent(type=EventType.ENDPOINT_CREATED, cause=Cause.REQUEST, merchant_id=merchant_id, mode=mode)
            for merchant_id in ("m", "n")
            for mode in ("test", "live")
        )
    # Whoever had read up to 7 misses nothing, in neither log.
    assert (numbers(database, "test", after=7), numbers(database, "live", after=7)) == ([8, 9], [9])
    assert numbers(database, "live", merchant_id="n") == [1]
    with database.read() as transaction:
        newest = load_newest_sequences(transaction, [Tenant("m", "test"), Tenant("m", "live"), Tenant("n", "test")])
    assert newest == [9, 9, 2]


def test_rows_still_refer_to_each_other_and_are_unique_within_a_mode(database: Database) -> None:
    assert migrate(database)
    with database.writes.begin() as connection:
        made = {**dict(connection.execute(select(checkout).limit(1)).mappings().one()), "id": "chk_other"}
        connection.execute(insert(checkout), {**made, "mode": "live" if made["mode"] == "test" else "test"})
        sent = dict(connection.execute(select(delivery)).mappings().one())
    for table, values in (
        (checkout, {**made, "id": "chk_third"}),
        (delivery, {**sent, "id": "dlv_2", "event_id": "evt_missing", "number": 2}),
        (
            event,
            {
                "id": "evt_x",
                "merchant_id": "m",
                "mode": "live",
                "sequence": 7,
                "type": "t",
                "cause": "c",
                "created_at": 7,
            },
        ),
        (
            event,
            {
                "id": "evt_x",
                "merchant_id": "m",
                "mode": "x",
                "sequence": 99,
                "type": "t",
                "cause": "c",
                "created_at": 7,
            },
        ),
    ):
        with pytest.raises(IntegrityError), database.writes.begin() as connection:
            connection.execute(insert(table), values)


def test_a_migration_that_was_interrupted_before_its_last_step_can_be_repeated(database: Database) -> None:
    with database.writes.begin() as connection:  # The last step does not find what it replaces.
        connection.execute(text("DROP INDEX checkout_by_merchant"))
    with pytest.raises(DBAPIError):
        migrate(database)
    assert not is_migrated(database)
    with database.writes.begin() as connection:
        connection.execute(text("CREATE INDEX checkout_by_merchant ON checkout (merchant_id, id)"))
    assert migrate(database)
    assert modes(database, checkout, "id")[LIVE] == "live"
    with database.read() as transaction:
        counters = transaction.rows(select(merchant.c.live_event_sequence).order_by(merchant.c.id))
    assert [row[0] for row in counters] == [len(EVENTS), 0]
