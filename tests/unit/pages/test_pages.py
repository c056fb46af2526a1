"""What all pages share: templates, assets, response headers, and errors as pages."""

import re
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from jinja2 import UndefinedError
from starlette.requests import Request
from starlette.routing import Router
from starlette.types import ASGIApp, Receive, Scope, Send

from paidonce.errors import MethodNotAllowed
from paidonce.http.context import CONTEXT, RequestContext
from paidonce.http.problems import problem_response
from paidonce.pages.assets import asset_path, asset_routes
from paidonce.pages.errors import error_page
from paidonce.pages.templates import Templates
from tests.support.in_process_service import open_in_process_service

SHARED = Templates("paidonce.pages")
VALUES = {"title": "<b>Not found</b>", "detail": 'It\'s "gone" & away', "request_id": "req_1"}


def in_context(app: ASGIApp) -> ASGIApp:
    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        scope[CONTEXT] = RequestContext(id="req_7", operations=())
        await app(scope, receive, send)

    return answer


async def get(app: ASGIApp, path: str) -> httpx.Response:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        return await client.get(path)


def test_a_template_escapes_every_value() -> None:
    html = SHARED.render("error.html", VALUES)
    assert "<b>" not in html
    assert "&lt;b&gt;Not found&lt;/b&gt;" in html
    assert "It&#39;s &#34;gone&#34; &amp; away" in html


def test_a_value_that_a_template_needs_and_is_not_given_fails() -> None:
    with pytest.raises(UndefinedError, match="detail"):
        SHARED.render("error.html", {"title": "x", "request_id": "x"})


def test_assets_are_linked_under_the_prefix_at_which_the_application_is_mounted() -> None:
    assert f'href="/shop{asset_path("pages.css")}"' in SHARED.render("error.html", {**VALUES, "prefix": "/shop"})


async def test_an_asset_is_kept_for_ever_under_a_path_with_the_digest_of_its_content() -> None:
    path = asset_path("pages.css")
    assert re.fullmatch(r"/assets/pages\.[0-9a-f]{12}\.css", path)
    response = await get(in_context(Router(asset_routes())), path)
    assert (response.status_code, response.headers["content-type"]) == (200, "text/css; charset=utf-8")
    assert response.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert b"prefers-color-scheme: dark" in response.content


async def test_an_error_is_shown_as_a_page_with_its_status_and_the_id_of_the_request() -> None:
    async def route(scope: Scope, receive: Receive, send: Send) -> None:
        error = MethodNotAllowed("PUT", ["GET"])
        await error_page(Request(scope), error, problem_response(error, scope))(scope, receive, send)

    shown = await get(in_context(route), "/dashboard")
    assert (shown.status_code, shown.headers["content-type"]) == (405, "text/html; charset=utf-8")
    assert "<h1>Method not allowed</h1>" in shown.text
    assert "req_7" in shown.text
    assert shown.headers["allow"] == "GET"
    policy = shown.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; ")
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy


async def test_the_application_serves_the_assets_and_no_other_file(sqlite_url: str, tmp_path: Path) -> None:
    async with open_in_process_service(sqlite_url, str(tmp_path)) as running:
        assert (await running.http.get(asset_path("pages.css"))).status_code == 200
        for path in ("/assets/pages.css", "/assets/..%2Fapp.py", "/assets/pages.000000000000.css"):
            assert (await running.http.get(path)).status_code == 404


TICKING = """
import asyncio
from paidonce.pages.templates import Templates

async def main():
    loading, ticks = asyncio.create_task(Templates("paidonce.buyer_pages").load()), 0
    while not loading.done():
        await asyncio.sleep(0)
        ticks += 1
    await loading
    print(ticks)

asyncio.run(main())
"""


def test_while_templates_are_loaded_for_the_first_page_others_are_answered() -> None:
    ticks = subprocess.run([sys.executable, "-c", TICKING], capture_output=True, text=True, check=True)
    assert int(ticks.stdout) > 10
