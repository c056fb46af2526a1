"""The outcome of a proof: everything that it counted, and its verdict."""

from enum import StrEnum
from typing import Final

import msgspec

from paidonce.proving.violations import Violations

# A shorter run need not include the rarest fault.
SECONDS_FOR_EVERYTHING: Final = 30


class Verdict(StrEnum):
    """Whether the guarantees were kept, were broken, or were not tested enough."""

    KEPT = "kept"
    NOT_PROVEN = "not proven"
    BROKEN = "broken"


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What a proof found in ``seconds`` in total; faults were injected during ``struck_seconds``.

    ``missing`` are the faults, payment methods and acts of buyers that did not occur. ``methods`` counts these acts,
    too. ``command`` repeats the run.
    """

    command: str
    seed: int
    provider: str
    database: str
    seconds: float
    struck_seconds: float
    checkouts: int
    payments: int
    requests: int
    repeats: int
    kills: int
    writer_kills: int
    stops: int
    down_seconds: float
    statuses: dict[str, int]
    methods: dict[str, int]
    faults: dict[str, int]
    missing: list[str]
    charges: int
    refunds: int
    end_seconds: float
    end_seconds_max: float
    unexpected: list[str]
    violations: Violations

    @property
    def verdict(self) -> Verdict:
        """Return the verdict."""
        if self.violations.count or self.unexpected or self.end_seconds > self.end_seconds_max:
            return Verdict.BROKEN
        tried = self.payments > 0 and self.kills > 0
        everything = not self.missing or self.struck_seconds < SECONDS_FOR_EVERYTHING
        return Verdict.KEPT if tried and everything else Verdict.NOT_PROVEN
