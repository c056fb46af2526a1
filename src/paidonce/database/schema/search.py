"""The terms under which checkouts are found."""

from sqlalchemy import Column, PrimaryKeyConstraint, Table

from paidonce.database.schema.base import Id, metadata, mode

# The words of checkouts' descriptions and metadata, written in the background. A checkout without either has none.
search_term = Table(
    "search_term",
    metadata,
    Column("merchant_id", Id, nullable=False),
    *mode("search_term"),
    Column("term", Id, nullable=False),
    Column("checkout_id", Id, nullable=False),
    PrimaryKeyConstraint("merchant_id", "mode", "term", "checkout_id", name="search_term_pkey"),
    sqlite_with_rowid=False,
)
