"""The router: one route for each method and path, and clear facts where there is none."""

import pytest
from hypothesis import given, strategies as st
from paidonce.web.reply import Reply
from paidonce.web.request import Request
from paidonce.web.routing import Route, Router

from paidonce.api.routes import ROUTES
from paidonce.errors import MethodNotAllowed, RouteNotFound


async def nothing(_request: Request, _context: object, *_values: str) -> Reply:
    return Reply()


TABLE = (
    Route("GET", "/things", nothing),
    Route("POST", "/things", nothing),
    Route("GET", "/things/{thing_id}", nothing),
    Route("POST", "/things/{thing_id}/parts/{part_id}", nothing),
    Route("GET", "/things/newest", nothing),
)


@pytest.mark.parametrize(
    ("method", "path", "found", "values"),
    [
        ("GET", "/things", "/things", []),
        ("HEAD", "/things", "/things", []),
        ("GET", "/things/a", "/things/{thing_id}", ["a"]),
        ("GET", "/things/newest", "/things/newest", []),
        ("GET", "/things/{thing_id}", "/things/{thing_id}", ["{thing_id}"]),
        ("POST", "/things/a/parts/b", "/things/{thing_id}/parts/{part_id}", ["a", "b"]),
    ],
)
def test_a_path_leads_to_its_route_and_a_written_part_goes_before_a_variable_one(
    method: str, path: str, found: str, values: list[str]
) -> None:
    route, said = Router(TABLE).find(method, path)
    assert (route.path, list(said)) == (found, values)


@pytest.mark.parametrize(
    "path", ["/", "", "/thing", "/things/a/b", "/things/a/parts", "/things/a/parts/b/c", "//x", "//things"]
)
def test_a_path_that_is_none_is_not_found(path: str) -> None:
    with pytest.raises(RouteNotFound):
        Router(TABLE).find("GET", path)


def test_a_method_that_a_path_has_not_is_told_those_that_it_has() -> None:
    with pytest.raises(MethodNotAllowed) as refused:
        Router(TABLE).find("DELETE", "/things")
    assert refused.value.allowed == ["GET", "HEAD", "OPTIONS", "POST"]


@given(st.text(max_size=60))
def test_whatever_a_path_holds_the_router_answers_with_a_fact(path: str) -> None:
    try:
        _, values = Router(TABLE).find("GET", path)
    except (RouteNotFound, MethodNotAllowed):
        return
    assert len(values) <= 2


def test_every_call_is_in_the_table_once_and_says_what_it_is() -> None:
    calls = [(route.method, route.path) for route in ROUTES]
    assert len(calls) == len(set(calls))
    assert [route for route in ROUTES if route.operation is None] == []
    assert len({route.operation.id for route in ROUTES}) == len(ROUTES)
