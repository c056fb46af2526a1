"""A provider's webhook as it lies in the inbox, and when it is applied again.

waiting ──> CHANGED | KNOWN | NO_NEWS     applied, once and for all
   └──────> ATTEMPT_NOT_FOUND | FAILED    tried again on a schedule, then left for an operator to replay
"""

from enum import StrEnum
from typing import Final

import msgspec

from paidonce.clock import Instant

# A webhook whose attempt is missing is from elsewhere, or the database was restored: an hour decides, then people.
RETRY_SECONDS: Final = (1, 5, 30, 120, 600, 3600)


class WebhookResult(StrEnum):
    """What came of applying a webhook."""

    CHANGED = "CHANGED"  # It ended an attempt.
    KNOWN = "KNOWN"  # The same, or better proof, was there before.
    NO_NEWS = "NO_NEWS"  # It tells of something that is no news about money.
    ATTEMPT_NOT_FOUND = "ATTEMPT_NOT_FOUND"
    FAILED = "FAILED"  # An internal error, which is in the log.


APPLIED: Final = frozenset({WebhookResult.CHANGED, WebhookResult.KNOWN, WebhookResult.NO_NEWS})


class ProviderWebhook(msgspec.Struct, frozen=True):
    """A stored webhook. ``evidence`` and ``body`` are JSON text; ``due_at`` is None where nothing will try it again."""

    provider: str
    id: str
    attempt_key: str | None
    evidence: str | None
    body: str
    received_at: Instant
    tries: int
    due_at: Instant | None
    applied_at: Instant | None
    result: str | None


def next_due_at(tries: int, now: Instant) -> Instant | None:
    """Tell when to try again after ``tries`` tries; None where an operator must."""
    return now + RETRY_SECONDS[tries] * 1000 if tries < len(RETRY_SECONDS) else None
