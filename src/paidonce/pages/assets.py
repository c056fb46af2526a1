"""Style sheets and scripts. Each has a digest of its content in its path, so that browsers may keep it for ever."""

import hashlib
from functools import cache
from importlib.resources import files
from typing import Final, NamedTuple

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from paidonce.errors import RouteNotFound

PATH: Final = "/assets"
FOLDERS: Final = ("paidonce.pages", "paidonce.buyer_pages", "paidonce.dashboard")
MEDIA_TYPES: Final = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
DIGEST_DIGITS: Final = 12
FOR_EVER: Final = {"Cache-Control": "public, max-age=31536000, immutable"}


class Asset(NamedTuple):
    """A file that pages load: its path, its bytes, and their media type."""

    path: str
    content: bytes
    media_type: str


def asset_path(name: str) -> str:
    """Return the path of an asset, such as ``/assets/pages.0f3c….css``; raises KeyError where there is none."""
    return _assets()[name].path


def load_assets() -> None:
    """Read all assets, once."""
    _by_path()


def asset_routes() -> list[Route]:
    """Return the route of all assets."""

    async def respond(request: Request) -> Response:
        asset = _by_path().get(f"{PATH}/{request.path_params['name']}")
        if asset is None:
            raise RouteNotFound("This path does not exist.")
        return Response(asset.content, 200, FOR_EVER, asset.media_type)

    return [Route(f"{PATH}/{{name}}", respond, methods=["GET"])]


@cache
def _assets() -> dict[str, Asset]:
    return {
        file.name: _load(file.name, file.read_bytes())
        for folder in FOLDERS
        for file in files(folder).joinpath("assets").iterdir()
        if file.is_file()
    }


@cache
def _by_path() -> dict[str, Asset]:
    return {asset.path: asset for asset in _assets().values()}


def _load(name: str, content: bytes) -> Asset:
    stem, dot, ending = name.rpartition(".")
    digest = hashlib.sha256(content).hexdigest()[:DIGEST_DIGITS]
    return Asset(f"{PATH}/{stem}.{digest}{dot}{ending}", content, MEDIA_TYPES[dot + ending])
