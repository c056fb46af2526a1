"""What a person does with the webhooks that could not be applied: lists them, applies one again, or dismisses it."""

from collections.abc import Sequence, Set as AbstractSet
from typing import Final, TypeAlias

import msgspec

from paidonce.database.paging import page_of
from paidonce.database.transaction import Transaction
from paidonce.errors import (
    DatabaseUnavailable,
    ProviderWebhookChanged,
    ProviderWebhookNotFound,
    ProviderWebhookPending,
)
from paidonce.payments.schedule import LookupSchedule
from paidonce.provider_webhooks.actions import Applied, ApplyWebhook, apply_webhooks
from paidonce.provider_webhooks.model import ProviderWebhook, WebhookResult
from paidonce.provider_webhooks.store import (
    WebhookMark,
    WebhookName,
    hold_webhooks,
    mark_webhooks,
    read_given_up,
    read_webhooks,
)

# What came of applying a webhook, for people.
_MEANINGS: Final = {
    WebhookResult.CHANGED: "Applied: it settled an attempt of {checkout}.",
    WebhookResult.KNOWN: "Applied: the outcome for {checkout} was already known.",
    WebhookResult.NO_NEWS: "Applied: it does not affect a payment.",
    WebhookResult.ATTEMPT_NOT_FOUND: "Not applied: no attempt matches it.",
    WebhookResult.POSTPONED: "Not applied to {checkout} yet: {reason}.",
    WebhookResult.NEEDS_REVIEW: "Not applied to {checkout}: {reason}. Compare the provider's dashboard.",
    WebhookResult.FAILED: "Not applied: see the log.",
}


def describe(applied: Applied) -> str:
    """Say in a sentence what came of applying a webhook."""
    return _MEANINGS[applied.result].format(checkout=applied.checkout_id, reason=applied.reason)


class ListGivenUp(msgspec.Struct, frozen=True):
    """A request for a page of webhooks that came to a result and are not tried again, oldest first.

    ``starting_after`` is the last webhook of the page before.
    """

    limit: int
    result: WebhookResult = WebhookResult.NEEDS_REVIEW
    starting_after: WebhookName | None = None


def list_given_up(
    transaction: Transaction, requests: Sequence[ListGivenUp]
) -> list[tuple[list[ProviderWebhook], bool]]:
    """Read pages of webhooks that wait for a person, and whether each has a next page."""
    named = [one.starting_after for one in requests if one.starting_after is not None]
    seen = read_webhooks(transaction, named) if named else {}
    pages = []
    for request in requests:
        after = None if request.starting_after is None else seen.get(request.starting_after)
        if request.starting_after is not None and after is None:
            pages.append((list[ProviderWebhook](), False))
            continue
        found = read_given_up(transaction, request.result, limit=request.limit + 1, after=after)
        pages.append(page_of(found, limit=request.limit))
    return pages


class ReplayWebhook(msgspec.Struct, frozen=True, kw_only=True):
    """A request to apply a stored webhook now, even if it was applied before or given up."""

    name: WebhookName
    schedule: LookupSchedule
    chance: float


ReplayOutcome: TypeAlias = Applied | ProviderWebhookNotFound | ProviderWebhookChanged | DatabaseUnavailable


def replay_webhooks(transaction: Transaction, requests: Sequence[ReplayWebhook]) -> list[ReplayOutcome]:
    """Apply stored webhooks again. One that somebody else applies or dismisses at the same moment is left as it is."""
    found = read_webhooks(transaction, list({one.name for one in requests}))
    # Before anything is applied: what a webhook proves could not be taken back where its mark does not count.
    held = hold_webhooks(transaction, found.values())
    applying = [
        ApplyWebhook(name=one.name, schedule=one.schedule, chance=one.chance, again=True)
        for one in requests
        if one.name in held
    ]
    applied = {one.name: outcome for one, outcome in zip(applying, apply_webhooks(transaction, applying), strict=True)}
    return [
        applied.get(one.name) or (ProviderWebhookChanged() if one.name in found else ProviderWebhookNotFound())
        for one in requests
    ]


class DismissWebhook(msgspec.Struct, frozen=True):
    """A request to list a webhook that was given up no longer, because a person has dealt with it at the provider."""

    name: WebhookName


class Dismissed(msgspec.Struct, frozen=True):
    """A webhook that waits for nobody. ``result`` is what it came to before; ``is_new``: it was not applied before."""

    name: WebhookName
    result: WebhookResult
    is_new: bool

    @property
    def detail(self) -> str:
        """Say in a sentence what came of it."""
        return f"Dismissed: it was {self.result}." if self.is_new else "Not dismissed: it was applied already."


DismissOutcome: TypeAlias = Dismissed | ProviderWebhookNotFound | ProviderWebhookPending | ProviderWebhookChanged


def dismiss_webhooks(transaction: Transaction, requests: Sequence[DismissWebhook]) -> list[DismissOutcome]:
    """Mark webhooks that were given up as known, so that they wait for nobody; one that is applied stays as it is, as
    does one that somebody else applies or dismisses at the same moment.
    """
    found = read_webhooks(transaction, list({one.name for one in requests}))
    marks = [
        WebhookMark(
            provider=name.provider,
            id=name.id,
            tries_seen=webhook.tries,
            result=WebhookResult.KNOWN,
            applied_at=transaction.now,
            due_at=None,
        )
        for name, webhook in found.items()
        if webhook.due_at is None and webhook.applied_at is None
    ]
    marked = mark_webhooks(transaction, marks)
    outcomes: list[DismissOutcome] = []
    for name in (one.name for one in requests):
        outcomes.append(_outcome(name, found.get(name), marked))
        if name in marked:  # The next request of this batch finds it dismissed.
            found[name] = msgspec.structs.replace(found[name], result=WebhookResult.KNOWN, applied_at=transaction.now)
    return outcomes


def _outcome(name: WebhookName, webhook: ProviderWebhook | None, marked: AbstractSet[WebhookName]) -> DismissOutcome:
    """Tell what became of a webhook as it was read, where ``marked`` are those that were dismissed since then."""
    if webhook is None:
        return ProviderWebhookNotFound()
    if webhook.due_at is not None:
        return ProviderWebhookPending()
    if webhook.applied_at is None and name not in marked:
        return ProviderWebhookChanged()
    assert webhook.result is not None, "what is not due came to a result"
    return Dismissed(name, WebhookResult(webhook.result), is_new=webhook.applied_at is None)
