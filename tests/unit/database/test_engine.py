from collections.abc import Mapping

import pytest

from paidonce.clock import system_clock
from paidonce.database.engine import open_database, refuse_what_loses, require_durable_server
from paidonce.database_url import parse_database_url
from paidonce.errors import NotDurable


@pytest.mark.parametrize(
    ("set_to", "named"),
    [
        ({"fsync": "off", "full_page_writes": "on"}, ["fsync=off"]),
        ({"fsync": "on", "full_page_writes": "off"}, ["full_page_writes=off"]),
        ({"fsync": "off", "full_page_writes": "off"}, ["fsync=off", "full_page_writes=off"]),
    ],
)
def test_a_server_that_would_lose_commits_is_refused_and_everything_that_is_off_is_named(
    set_to: Mapping[str, str], named: list[str]
) -> None:
    with pytest.raises(NotDurable) as refused:
        refuse_what_loses("PostgreSQL at somewhere", set_to)
    assert all(name in refused.value.detail for name in named)
    assert ("full_page_writes" in refused.value.detail) == ("full_page_writes=off" in named)


def test_a_server_that_keeps_commits_is_taken(database_url: str) -> None:
    database = open_database(parse_database_url(database_url), clock=system_clock)
    try:
        require_durable_server(database)
    finally:
        database.close()
