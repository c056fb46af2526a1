"""Runs actions with idempotency keys. A key and the effect of its request are committed together."""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from paidonce.database.batch import Action, Outcome, Request
from paidonce.database.transaction import Transaction
from paidonce.errors import IdempotencyKeyInUse, IdempotencyKeyReused, PaidonceError
from paidonce.idempotency import store
from paidonce.idempotency.model import (
    AlreadyProcessed,
    Claim,
    ClaimedRequest,
    Idempotency,
    IdempotencyRecord,
    ScopedKey,
    StoredResponse,
)


def with_idempotency(
    idempotency: Idempotency | None, action: Action[Request, Outcome], request: Request
) -> tuple[Action[Any, Outcome | AlreadyProcessed | PaidonceError], Any]:
    """Return what to submit so that ``action`` takes effect once, as ``submit(*with_idempotency(…))``.

    Without an idempotency key this is the action and its request. With one, the outcome may be ``AlreadyProcessed``.
    """
    if idempotency is None:
        return action, request
    return IdempotentAction(action, idempotency.summarize), ClaimedRequest(request, idempotency.claim)


class IdempotentAction(msgspec.Struct, frozen=True):
    """Runs ``action`` for the requests whose key is new, and stores what ``summarize`` returns for each of them.

    A request that fails has had no effect, and its key is deleted: it may be repeated with the same key and may
    succeed. This is a value and not a closure, so that requests with the same action are batched together, in any
    process.
    """

    action: Action[Any, Any]
    summarize: Callable[[Any, Any], StoredResponse]

    @property
    def __name__(self) -> str:
        """The name of the action."""
        return self.action.__name__

    def __call__(self, transaction: Transaction, requests: Sequence[ClaimedRequest]) -> list[Any]:
        """Run the action over a batch of requests."""
        outcomes: dict[int, Any] = {}
        while pending := [index for index in range(len(requests)) if index not in outcomes]:
            first: dict[ScopedKey, int] = {}
            for index in pending:
                first.setdefault(requests[index].claim.name, index)
            claimed, locked = store.claim_keys(transaction, [requests[index].claim for index in first.values()])
            existing = first.keys() - claimed - locked
            records = store.read_records(transaction, existing) if existing else {}
            expired = [name for name, record in records.items() if record.expires_at <= transaction.now]
            if expired:  # Not deleted yet, but free to use: they are claimed in the next round.
                store.delete_keys(transaction, expired)
                records = {name: record for name, record in records.items() if name not in expired}
            for index in pending:
                claim = requests[index].claim
                if claim.name in locked:
                    outcomes[index] = IdempotencyKeyInUse()
                elif claim.name in records and records[claim.name].claim_id != claim.id:
                    outcomes[index] = compare_with_record(records[claim.name], claim)
            own = [
                index
                for name, index in first.items()
                if index not in outcomes
                and (name in claimed or name in records)  # In records: claimed here, but the result was lost.
            ]
            outcomes |= _run(transaction, self.action, self.summarize, {index: requests[index] for index in own})
        return [outcomes[index] for index in range(len(requests))]


def _run(
    transaction: Transaction,
    action: Action[Any, Any],
    summarize: Callable[[Any, Any], StoredResponse],
    own: dict[int, ClaimedRequest],
) -> dict[int, Any]:
    """Run the action for requests that hold their keys, and store the responses of those that took effect."""
    if not own:
        return {}
    outcomes = action(transaction, [one.request for one in own.values()])
    done = list(zip(own.values(), outcomes, strict=True))
    responses = [
        (one.claim.name, summarize(one.request, outcome)) for one, outcome in done if not isinstance(outcome, Exception)
    ]
    if responses:
        store.store_responses(transaction, responses)
    failed = [one.claim.name for one, outcome in done if isinstance(outcome, Exception)]
    if failed:
        store.delete_keys(transaction, failed)
    return dict(zip(own, outcomes, strict=True))


def compare_with_record(record: IdempotencyRecord, claim: Claim) -> AlreadyProcessed | IdempotencyKeyReused:
    """Tell whether a request is the one that has its key, or another one with the same key."""
    differing = record.differing_fields(claim)
    return IdempotencyKeyReused(differing) if differing else AlreadyProcessed(record)


def load_idempotency_records(transaction: Transaction, names: Sequence[ScopedKey]) -> list[IdempotencyRecord | None]:
    """Load the records of keys; None for a key that is not stored."""
    found = store.read_records(transaction, set(names))
    return [found.get(name) for name in names]


def delete_expired_keys(transaction: Transaction, limits: Sequence[int]) -> list[int]:
    """Delete expired keys, at most ``limit`` for each request; returns how many."""
    return [store.delete_expired(transaction, limit) for limit in limits]
