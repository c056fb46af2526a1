"""The plan of a proof: its size, its seed, and settings under which faults and recoveries are fast."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from paidonce.database_url import DatabaseUrl, parse_database_url
from paidonce.payments.schedule import LookupSchedule
from paidonce.proving.behavior import Shares, make_shares
from paidonce.proving.kits import SIMULATOR, Kit

LEASE_SECONDS: Final = 2.0
PROVIDER_TIMEOUT_SECONDS: Final = 1.0
POLL_SECONDS: Final = 0.1
LATENCY_MS: Final = 20
FAULT_RATE: Final = 0.1
FAULTY_CALLS_MAX: Final = 3  # For each key, and as many look-ups.
SCHEDULE: Final = LookupSchedule(first_seconds=0.001)  # All delays scale with it; the sixth is 0.7 s.
# With more concurrent calls, a machine with few cores would time out and retry all the time.
PROVIDER_CONCURRENCY: Final = 40


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """A proof to run. All random choices derive from ``seed``."""

    seconds: float
    seed: int
    database_url: str
    workers: int
    clients: int
    folder: Path
    kit: Kit = SIMULATOR
    given_shares: Mapping[str, float] = {}
    """What buyers and shops do, as ``read_shares`` returns it."""

    @property
    def shares(self) -> Shares:
        """How often buyers and shops do what they do."""
        return make_shares(self.given_shares, self.kit)

    @property
    def command(self) -> str:
        """The command that repeats this run. It does not show the URL of a database, which may have a password."""
        options = [f"--provider {self.kit.name}", f"--seconds {self.seconds:g}", f"--seed {self.seed}"]
        if self.on_postgresql:
            options += ["--database URL", f"--workers {self.workers}"]
        options += [
            f"--clients {self.clients}",
            *(f"--share {name}={one:g}" for name, one in self.given_shares.items()),
        ]
        return f"paidonce prove {' '.join(options)}"

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
        """How long a payment may take to end after the last fault: twice the lease and the longest fault; and until a
        webhook is tried again, where only that tells the outcome.
        """
        return 2 * LEASE_SECONDS + longest_fault_seconds(phases=self.kit.phases) + self.kit.webhook_seconds


def longest_fault_seconds(schedule: LookupSchedule = SCHEDULE, *, phases: int = 2) -> float:
    """Return how long the provider can delay one payment: all of its faulty calls and look-ups in a row, each for
    the whole time-out, with the longest pauses between them, and the response at the last moment. ``phases`` is the
    number of calls and look-ups that fail on their own: at the simulator, a call and its look-up.
    """
    faults = phases * FAULTY_CALLS_MAX
    pauses_ms = [schedule.next_due_at(0, number, 1.0) or 0 for number in range(faults)]
    return (faults + 1) * PROVIDER_TIMEOUT_SECONDS + sum(pauses_ms) / 1000 + faults * POLL_SECONDS


def environment(plan: Plan, port: int) -> dict[str, str]:
    """Return the settings of the service processes."""
    return {
        "DATABASE_URL": plan.database_url,
        "PORT": str(port),
        "PAIDONCE_LEASE_SECONDS": str(LEASE_SECONDS),
        "PAIDONCE_PROVIDER_TIMEOUT_SECONDS": str(PROVIDER_TIMEOUT_SECONDS),
        "PAIDONCE_RECONCILE_FIRST_SECONDS": str(SCHEDULE.first_seconds),
        "PAIDONCE_PROVIDER_CONCURRENCY": str(PROVIDER_CONCURRENCY),
        "PAIDONCE_POLL_SECONDS": str(POLL_SECONDS),
        "PAIDONCE_SHUTDOWN_SECONDS": "5",
        "PAIDONCE_LOG_LEVEL": "info",
        "PAIDONCE_LOG_FORMAT": "json",
    }
