"""Statements that find the attempt that a provider speaks of, and what was returned of a charge."""

from typing import Final

from sqlalchemy import bindparam, select, union_all

from paidonce.checkouts.model import Checkout
from paidonce.database.schema import attempt
from paidonce.database.statement import Statement
from paidonce.database.transaction import Transaction
from paidonce.payments.model import Attempt, AttemptKind

_COLUMNS: Final = [attempt.c[name] for name in Attempt.__struct_fields__]
_OF_ACCOUNT: Final = (
    attempt.c.provider == bindparam("at_provider"),
    attempt.c.account_id == bindparam("at_account"),
)
# Two statements in one, so that each uses its own index.
_BY_REFERENCE: Final = Statement(
    lambda _: union_all(
        select(*_COLUMNS).where(attempt.c.provider_reference == bindparam("wanted"), *_OF_ACCOUNT),
        select(*_COLUMNS).where(
            attempt.c.session_reference == bindparam("wanted"),
            attempt.c.provider_reference.is_distinct_from(bindparam("wanted")),
            *_OF_ACCOUNT,
        ),
    )
)
_RETURNED: Final = (
    select(*_COLUMNS)
    .where(
        attempt.c.checkout_id == bindparam("checkout_id"),
        attempt.c.merchant_id == bindparam("tenant"),
        attempt.c.kind.in_([AttemptKind.REFUND, AttemptKind.REVERSAL]),
    )
    .order_by(attempt.c.id)
)


def read_by_reference(transaction: Transaction, provider: str, account_id: str, reference: str) -> list[Attempt]:
    """Read the attempts at an account that the provider has given this reference, or whose session it is.

    Those on nodes that do not respond are left out.
    """
    wanted = {"at_provider": provider, "at_account": account_id, "wanted": reference}
    return [Attempt(*row) for row in transaction.rows_of_living_nodes(_BY_REFERENCE, wanted)]


def read_returned(transaction: Transaction, checkout: Checkout) -> list[Attempt]:
    """Read a checkout's refunds and reversals, oldest first."""
    wanted = {"checkout_id": checkout.id, "tenant": checkout.merchant_id}
    return [Attempt(*row) for row in transaction.rows(_RETURNED, wanted)]
