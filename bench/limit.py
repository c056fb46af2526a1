"""The upper limit: the server and the router around handlers that read bodies and answer from memory."""

import sys
from contextlib import nullcontext
from pathlib import Path
from typing import NamedTuple
from unittest.mock import patch

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, Router
from starlette.types import Receive, Scope, Send

from paidonce.cli.serving import ServerRole, run_server
from paidonce.settings import Settings

JSON = "application/json"


class Canned(NamedTuple):
    """The responses of a real service to a create and to a get."""

    created: bytes
    found: bytes
    location: str


class Create:
    """Answers a create; the body is read as bytes."""

    def __init__(self, canned: Canned) -> None:
        self._canned = canned

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await Request(scope, receive).body()
        response = Response(self._canned.created, 201, {"Location": self._canned.location}, JSON)
        await response(scope, receive, send)


class CannedApp:
    """The application."""

    def __init__(self, canned: Canned) -> None:
        routes = [
            Route("/checkouts", Create(canned), methods=["POST"]),
            Route("/checkouts/{checkout_id}", Response(canned.found, media_type=JSON), methods=["GET"]),
        ]
        self._router = Router(routes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._router(scope, receive, send)


def main(created: Path, found: Path) -> None:
    """Serve on a free port as ``paidonce serve`` does, but with this application."""
    answer = created.read_bytes()
    canned = Canned(answer, found.read_bytes(), f"/checkouts/{msgspec.json.decode(answer)['id']}")
    settings = Settings(database_url="file:limit?mode=memory", port=0, log_level="error")
    with patch("paidonce.cli.serving.open_web_app", lambda _service, **_options: nullcontext(CannedApp(canned))):
        run_server(settings, ServerRole(with_worker=False, is_for_development=True))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
