"""The circuit breaker of a provider: it limits concurrent calls, and stops calls while the provider is unhealthy.

A provider is unhealthy when it has given no proof for a while. Its attempts stay due in the database. After a pause one
call is permitted, to try the provider: a proof closes the circuit breaker again, no proof makes the next pause longer.
Calls that were running when the circuit breaker opened say nothing new: a short failure that lost a hundred answers
causes one pause, not a hundred. Each provider has a circuit breaker of its own.
"""

from typing import Final

from paidonce.clock import Clock, Instant
from paidonce.ids import Chance
from paidonce.providers.evidence import Evidence, NotDone, NotFound, Unknown

UNKNOWN_IN_A_ROW_MAX: Final = 50  # Fewer could be chance where one answer in three is lost; more is an outage.
PAUSE_MS_MIN: Final = 1_000
PAUSE_MS_MAX: Final = 60_000


class CircuitBreaker:
    """Permits calls to one provider. Each permit is released; ``record`` learns from each outcome.

    The circuit breaker is closed while calls are permitted, open during a pause, and half-open while one call tries
    the provider.
    """

    def __init__(self, concurrency: int, *, clock: Clock, chance: Chance) -> None:
        self._concurrency = concurrency
        self._clock = clock
        self._chance = chance
        self._calls = 0
        self._unknown_in_a_row = 0
        self._pauses = 0
        self._is_half_open = False
        self._open_until: Instant = 0

    @property
    def is_open(self) -> bool:
        """Whether calls are paused, or at most one is permitted to try the provider."""
        return self._pauses > 0

    @property
    def is_idle(self) -> bool:
        """Whether no call is running, and nothing speaks against the provider."""
        return self._calls == 0 and self._pauses == 0 and self._unknown_in_a_row == 0

    @property
    def free(self) -> int:
        """How many calls may begin now."""
        if self._pauses:
            return 1 if self._calls == 0 and self._clock() >= self._open_until else 0
        return self._concurrency - self._calls

    def acquire(self) -> bool:
        """Take a permit for a call, if there is one."""
        return self.acquire_up_to(1) == 1

    def acquire_up_to(self, wanted: int) -> int:
        """Take as many permits as there are, at most ``wanted``; returns how many."""
        permits = max(0, min(wanted, self.free))
        self._calls += permits
        self._is_half_open = self._is_half_open or (permits > 0 and self._pauses > 0)
        return permits

    def release(self, permits: int = 1) -> None:
        """Give permits back."""
        self._calls -= permits
        self._is_half_open = self._is_half_open and self._calls > 0

    def record(self, evidence: Evidence) -> None:
        """Learn from an outcome: a proof closes the circuit breaker, too many outcomes without one in a row open it."""
        is_unhealthy = isinstance(evidence, Unknown) or (isinstance(evidence, NotDone) and evidence.retryable)
        if not is_unhealthy and not isinstance(evidence, NotFound):
            self._unknown_in_a_row = self._pauses = 0
            self._is_half_open = False
        elif is_unhealthy:
            self._unknown_in_a_row += 1
            if self._is_half_open or (not self._pauses and self._unknown_in_a_row >= UNKNOWN_IN_A_ROW_MAX):
                self._is_half_open = False
                pause_ms = min(PAUSE_MS_MAX, PAUSE_MS_MIN * 2 ** min(self._pauses, 10))
                self._open_until = self._clock() + round(pause_ms * (0.5 + self._chance()))
                self._pauses += 1
