"""The plan of a proof: its size, its seed, and settings under which faults and recoveries are fast."""

from pathlib import Path
from typing import Final

import msgspec

from paidonce.database_url import DatabaseUrl, parse_database_url
from paidonce.payments.schedule import LookupSchedule

LEASE_SECONDS: Final = 2.0
PROVIDER_TIMEOUT_SECONDS: Final = 1.0
POLL_SECONDS: Final = 0.1
LATENCY_MS: Final = 20
FAULT_RATE: Final = 0.1
FAULTY_CALLS_MAX: Final = 3  # For each key, and as many look-ups.
SCHEDULE: Final = LookupSchedule(first_seconds=0.001)  # All delays scale with it; the sixth is 0.7 s.
# With more concurrent calls, a machine with few cores would time out and retry all the time.
PROVIDER_CONCURRENCY: Final = 40

# The weight of each payment method. The simulator adds its own faults to all of them, from its seed.
METHODS: Final = {
    "tok_success": 40,
    "tok_declined_insufficient_funds": 6,
    "tok_timeout_then_success": 3,
    "tok_timeout_then_decline": 2,
    "tok_error_then_success": 6,
    "tok_error_after_charge": 6,
    "tok_unknown_then_success": 3,
    "tok_webhook_first": 4,
    "tok_webhook_twice": 4,
    "tok_webhook_never": 4,
    "tok_delay_300": 4,
}


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """A proof to run. All random choices derive from ``seed``."""

    seconds: float
    seed: int
    database_url: str
    workers: int
    clients: int
    folder: Path

    @property
    def database(self) -> DatabaseUrl:
        """The parsed database URL."""
        return parse_database_url(self.database_url)

    @property
    def books(self) -> Path:
        """The file of the simulator's books."""
        return self.folder / "simulator.db"

    @property
    def on_postgresql(self) -> bool:
        """Whether server and workers are separate processes."""
        return self.database.dialect == "postgresql"

    @property
    def end_seconds_max(self) -> float:
        """How long a payment may take to end after the last fault: twice the lease and the longest fault."""
        return 2 * LEASE_SECONDS + longest_fault_seconds()


def longest_fault_seconds(schedule: LookupSchedule = SCHEDULE) -> float:
    """Return how long the provider can delay one payment: all of its faulty calls and look-ups in a row, each for
    the whole time-out, with the longest pauses between them, and the response at the last moment.
    """
    faults = 2 * FAULTY_CALLS_MAX
    pauses_ms = [schedule.next_due_at(0, number, 1.0) or 0 for number in range(faults)]
    return (faults + 1) * PROVIDER_TIMEOUT_SECONDS + sum(pauses_ms) / 1000 + faults * POLL_SECONDS


def environment(plan: Plan, port: int, simulator_url: str, secret: str) -> dict[str, str]:
    """Return the settings of the service processes."""
    return {
        "DATABASE_URL": plan.database_url,
        "PORT": str(port),
        "PAIDONCE_SIMULATOR_URL": simulator_url,
        "PAIDONCE_SIMULATOR_WEBHOOK_SECRET": secret,
        "PAIDONCE_LEASE_SECONDS": str(LEASE_SECONDS),
        "PAIDONCE_PROVIDER_TIMEOUT_SECONDS": str(PROVIDER_TIMEOUT_SECONDS),
        "PAIDONCE_RECONCILE_FIRST_SECONDS": str(SCHEDULE.first_seconds),
        "PAIDONCE_PROVIDER_CONCURRENCY": str(PROVIDER_CONCURRENCY),
        "PAIDONCE_POLL_SECONDS": str(POLL_SECONDS),
        "PAIDONCE_SHUTDOWN_SECONDS": "5",
        "PAIDONCE_LOG_LEVEL": "info",
        "PAIDONCE_LOG_FORMAT": "json",
    }
