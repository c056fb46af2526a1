"""What goes wrong at the simulated provider, and the plan that draws it: by a probability, from a seed.

A draw depends on the seed, the key and the number of the call, and on nothing else: the same calls fail again. Only a
key's first calls can be hit, so that whatever is repeated comes to an end.
"""

from enum import Enum
from hashlib import blake2b
from typing import Final, NamedTuple

import msgspec

FAULTY_CALLS_MAX: Final = 3  # Of one kind with one key. Were each call at risk, some payments would never end.
SLOW_MS_MAX: Final = 3000  # Some slow answers come in time and some come too late, by the usual test settings.
HIDDEN_MS: Final = 3000  # How long look-ups know nothing of a hidden operation.
LATE_MS_MAX: Final = 3000  # How late a call that seemed lost is booked, and a late webhook is sent.


class Fault(Enum):
    """What goes wrong with one call; the books stay right."""

    NONE = "the answer arrives"
    TIMEOUT_BEFORE = "no answer, and nothing is booked"
    TIMEOUT_AFTER = "no answer, though it is booked"
    BOOKED_LATE = "no answer, and it is booked when nobody waits any more"
    ERROR_BEFORE = "a 500, and nothing is booked"
    ERROR_AFTER = "a 500, though it is booked"
    DROPPED_BEFORE = "the connection breaks, and nothing is booked"
    DROPPED_AFTER = "the connection breaks, though it is booked"
    SLOW = "the answer takes long"
    HIDDEN = "a 500 though it is booked, and look-ups know nothing of it for a while"


class WebhookFault(Enum):
    """What becomes of the webhook that tells of an operation."""

    ONCE = "it is sent when the answer is"
    FIRST = "it is delivered before the answer"
    TWICE = "it is sent twice"
    LATE = "it is sent a while later"
    OVERTAKEN = "it is sent after the one that comes next"
    NEVER = "it is never sent"


BEFORE: Final = frozenset({Fault.TIMEOUT_BEFORE, Fault.ERROR_BEFORE, Fault.DROPPED_BEFORE})

OF_CALLS: Final = tuple(fault for fault in Fault if fault is not Fault.NONE)
# A look-up books nothing: it fails, it is slow, or it knows nothing.
OF_LOOK_UPS: Final = (Fault.TIMEOUT_BEFORE, Fault.ERROR_BEFORE, Fault.DROPPED_BEFORE, Fault.SLOW, Fault.HIDDEN)
OF_WEBHOOKS: Final = tuple(webhook_fault for webhook_fault in WebhookFault if webhook_fault is not WebhookFault.ONCE)


# How faults are counted, by where they happened.
KINDS: Final = (
    *(fault.name.lower() for fault in OF_CALLS),
    *(f"look_up_{fault.name.lower()}" for fault in OF_LOOK_UPS),
    *(f"webhook_{webhook_fault.name.lower()}" for webhook_fault in OF_WEBHOOKS),
)


class Draw(NamedTuple):
    """What a call was dealt, and a number in [0, 1) that says how long where that matters."""

    fault: Fault
    extent: float = 0.0


class WebhookDraw(NamedTuple):
    """What a webhook was dealt, and a number in [0, 1) that says how late where that matters."""

    webhook_fault: WebhookFault
    extent: float = 0.0


class FaultPlan(msgspec.Struct, frozen=True, kw_only=True):
    """``rate`` is the probability, from 0 to 1, with which each call and each webhook is hit.

    Of a key's calls only the first ``faulty_calls_max`` can be hit, and of its look-ups as many.
    """

    rate: float = 0.0
    seed: int = 0
    faulty_calls_max: int = FAULTY_CALLS_MAX

    def for_call(self, key: str, number: int) -> Draw:
        """Tell what goes wrong with the ``number``-th call (from 1) that moves money under a key."""
        hit, which, extent = self._drawn("call", key, number)
        return Draw(OF_CALLS[int(which * len(OF_CALLS))], extent) if hit else Draw(Fault.NONE)

    def for_lookup(self, key: str, number: int) -> Draw:
        """Tell what goes wrong with the ``number``-th look-up (from 1) of a key."""
        hit, which, extent = self._drawn("look-up", key, number)
        return Draw(OF_LOOK_UPS[int(which * len(OF_LOOK_UPS))], extent) if hit else Draw(Fault.NONE)

    def for_webhook(self, key: str) -> WebhookDraw:
        """Tell what becomes of a key's webhook."""
        hit, which, extent = self._drawn("webhook", key, 1)
        return (
            WebhookDraw(OF_WEBHOOKS[int(which * len(OF_WEBHOOKS))], extent) if hit else WebhookDraw(WebhookFault.ONCE)
        )

    def _drawn(self, kind: str, key: str, number: int) -> tuple[bool, float, float]:
        """Draw whether it is hit, by what, and how much: numbers in [0, 1)."""
        if not self.rate:
            return False, 0.0, 0.0
        digest = blake2b(f"{self.seed}/{kind}/{key}/{number}".encode(), digest_size=18).digest()
        hit, which, extent = (int.from_bytes(digest[at : at + 6]) / 2**48 for at in (0, 6, 12))
        return hit < self.rate and number <= self.faulty_calls_max, which, extent
