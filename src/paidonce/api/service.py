"""What the service says of itself: health, the OpenAPI document, and that document for people."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from litestar import Controller, Litestar, get

from paidonce import __version__
from paidonce.api import operations
from paidonce.api.answers import Health, encode
from paidonce.api.docs import render_docs
from paidonce.api.exchange import AnyRequest, Injected
from paidonce.api.openapi import build_document
from paidonce.api.operations import described
from paidonce.api.reply import Reply, reply
from paidonce.database.migrate import schema_version
from paidonce.database.schema import SCHEMA_VERSION
from paidonce.database.transaction import Transaction
from paidonce.errors import DatabaseUnavailable

PAGE_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


def read_schema_versions(transaction: Transaction, requests: Sequence[None]) -> list[str | None]:
    """Read which migration the database has."""
    version = schema_version(transaction.connection)
    return [version for _ in requests]


class ServiceController(Controller):
    """Health and documentation."""

    @get("/health/live", opt=described(operations.LIVE))
    async def live(self) -> Reply:
        """Say that the process lives."""
        return reply(Health("live", __version__))

    @get("/health/ready", opt=described(operations.READY))
    async def ready(self, service: Injected) -> Reply:
        """Say whether the database answers and has every migration."""
        version = await service.reader.submit(read_schema_versions, None)
        if version != SCHEMA_VERSION:
            raise DatabaseUnavailable
        health = Health("ready", __version__, service.database.url.shown, version)
        return reply(health)

    @get("/openapi.json", opt=described(operations.OPENAPI))
    async def openapi(self, request: AnyRequest) -> Reply:
        """Show the OpenAPI document."""
        return Reply(_document(request.app))

    @get("/docs", opt=described(operations.DOCS))
    async def docs(self, request: AnyRequest) -> Reply:
        """Show the OpenAPI document as a page, which the browser lets load nothing from anywhere."""
        page = _page(request.app, str(request.base_url)).encode()
        return Reply(page, 200, {"Content-Security-Policy": PAGE_POLICY}, b"text/html; charset=utf-8")


@lru_cache(maxsize=1)
def _document(app: Litestar) -> bytes:
    return encode(build_document(app))


@lru_cache(maxsize=8)
def _page(app: Litestar, base_url: str) -> str:
    return render_docs(build_document(app), base_url)
