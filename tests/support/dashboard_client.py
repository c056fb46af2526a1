"""People who use the dashboard of a service in this process."""

import re
from collections.abc import Mapping, Sequence
from html import unescape
from typing import Final

import httpx
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from paidonce import ids
from paidonce.dashboard.cookies import SESSION, csrf_token
from paidonce.database.transaction import Transaction
from paidonce.users import store
from paidonce.users.actions import LogIn, begin_sessions
from paidonce.users.model import Role, User, hash_token
from paidonce.users.sessions import NewSession
from tests.support.in_process_service import NOW, InProcessService

Fields = Mapping[str, str | list[str]]

ADDRESS: Final = "192.0.2.1"
PASSWORD: Final = "correct horse battery"
# Cheap, so that tests need not wait for it.
PASSWORD_HASH: Final = Argon2id(salt=bytes(16), length=32, iterations=1, lanes=1, memory_cost=32).derive_phc_encoded(
    PASSWORD.encode()
)


class DashboardClient:
    """A person in a browser, who is logged in. ``http`` may lead to another application with the same service."""

    def __init__(self, http: httpx.AsyncClient, user: User, token: str) -> None:
        self.http = http
        self.user = user
        self.token = token
        self.cookies = {SESSION: token}

    async def get(self, path: str, **parameters: str) -> httpx.Response:
        return await self.http.get(path, params=parameters or None, headers=self._headers())

    async def post(
        self, path: str, fields: Fields | None = None, *, key: str | None = None, csrf: str | None = None
    ) -> httpx.Response:
        """Send a form, as a page of this person's session would."""
        form = {
            "csrfToken": csrf_token(self.token) if csrf is None else csrf,
            "idempotencyKey": key or ids.new_token(),
            **(fields or {}),
        }
        return await self.http.post(path, data=form, headers=self._headers())

    def _headers(self) -> dict[str, str]:
        return {"Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())}


async def logged_in(
    running: InProcessService,
    role: Role = Role.VIEWER,
    *,
    merchant_id: str | None = None,
    http: httpx.AsyncClient | None = None,
) -> DashboardClient:
    """Create a user with a role, of the service's merchant unless another is named, and log them in."""
    user_id = ids.new_id(ids.USER)
    user = User(
        id=user_id,
        merchant_id="" if role is Role.OPERATOR else merchant_id or running.merchant_id,
        email=f"{user_id}@example.com",
        role=role.value,
        password_hash=PASSWORD_HASH,
        created_at=NOW,
        updated_at=NOW,
    )
    await running.service.writer.submit(_insert, user)
    token = ids.new_token()
    new = NewSession(
        id=ids.new_id(ids.USER_SESSION),
        token_hash=hash_token(token),
        address=ADDRESS,
        user_agent="test",
    )
    await running.service.writer.submit(
        begin_sessions, LogIn(user_id=user_id, password_hash=PASSWORD_HASH, session=new)
    )
    return DashboardClient(http or running.http, user, token)


def _insert(transaction: Transaction, users: Sequence[User]) -> list[None]:
    store.insert_users(transaction, users)
    return [None] * len(users)


def base(running: InProcessService, mode: str = "test") -> str:
    """Return the path of the merchant's pages in a mode."""
    return f"/dashboard/m/{running.merchant_id}/{mode}"


def text_of(page: httpx.Response) -> str:
    """Return the words of a page, without its markup."""
    assert page.status_code == 200, page.text
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", page.text)).split())
