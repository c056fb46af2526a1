"""A filled database is as a service would leave it; otherwise measurements on it would be meaningless."""

from pathlib import Path

from sqlalchemy import func, select

from bench.filling import EVENTS_EACH, PROVIDER_OF_NOBODY, UNDER_WAY, fill_postgresql, fill_sqlite, filled_checkout
from bench.plan import MERCHANTS
from paidonce.clock import system_clock
from paidonce.database.engine import Database, open_database
from paidonce.database.migrate import migrate
from paidonce.database.schema import attempt, checkout, event, merchant
from paidonce.database_url import parse_database_url
from paidonce.payments.claiming import ClaimAttempts, claim_attempts

ROWS = UNDER_WAY + 123


def test_a_filled_database_keeps_every_constraint_and_numbers_its_events_without_a_gap(database_url: str) -> None:
    database = filled(database_url)
    try:
        with database.read() as transaction:
            connection = transaction.connection
            if connection.dialect.name == "sqlite":  # It checks these only for rows that change while they are on.
                assert connection.exec_driver_sql("PRAGMA foreign_key_check").all() == []
                assert connection.exec_driver_sql("PRAGMA integrity_check").scalar() == "ok"
            counts = [connection.scalar(select(func.count()).select_from(one)) for one in (checkout, attempt, event)]
            assert counts == [ROWS, ROWS, EVENTS_EACH * ROWS]
            newest = {row.id: row.event_sequence for row in connection.execute(select(merchant))}
            numbered = select(event.c.merchant_id, func.min(event.c.sequence), func.max(event.c.sequence), func.count())
            found = {row[0]: tuple(row[1:]) for row in connection.execute(numbered.group_by(event.c.merchant_id))}
        assert len(found) == MERCHANTS
        assert found == {name: (1, count, count) for name, count in newest.items()}
    finally:
        database.close()


def test_what_is_looked_for_is_there_and_what_is_under_way_can_be_claimed_again_and_again(database_url: str) -> None:
    database = filled(database_url)
    try:
        for number in (1, ROWS):
            checkout_id, its_merchant = filled_checkout(number)
            with database.read() as transaction:
                found = transaction.connection.scalar(
                    select(checkout.c.merchant_id).where(checkout.c.id == checkout_id)
                )
            assert found == f"m{its_merchant}"
        for _ in range(2):
            with database.write() as transaction:
                claimed = claim_attempts(transaction, [ClaimAttempts(PROVIDER_OF_NOBODY, ROWS, 0)])
            assert len(claimed[0]) == UNDER_WAY
    finally:
        database.close()


def filled(database_url: str) -> Database:
    place = parse_database_url(database_url)
    database = open_database(place, clock=system_clock)
    migrate(database)
    database.close()
    if place.dialect == "sqlite":
        fill_sqlite(Path(place.path or ""), ROWS, print)
    else:
        fill_postgresql(database_url, ROWS, print)
    return open_database(place, clock=system_clock)
