"""Errors become responses: whatever is raised behind this, the client gets an answer."""

import structlog
from starlette.types import ASGIApp, Receive, Scope, Send

from paidonce.http.context import context_in
from paidonce.http.problems import ErrorResponse, problem_response

log = structlog.get_logger()


class ProblemResponses:
    """Answers what was raised with a problem, or with a page where a person reads it. A response that has begun is cut
    off instead, so that it shows.
    """

    def __init__(self, app: ASGIApp, error_response: ErrorResponse = problem_response) -> None:
        self._app = app
        self._error_response = error_response

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        try:
            await self._app(scope, receive, send)
        except Exception as error:
            context = context_in(scope)
            if context.has_begun:
                log.error("response_failed", path=scope["path"], request_id=context.id, exc_info=error)
                return
            await self._error_response(error, scope)(scope, receive, send)
