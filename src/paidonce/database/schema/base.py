"""What all tables share: the type of ids, the column of the mode, and partial indexes."""

from sqlalchemy import CheckConstraint, Column, Index, MetaData, Text, text

metadata = MetaData()

# Ids are compared by bytes, so that they sort by time in every locale.
Id = Text().with_variant(Text(collation="C"), "postgresql")


def partial_index(name: str, *columns: str, where: str, unique: bool = False) -> Index:
    """Return an index of the rows that fulfil a condition, on both databases."""
    return Index(name, *columns, unique=unique, sqlite_where=text(where), postgresql_where=text(where))


def mode(table: str) -> tuple[Column[str], CheckConstraint]:
    """Return the column that says in which mode of its merchant a row is, and its constraint."""
    column: Column[str] = Column("mode", Text, nullable=False, server_default="test")
    return column, CheckConstraint("mode IN ('test', 'live')", name=f"{table}_mode")
