"""Every page and action of the dashboard, the least role that it takes, and how a person uses it.

A new declaration needs a line here. A path with a variable part needs ``prepare``, which makes what the path names and
returns its values; so does an action that needs something to act on. It is called anew for each test.
"""

import re
from base64 import b32decode
from collections.abc import Awaitable, Callable, Mapping
from html import unescape
from typing import Final, NamedTuple, TypeAlias

from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP

from paidonce import ids
from paidonce.merchants.model import OPERATOR
from paidonce.users.actions import ChangeUser, WantedUser, change_users
from paidonce.users.model import Role, hash_token
from tests.support.dashboard_client import PASSWORD, DashboardClient, Fields, logged_in
from tests.support.fake_connector import CREDENTIALS
from tests.support.in_process_service import NOW, InProcessService

Prepare: TypeAlias = Callable[[InProcessService], Awaitable[Mapping[str, str]]]
Fill: TypeAlias = Callable[[DashboardClient], Awaitable[Fields]]


class Line(NamedTuple):
    """``role`` is the least one; None: it is open to everybody. ``fields`` is a form that the action accepts.

    ``fill`` reads the fields from the page of the form, where the page makes them.
    ``has_effect`` is False for an action that commits nothing. ``ends_session`` tells that of an action.
    ``has_mode`` is False for what both modes of a merchant share.
    """

    role: Role | None
    fields: Fields | None = None
    prepare: Prepare | None = None
    fill: Fill | None = None
    has_effect: bool = True
    ends_session: bool = False
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


async def an_attempt(running: InProcessService) -> Mapping[str, str]:
    return {"attempt_id": (await running.paying())["attempt"]["id"]}


async def an_endpoint(running: InProcessService) -> Mapping[str, str]:
    return {"endpoint_id": (await running.delivery())[0]}


async def a_paused_endpoint(running: InProcessService) -> Mapping[str, str]:
    endpoint_id, _ = await running.delivery()
    headers = {"Authorization": f"Bearer {running.merchant_key}"}
    await running.http.patch(f"/webhook-endpoints/{endpoint_id}", json={"enabled": False}, headers=headers)
    return {"endpoint_id": endpoint_id}


async def a_delivery(running: InProcessService) -> Mapping[str, str]:
    return {"delivery_id": (await running.delivery())[1]}


async def an_event(running: InProcessService) -> Mapping[str, str]:
    await running.checkout()
    return {"event_id": (await running.get("/events")).json()["data"][0]["id"]}


async def a_key(running: InProcessService) -> Mapping[str, str]:
    return {"key_id": (await running.issued(running.merchant_id)).key.id}


async def an_operators_key(running: InProcessService) -> Mapping[str, str]:
    return {"key_id": (await running.issued(OPERATOR)).key.id}


async def an_account(running: InProcessService) -> Mapping[str, str]:
    made = await running.made("/provider-accounts", {"provider": "fake", "credentials": CREDENTIALS})
    return {"account_id": made["id"]}


async def a_disabled_account(running: InProcessService) -> Mapping[str, str]:
    values = await an_account(running)
    await running.made(f"/provider-accounts/{values['account_id']}/disable")
    return values


async def a_webhook_to_apply(running: InProcessService) -> Mapping[str, str]:
    await running.provider_webhook("msg_to_apply")
    return {}


async def a_second_factor(person: DashboardClient) -> Fields:
    """Set up an app as the page shows; returns what the form sends."""
    page = (await person.get("/dashboard/account/second-factor")).text
    sealed, secret = (
        re.search(pattern, page)
        for pattern in (r'name="sealed" value="([^"]+)"', r'class="code">((?:[A-Z2-7]{4} ?)+)<')
    )
    assert sealed is not None
    assert secret is not None
    code = TOTP(b32decode(secret[1].replace(" ", "")), 6, SHA1(), 30).generate(NOW // 1000).decode()
    return {"sealed": unescape(sealed[1]), "code": code}


TENANT: Final = "/dashboard/m/{merchant_id}/{mode}"
SECRET_FIELDS: Final = {f"credentials.{name}": value for name, value in CREDENTIALS.items()}
ENDPOINT_FIELDS: Final = {"url": "http://127.0.0.1:9/webhooks"}
ADMINS: Final = Role.ADMIN

OPERATIONS: Final[Mapping[str, Line]] = {
    f"GET {TENANT}/review": Line(Role.VIEWER),
    f"GET {TENANT}/review/{{attempt_id}}": Line(Role.VIEWER, prepare=an_attempt),
    f"GET {TENANT}/webhooks": Line(Role.VIEWER),
    f"POST {TENANT}/webhooks": Line(ADMINS, ENDPOINT_FIELDS),
    f"GET {TENANT}/webhooks/{{endpoint_id}}": Line(Role.VIEWER, prepare=an_endpoint),
    f"POST {TENANT}/webhooks/{{endpoint_id}}/change": Line(ADMINS, ENDPOINT_FIELDS, an_endpoint),
    f"POST {TENANT}/webhooks/{{endpoint_id}}/pause": Line(ADMINS, prepare=an_endpoint),
    f"POST {TENANT}/webhooks/{{endpoint_id}}/resume": Line(ADMINS, prepare=a_paused_endpoint),
    f"POST {TENANT}/webhooks/{{endpoint_id}}/delete": Line(ADMINS, prepare=an_endpoint),
    f"POST {TENANT}/webhooks/{{endpoint_id}}/rotate": Line(ADMINS, prepare=an_endpoint),
    f"POST {TENANT}/webhooks/{{endpoint_id}}/test": Line(ADMINS, prepare=an_endpoint),
    f"POST {TENANT}/webhooks/{{endpoint_id}}/redeliver": Line(
        ADMINS, {"fromSequence": "1", "toSequence": "2"}, an_endpoint
    ),
    f"POST {TENANT}/webhooks/{{endpoint_id}}/redeliver-failed": Line(ADMINS, {"since": "2020-01-01"}, an_endpoint),
    f"GET {TENANT}/deliveries/{{delivery_id}}": Line(Role.VIEWER, prepare=a_delivery),
    f"POST {TENANT}/deliveries/{{delivery_id}}/redeliver": Line(ADMINS, prepare=a_delivery),
    f"GET {TENANT}/events": Line(Role.VIEWER),
    f"GET {TENANT}/events/stream": Line(Role.VIEWER),
    f"GET {TENANT}/events/{{event_id}}": Line(Role.VIEWER, prepare=an_event),
    f"GET {TENANT}/keys": Line(ADMINS),
    f"POST {TENANT}/keys": Line(ADMINS),
    f"POST {TENANT}/keys/{{key_id}}/rotate": Line(ADMINS, {"overlapSeconds": "60"}, a_key),
    f"POST {TENANT}/keys/{{key_id}}/revoke": Line(ADMINS, prepare=a_key),
    f"GET {TENANT}/accounts": Line(Role.VIEWER),
    f"POST {TENANT}/accounts": Line(ADMINS, {"provider": "fake", **SECRET_FIELDS}),
    f"GET {TENANT}/accounts/{{account_id}}": Line(Role.VIEWER, prepare=an_account),
    f"POST {TENANT}/accounts/{{account_id}}/check": Line(ADMINS, prepare=an_account, has_effect=False),
    f"POST {TENANT}/accounts/{{account_id}}/rotate": Line(ADMINS, SECRET_FIELDS, an_account),
    f"POST {TENANT}/accounts/{{account_id}}/position": Line(ADMINS, {"position": "7"}, an_account),
    f"POST {TENANT}/accounts/{{account_id}}/disable": Line(ADMINS, prepare=an_account),
    f"POST {TENANT}/accounts/{{account_id}}/enable": Line(ADMINS, prepare=a_disabled_account),
    "GET /dashboard/operator/review": Line(Role.OPERATOR),
    "GET /dashboard/operator/review/attempts/{attempt_id}": Line(Role.OPERATOR, prepare=an_attempt),
    "POST /dashboard/operator/review/attempts/{attempt_id}/resolve": Line(
        Role.OPERATOR, {"outcome": "SUCCEEDED", "reference": "ch_1"}, an_attempt
    ),
    "POST /dashboard/operator/review/replay": Line(
        Role.OPERATOR, {"provider": "simulator", "id": "msg_to_apply"}, a_webhook_to_apply
    ),
    "POST /dashboard/operator/review/dismiss": Line(
        Role.OPERATOR, {"provider": "simulator", "id": "msg_to_apply"}, a_webhook_to_apply
    ),
    "GET /dashboard/operator/merchants": Line(Role.OPERATOR),
    "POST /dashboard/operator/merchants": Line(Role.OPERATOR, {"id": "m_new"}),
    "GET /dashboard/operator/keys": Line(Role.OPERATOR),
    "POST /dashboard/operator/keys/{key_id}/revoke": Line(Role.OPERATOR, prepare=an_operators_key),
    "GET /dashboard/operator/settings": Line(Role.OPERATOR),
}

LINES: Final[Mapping[str, Line]] = {
    "GET /dashboard": Line(Role.VIEWER),
    **OPERATIONS,
    "GET /dashboard/m/{merchant_id}/{mode}": Line(Role.VIEWER),
    "GET /dashboard/m/{merchant_id}/{mode}/payments": Line(Role.VIEWER),
    "GET /dashboard/m/{merchant_id}/{mode}/payments/export": Line(Role.VIEWER),
    "GET /dashboard/m/{merchant_id}/{mode}/branding": Line(Role.ADMIN),
    "POST /dashboard/m/{merchant_id}/{mode}/branding": Line(Role.ADMIN, {"displayName": "Another"}),
    "GET /dashboard/login": Line(None),
    "POST /dashboard/login": Line(None, {"email": "a@example.com", "password": "wrong"}),
    "GET /dashboard/login/code": Line(None),
    "POST /dashboard/login/code": Line(None, {"code": "123456"}),
    "GET /dashboard/login/{token}": Line(None, prepare=a_link),
    "POST /dashboard/login/{token}": Line(None, prepare=a_link),
    "POST /dashboard/logout": Line(Role.VIEWER, ends_session=True),
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
        Role.VIEWER, {"password": PASSWORD, "newPassword": "another long password"}
    ),
    "GET /dashboard/account/second-factor": Line(Role.VIEWER),
    "POST /dashboard/account/second-factor": Line(Role.VIEWER, fill=a_second_factor),
    "POST /dashboard/account/second-factor/remove": Line(Role.VIEWER, {"password": PASSWORD}),
    "POST /dashboard/account/sessions/{session_id}/end": Line(Role.VIEWER, prepare=a_session),
    "POST /dashboard/account/sessions/end": Line(Role.VIEWER),
    "GET /dashboard/m/{merchant_id}/{mode}/users": Line(Role.ADMIN),
    "POST /dashboard/m/{merchant_id}/{mode}/users": Line(Role.ADMIN, {"email": "new@example.com", "role": "viewer"}),
    "POST /dashboard/m/{merchant_id}/{mode}/users/{user_id}": Line(
        Role.ADMIN, {"change": "link"}, prepare=a_user, has_mode=False
    ),
    "GET /dashboard/operator/users": Line(Role.OPERATOR),
    "POST /dashboard/operator/users": Line(Role.OPERATOR, {"email": "other@example.com", "role": "operator"}),
    "POST /dashboard/operator/users/{user_id}": Line(Role.OPERATOR, {"change": "disable"}, prepare=a_user),
    "GET /dashboard/m/{merchant_id}/{mode}/audit": Line(Role.ADMIN),
    "GET /dashboard/operator/audit": Line(Role.OPERATOR),
}
