"""What waits for a person, or for somebody who does not come: outcomes without a proof, webhooks that were not applied,
providers that send no webhooks, and receivers that take none.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

import msgspec

from paidonce.clock import DAY_MS, HOUR_MS, MINUTE_MS, Instant
from paidonce.database.health import Finding, Level
from paidonce.database.transaction import Transaction
from paidonce.doctor.words import counted, counted_up_to, listed
from paidonce.payments.review_store import COUNTED_MAX, AcceptedForLong, count_accepted_for_long, count_overdue
from paidonce.payments.unproven_outcomes import UNKNOWN_MS_MAX, Unproven, measure_unproven
from paidonce.provider_accounts.store import any_exists
from paidonce.provider_webhooks.model import GIVEN_UP_RESULTS, WebhookResult
from paidonce.provider_webhooks.store import count_given_up, has_webhook
from paidonce.webhook_endpoints.store import FailingEndpoint, read_failing

SILENT_MS_MAX: Final = DAY_MS  # An account that works sends its first webhook within minutes of its first payment.
ACCEPTED_MS_MAX: Final = 3 * DAY_MS  # A capture or a refund takes minutes to two days. Bank transfers take longer.
OVERDUE_MS_MAX: Final = 5 * MINUTE_MS  # A worker takes what is due within a second, or when its provider answers again.
FAILING_MS_MAX: Final = HOUR_MS  # A receiver that is being deployed is back by then.


class GivenUp(msgspec.Struct, frozen=True):
    """How many webhooks came to a result and are not tried again, and when the oldest was received."""

    webhooks: int
    since: Instant


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """What waits. ``overdue`` counts the attempts that no worker takes. ``accepted`` has the attempts
    that a provider accepted more than a day ago, by account. ``silent`` names those of these accounts of which no
    webhook is stored. ``failing`` has the endpoints that fail, longest first.
    """

    unproven: Unproven = Unproven()
    overdue: int = 0
    overdue_since: Instant | None = None
    given_up: Mapping[WebhookResult, GivenUp] = {}
    accepted: Sequence[AcceptedForLong] = ()
    silent: frozenset[str] = frozenset()
    failing: Sequence[FailingEndpoint] = ()
    has_account: bool = False


def measure_waiting(transaction: Transaction, requests: Sequence[None]) -> list[Waiting]:
    """Measure what waits, with a bounded number of rows."""
    now = transaction.now
    counted_by_result = {result: count_given_up(transaction, result) for result in GIVEN_UP_RESULTS}
    accepted = count_accepted_for_long(transaction, before=now - SILENT_MS_MAX)
    overdue, overdue_since = count_overdue(transaction, before=now - OVERDUE_MS_MAX)
    measured = Waiting(
        unproven=measure_unproven(transaction, [None])[0],
        overdue=overdue,
        overdue_since=overdue_since,
        given_up={
            result: GivenUp(number, since) for result, (number, since) in counted_by_result.items() if since is not None
        },
        accepted=accepted,
        silent=frozenset(
            provider
            for provider in {one.provider for one in accepted}
            if "/" in provider and not has_webhook(transaction, provider)
        ),
        failing=read_failing(transaction, before=now - FAILING_MS_MAX),
        has_account=any_exists(transaction),
    )
    return [measured for _ in requests]


def check_waiting(found: Waiting, now: Instant) -> Iterator[Finding]:
    """Judge what waits."""
    yield check_overdue(found, now)
    yield check_unproven(found.unproven, now)
    yield check_given_up(found.given_up, now)
    yield check_accepted(found.accepted, found.silent, now)
    yield check_failing(found.failing, now)


def check_overdue(found: Waiting, now: Instant) -> Finding:
    """Check whether workers take what is due. A service that starts again finds this, too: so it is only a warning."""
    if found.overdue_since is None:
        return Finding("due operations", Level.OK, "workers take them in time")
    minutes = (now - found.overdue_since) // MINUTE_MS
    attempts = counted_up_to(COUNTED_MAX, found.overdue, "attempt")
    summary = f"{attempts} due for up to {minutes} min: no worker runs, or calls of the provider are paused"
    remedy = "run: paidonce serve, or paidonce worker beside servers with --no-worker; the log says whether calls fail"
    return Finding("due operations", Level.WARNING, summary, remedy)


def check_unproven(found: Unproven, now: Instant) -> Finding:
    """Check how many outcomes are not confirmed, and for how long."""
    check, remedy = "unknown outcomes", "run: paidonce review list; ask the provider for the outcome of each attempt"
    if found.in_review_since is not None:
        hours = (now - found.in_review_since) // HOUR_MS
        attempts = counted_up_to(COUNTED_MAX, found.in_review, "attempt")
        summary = f"{attempts} waiting for review by a person, the oldest for {hours} h"
        return Finding(check, Level.PROBLEM, summary, remedy)
    if found.unknown_since is not None and now - found.unknown_since > UNKNOWN_MS_MAX:
        hours = (now - found.unknown_since) // HOUR_MS
        outcomes = counted_up_to(COUNTED_MAX, found.unknown, "outcome")
        summary = f"{outcomes} unknown, the oldest for {hours} h; look-ups continue"
        return Finding(check, Level.WARNING, summary, f"check whether the provider is available; {remedy}")
    summary = (
        f"{counted_up_to(COUNTED_MAX, found.unknown, 'outcome')} unknown, being looked up"
        if found.unknown
        else "every outcome is known"
    )
    return Finding(check, Level.OK, summary)


def check_given_up(found: Mapping[WebhookResult, GivenUp], now: Instant) -> Finding:
    """Check the webhooks of providers that could not be applied. One without an attempt may be of another system that
    uses the same account; every other one tells of money.
    """
    check = "provider webhooks"
    urgent = {result: one for result, one in found.items() if result is not WebhookResult.ATTEMPT_NOT_FOUND}
    if not found:
        return Finding(check, Level.OK, "every webhook is applied, or will be tried again")
    shown = urgent or found
    parts = [f"{counted_up_to(COUNTED_MAX, one.webhooks, 'webhook')} {result}" for result, one in shown.items()]
    hours = (now - min(one.since for one in shown.values())) // HOUR_MS
    summary = f"{listed(parts)}, not applied and not tried again, the oldest for {hours} h"
    remedy = (
        "run: paidonce inbox list; compare the provider's dashboard, and apply each with paidonce inbox replay, "
        "or end it with paidonce inbox dismiss once you have dealt with it there"
    )
    return Finding(check, Level.PROBLEM if urgent else Level.WARNING, summary, remedy)


def check_accepted(found: Sequence[AcceptedForLong], silent: frozenset[str], now: Instant) -> Finding:
    """Check whether providers tell the outcomes that they owe. One that sends no webhooks is seen before the month is
    over after which its attempts need review.
    """
    check = "accepted operations"
    unheard = [one for one in found if one.provider in silent]
    if unheard:
        days = (now - min(one.since for one in unheard)) // DAY_MS
        accounts = listed(_of_merchants(unheard))
        summary = f"no webhook has ever arrived for {accounts}, and {_attempts(unheard)} for up to {days} d"
        remedy = "set the URL and the secret for webhooks in the provider's settings: see docs/providers"
        return Finding(check, Level.PROBLEM, summary, remedy)
    late = [one for one in found if now - one.since > ACCEPTED_MS_MAX]
    if late:
        days = (now - min(one.since for one in late)) // DAY_MS
        summary = f"{_attempts(late)} for up to {days} d: {listed(_of_merchants(late))}"
        remedy = "compare the provider's dashboard, and check whether its webhooks arrive; some transfers take days"
        return Finding(check, Level.WARNING, summary, remedy)
    return Finding(check, Level.OK, "none waits for its outcome for long")


def _attempts(found: Iterable[AcceptedForLong]) -> str:
    number = sum(one.attempts for one in found)
    return f"{counted(number, 'attempt')} waiting for {'its' if number == 1 else 'their'} outcome"


def _of_merchants(found: Iterable[AcceptedForLong]) -> list[str]:
    return [f"{one.provider} of {one.merchant_id}" for one in found]


def check_failing(found: Sequence[FailingEndpoint], now: Instant) -> Finding:
    """Check whether receivers of merchants take their webhooks."""
    check = "webhook endpoints"
    if not found:
        return Finding(check, Level.OK, "every receiver takes its webhooks")
    hours = (now - found[0].failing_since) // HOUR_MS
    names = listed([f"{one.id} of {one.merchant_id}{' (paused)' if one.is_paused else ''}" for one in found])
    summary = f"{counted(len(found), 'endpoint')} failing for up to {hours} h: {names}"
    remedy = "tell the merchant; the deliveries of the endpoint show what its receiver answered. Nothing is lost"
    return Finding(check, Level.WARNING, summary, remedy)
