"""Errors as pages: what a person in a browser sees instead of a problem in JSON."""

from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from paidonce.http.context import context_of
from paidonce.http.problems import explain
from paidonce.pages.templates import Templates

TEMPLATES: Final = Templates("paidonce.pages")
PLAIN_TEXT: Final = ("content-length", "content-type")  # The headers that are the problem's own, and not the error's.


def wants_page(request: Request) -> bool:
    """Tell whether a browser asks for a page, as it does for what a person opens or sends."""
    return "text/html" in request.headers.get("accept", "")


def error_page(request: Request, error: Exception, problem: Response) -> Response:
    """Show an error: its title, its explanation, and the id under which the log has it. ``problem`` is its response in
    JSON, whose status and headers the page has.
    """
    fact, (_, title) = explain(error, request.scope)
    headers = {name: value for name, value in problem.headers.items() if name not in PLAIN_TEXT}
    values = {"title": title, "detail": fact.detail, "request_id": context_of(request).id}
    return TEMPLATES.respond(request, "error.html", values, status=problem.status_code, headers=headers)
