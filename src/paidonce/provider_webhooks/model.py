"""A provider's webhook as it is stored in the inbox, and when it is applied again.

waiting ──> CHANGED | KNOWN | NO_NEWS                 applied, once and for all
   ├──────> ATTEMPT_NOT_FOUND | POSTPONED | FAILED    tried again on a schedule, then left for an operator
   └──────> NEEDS_REVIEW                              left for an operator at once

An operator applies it again, or dismisses it: it is KNOWN then.
"""

from enum import StrEnum
from typing import Final

import msgspec

from paidonce.clock import Instant

# A webhook whose attempt is missing is from elsewhere, or the database was restored: an hour decides, then people.
RETRY_SECONDS: Final = (1, 5, 30, 120, 600, 3600)
DAY_SECONDS: Final = 86_400
POSTPONED_DAYS_MAX: Final = 30  # What it waits for is looked up for a month; then a person must look.


class WebhookResult(StrEnum):
    """What came of applying a webhook."""

    CHANGED = "CHANGED"  # It ended an attempt, or told what was changed at the provider.
    KNOWN = "KNOWN"  # The same, or better proof, was there before.
    NO_NEWS = "NO_NEWS"  # It tells of something that is no news about money.
    ATTEMPT_NOT_FOUND = "ATTEMPT_NOT_FOUND"
    POSTPONED = "POSTPONED"  # What is under way comes first.
    NEEDS_REVIEW = "NEEDS_REVIEW"  # No rule covers it; the log tells why.
    FAILED = "FAILED"  # An internal error, which the log shows.


APPLIED: Final = frozenset({WebhookResult.CHANGED, WebhookResult.KNOWN, WebhookResult.NO_NEWS})

# What a webhook that is not applied may have come to when it is not tried again, the most urgent first.
GIVEN_UP_RESULTS: Final = (
    WebhookResult.NEEDS_REVIEW,
    WebhookResult.FAILED,
    WebhookResult.POSTPONED,
    WebhookResult.ATTEMPT_NOT_FOUND,
)


class ProviderWebhook(msgspec.Struct, frozen=True):
    """A stored webhook. ``evidence`` and ``body`` are JSON text; ``due_at`` is None where nothing will try it again."""

    provider: str
    id: str
    attempt_key: str | None
    reference: str | None
    evidence: str | None
    body: str
    received_at: Instant
    tries: int
    due_at: Instant | None
    applied_at: Instant | None
    result: str | None


def next_due_at(tries: int, now: Instant, result: WebhookResult | None = None) -> Instant | None:
    """Tell when to try again after ``tries`` tries that came to ``result``; None where an operator must."""
    if result is WebhookResult.NEEDS_REVIEW:
        return None
    days = POSTPONED_DAYS_MAX if result is WebhookResult.POSTPONED else 0
    delays_seconds = (*RETRY_SECONDS, *[DAY_SECONDS] * days)
    return now + delays_seconds[tries] * 1000 if tries < len(delays_seconds) else None
