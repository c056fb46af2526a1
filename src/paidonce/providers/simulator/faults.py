"""The faults of the simulated provider, and the plan that chooses them with a probability, from a seed.

A choice depends only on the seed, the key and the number of the call, so that the same calls fail again. Only the first
calls with a key can fail, so that repeated calls succeed in the end.
"""

from enum import Enum
from hashlib import blake2b
from typing import Final, NamedTuple

import msgspec

FAULTY_CALLS_MAX: Final = 3  # For each key and kind of call. If every call could fail, some payments would never end.
SLOW_MS_MAX: Final = 3000  # With the usual test settings, some slow responses are in time and some are too late.
HIDDEN_MS: Final = 3000  # How long look-ups do not find a hidden operation.
LATE_MS_MAX: Final = 3000  # How late a lost call is booked, or a late webhook is sent.


class Fault(Enum):
    """A fault of one call. The books stay correct."""

    NONE = "the answer arrives"
    TIMEOUT_BEFORE = "no answer, and nothing is booked"
    TIMEOUT_AFTER = "no answer, though it is booked"
    BOOKED_LATE = "no answer, and it is booked after the caller has given up"
    ERROR_BEFORE = "a 500, and nothing is booked"
    ERROR_AFTER = "a 500, though it is booked"
    DROPPED_BEFORE = "the connection breaks, and nothing is booked"
    DROPPED_AFTER = "the connection breaks, though it is booked"
    SLOW = "the answer is slow"
    HIDDEN = "a 500 though it is booked, and look-ups do not find it for a while"


class WebhookFault(Enum):
    """A fault of the webhook for an operation."""

    ONCE = "it is sent when the answer is"
    FIRST = "it is delivered before the answer"
    TWICE = "it is sent twice"
    LATE = "it is sent a while later"
    OVERTAKEN = "it is sent after the one that comes next"
    NEVER = "it is never sent"


BEFORE: Final = frozenset({Fault.TIMEOUT_BEFORE, Fault.ERROR_BEFORE, Fault.DROPPED_BEFORE})

OF_CALLS: Final = tuple(fault for fault in Fault if fault is not Fault.NONE)
# A look-up books nothing: it fails, is slow, or finds nothing.
OF_LOOK_UPS: Final = (Fault.TIMEOUT_BEFORE, Fault.ERROR_BEFORE, Fault.DROPPED_BEFORE, Fault.SLOW, Fault.HIDDEN)
OF_WEBHOOKS: Final = tuple(webhook_fault for webhook_fault in WebhookFault if webhook_fault is not WebhookFault.ONCE)


# The names under which faults are counted.
KINDS: Final = (
    *(fault.name.lower() for fault in OF_CALLS),
    *(f"look_up_{fault.name.lower()}" for fault in OF_LOOK_UPS),
    *(f"webhook_{webhook_fault.name.lower()}" for webhook_fault in OF_WEBHOOKS),
)


class Draw(NamedTuple):
    """The fault of a call, and a number in [0, 1) that determines its duration."""

    fault: Fault
    extent: float = 0.0


class WebhookDraw(NamedTuple):
    """The fault of a webhook, and a number in [0, 1) that determines its delay."""

    webhook_fault: WebhookFault
    extent: float = 0.0


class FaultPlan(msgspec.Struct, frozen=True, kw_only=True):
    """The plan of faults. ``rate`` is the probability, from 0 to 1, that a call or a webhook fails.

    Of each key, only the first ``faulty_calls_max`` calls and as many look-ups can fail.
    """

    rate: float = 0.0
    seed: int = 0
    faulty_calls_max: int = FAULTY_CALLS_MAX

    def for_call(self, key: str, number: int) -> Draw:
        """Return the fault of the ``number``-th call (from 1) that moves money with a key."""
        hit, which, extent = self._choose("call", key, number)
        return Draw(OF_CALLS[int(which * len(OF_CALLS))], extent) if hit else Draw(Fault.NONE)

    def for_lookup(self, key: str, number: int) -> Draw:
        """Return the fault of the ``number``-th look-up (from 1) of a key."""
        hit, which, extent = self._choose("look-up", key, number)
        return Draw(OF_LOOK_UPS[int(which * len(OF_LOOK_UPS))], extent) if hit else Draw(Fault.NONE)

    def for_webhook(self, key: str) -> WebhookDraw:
        """Return the fault of a key's webhook."""
        hit, which, extent = self._choose("webhook", key, 1)
        return (
            WebhookDraw(OF_WEBHOOKS[int(which * len(OF_WEBHOOKS))], extent) if hit else WebhookDraw(WebhookFault.ONCE)
        )

    def _choose(self, kind: str, key: str, number: int) -> tuple[bool, float, float]:
        """Choose whether there is a fault, which one, and its extent, as numbers in [0, 1)."""
        if not self.rate:
            return False, 0.0, 0.0
        digest = blake2b(f"{self.seed}/{kind}/{key}/{number}".encode(), digest_size=18).digest()
        hit, which, extent = (int.from_bytes(digest[at : at + 6]) / 2**48 for at in (0, 6, 12))
        return hit < self.rate and number <= self.faulty_calls_max, which, extent
