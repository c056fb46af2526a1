"""What a proof does: its size, its seed, and the settings under which faults and recoveries are quick."""

from pathlib import Path
from typing import Final

import msgspec

LEASE_SECONDS: Final = 2.0
PROVIDER_TIMEOUT_SECONDS: Final = 1.0
LATENCY_MS: Final = 50

# How often each way of paying is taken. The simulator adds faults of its own to all of them, by its seed.
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
    """A proof to run. Everything that is drawn is drawn from ``seed``."""

    seconds: float
    seed: int
    database_url: str
    workers: int
    clients: int
    folder: Path

    @property
    def on_postgresql(self) -> bool:
        """Whether server and workers are processes of their own."""
        return self.database_url.startswith("postgres")

    @property
    def end_seconds_max(self) -> float:
        """How long a payment may take to end once nothing is killed any more: twice the lease and the longest fault."""
        return 2 * LEASE_SECONDS + PROVIDER_TIMEOUT_SECONDS + 5.0


def environment(plan: Plan, port: int, simulator_url: str, secret: str) -> dict[str, str]:
    """Give the settings of the service's processes."""
    return {
        "DATABASE_URL": plan.database_url,
        "PORT": str(port),
        "PAIDONCE_SIMULATOR_URL": simulator_url,
        "PAIDONCE_SIMULATOR_WEBHOOK_SECRET": secret,
        "PAIDONCE_LEASE_SECONDS": str(LEASE_SECONDS),
        "PAIDONCE_PROVIDER_TIMEOUT_SECONDS": str(PROVIDER_TIMEOUT_SECONDS),
        # All delays scale with the first. A call and its look-ups may fail six times in a row by the simulator's plan:
        # the sixth look-up must still come within the time that a payment has to end.
        "PAIDONCE_RECONCILE_FIRST_SECONDS": "0.005",
        "PAIDONCE_POLL_SECONDS": "0.1",
        "PAIDONCE_SHUTDOWN_SECONDS": "5",
        "PAIDONCE_LOG_LEVEL": "warning",
        "PAIDONCE_LOG_FORMAT": "json",
    }
