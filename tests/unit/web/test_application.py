"""The application: every exchange has an id and an answer, whatever the request and its handler do."""

import httpx
import pytest
from paidonce.web.application import Application
from paidonce.web.reply import Reply, reply
from paidonce.web.request import Request
from paidonce.web.routing import Route

from paidonce.api.problems import answer_error
from tests.inside import Inside


async def echo(request: Request, said: list[str]) -> Reply:
    said.append(request.id)
    return reply({"bytes": len(request.body), "parameters": request.parameters, "header": request.header("x-thing")})


async def break_down(_request: Request, _said: list[str]) -> Reply:
    raise RuntimeError("a defect")


ROUTES = (Route("POST", "/echo", echo), Route("GET", "/break", break_down))


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def client(said: list[str]) -> httpx.AsyncClient:
    application = Application(ROUTES, said, answer_error=answer_error)
    return httpx.AsyncClient(transport=Inside(application), base_url="http://here")


async def test_a_well_formed_id_is_the_clients_own_and_comes_back(client: httpx.AsyncClient, said: list[str]) -> None:
    answer = await client.post("/echo", headers={"x-request-id": "mine-1"})
    assert (answer.headers["x-request-id"], said) == ("mine-1", ["mine-1"])


@pytest.mark.parametrize("strange", ["", "a b", "x" * 129, '"', "ü"])
async def test_any_other_id_is_replaced(client: httpx.AsyncClient, strange: str) -> None:
    answer = await client.post("/echo", headers={b"x-request-id": strange.encode()})
    assert answer.headers["x-request-id"].startswith("req_")


@pytest.mark.parametrize(("method", "path"), [("GET", "/nowhere"), ("GET", "/echo"), ("GET", "/break")])
async def test_an_error_is_a_problem_with_the_exchanges_id(client: httpx.AsyncClient, method: str, path: str) -> None:
    answer = await client.request(method, path)
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["requestId"] == answer.headers["x-request-id"]


async def test_parameters_and_headers_are_told_as_they_came(client: httpx.AsyncClient) -> None:
    answer = await client.post("/echo?a=1&a=&b=%20", headers={"X-Thing": "seen"})
    assert answer.json() == {"bytes": 0, "parameters": [["a", "1"], ["a", ""], ["b", " "]], "header": "seen"}


async def test_options_tells_every_method_of_a_path(client: httpx.AsyncClient) -> None:
    answer = await client.options("/echo")
    assert (answer.status_code, answer.headers["allow"]) == (204, "OPTIONS, POST")
