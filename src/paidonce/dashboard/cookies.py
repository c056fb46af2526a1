"""The cookies of the dashboard, and the CSRF token, which only a page of the same session can hold."""

import hmac
from hashlib import sha256
from typing import Final, NamedTuple
from urllib.parse import quote, unquote

from starlette.requests import Request
from starlette.responses import Response

from paidonce.dashboard.paths import PATH
from paidonce.http.context import prefix_in

SESSION: Final = "paidonce_session"
VISITOR: Final = "paidonce_visitor"  # Of somebody who is not logged in yet, so that the log-in form is protected too.
FLASH: Final = "paidonce_flash"
FLASH_SECONDS: Final = 60
FLASH_LENGTH_MAX: Final = 500


class _Place(NamedTuple):
    name: str
    path: str
    is_secure: bool


def read_cookie(request: Request, name: str) -> str:
    """Read a cookie; empty where there is none."""
    return request.cookies.get(_place(request, name).name, "")


def set_cookie(request: Request, response: Response, name: str, value: str, *, max_age: int | None = None) -> None:
    """Set a cookie that no script can read, and that other sites' forms are not sent with."""
    place = _place(request, name)
    response.set_cookie(
        place.name, value, max_age=max_age, path=place.path, secure=place.is_secure, httponly=True, samesite="lax"
    )


def delete_cookie(request: Request, response: Response, name: str) -> None:
    """Delete a cookie."""
    set_cookie(request, response, name, "", max_age=0)


def csrf_token(secret: str) -> str:
    """Return the CSRF token of a session or of a visitor, from the cookie. It reveals nothing about the cookie."""
    return hmac.new(secret.encode(), b"paidonce csrf", sha256).hexdigest()


def is_csrf_token(secret: str, given: str) -> bool:
    """Tell whether a form was sent from a page that had this cookie."""
    return bool(secret) and hmac.compare_digest(csrf_token(secret).encode(), given.encode())


def is_from_another_site(request: Request) -> bool:
    """Tell whether the browser says that a form was sent from a page of another site."""
    return request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none")


def set_flash(request: Request, response: Response, message: str) -> None:
    """Show a message on the next page."""
    set_cookie(request, response, FLASH, quote(message[:FLASH_LENGTH_MAX]), max_age=FLASH_SECONDS)


def read_flash(request: Request) -> str:
    """Read the message for this page; empty where there is none."""
    return unquote(read_cookie(request, FLASH))[:FLASH_LENGTH_MAX]


def _place(request: Request, name: str) -> _Place:
    """Tell how a cookie is named and where it is sent. Over https the name makes browsers refuse one that another host
    or an unencrypted page has set.
    """
    prefix = prefix_in(request.scope)
    if request.url.scheme != "https":
        return _Place(name, f"{prefix}{PATH}", is_secure=False)
    if prefix:
        return _Place(f"__Secure-{name}", f"{prefix}{PATH}", is_secure=True)
    return _Place(f"__Host-{name}", "/", is_secure=True)
