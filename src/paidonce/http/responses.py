"""Responses whose body is encoded once, by msgspec."""

from collections.abc import Mapping
from typing import Final

import msgspec
from starlette.responses import Response

encode: Final = msgspec.json.Encoder().encode

JSON: Final = "application/json"


def json_response(body: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Respond with JSON."""
    return Response(encode(body), status, headers, JSON)
