"""A transaction on a distributed database of which a node is lost."""

from typing import Any

from paidonce.database.transaction import Transaction


class PartialTransaction(Transaction):
    """A transaction on a database of which a part cannot be read."""

    @property
    def is_partial(self) -> bool:
        return True

    def rows_of_living_nodes(self, statement: Any, parameters: Any) -> Any:  # noqa: ANN401 - as Transaction's
        return self.rows(statement, parameters)
