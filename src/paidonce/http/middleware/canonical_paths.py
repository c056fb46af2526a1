"""One spelling of each path: any other is not found."""

import re
from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from paidonce.errors import RouteNotFound
from paidonce.http.context import raw_path_in

# RFC 3986 lets a path part hold these as they are, and anything else percent-encoded in capital digits. What needs no
# escape may not have one: "%6B" is a second spelling of "k". Neither may a part be empty, "." or "..".
ESCAPE: Final = r"%(?!2[DE]|3[0-9]|4[1-9A-F]|5[0-9AF]|6[1-9A-F]|7[0-9AE])[0-9A-F]{2}"
PATH: Final = re.compile(rf"(?:/(?!\.{{1,2}}(?:/|\Z))(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|{ESCAPE})++)++".encode())
ROOT: Final = b"/"

# The one place where a slash may be part of a value, and then it is escaped.
LINE_BREAK: Final = b"%0A"
SLASH: Final = b"%2F"
VALUES_WITH_SLASHES: Final = b"/idempotency-keys/"


class CanonicalPaths:
    """Raises RouteNotFound for a path, as it was sent, that is not in its one spelling.

    A proxy's rule for ``/keys`` does not see ``//keys``, ``/%6Beys`` or ``/keys%2F``: none of them may be answered.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request; raises RouteNotFound."""
        raw_path = raw_path_in(scope)
        if raw_path != ROOT and (PATH.fullmatch(raw_path) is None or not _has_its_own_parts(raw_path)):
            raise RouteNotFound(
                "This path does not exist. A path has exactly one spelling, without empty segments, trailing slash or "
                "unnecessary percent-encoding."
            )
        await self._app(scope, receive, send)


def _has_its_own_parts(raw_path: bytes) -> bool:
    """Tell whether a slash is between two parts where it stands as itself, and inside a value where it is escaped."""
    if raw_path.endswith(LINE_BREAK):
        return False  # A pattern's end is also before a line break.
    if raw_path.startswith(VALUES_WITH_SLASHES):
        return b"/" not in raw_path[len(VALUES_WITH_SLASHES) :]
    return SLASH not in raw_path
