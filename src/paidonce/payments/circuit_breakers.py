"""The circuit breakers of a provider: one for each account, so that trouble with one account delays no other payments.

All accounts together have a bounded number of places for concurrent calls, and one account may use a part of them.
"""

from typing import Final

from paidonce.clock import Clock
from paidonce.ids import Chance
from paidonce.payments.circuit_breaker import CircuitBreaker
from paidonce.providers.evidence import Evidence

NO_ACCOUNT: Final = ""
ACCOUNTS_PART: Final = 4  # One account has at most a fourth of the places.
IDLE_MAX: Final = 1000  # Closed circuit breakers without calls, which know nothing, are not kept for ever.


class CircuitBreakers:
    """``concurrency`` is the number of places. An account is named by its id, and NO_ACCOUNT is a provider without
    accounts.
    """

    def __init__(self, concurrency: int, *, clock: Clock, chance: Chance) -> None:
        self._free = concurrency
        self._concurrency = concurrency
        self._clock = clock
        self._chance = chance
        self._breakers: dict[str, CircuitBreaker] = {}

    def take_places(self, wanted: int) -> int:
        """Take as many places as are free, at most ``wanted``; returns how many."""
        places = max(0, min(wanted, self._free))
        self._free -= places
        return places

    def free_places(self, places: int) -> None:
        """Give places back."""
        self._free += places

    def begin(self, account: str) -> bool:
        """Take a place for a call of an account, and admit it; False where there is none, or it is not permitted."""
        if not self.take_places(1):
            return False
        if self.admit(account):
            return True
        self.free_places(1)
        return False

    def admit(self, account: str) -> bool:
        """Admit a call of an account that has a place; False where its circuit breaker does not permit it."""
        return self._of(account).acquire()

    def end(self, account: str) -> None:
        """End an admitted call, and give its place back."""
        self._of(account).release()
        self._free += 1
        if len(self._breakers) > IDLE_MAX:
            self._breakers = {name: one for name, one in self._breakers.items() if not one.is_idle}

    def record(self, account: str, evidence: Evidence) -> None:
        """Learn from an outcome."""
        self._of(account).record(evidence)

    @property
    def blocked(self) -> tuple[str, ...]:
        """The accounts of which no call is permitted now, or only one to try the provider."""
        return tuple(name for name, one in self._breakers.items() if one.is_open or one.free < 1)

    @property
    def paused(self) -> tuple[str, ...]:
        """The accounts of which no call is permitted now because they are unhealthy."""
        return tuple(name for name, one in self._breakers.items() if name and one.is_open and one.free < 1)

    @property
    def to_try(self) -> tuple[str, ...]:
        """The accounts of which one call is permitted, to try the provider."""
        return tuple(name for name, one in self._breakers.items() if one.is_open and one.free == 1)

    def _of(self, account: str) -> CircuitBreaker:
        breaker = self._breakers.get(account)
        if breaker is None:
            share = self._concurrency if account == NO_ACCOUNT else max(1, self._concurrency // ACCOUNTS_PART)
            breaker = self._breakers[account] = CircuitBreaker(share, clock=self._clock, chance=self._chance)
        return breaker
