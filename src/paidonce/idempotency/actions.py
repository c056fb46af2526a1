"""Doing once what is asked for several times: a key and the effect of its request are one commit."""

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
    StoredResponse,
)


def with_idempotency(
    idempotency: Idempotency | None, action: Action[Request, Outcome], request: Request
) -> tuple[Action[Any, Outcome | AlreadyProcessed | PaidonceError], Any]:
    """Return what to submit so that ``action`` takes effect once, as ``submit(*with_idempotency(…))``.

    Without an idempotency key this is the action and its request. With one, the outcome may be ``AlreadyProcessed``.
    """
    return (
        (action, request)
        if idempotency is None
        else (IdempotentAction(action, idempotency.summarize), ClaimedRequest(request, idempotency.claim))
    )


class IdempotentAction(msgspec.Struct, frozen=True):
    """An action that runs ``action`` over those requests whose key is new, and keeps what ``summarize`` says of each.

    What fails has had no effect and keeps no key: it may be asked for again, with the same key, and may succeed.
    A value and no closure: all that name the same action are run together, and in whichever process.
    """

    action: Action[Any, Any]
    summarize: Callable[[Any, Any], StoredResponse]

    @property
    def __name__(self) -> str:
        """The action's own name."""
        return self.action.__name__

    def __call__(self, transaction: Transaction, requests: Sequence[ClaimedRequest]) -> list[Any]:
        """Run it over a batch."""
        outcomes: dict[int, Any] = {}
        while waiting := [index for index in range(len(requests)) if index not in outcomes]:
            first: dict[store.Name, int] = {}
            for index in waiting:
                first.setdefault(requests[index].claim.name, index)
            claimed, held = store.claim_keys(transaction, [requests[index].claim for index in first.values()])
            there = first.keys() - claimed - held
            records = store.read_records(transaction, there) if there else {}
            expired = [name for name, record in records.items() if record.expires_at <= transaction.now]
            if expired:  # Not pruned yet, and free all the same: claimed in the next round.
                store.forget_keys(transaction, expired)
                records = {name: record for name, record in records.items() if name not in expired}
            for index in waiting:
                claim = requests[index].claim
                if claim.name in held:
                    outcomes[index] = IdempotencyKeyInUse()
                elif claim.name in records and records[claim.name].claim_id != claim.id:
                    outcomes[index] = _compare(records[claim.name], claim)
            mine = [
                index
                for name, index in first.items()
                if index not in outcomes and (name in claimed or name in records)  # Or ours, from a lost answer.
            ]
            outcomes |= _run(transaction, self.action, self.summarize, {index: requests[index] for index in mine})
        return [outcomes[index] for index in range(len(requests))]


def _run(
    transaction: Transaction,
    action: Action[Any, Any],
    summarize: Callable[[Any, Any], StoredResponse],
    mine: dict[int, ClaimedRequest],
) -> dict[int, Any]:
    """Run the action over requests whose key is theirs, and keep it for those that took effect."""
    if not mine:
        return {}
    outcomes = action(transaction, [one.request for one in mine.values()])
    done = list(zip(mine.values(), outcomes, strict=True))
    kept = [
        (one.claim.name, summarize(one.request, outcome)) for one, outcome in done if not isinstance(outcome, Exception)
    ]
    if kept:
        store.store_responses(transaction, kept)
    failed = [one.claim.name for one, outcome in done if isinstance(outcome, Exception)]
    if failed:
        store.forget_keys(transaction, failed)
    return dict(zip(mine, outcomes, strict=True))


def _compare(record: IdempotencyRecord, claim: Claim) -> AlreadyProcessed | IdempotencyKeyReused:
    differing = record.differs(claim)
    return IdempotencyKeyReused(differing) if differing else AlreadyProcessed(record)


def load_idempotency_records(transaction: Transaction, names: Sequence[store.Name]) -> list[IdempotencyRecord | None]:
    """Read what became of keys; None for one that is not kept."""
    found = store.read_records(transaction, set(names))
    return [found.get(name) for name in names]


def delete_expired_keys(transaction: Transaction, limits: Sequence[int]) -> list[int]:
    """Forget keys that need be kept no longer, at most ``limit`` for each request; returns how many."""
    return [store.forget_expired(transaction, limit) for limit in limits]
