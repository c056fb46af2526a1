"""Errors as pages for buyers, in their language: what they see instead of a problem in JSON."""

from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from paidonce.buyer_pages.view import TEMPLATES, language_of, language_values, plain_headers
from paidonce.pages.errors import PLAIN_TEXT

BUSY: Final = frozenset({429, 503})  # It may succeed in a moment, so the page loads itself again.
NOT_FOUND: Final = 404
REFRESH_SECONDS_MIN: Final = 2


def error_page(request: Request, problem: Response) -> Response:
    """Write an error as a page, with the status and the headers that its problem has."""
    if problem.status_code == NOT_FOUND:
        return missing_page(request)
    is_busy = problem.status_code in BUSY
    wait_seconds = int(problem.headers.get("retry-after", "0"))
    values = {
        **language_values(language_of(request)),
        "is_busy": is_busy,
        "refresh_seconds": max(wait_seconds, REFRESH_SECONDS_MIN) if is_busy else None,
    }
    headers = {name: value for name, value in problem.headers.items() if name not in PLAIN_TEXT}
    return TEMPLATES.respond(
        request, "failed.html", values, status=problem.status_code, headers=headers | plain_headers()
    )


def missing_page(request: Request) -> Response:
    """Say that there is no such payment: what is not found looks the same for every token."""
    values = language_values(language_of(request))
    return TEMPLATES.respond(request, "missing.html", values, status=NOT_FOUND, headers=plain_headers())
