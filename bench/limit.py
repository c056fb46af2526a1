"""The limit: our web framework, gateway, reply and server around nothing: it reads bodies and answers from memory."""

import sys
from pathlib import Path
from typing import NamedTuple, TypeAlias
from unittest.mock import patch

import msgspec
from litestar import Controller, Litestar, get, post
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath

from paidonce.api.exchange import AnyRequest
from paidonce.api.reply import Reply
from paidonce.api.web import name_exchanges, tell_methods
from paidonce.cli.serving import run_server
from paidonce.settings import Settings


class Canned(NamedTuple):
    """A checkout as a real service answered it, to a create and to a get."""

    created: bytes
    found: bytes
    location: str


Injected: TypeAlias = NamedDependency[Canned]


class LimitController(Controller):
    """Two calls of the real controller, without what they do."""

    path = "/checkouts"

    @post()
    async def create_checkout(self, request: AnyRequest, canned: Injected) -> Reply:
        """Read the body as bytes, and answer."""
        await request.body()
        return Reply(canned.created, 201, {"Location": canned.location})

    @get("/{checkout_id:str}")
    async def get_checkout(self, checkout_id: FromPath[str], canned: Injected) -> Reply:
        """Answer."""
        del checkout_id
        return Reply(canned.found)


def main(created: Path, found: Path) -> None:
    """Serve on a free port, as ``paidonce serve`` does and from an empty memory, but with this application."""
    answer = created.read_bytes()
    canned = Canned(answer, found.read_bytes(), f"/checkouts/{msgspec.json.decode(answer)['id']}")
    app = Litestar(
        route_handlers=[LimitController],
        dependencies={"canned": Provide(lambda: canned, sync_to_thread=False)},
        openapi_config=None,
        logging_config=None,
    )
    settings = Settings(database_url="file:limit?mode=memory", port=0, log_level="error")
    with patch("paidonce.cli.serving.create_web_app", lambda _service: name_exchanges(tell_methods(app))):
        run_server(settings, with_worker=False, migrating=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
