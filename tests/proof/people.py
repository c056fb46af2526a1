"""A story about people who use the dashboard: who was let in is in, and whose session ended is not."""

import asyncio
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout, suppress
from io import StringIO
from typing import Final

from paidonce import ids
from paidonce.cli.users import change_role, create_user, end_all_sessions, print_link
from paidonce.errors import EmailTaken
from paidonce.merchants.model import Mode, Tenant
from paidonce.profiles.actions import ChangeProfile, change_profiles
from paidonce.users.actions import (
    ChangeUser,
    LogIn,
    NewUser,
    SetTotp,
    UseLink,
    VerifySession,
    WantedUser,
    begin_sessions,
    change_users,
    create_users,
    load_users,
    set_totp,
    use_links,
    verify_sessions,
)
from paidonce.users.audit import DONE, record_entries, record_outcomes
from paidonce.users.audit_store import AuditEntry, AuditOutcome
from paidonce.users.first_user import FirstLink, link_first_users
from paidonce.users.model import Role, User, hash_token
from paidonce.users.sessions import EndSessions, NewSession, end_sessions, list_sessions, load_people, use_sessions
from tests.proof.buyer import Buyer

PASSWORD_HASH: Final = "$argon2id$of-no-password"


async def users_desk(buyer: Buyer) -> None:
    """An operator lets somebody in, who logs in with a link, a password and a second factor, and out again."""
    service = buyer.service
    buyer.arm()
    await buyer.create()
    await service.writer.submit(link_first_users, FirstLink(ids.new_id(ids.USER), hash_token(ids.new_token())))
    with suppress(EmailTaken):  # From before a crash.
        await service.writer.submit(create_users, new_colleague(buyer))
    link = await asyncio.to_thread(let_in, buyer)
    user = await log_in_with_link(buyer, link)
    await log_in_with_password(buyer, user)
    profile = ChangeProfile(tenant=Tenant(buyer.merchant_id, Mode.TEST), display_name="The shop")
    assert (await service.writer.submit(change_profiles, profile)).display_name == "The shop"
    await service.writer.submit(end_sessions, EndSessions(user_id=user.id))
    await asyncio.to_thread(run_quietly, lambda: end_all_sessions(service.settings, user.email))
    assert await service.reader.submit(list_sessions, user.id) == []


def new_colleague(buyer: Buyer) -> NewUser:
    """Return a user of the merchant, as an administrator creates one in the dashboard."""
    return NewUser(
        id=ids.new_id(ids.USER),
        email=f"colleague-{buyer.merchant_id}@shop.example".lower(),
        role=Role.VIEWER,
        merchant_id=buyer.merchant_id,
        link_hash=hash_token(ids.new_token()),
    )


def let_in(buyer: Buyer) -> str:
    """Run the commands that create a user, where it does not exist, change the role, and print a link; returns it."""
    settings, email = buyer.service.settings, f"{buyer.merchant_id}@shop.example".lower()
    with suppress(SystemExit):  # The user exists, from before a crash.
        run_quietly(lambda: create_user(settings, email, role=Role.VIEWER, merchant_id=buyer.merchant_id))
    run_quietly(lambda: change_role(settings, email, Role.ADMIN))
    return run_quietly(lambda: print_link(settings, email, reset_second_factor=True))


async def log_in_with_link(buyer: Buyer, link: str) -> User:
    """Use a one-time link, which sets a password, and record it."""
    writer, token = buyer.service.writer, ids.new_token()
    entry = AuditEntry(id=ids.new_id(ids.AUDIT_ENTRY), merchant_id=buyer.merchant_id, type="link_used")
    await writer.submit(record_entries, entry)
    used = UseLink(
        link_hash=hash_token(link.rpartition("/")[2]), password_hash=PASSWORD_HASH, session=new_session(token)
    )
    user = await writer.submit(use_links, used)
    assert isinstance(user, User)
    await writer.submit(record_outcomes, AuditOutcome(entry.id, DONE))
    person = await buyer.service.reader.submit(load_people, token)
    assert person is not None
    await writer.submit(use_sessions, person.session.id)
    return user


async def log_in_with_password(buyer: Buyer, user: User) -> None:
    """Log in with the password, and then with a second factor that was set meanwhile."""
    writer, pending = buyer.service.writer, ids.new_id(ids.USER_SESSION)
    await writer.submit(set_totp, SetTotp(user_id=user.id, secret="v1.sealed", step=1, recovery_codes="[]"))
    begun = LogIn(user_id=user.id, password_hash=PASSWORD_HASH, session=new_session(ids.new_token(), pending))
    await writer.submit(begin_sessions, begun)
    now = await buyer.service.reader.submit(load_users, WantedUser(user.id, buyer.merchant_id))
    assert isinstance(now, User)
    verified = VerifySession(user=now, pending_session=pending, session=new_session(ids.new_token()), step=2)
    await writer.submit(verify_sessions, verified)
    await writer.submit(set_totp, SetTotp(user_id=user.id, secret=None, step=None, recovery_codes=None))
    await writer.submit(change_users, ChangeUser(user=WantedUser(user.id, None), link_hash=hash_token(ids.new_token())))


def new_session(token: str, session_id: str | None = None) -> NewSession:
    return NewSession(
        id=session_id or ids.new_id(ids.USER_SESSION), token_hash=hash_token(token), address="127.0.0.1", user_agent=""
    )


def run_quietly(command: Callable[[], None]) -> str:
    """Run a command, and return what it prints."""
    printed = StringIO()
    with redirect_stdout(printed), redirect_stderr(StringIO()):
        command()
    return printed.getvalue().strip()
