"""Errors as pages: what a person in a browser sees instead of a problem in JSON."""

from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Final, TypeAlias

from starlette.requests import Request
from starlette.responses import Response

from paidonce.errors import PaidonceError
from paidonce.http.context import context_of
from paidonce.http.problems import explain
from paidonce.pages.templates import Templates

Endpoint: TypeAlias = Callable[[Request], Awaitable[Response]]
TEMPLATES: Final = Templates("paidonce.pages")


def with_error_pages(endpoint: Endpoint) -> Endpoint:
    """Answer with a page where an endpoint raises. What is unexpected is logged, and becomes a 500."""

    @wraps(endpoint)
    async def answer(request: Request) -> Response:
        try:
            return await endpoint(request)
        except Exception as error:  # noqa: BLE001 - the border of the application
            return error_page(request, error)

    return answer


def error_page(request: Request, error: Exception) -> Response:
    """Show an error: its title, its explanation, and the id under which the log has it."""
    fact, (status, title) = explain(error, request.scope)
    return TEMPLATES.respond(request, "error.html", _values(request, fact, title), status=status)


def _values(request: Request, fact: PaidonceError, title: str) -> dict[str, str]:
    return {"title": title, "detail": fact.detail, "request_id": context_of(request).id}
