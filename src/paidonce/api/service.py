"""What the service says of itself: health, the OpenAPI document, and that document for people."""

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

from paidonce import __version__
from paidonce.api.answers import Health
from paidonce.api.docs import Page
from paidonce.api.exchange import caller_of
from paidonce.api.openapi import build_document
from paidonce.database.migrate import schema_version
from paidonce.database.schema import SCHEMA_VERSION
from paidonce.database.transaction import Transaction
from paidonce.errors import DatabaseUnavailable
from paidonce.merchants.model import Scope
from paidonce.service import Service
from paidonce.web.reply import Reply, encode, reply
from paidonce.web.request import Request
from paidonce.web.routing import Route


class Pages(NamedTuple):
    """What is answered as it was made: the OpenAPI document as JSON, and as a page."""

    document: bytes
    page: Page


@cache
def render_pages(routes: Sequence[Route]) -> Pages:
    """Render both, once and before anybody asks: that takes tens of milliseconds, in which nobody else is answered."""
    document = build_document(routes)
    return Pages(encode(document), Page(document))


def read_schema_versions(transaction: Transaction, requests: Sequence[None]) -> list[str | None]:
    """Read which migration the database has."""
    version = schema_version(transaction.connection)
    return [version for _ in requests]


async def live(_request: Request, _service: Service) -> Reply:
    """Say that the process lives."""
    return reply(Health("live"))


async def ready(request: Request, service: Service) -> Reply:
    """Say whether the database answers and has every migration; which database it is, only to an operator."""
    version = await service.reader.submit(read_schema_versions, None)
    if version != SCHEMA_VERSION:
        raise DatabaseUnavailable
    if Scope.ADMIN not in caller_of(request).scopes:
        return reply(Health("ready"))
    return reply(Health("ready", __version__, service.database.url.shown, version))


async def openapi(request: Request, _service: Service) -> Reply:
    """Show the OpenAPI document."""
    return Reply(render_pages(request.routes).document)


async def docs(request: Request, _service: Service) -> Reply:
    """Show the OpenAPI document as a page, which the browser lets load nothing from anywhere."""
    page = render_pages(request.routes).page
    headers = {"Content-Security-Policy": page.policy}
    return Reply(page.at(request.base_url), 200, headers, b"text/html; charset=utf-8")
