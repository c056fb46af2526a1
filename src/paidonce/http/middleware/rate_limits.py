"""Rate limits and fair concurrency, around every request: what http/rate_limits.py decides, as ASGI middleware."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from paidonce.errors import PaidonceError
from paidonce.http.context import context_in
from paidonce.http.middleware.large_responses import PIECE_BYTES, send_in_pieces
from paidonce.http.problems import ErrorResponse, problem_response
from paidonce.http.rate_limits import RateLimiter


class RateLimits:
    """Holds each request against its address, and tells each response what is left."""

    def __init__(self, app: ASGIApp, limits: RateLimiter, error_response: ErrorResponse = problem_response) -> None:
        self._app = app
        self._limits = limits
        self._error_response = error_response

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it for its address."""
        context = context_in(scope)

        async def send_with_limits(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = await self._limits.before_response(context, message["status"])
                message["headers"] = [*message["headers"], *headers]
            elif not message.get("more_body", False):
                body = message.get("body", b"")
                self._limits.count_response(context, len(body))
                if len(body) > PIECE_BYTES:
                    await send_in_pieces(body, send, path=scope["path"])
                    return
            await send(message)

        try:
            try:
                self._limits.enter(context)
            except PaidonceError as refusal:
                await self._error_response(refusal, scope)(scope, receive, send_with_limits)
            else:
                await self._app(scope, receive, send_with_limits)
        finally:
            self._limits.leave(context)
