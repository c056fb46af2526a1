"""Pages of lists: which rows they have, in which order, and whether there are more."""

import pytest
from sqlalchemy import column, create_engine, select, table, text

from paidonce.database.paging import in_page, page_of

ROWS = table("rows", column("id"))


def read(**cursors: str) -> tuple[list[str], bool]:
    with create_engine("sqlite://").connect() as connection:
        connection.execute(text("CREATE TABLE rows (id TEXT)"))
        connection.execute(text("INSERT INTO rows VALUES ('b'), ('d'), ('a'), ('c')"))
        statement = in_page(select(ROWS.c.id).order_by(ROWS.c.id), ROWS.c.id, limit=2, **cursors)
        return page_of(connection.scalars(statement).all(), limit=2, is_reversed="ending_before" in cursors)


@pytest.mark.parametrize(
    ("cursors", "page"),
    [
        ({}, (["d", "c"], True)),
        ({"starting_after": "c"}, (["b", "a"], False)),
        ({"starting_after": "d"}, (["c", "b"], True)),
        ({"ending_before": "a"}, (["c", "b"], True)),
        ({"ending_before": "b"}, (["d", "c"], False)),
        ({"ending_before": "d"}, ([], False)),
    ],
)
def test_a_page_is_newest_first_before_or_after_an_id_and_says_whether_more_lies_beyond_it(
    cursors: dict[str, str], page: tuple[list[str], bool]
) -> None:
    assert read(**cursors) == page
