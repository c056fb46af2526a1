"""What the service says of itself: health, the OpenAPI document, and that document for people."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from paidonce import __version__
from paidonce.api.answers import Health
from paidonce.api.docs import render_docs
from paidonce.api.openapi import build_document
from paidonce.database.migrate import schema_version
from paidonce.database.schema import SCHEMA_VERSION
from paidonce.database.transaction import Transaction
from paidonce.errors import DatabaseUnavailable
from paidonce.service import Service
from paidonce.web.reply import Reply, encode, reply
from paidonce.web.request import Request
from paidonce.web.routing import Route

PAGE_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


def read_schema_versions(transaction: Transaction, requests: Sequence[None]) -> list[str | None]:
    """Read which migration the database has."""
    version = schema_version(transaction.connection)
    return [version for _ in requests]


async def live(_request: Request, _service: Service) -> Reply:
    """Say that the process lives."""
    return reply(Health("live", __version__))


async def ready(_request: Request, service: Service) -> Reply:
    """Say whether the database answers and has every migration."""
    version = await service.reader.submit(read_schema_versions, None)
    if version != SCHEMA_VERSION:
        raise DatabaseUnavailable
    health = Health("ready", __version__, service.database.url.shown, version)
    return reply(health)


async def openapi(request: Request, _service: Service) -> Reply:
    """Show the OpenAPI document."""
    return Reply(_document(request.routes))


async def docs(request: Request, _service: Service) -> Reply:
    """Show the OpenAPI document as a page, which the browser lets load nothing from anywhere."""
    page = _page(request.routes, request.base_url).encode()
    return Reply(page, 200, {"Content-Security-Policy": PAGE_POLICY}, b"text/html; charset=utf-8")


@lru_cache(maxsize=1)
def _document(routes: Sequence[Route]) -> bytes:
    return encode(build_document(routes))


@lru_cache(maxsize=8)
def _page(routes: Sequence[Route], base_url: str) -> str:
    return render_docs(build_document(routes), base_url)
