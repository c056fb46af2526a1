"""Review: listing attempts that wait for a proof of their outcome, and recording what a person found out."""

from collections.abc import Sequence
from typing import TypeAlias

import msgspec

from paidonce.clock import Instant
from paidonce.database.paging import page_of
from paidonce.database.transaction import Transaction
from paidonce.errors import AttemptNotFound, AttemptOutcomeKnown, PaidonceError
from paidonce.events.model import Cause
from paidonce.merchants.model import TenantFilter, TenantScopedId
from paidonce.merchants.scoping import error_of_missing
from paidonce.payments.model import Attempt, AttemptKind, AttemptStatus
from paidonce.payments.review_store import AttemptFilter, read_attempts_that_wait
from paidonce.payments.schedule import LookupSchedule
from paidonce.payments.settle import RecordEvidence, record_evidence
from paidonce.payments.store import find_attempts, read_attempts
from paidonce.providers.evidence import Authorized, Declined, Evidence, Succeeded


class ListAttempts(msgspec.Struct, frozen=True, kw_only=True):
    """A request for a page of attempts with a status that waits for a proof, oldest first.

    ``starting_after`` is the last attempt of the page before.
    """

    status: AttemptStatus
    limit: int
    tenant: TenantFilter = TenantFilter()
    created_before: Instant | None = None
    starting_after: str | None = None


def list_attempts(transaction: Transaction, requests: Sequence[ListAttempts]) -> list[tuple[list[Attempt], bool]]:
    """Read pages of attempts, and whether each has a next page."""
    named = {one.starting_after for one in requests if one.starting_after is not None}
    seen = read_attempts(transaction, named) if named else {}
    pages: list[tuple[list[Attempt], bool]] = []
    for request in requests:
        after = None
        if request.starting_after is not None:
            after = seen.get(request.starting_after)
            if after is None or not _is_visible(after, request.tenant):
                pages.append(([], False))
                continue
        wanted = AttemptFilter(
            status=request.status,
            limit=request.limit,
            tenant=request.tenant,
            created_before=request.created_before,
            after=after,
        )
        found = read_attempts_that_wait(transaction, wanted)
        pages.append(page_of(found, limit=request.limit))
    return pages


def _evidence_about(attempt: Attempt, evidence: Succeeded | Declined) -> Evidence:
    """Return what a person's finding proves: an authorization that took place is held, and nobody has captured it."""
    if attempt.kind == AttemptKind.AUTHORIZE and isinstance(evidence, Succeeded):
        return Authorized(evidence.reference)
    return evidence


def _is_visible(attempt: Attempt, tenant: TenantFilter) -> bool:
    return tenant.merchant_id in (None, attempt.merchant_id) and tenant.mode in (None, attempt.mode)


def load_attempts(transaction: Transaction, names: Sequence[TenantScopedId]) -> list[Attempt | PaidonceError]:
    """Read attempts by id."""
    found = find_attempts(transaction, {name.id for name in names})
    return [
        attempt
        if (attempt := found.get(name.id)) and name.finds(attempt)
        else error_of_missing(transaction, name, AttemptNotFound())
        for name in names
    ]


class ResolveAttempt(msgspec.Struct, frozen=True, kw_only=True):
    """What a person learned from the provider about an attempt: it took place, or it did not and will not."""

    name: TenantScopedId
    evidence: Succeeded | Declined
    schedule: LookupSchedule


ResolveOutcome: TypeAlias = Attempt | PaidonceError


def resolve_attempts(transaction: Transaction, requests: Sequence[ResolveAttempt]) -> list[ResolveOutcome]:
    """Record what people learned, as evidence like any other; returns the attempts as they are then."""
    found = load_attempts(transaction, [one.name for one in requests])
    proving = [
        RecordEvidence(
            attempt_id=request.name.id,
            evidence=_evidence_about(attempt, request.evidence),
            cause=Cause.OPERATOR,
            schedule=request.schedule,
            chance=0.0,
        )
        for request, attempt in zip(requests, found, strict=True)
        if isinstance(attempt, Attempt)
    ]
    settled = iter(record_evidence(transaction, proving))
    now = read_attempts(transaction, {one.attempt_id for one in proving})
    outcomes: list[ResolveOutcome] = []
    for attempt in found:
        if not isinstance(attempt, Attempt):
            outcomes.append(attempt)
            continue
        became = next(settled)
        outcomes.append(
            AttemptOutcomeKnown(became.status or attempt.status) if became.transition is None else now[attempt.id]
        )
    return outcomes
