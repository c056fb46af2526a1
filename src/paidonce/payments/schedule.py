"""When a provider is asked again about an attempt that has no proof."""

from typing import Final

import msgspec

from paidonce.clock import Instant

MINUTE: Final = 60
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR

# Most lost answers are found within seconds; an outage takes hours; after a month a person must look.
LOOKUP_DELAYS_SECONDS: Final = (5, 30, 2 * MINUTE, 10 * MINUTE, HOUR, *[HOUR] * 23, *[DAY] * 30)
# While a buyer acts, their return or a webhook tells first; these find those who never come back.
ACTION_DELAYS_SECONDS: Final = (30, MINUTE, 2 * MINUTE, 5 * MINUTE, 10 * MINUTE)  # The last is repeated.
# A provider that accepts operations tells their outcome by webhook, within minutes or days.
ACCEPTED_DELAYS_SECONDS: Final = (MINUTE, 10 * MINUTE, HOUR, *[6 * HOUR] * 4, *[DAY] * 30)
JITTER: Final = 0.2  # Spreads the look-ups of attempts that were lost together.


class LookupSchedule(msgspec.Struct, frozen=True):
    """When an unknown outcome is asked about again; all delays scale with the first."""

    first_seconds: float = float(LOOKUP_DELAYS_SECONDS[0])

    def next_due_at(self, now: Instant, lookup_count: int, chance: float) -> Instant | None:
        """Tell when to ask after ``lookup_count`` look-ups, or None when a person must. ``chance`` is in [0, 1)."""
        return self._next(LOOKUP_DELAYS_SECONDS, now, lookup_count, chance)

    def next_action_due_at(self, now: Instant, lookup_count: int, chance: float) -> Instant:
        """Tell when to ask whether the buyer has acted, after ``lookup_count`` look-ups."""
        due_at = self._next(ACTION_DELAYS_SECONDS, now, min(lookup_count, len(ACTION_DELAYS_SECONDS) - 1), chance)
        assert due_at is not None, "the last delay is repeated"
        return due_at

    def next_accepted_due_at(self, now: Instant, lookup_count: int, chance: float) -> Instant | None:
        """Tell when to ask about an accepted operation, or None when a person must."""
        return self._next(ACCEPTED_DELAYS_SECONDS, now, lookup_count, chance)

    def _next(self, delays_seconds: tuple[int, ...], now: Instant, count: int, chance: float) -> Instant | None:
        if count >= len(delays_seconds):
            return None
        scale = self.first_seconds / LOOKUP_DELAYS_SECONDS[0]
        jitter = 1 + JITTER * (chance - 0.5)
        return now + max(1, round(delays_seconds[count] * scale * jitter * 1000))
