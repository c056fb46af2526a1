"""Each event is counted exactly once, whatever crashes and however many workers count, on both databases."""

from random import Random
from typing import Final

from paidonce.database.engine import Database
from paidonce.merchants.model import Tenant
from paidonce.statistics.actions import CountLogs, FindUncounted, count_logs, find_uncounted, store_counts
from paidonce.statistics.model import LogCount
from tests.support.payments import Payments
from tests.support.statistics_oracle import counted_directly, stored, sums_of_checkouts, sums_of_statistics
from tests.support.trade import Trade
from tests.support.uncommitted import uncommitted

TENANTS: Final = (("m", "test"), ("m", "live"), ("n", "test"))
STEPS: Final = 250


class Worker:
    """A worker that can die at any moment, with what it has counted and not stored."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.counted: list[LogCount] = []

    def count(self, tenants: list[Tenant], limit: int) -> None:
        with self.database.read() as transaction:
            (self.counted,) = count_logs(transaction, [CountLogs(tenants, limit)])

    def store(self) -> list[bool]:
        counted, self.counted = self.counted, []
        with self.database.write() as transaction:
            return store_counts(transaction, counted)

    def store_twice(self) -> None:
        """The answer to the first commit is lost, so the transaction runs again."""
        counted = self.counted
        self.store()
        self.counted = counted
        assert not any(self.store())

    def die_before_the_commit(self) -> None:
        with uncommitted(self.database) as transaction:
            store_counts(transaction, self.counted)
        self.counted = []


def uncounted(database: Database) -> list[Tenant]:
    with database.read() as transaction:
        (page,) = find_uncounted(transaction, [FindUncounted("", 100)])
    return page.tenants


def test_any_interleaving_of_two_workers_and_crashes_counts_each_event_once(payments: Payments, chance: Random) -> None:
    trade = Trade(payments, chance, tenants=TENANTS)
    workers = [Worker(payments.database), Worker(payments.open())]
    try:
        for _ in range(STEPS):
            worker = chance.choice(workers)
            match chance.randrange(12):
                case 0 | 1:
                    worker.count([Tenant(*one) for one in TENANTS], chance.randint(1, 9))
                case 2 | 3 if worker.counted:
                    worker.store()
                case 4 if worker.counted:
                    worker.store_twice()
                case 5 if worker.counted:
                    worker.die_before_the_commit()
                case 6:
                    worker.counted = []  # It died after it had counted.
                case _:
                    trade.go_on()
        while tenants := uncounted(payments.database):
            workers[0].count(tenants, 50)
            assert all(workers[0].store())
        assert stored(payments.database) == counted_directly(payments.database)
        # The test would prove little if nothing had happened.
        assert len(stored(payments.database)) > len(TENANTS)
    finally:
        workers[1].database.close()


def test_what_is_counted_sums_up_to_what_the_checkouts_say(payments: Payments, chance: Random) -> None:
    trade = Trade(payments, chance, tenants=TENANTS)
    for _ in range(STEPS):
        trade.go_on()
    worker = Worker(payments.database)
    while tenants := uncounted(payments.database):
        worker.count(tenants, 200)
        worker.store()
    assert sums_of_statistics(payments.database) == sums_of_checkouts(payments.database)


def test_a_worker_does_not_wait_for_another_that_is_storing_the_same_events(
    migrated_postgres_url: str,
) -> None:
    payments = Payments(migrated_postgres_url)
    other = payments.open()
    try:
        payments.paid()
        first, second = Worker(payments.database), Worker(other)
        for worker in (first, second):
            worker.count([Tenant("m", "test")], 1)
        first.store()
        for worker in (first, second):
            worker.count([Tenant("m", "test")], 50)
        with payments.database.write() as transaction:
            assert store_counts(transaction, first.counted) == [True]
            assert second.store() == [False]
        assert stored(payments.database) == counted_directly(payments.database)
    finally:
        other.close()
        payments.database.close()
