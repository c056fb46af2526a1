"""What the service says of itself: health, the OpenAPI document, and that document for people."""

from collections.abc import Sequence
from functools import cache
from typing import Final, NamedTuple

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from paidonce import __version__
from paidonce.database.migrate import schema_version
from paidonce.database.schema import SCHEMA_VERSION
from paidonce.database.transaction import Transaction
from paidonce.errors import DatabaseUnavailable
from paidonce.http.answers import Health
from paidonce.http.context import context_of, prefix_in
from paidonce.http.declarations import Call
from paidonce.http.docs import Page
from paidonce.http.exchange import caller_of
from paidonce.http.openapi import build_document
from paidonce.http.responses import JSON, encode, reply
from paidonce.merchants.model import Scope
from paidonce.service import Service

# Its links are relative, so that they hold wherever the application is mounted.
HOME: Final = f"""\
<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>paidonce</title></head>
<body>
<h1>paidonce {__version__}</h1>
<p>This is a checkout and payment service: one purchase, one charge. It is called over HTTP.</p>
<ul>
<li><a href="docs">Documentation of all calls</a>, with an example of each</li>
<li><a href="openapi.json">OpenAPI document</a>, for programs</li>
<li><a href="health/ready">Whether the service is ready</a></li>
</ul>
</body>
</html>
"""


class Pages(NamedTuple):
    """What is answered as it was made: the OpenAPI document as JSON, and as a page."""

    document: bytes
    page: Page


@cache
def render_pages(calls: Sequence[Call], prefix: str = "") -> Pages:
    """Render both, once and before anybody asks: that takes tens of milliseconds, in which nobody else is answered.

    ``prefix`` is where the application is mounted.
    """
    document = build_document(calls, url=prefix or "/")
    return Pages(encode(document), Page(document))


def read_schema_versions(transaction: Transaction, requests: Sequence[None]) -> list[str | None]:
    """Read which migration the database has."""
    version = schema_version(transaction.connection)
    return [version for _ in requests]


async def live(_request: Request, _service: Service) -> Response:
    """Say that the process lives."""
    return reply(Health("live"))


async def ready(request: Request, service: Service) -> Response:
    """Say whether the database answers and has every migration; which database it is, only to an operator."""
    version = await service.reader.submit(read_schema_versions, None)
    if version != SCHEMA_VERSION:
        raise DatabaseUnavailable
    if Scope.ADMIN not in caller_of(request).scopes:
        return reply(Health("ready"))
    return reply(Health("ready", __version__, service.database.url.shown, version))


async def openapi(request: Request, _service: Service) -> Response:
    """Show the OpenAPI document."""
    return Response(_pages(request).document, media_type=JSON)


async def docs(request: Request, _service: Service) -> Response:
    """Show the OpenAPI document as a page, which the browser lets load nothing from anywhere."""
    page = _pages(request).page
    headers = {"Content-Security-Policy": page.policy}
    url = f"{request.scope['scheme']}://{request.headers.get('host', 'localhost')}{prefix_in(request.scope)}"
    return HTMLResponse(page.at(url), 200, headers)


async def home(_request: Request, _service: Service) -> Response:
    """Show what this is, and where to read on."""
    return HTMLResponse(HOME)


def _pages(request: Request) -> Pages:
    return render_pages(context_of(request).calls, prefix_in(request.scope))
