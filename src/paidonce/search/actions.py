"""Use cases of the search, each over a batch: take a step of a search, and write the terms of new checkouts."""

from collections.abc import Collection, Sequence

from paidonce.checkouts.model import Checkout
from paidonce.database.transaction import Transaction
from paidonce.search import store
from paidonce.search.model import Search, query_terms, terms_of_checkout
from paidonce.search.store import Step, StepResult, TermRow


def load_named(transaction: Transaction, requests: Sequence[Search]) -> list[list[Checkout]]:
    """Load the checkouts that the texts of searches name."""
    return [store.read_named(transaction, request) for request in requests]


def order_terms(transaction: Transaction, requests: Sequence[Search]) -> list[tuple[str, ...]]:
    """Return the terms of the texts of searches, the rarest first."""
    return [store.rarest_first(transaction, one.tenant, query_terms(one.text or "")) for one in requests]


def take_steps(transaction: Transaction, requests: Sequence[Step]) -> list[StepResult]:
    """Take steps of searches."""
    return [store.take_step(transaction, request) for request in requests]


def write_terms(transaction: Transaction, checkout_ids: Collection[str]) -> None:
    """Write the terms of checkouts; doing it again changes nothing."""
    store.insert_terms(
        transaction,
        [
            TermRow(one.merchant_id, one.mode, term, one.id)
            for one in store.read_texts(transaction, checkout_ids)
            for term in terms_of_checkout(one.description, one.metadata)
        ],
    )
