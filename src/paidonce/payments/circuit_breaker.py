"""The gate before a provider: how many calls may be under way, and none while the provider is sick.

A sick provider is one that gave no proof for a while. Its attempts stay in the database, due, and cost nobody a place;
after a pause one call is let through to try it: its proof opens the gate again, no proof makes the next pause longer.
Calls that were under way when the gate closed say nothing new: a blip that lost a hundred answers is one pause, not a
hundred. Another provider's gate knows nothing of it.
"""

from typing import Final

from paidonce.clock import Clock, Instant
from paidonce.ids import Chance
from paidonce.providers.base import Evidence, NotFound, Unknown

UNKNOWN_IN_A_ROW_MAX: Final = 50  # Fewer could be chance where one answer in three is lost; more is an outage.
PAUSE_MS_MIN: Final = 1_000
PAUSE_MS_MAX: Final = 60_000


class Gate:
    """One provider's places. ``take`` and ``give_back`` go in pairs; ``heard`` learns from each answer."""

    def __init__(self, concurrency: int, *, clock: Clock, chance: Chance) -> None:
        self._concurrency = concurrency
        self._clock = clock
        self._chance = chance
        self._taken = 0
        self._unknown_in_a_row = 0
        self._pauses = 0
        self._trying = False  # The one call after a pause is under way.
        self._closed_until: Instant = 0

    @property
    def free(self) -> int:
        """How many calls may begin now."""
        if self._pauses:
            return 1 if self._taken == 0 and self._clock() >= self._closed_until else 0
        return self._concurrency - self._taken

    def take(self) -> bool:
        """Take a place if one is free."""
        return self.take_up_to(1) == 1

    def take_up_to(self, wanted: int) -> int:
        """Take as many places as are free, at most ``wanted``; returns how many."""
        taken = max(0, min(wanted, self.free))
        self._taken += taken
        self._trying = self._trying or (taken > 0 and self._pauses > 0)
        return taken

    def give_back(self, places: int = 1) -> None:
        """Leave places."""
        self._taken -= places
        self._trying = self._trying and self._taken > 0

    def heard(self, evidence: Evidence) -> None:
        """Learn from an answer: any proof opens the gate, too many answers without one in a row close it."""
        if not isinstance(evidence, Unknown | NotFound):
            self._unknown_in_a_row = self._pauses = 0
            self._trying = False
        elif isinstance(evidence, Unknown):
            self._unknown_in_a_row += 1
            if self._trying or (not self._pauses and self._unknown_in_a_row >= UNKNOWN_IN_A_ROW_MAX):
                self._trying = False
                pause_ms = min(PAUSE_MS_MAX, PAUSE_MS_MIN * 2 ** min(self._pauses, 10))
                self._closed_until = self._clock() + round(pause_ms * (0.5 + self._chance()))
                self._pauses += 1
                self._unknown_in_a_row = 0
