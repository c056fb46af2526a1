"""Clients, workers, a provider and a clock in any order: after each step all that must hold holds, on a real SQLite."""

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from paidonce.database.engine import open_database
from paidonce.database.migrate import migrate
from paidonce.database_url import DatabaseUrl
from paidonce.events.store import write_events
from tests.proof.machine import Clock, Machine
from tests.proof.part import Part
from tests.proof.virtual_time import VirtualLoop


@pytest.mark.timeout(3600)
def test_whatever_clients_workers_and_the_provider_do_in_whatever_order_all_that_must_hold_holds(
    part: Part,
) -> None:
    clock = Clock()
    database = open_database(DatabaseUrl("sqlite"), clock=clock, before_commit=write_events)
    migrate(database)
    loop = VirtualLoop()  # Nobody waits for a call that is not answered.
    kind = type("Run", (Machine,), {"database": database, "clock": clock, "loop": loop})
    run_state_machine_as_test(
        kind,
        settings=settings(
            max_examples=3000 if part is Part.LONG else 60,
            stateful_step_count=50 if part is Part.LONG else 40,
            suppress_health_check=list(HealthCheck),
            print_blob=True,
        ),
    )
    loop.close()
    database.close()
