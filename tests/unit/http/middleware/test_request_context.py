"""Every exchange has an id and an answer, whatever the request and its handler do."""

import httpx
import pytest

from tests.support.in_process_service import InProcessService


async def test_a_well_formed_id_is_the_clients_own_and_comes_back(on_sqlite: InProcessService) -> None:
    answer = await on_sqlite.http.get("/health/live", headers={"x-request-id": "mine-1"})
    assert answer.headers["x-request-id"] == "mine-1"


@pytest.mark.parametrize("strange", ["", "a b", "x" * 129, '"', "ü", "sk_test_0123456789abcdefghijklmnopqrstuvwxyzAB"])
async def test_any_other_id_and_one_that_could_be_a_secret_is_replaced(
    on_sqlite: InProcessService, strange: str
) -> None:
    answer = await on_sqlite.http.get("/health/live", headers={b"x-request-id": strange.encode()})
    assert answer.headers["x-request-id"].startswith("req_")


@pytest.mark.parametrize(("method", "path"), [("GET", "/nowhere"), ("PUT", "/checkouts"), ("GET", "/checkouts?x=1")])
async def test_an_error_is_a_problem_with_the_exchanges_id(on_sqlite: InProcessService, method: str, path: str) -> None:
    headers = {"Authorization": f"Bearer {on_sqlite.merchant_key}"}
    answer = await on_sqlite.http.request(method, path, headers=headers)
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["requestId"] == answer.headers["x-request-id"]


async def test_a_defect_is_a_problem_too_and_the_log_has_it_with_the_exchanges_id(
    on_sqlite: InProcessService, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    async def break_down(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(on_sqlite.service.api_key_cache, "find", break_down)
    answer = await on_sqlite.get("/checkouts")
    assert (answer.status_code, answer.json()["code"]) == (500, "internal_error")
    logged = "".join(capfd.readouterr())
    assert ("ZeroDivisionError" in logged, answer.json()["requestId"] in logged) == (True, True)


async def test_the_first_page_leads_to_the_documents(on_sqlite: InProcessService) -> None:
    page = await on_sqlite.http.get("/")
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert '<a href="docs">' in page.text
    assert (await on_sqlite.http.get(str(httpx.URL("/").join("docs")))).status_code == 200
