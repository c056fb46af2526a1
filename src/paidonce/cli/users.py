"""``paidonce users``, which works while a server is running, too. What it does is in the audit log."""

import re
import sys
from collections.abc import Callable
from typing import Any, Final, NoReturn

import click
import msgspec

from paidonce import ids
from paidonce.cli.auditing import CommandEntry, CommandType, record_command
from paidonce.cli.opening import FAILURE_EXIT, open_shared_database
from paidonce.clock import format_instant
from paidonce.database.transaction import Transaction
from paidonce.errors import PaidonceError
from paidonce.settings import Settings
from paidonce.users import actions
from paidonce.users.actions import ChangeUser, NewUser, SetTotp, WantedUser
from paidonce.users.model import LINK_MS, Role, User, hash_token
from paidonce.users.sessions import EndSessions, end_sessions
from paidonce.users.store import UserFilter

PAGE: Final = 1000
EMAIL: Final = re.compile(r"[^@\s\x00]{1,64}@[^@\s\x00]{1,189}")


class UserRow(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A user in JSON output. ``merchant_id`` is absent for an operator."""

    id: str
    email: str
    role: str
    merchant_id: str | None = None
    has_password: bool
    has_second_factor: bool
    created_at: str
    last_login_at: str | None = None
    disabled_at: str | None = None


def create_user(settings: Settings, email: str, *, role: str, merchant_id: str) -> None:
    """Create a user, and print the one-time link."""
    if not EMAIL.fullmatch(email):
        raise click.UsageError(f"{email} is not an e-mail address.")
    token = ids.new_token()
    new = NewUser(
        id=ids.new_id(ids.USER),
        email=email.lower(),
        role=Role(role),
        merchant_id=merchant_id,
        link_hash=hash_token(token),
    )
    with open_shared_database(settings) as database, database.write() as transaction:
        user = _run(transaction, actions.create_users, new)
        _record(transaction, CommandType.CREATE_USER, user, {"role": role})
    click.echo(f"Created {user.id} ({user.email}), {role}{f' of {merchant_id}' if merchant_id else ''}.", err=True)
    _print_link(settings, token)


def list_users(settings: Settings, *, as_json: bool) -> None:
    """Print every user."""
    found: list[User] = []
    more = True
    with open_shared_database(settings) as database, database.read() as transaction:
        while more:
            after = found[-1].id if found else ""
            page, more = actions.list_users(transaction, [UserFilter(limit=PAGE, starting_after=after)])[0]
            found += page
    if as_json:
        click.echo(msgspec.json.encode([_row(one) for one in found]).decode())
        return
    for one in found:
        status = "disabled" if one.disabled_at is not None else "enabled"
        click.echo(f"{one.id}  {one.email}  {one.role}  {one.merchant_id or 'operator'}  {status}")
    if not found:
        click.echo("There are no users. Create one: paidonce users create EMAIL --role operator")


def disable_user(settings: Settings, email: str, *, is_disabled: bool) -> None:
    """Disable or enable a user."""
    _change(settings, email, {"change": "disable" if is_disabled else "enable"}, is_disabled=is_disabled)
    click.echo(f"{'Disabled' if is_disabled else 'Enabled'} {email}.")


def change_role(settings: Settings, email: str, role: str) -> None:
    """Change the role of a user."""
    _change(settings, email, {"change": "role", "role": role}, role=Role(role))
    click.echo(f"{email} has the role {role}. Their sessions have ended.")


def print_link(settings: Settings, email: str, *, reset_second_factor: bool) -> None:
    """Print a one-time link for a user."""
    token = ids.new_token()
    with open_shared_database(settings) as database, database.write() as transaction:
        user = _user(transaction, email)
        if reset_second_factor:
            _run(transaction, actions.set_totp, SetTotp(user_id=user.id, secret=None, step=None, recovery_codes=None))
        change = ChangeUser(user=WantedUser(user.id, None), link_hash=hash_token(token))
        _run(transaction, actions.change_users, change)
        _record(
            transaction, CommandType.CHANGE_USER, user, {"change": "link", "secondFactorReset": reset_second_factor}
        )
    _print_link(settings, token)


def end_all_sessions(settings: Settings, email: str) -> None:
    """End all sessions of a user."""
    with open_shared_database(settings) as database, database.write() as transaction:
        user = _user(transaction, email)
        count = end_sessions(transaction, [EndSessions(user_id=user.id)])[0]
        _record(transaction, CommandType.CHANGE_USER, user, {"change": "end_sessions", "count": count})
    click.echo(f"Ended {count} sessions of {user.email}.")


def link_url(base_url: str, token: str) -> str:
    """Return the URL of a one-time link."""
    return f"{base_url.rstrip('/')}/dashboard/login/{token}"


def _change(settings: Settings, email: str, detail: dict[str, Any], **change: Any) -> None:  # noqa: ANN401 - any field
    with open_shared_database(settings) as database, database.write() as transaction:
        user = _user(transaction, email)
        if "role" in change and not user.merchant_id:
            _fail(f"{email} is an operator, whose role does not change. Disable them, and create another user.")
        _run(transaction, actions.change_users, ChangeUser(user=WantedUser(user.id, None), **change))
        _record(transaction, CommandType.CHANGE_USER, user, detail)


def _user(transaction: Transaction, email: str) -> User:
    user = actions.load_users_by_email(transaction, [email.lower()])[0]
    if user is None:
        _fail(f"There is no user {email}. Create one: paidonce users create {email} --role ROLE")
    return user


def _run(transaction: Transaction, action: Callable[[Transaction, Any], Any], request: object) -> Any:  # noqa: ANN401 - any action's outcome
    outcome = action(transaction, [request])[0]
    if isinstance(outcome, PaidonceError):
        _fail(outcome.detail)
    return outcome


def _record(transaction: Transaction, kind: CommandType, user: User, detail: dict[str, Any]) -> None:
    record_command(transaction, CommandEntry(kind, user.id, user.merchant_id, {"email": user.email, **detail}))


def _print_link(settings: Settings, token: str) -> None:
    scheme = "https" if settings.tls_certificate else "http"
    base_url = settings.public_url or f"{scheme}://{settings.host}:{settings.port}"
    # Only the link goes to standard output, so that a script can read it.
    click.echo(f"The link is valid once, for {LINK_MS // 60_000} minutes:", err=True)
    click.echo(link_url(base_url, token))


def _row(user: User) -> UserRow:
    return UserRow(
        id=user.id,
        email=user.email,
        role=user.role,
        merchant_id=user.merchant_id or None,
        has_password=user.password_hash is not None,
        has_second_factor=user.totp_secret is not None,
        created_at=format_instant(user.created_at),
        last_login_at=None if user.last_login_at is None else format_instant(user.last_login_at),
        disabled_at=None if user.disabled_at is None else format_instant(user.disabled_at),
    )


def _fail(message: str) -> NoReturn:
    click.echo(f"paidonce: {message}", err=True)
    sys.exit(FAILURE_EXIT)
