"""The limit: our web layer and server around nothing: it reads bodies and answers from memory."""

import sys
from pathlib import Path
from typing import NamedTuple
from unittest.mock import patch

import msgspec
from paidonce.web.application import Application
from paidonce.web.reply import Reply
from paidonce.web.request import Request
from paidonce.web.routing import Route

from paidonce.api.problems import answer_error
from paidonce.cli.serving import run_server
from paidonce.settings import Settings


class Canned(NamedTuple):
    """A checkout as a real service answered it, to a create and to a get."""

    created: bytes
    found: bytes
    location: str


async def create_checkout(_request: Request, canned: Canned) -> Reply:
    """Answer; the body was read as bytes."""
    return Reply(canned.created, 201, {"Location": canned.location})


async def get_checkout(_request: Request, canned: Canned, _checkout_id: str) -> Reply:
    """Answer."""
    return Reply(canned.found)


ROUTES = (Route("POST", "/checkouts", create_checkout), Route("GET", "/checkouts/{checkout_id}", get_checkout))


def main(created: Path, found: Path) -> None:
    """Serve on a free port, as ``paidonce serve`` does and from an empty memory, but with this application."""
    answer = created.read_bytes()
    canned = Canned(answer, found.read_bytes(), f"/checkouts/{msgspec.json.decode(answer)['id']}")
    app = Application(ROUTES, canned, answer_error=answer_error)
    settings = Settings(database_url="file:limit?mode=memory", port=0, log_level="error")
    with patch("paidonce.cli.serving.create_web_app", lambda _service: app):
        run_server(settings, with_worker=False, migrating=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
