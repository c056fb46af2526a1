"""Every page and action of the dashboard, the least role that it takes, and how a person uses it.

A new declaration needs a line here. A path with a variable part needs ``prepare``, which makes what the path names and
returns its values; so does an action that needs something to act on. It is called anew for each test.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Final, NamedTuple, TypeAlias

from paidonce import ids
from paidonce.users.actions import ChangeUser, WantedUser, change_users
from paidonce.users.model import Role, hash_token
from tests.support.dashboard_client import PASSWORD, Fields, logged_in
from tests.support.in_process_service import InProcessService

Prepare: TypeAlias = Callable[[InProcessService], Awaitable[Mapping[str, str]]]


class Line(NamedTuple):
    """``role`` is the least one; None: it is open to everybody. ``fields`` is a form that the action accepts.

    ``is_repeatable`` is False for an action that cannot be sent twice, because it ends the session or the form.
    ``has_mode`` is False for what both modes of a merchant share.
    """

    role: Role | None
    fields: Fields | None = None
    prepare: Prepare | None = None
    is_repeatable: bool = True
    has_mode: bool = True


async def a_paid_checkout(running: InProcessService) -> Mapping[str, str]:
    return {"checkout_id": await running.paid()}


async def a_link(running: InProcessService) -> Mapping[str, str]:
    """Give a user a one-time link; returns its token."""
    person = await logged_in(running)
    token = ids.new_token()
    user = WantedUser(person.user.id, None)
    await running.service.writer.submit(change_users, ChangeUser(user=user, link_hash=hash_token(token)))
    return {"token": token}


async def an_open_checkout(running: InProcessService) -> Mapping[str, str]:
    return {"checkout_id": await running.checkout()}


async def an_authorized_checkout(running: InProcessService) -> Mapping[str, str]:
    return {"checkout_id": await running.authorized()}


async def a_session(_running: InProcessService) -> Mapping[str, str]:
    """Name a session that nobody has: each person ends their own."""
    return {"session_id": ids.new_id(ids.USER_SESSION)}


async def a_user(running: InProcessService) -> Mapping[str, str]:
    return {"user_id": (await logged_in(running, Role.ADMIN)).user.id}


LINES: Final[Mapping[str, Line]] = {
    "GET /dashboard": Line(Role.VIEWER),
    "GET /dashboard/m/{merchant_id}/{mode}": Line(Role.VIEWER),
    "GET /dashboard/m/{merchant_id}/{mode}/payments": Line(Role.VIEWER),
    "GET /dashboard/m/{merchant_id}/{mode}/payments/export": Line(Role.VIEWER),
    "GET /dashboard/m/{merchant_id}/{mode}/branding": Line(Role.ADMIN),
    "POST /dashboard/m/{merchant_id}/{mode}/branding": Line(Role.ADMIN, {"displayName": "Another"}),
    "GET /dashboard/login": Line(None),
    "POST /dashboard/login": Line(None, {"email": "a@example.com", "password": "wrong"}, is_repeatable=False),
    "GET /dashboard/login/code": Line(None),
    "POST /dashboard/login/code": Line(None, {"code": "123456"}, is_repeatable=False),
    "GET /dashboard/login/{token}": Line(None, prepare=a_link),
    "POST /dashboard/login/{token}": Line(None, prepare=a_link, is_repeatable=False),
    "POST /dashboard/logout": Line(Role.VIEWER, is_repeatable=False),
    "GET /dashboard/m/{merchant_id}/{mode}/payments/{checkout_id}": Line(Role.VIEWER, prepare=a_paid_checkout),
    "POST /dashboard/m/{merchant_id}/{mode}/payments/{checkout_id}/capture": Line(
        Role.REFUNDS, {"amount": "5.00"}, an_authorized_checkout
    ),
    "POST /dashboard/m/{merchant_id}/{mode}/payments/{checkout_id}/cancel": Line(Role.REFUNDS, {}, an_open_checkout),
    "POST /dashboard/m/{merchant_id}/{mode}/payments/{checkout_id}/refund": Line(
        Role.REFUNDS, {"amount": "1.00", "reason": "returned"}, a_paid_checkout
    ),
    "GET /dashboard/account": Line(Role.VIEWER),
    "POST /dashboard/account/password": Line(
        Role.VIEWER, {"password": PASSWORD, "newPassword": "another long password"}, is_repeatable=False
    ),
    "GET /dashboard/account/second-factor": Line(Role.VIEWER),
    # What the page has shown is needed: tests/unit/dashboard/test_account.py.
    "POST /dashboard/account/second-factor": Line(Role.VIEWER, {"sealed": "", "code": ""}, is_repeatable=False),
    "POST /dashboard/account/second-factor/remove": Line(Role.VIEWER, {"password": PASSWORD}, is_repeatable=False),
    "POST /dashboard/account/sessions/{session_id}/end": Line(Role.VIEWER, prepare=a_session, is_repeatable=False),
    "POST /dashboard/account/sessions/end": Line(Role.VIEWER, is_repeatable=False),
    "GET /dashboard/m/{merchant_id}/{mode}/users": Line(Role.ADMIN),
    "POST /dashboard/m/{merchant_id}/{mode}/users": Line(Role.ADMIN, {"email": "new@example.com", "role": "viewer"}),
    "POST /dashboard/m/{merchant_id}/{mode}/users/{user_id}": Line(
        Role.ADMIN, {"change": "link"}, prepare=a_user, has_mode=False
    ),
    "GET /dashboard/operator/users": Line(Role.OPERATOR),
    "POST /dashboard/operator/users": Line(Role.OPERATOR, {"email": "other@example.com", "role": "operator"}),
    "POST /dashboard/operator/users/{user_id}": Line(Role.OPERATOR, {"change": "disable"}, prepare=a_user),
    "GET /dashboard/operator/audit": Line(Role.OPERATOR),
}
