"""Claiming: finding the attempts that are due, leasing them to a worker, and giving leases back."""

from collections.abc import Collection, Sequence

import msgspec

from paidonce.database.transaction import Transaction
from paidonce.payments import claim_store
from paidonce.payments.claim_store import Held
from paidonce.payments.model import Attempt


class ClaimAttempts(msgspec.Struct, frozen=True):
    """A worker's request for due attempts at one provider: of all accounts but ``except_for``, or of ``only`` one.

    An attempt without an account counts as that of the account "". With ``unsent_of`` only attempts of these accounts
    are claimed that were never sent and can continue with another account.
    """

    provider: str
    limit: int
    lease_ms: int
    except_for: tuple[str, ...] = ()
    only: str | None = None
    unsent_of: tuple[str, ...] = ()


def claim_attempts(transaction: Transaction, requests: Sequence[ClaimAttempts]) -> list[list[Attempt]]:
    """Claim due attempts for workers: READY ones, and those whose lease has ended."""
    return [
        claim_store.claim_due(
            transaction,
            one.provider,
            limit=one.limit,
            lease_until=transaction.now + one.lease_ms,
            except_for=one.except_for,
            only=one.only,
            unsent_of=one.unsent_of,
        )
        for one in requests
    ]


def find_due_providers(transaction: Transaction, requests: Sequence[Collection[str]]) -> list[set[str]]:
    """Return those of some providers for which attempts are due: one read, where each claim would be a transaction."""
    return [claim_store.find_providers_with_due(transaction, providers) for providers in requests]


def release_attempts(transaction: Transaction, requests: Sequence[Sequence[Held]]) -> list[None]:
    """Give leases back, so that another worker need not wait for their end."""
    claim_store.release(transaction, [held for request in requests for held in request])
    return [None for _ in requests]


def release_all_attempts(transaction: Transaction, requests: Sequence[None]) -> list[None]:
    """Give back every lease: a process that is alone with its database knows that their owners are dead."""
    claim_store.release_all(transaction)
    return list(requests)
