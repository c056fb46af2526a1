"""The calls about the service itself: health, the OpenAPI document, that document as a page, and the start page."""

from collections.abc import Sequence
from functools import cache
from typing import Final, NamedTuple

import msgspec
from starlette.responses import HTMLResponse, Response

from paidonce import __version__
from paidonce.database.migrate import schema_version
from paidonce.database.schema import SCHEMA_VERSION
from paidonce.database.transaction import Transaction
from paidonce.errors import DatabaseUnavailable
from paidonce.http.context import prefix_in
from paidonce.http.docs import Page
from paidonce.http.openapi import build_document
from paidonce.http.operation import Operation, ResponseSpec, get
from paidonce.http.request import ApiRequest
from paidonce.http.responses import JSON, encode, json_response
from paidonce.merchants.model import Scope

TAG: Final = "Service"
# Its links are relative, so that they hold wherever the application is mounted.
HOME: Final = f"""\
<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>paidonce</title></head>
<body>
<h1>paidonce {__version__}</h1>
<p>A checkout and payment service with an HTTP API: one purchase, one charge.</p>
<ul>
<li><a href="docs">API documentation</a>, with an example of each call</li>
<li><a href="openapi.json">OpenAPI document</a>, for programs</li>
<li><a href="health/ready">Health check</a></li>
</ul>
</body>
</html>
"""


class HealthResponse(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """The status of the service. An operator's API key also gets the release, the database and its schema version."""

    status: str
    version: str | None = None
    database: str | None = None
    schema: str | None = None


class Pages(NamedTuple):
    """The OpenAPI document as JSON, and as a page."""

    document: bytes
    page: Page


@cache
def render_pages(operations: Sequence[Operation], prefix: str = "") -> Pages:
    """Render both, once and before anybody asks: that takes tens of milliseconds, in which nobody else is answered.

    ``prefix`` is where the application is mounted.
    """
    document = build_document(operations, url=prefix or "/")
    return Pages(encode(document), Page(document))


def read_schema_versions(transaction: Transaction, requests: Sequence[None]) -> list[str | None]:
    """Read which migration the database has."""
    version = schema_version(transaction.connection)
    return [version for _ in requests]


@get(
    "/health/live",
    operation_id="live",
    tag=TAG,
    summary="Check whether the process is alive",
    responses={200: ResponseSpec(description="It is.", schema=HealthResponse)},
    touches_database=False,
)
async def live(_request: ApiRequest) -> Response:
    """Respond."""
    return json_response(HealthResponse("live"))


@get(
    "/health/ready",
    operation_id="ready",
    tag=TAG,
    summary="Check whether it can take requests",
    description="It can when the database answers and has every migration.",
    details_scope=Scope.ADMIN,
    responses={200: ResponseSpec(description="It can.", schema=HealthResponse)},
    errors=[DatabaseUnavailable],
)
async def ready(request: ApiRequest) -> Response:
    """Tell whether the database answers and has every migration; which database it is, only to an operator."""
    version = await request.service.reader.submit(read_schema_versions, None)
    if version != SCHEMA_VERSION:
        raise DatabaseUnavailable
    if Scope.ADMIN not in request.caller.scopes:
        return json_response(HealthResponse("ready"))
    return json_response(HealthResponse("ready", __version__, request.service.database.url.shown, version))


@get(
    "/openapi.json",
    operation_id="openapi",
    tag=TAG,
    summary="Get this document",
    responses={200: ResponseSpec(description="OpenAPI 3.1.", schema=dict)},
    touches_database=False,
)
async def openapi(request: ApiRequest) -> Response:
    """Return the OpenAPI document."""
    return Response(_pages(request).document, media_type=JSON)


@get(
    "/docs",
    operation_id="docs",
    tag=TAG,
    summary="Read this document as a page",
    responses={200: ResponseSpec(description="A page that loads nothing from other hosts.", media_type="text/html")},
    touches_database=False,
)
async def docs(request: ApiRequest) -> Response:
    """Return the OpenAPI document as a page, which the browser lets load nothing from anywhere."""
    page = _pages(request).page
    headers = {"Content-Security-Policy": page.policy}
    scope = request.http.scope
    url = f"{scope['scheme']}://{request.http.headers.get('host', 'localhost')}{prefix_in(scope)}"
    return HTMLResponse(page.at(url), 200, headers)


@get(
    "/",
    operation_id="home",
    tag=TAG,
    summary="See where to read on",
    responses={200: ResponseSpec(description="A short page that links to the documentation.", media_type="text/html")},
    touches_database=False,
)
async def home(_request: ApiRequest) -> Response:
    """Return a page that says what this is, and where to read on."""
    return HTMLResponse(HOME)


def _pages(request: ApiRequest) -> Pages:
    return render_pages(request.context.operations, prefix_in(request.http.scope))
