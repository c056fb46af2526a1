"""Migrations of a database with data, which they preserve."""

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, select, text

from paidonce.clock import system_clock
from paidonce.database.engine import open_database
from paidonce.database.migrate import FOLDER, migrate
from paidonce.database.schema import event
from paidonce.database_url import parse_database_url


def upgrade(connection: Connection, revision: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(FOLDER))
    config.attributes["connection"] = connection
    command.upgrade(config, revision)


@pytest.mark.plain_postgresql(reason="it begins with a database without tables")
def test_events_are_kept_when_they_learn_to_be_about_no_checkout(database_url: str) -> None:
    database = open_database(parse_database_url(database_url), clock=system_clock)
    with database.writes.connect() as connection:
        upgrade(connection, "0002")
    with database.writes.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO event (id, merchant_id, sequence, checkout_id, type, cause, created_at) "
                "VALUES ('evt_1', 'm1', 1, 'chk_1', 'checkout.created', 'request', 7)"
            )
        )
    assert migrate(database)
    with database.writes.begin() as connection:
        connection.execute(event.insert(), [{**row(2), "checkout_id": None}])
        found = connection.execute(select(event.c.id, event.c.checkout_id).order_by(event.c.sequence)).all()
    database.close()
    assert [tuple(one) for one in found] == [("evt_1", "chk_1"), ("evt_2", None)]


def row(sequence: int) -> dict[str, object]:
    return {
        "id": f"evt_{sequence}",
        "merchant_id": "m1",
        "sequence": sequence,
        "type": "endpoint.created",
        "cause": "request",
        "created_at": 7,
    }
