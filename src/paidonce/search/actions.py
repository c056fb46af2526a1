"""Use cases of the search, each over a batch."""

from collections.abc import Sequence

from paidonce.checkouts.model import Checkout
from paidonce.database.transaction import Transaction
from paidonce.search import store
from paidonce.search.model import Search, query_terms
from paidonce.search.store import Step, StepResult


def load_named(transaction: Transaction, requests: Sequence[Search]) -> list[list[Checkout]]:
    """Load the checkouts that the texts of searches name."""
    return [store.read_named(transaction, request) for request in requests]


def order_terms(transaction: Transaction, requests: Sequence[Search]) -> list[tuple[str, ...]]:
    """Return the terms of the texts of searches, the rarest first."""
    return [store.rarest_first(transaction, one.tenant, query_terms(one.text or "")) for one in requests]


def take_steps(transaction: Transaction, requests: Sequence[Step]) -> list[StepResult]:
    """Take steps of searches."""
    return [store.take_step(transaction, request) for request in requests]
