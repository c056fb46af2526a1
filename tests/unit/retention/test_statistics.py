"""Statistics, sums and the oracle's rules hold while old events are deleted, on both databases."""

from random import Random
from typing import Final

import pytest

from paidonce.clock import DAY_MS
from paidonce.database.engine import Database
from paidonce.merchants.model import Tenant
from paidonce.providers.evidence import Declined, Dispute, Succeeded
from paidonce.proving.oracle import Rule, find_violations
from paidonce.proving.snapshot import Snapshot, read_rows
from paidonce.retention.actions import FindOldLogs, PlanDeletion, delete_old, find_old_logs, plan_deletions
from paidonce.retention.model import Deletion, RetentionPeriods
from paidonce.statistics.actions import CountLogs, FindUncounted, count_logs, find_uncounted, store_counts
from tests.support.payments import Payments
from tests.support.statistics_oracle import sums_of_checkouts, sums_of_statistics
from tests.support.trade import Trade
from tests.support.uncommitted import uncommitted

PERIODS: Final = RetentionPeriods(event_ms=3_600_000)  # Of a history that spans days.
TENANTS: Final = (("m", "test"), ("m", "live"), ("n", "test"))
STEPS: Final = 250


class Worker:
    """A worker that can die at any moment, with what it has planned and not committed."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.planned: list[Deletion] = []

    def count(self) -> None:
        with self.database.read() as transaction:
            tenants = find_uncounted(transaction, [FindUncounted("", 100)])[0].tenants
            counts = count_logs(transaction, [CountLogs(tenants, 20)])[0]
        with self.database.write() as transaction:
            store_counts(transaction, counts)

    def plan(self) -> None:
        with self.database.read() as transaction:
            (found,) = find_old_logs(transaction, [FindOldLogs("", 100, PERIODS)])
            plans = plan_deletions(transaction, [PlanDeletion(one, PERIODS) for one in found.tenants])
        self.planned = [one for one in plans if one is not None]

    def delete(self) -> list[bool]:
        planned, self.planned = self.planned, []
        with self.database.write() as transaction:
            return delete_old(transaction, planned)

    def delete_twice(self) -> None:
        """The answer to the first commit is lost, so the transaction runs again."""
        planned = self.planned
        self.delete()
        self.planned = planned
        assert not any(self.delete())

    def die_before_the_commit(self) -> None:
        with uncommitted(self.database) as transaction:
            delete_old(transaction, self.planned)
        self.planned = []


def snapshot(database: Database) -> Snapshot:
    with database.read() as transaction:
        return read_rows(transaction.connection)


def begins(found: Snapshot) -> dict[Tenant, int]:
    return {Tenant(row.merchant_id, row.mode): row.first_sequence for row in found.logs}


def violations(database: Database) -> list[str]:
    """Return how rows violate the rules about events. There are no books here, and payments are still open."""
    about_events = (Rule.NO_GAPS, Rule.ALLOWED_TRANSITIONS, Rule.TRANSITION_AND_EVENT)
    found = find_violations(snapshot(database), ended=False)
    return [str(one) for one in found if one.rule in about_events]


def test_any_interleaving_of_two_workers_and_crashes_leaves_logs_without_a_gap_and_sums_that_are_right(
    payments: Payments, chance: Random
) -> None:
    trade = Trade(payments, chance, tenants=TENANTS)
    workers = [Worker(payments.database), Worker(payments.open())]
    try:
        for _ in range(STEPS):
            worker = chance.choice(workers)
            match chance.randrange(14):
                case 0 | 1:
                    worker.count()
                case 2 | 3:
                    worker.plan()
                case 4 | 5 if worker.planned:
                    worker.delete()
                case 6 if worker.planned:
                    worker.delete_twice()
                case 7 if worker.planned:
                    worker.die_before_the_commit()
                case _:
                    trade.go_on()
        assert violations(payments.database) == []
        for _ in range(STEPS):  # More than there are events, 20 at a time.
            workers[0].count()
        assert sums_of_statistics(payments.database) == sums_of_checkouts(payments.database)
        payments.now += DAY_MS
        workers[0].plan()
        while workers[0].planned:
            assert all(workers[0].delete())
            workers[0].plan()
        assert violations(payments.database) == []
        found = snapshot(payments.database)
        # The test would prove little if nothing had been deleted.
        assert not found.events
        assert sum(begins(found).values()) > STEPS / 10
    finally:
        workers[1].database.close()


def delete_everything(payments: Payments) -> None:
    """Count all events, and delete them when they are old."""
    worker = Worker(payments.database)
    worker.count()
    payments.now += DAY_MS
    worker.plan()
    worker.delete()
    assert not snapshot(payments.database).events


@pytest.mark.parametrize("status", ["won", "lost"])
def test_a_dispute_that_ends_after_the_event_of_its_opening_was_deleted_is_counted_as_before(
    payments: Payments, status: str
) -> None:
    payments.paid()
    payments.change(Dispute("dp_1", "opened", 400, "USD", None))
    delete_everything(payments)
    payments.change(Dispute("dp_1", status, 400, "USD", None))  # type: ignore[arg-type] # One of the two.
    Worker(payments.database).count()
    assert sums_of_statistics(payments.database) == sums_of_checkouts(payments.database)
    assert sums_of_statistics(payments.database)["USD"] == (1, 1000, 0, 400 if status == "lost" else 0)


def test_a_refund_that_fails_after_the_event_of_its_success_was_deleted_is_subtracted(payments: Payments) -> None:
    checkout = payments.paid()
    payments.refund(checkout, amount=300)
    payments.prove("ref_1", Succeeded("re_1"))
    delete_everything(payments)
    payments.prove("ref_1", Declined("expired_card", "re_1"))
    Worker(payments.database).count()
    assert sums_of_statistics(payments.database)["USD"] == (1, 1000, 0, 0)


def test_the_oracle_finds_a_gap_after_the_beginning_of_a_log(payments: Payments) -> None:
    payments.paid()
    payments.now += 1
    payments.paid("2", attempt_id="att_2", reference="ch_2")
    rows = snapshot(payments.database)
    first = rows.merchants[0].event_sequence - 2
    log = type("Log", (), {"merchant_id": "m", "mode": "test", "first_sequence": first})()
    kept = [one for one in rows.events if one.sequence >= first]

    def gaps(events: list[object]) -> bool:
        found = find_violations(rows._replace(events=events, logs=[log]), ended=False)
        return any(one.rule is Rule.NO_GAPS for one in found)

    assert not gaps(kept)
    assert gaps(kept[1:])
    assert gaps(list(rows.events))
