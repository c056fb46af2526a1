"""A person's own account: the password, the second factor, and the sessions."""

from typing import Annotated, Final

import msgspec
from msgspec import Meta
from starlette.responses import Response

from paidonce.dashboard import paths
from paidonce.dashboard.declarations import action, page
from paidonce.dashboard.forms import EmptyForm, Form
from paidonce.dashboard.log_in import Password, hash_new_password
from paidonce.dashboard.request import DashboardRequest
from paidonce.errors import FieldError, InvalidRequest
from paidonce.users.actions import ChangeUser, SetTotp, WantedUser, change_users, set_totp
from paidonce.users.model import Role
from paidonce.users.sessions import EndSessions, end_sessions, list_sessions
from paidonce.users.totp import (
    matching_step,
    new_recovery_codes,
    new_secret,
    seal_recovery_codes,
    seal_totp_secret,
    secret_text,
    secret_uri,
)

SETUP: Final = "set-up of a second factor"
SECOND_FACTOR: Final = f"{paths.ACCOUNT}/second-factor"
IS_SET_UP: Final = "A second factor is set up already. Remove it first, with your password."


class Setup(msgspec.Struct, frozen=True):
    """A second factor that is being set up: what the page has shown, and the form sends back, encrypted."""

    secret: bytes
    recovery_codes: list[str]


class PasswordForm(Form, frozen=True, kw_only=True):
    """The password, and another one."""

    password: Password | None = None
    new_password: Password


class SetupForm(Form, frozen=True, kw_only=True):
    """A code that shows that the app has the secret."""

    sealed: Annotated[str, Meta(max_length=2000)]
    code: Annotated[str, Meta(max_length=40)]


class RemovalForm(Form, frozen=True, kw_only=True):
    """The password, without which nobody removes a second factor."""

    password: Password


@page(paths.ACCOUNT, role=Role.VIEWER)
async def account(request: DashboardRequest) -> Response:
    """Show the account."""
    user = request.person.user
    values = {
        "user": user,
        "sessions": await request.service.reader.submit(list_sessions, user.id),
        "current_session": request.person.session.id,
    }
    return request.page("account.html", values, title="Your account")


@action(f"{paths.ACCOUNT}/password", role=Role.VIEWER, form=PasswordForm, shows=account)
async def change_password(request: DashboardRequest, form: PasswordForm) -> Response:
    """Set another password, and end all other sessions."""
    user = request.person.user
    if user.password_hash is not None:
        await _require_password(request, form.password)
    change = ChangeUser(
        user=WantedUser(user.id, None),
        password_hash=await hash_new_password(request, user, form.new_password),
        kept_session=request.person.session.id,
    )
    await request.service.writer.submit(change_users, change)
    return request.done(_path(request), "Your password was changed. All other sessions have ended.")


@page(SECOND_FACTOR, role=Role.VIEWER)
async def second_factor_setup(request: DashboardRequest) -> Response:
    """Show a new secret as a QR code, and recovery codes. Nothing is stored yet."""
    user = request.person.user
    if user.totp_secret is not None:
        return request.done(_path(request), IS_SET_UP)
    sealed = request.form.values.get("sealed")
    setup = Setup(new_secret(), new_recovery_codes()) if sealed is None else _open(request, sealed)
    values = {
        "sealed": request.service.encryption.seal(msgspec.json.encode(setup), SETUP, user.id),
        "secret": secret_text(setup.secret),
        "qr_code": _qr_code(secret_uri(setup.secret, user.email)),
        "recovery_codes": setup.recovery_codes,
    }
    return request.page("second_factor_setup.html", values, title="Set up a second factor")


@action(SECOND_FACTOR, role=Role.VIEWER, form=SetupForm, shows=second_factor_setup, leads_to=account)
async def set_up_second_factor(request: DashboardRequest, form: SetupForm) -> Response:
    """Store the second factor, because a code shows that the app has the secret. It replaces none: whoever finds an
    open session must not exchange what only the password removes.
    """
    user = request.person.user
    if user.totp_secret is not None:
        raise InvalidRequest([FieldError("code", "contradiction", IS_SET_UP)])
    setup = _open(request, form.sealed)
    step = matching_step(setup.secret, form.code, request.service.clock(), None)
    if step is None:
        detail = "This code is wrong. Is the clock of the device right?"
        raise InvalidRequest([FieldError("code", "invalid_value", detail)])
    wanted = SetTotp(
        user_id=user.id,
        secret=seal_totp_secret(request.service.encryption, setup.secret, user.id),
        step=step,
        recovery_codes=seal_recovery_codes(setup.recovery_codes),
    )
    await request.service.writer.submit(set_totp, wanted)
    return request.done(_path(request), "The second factor is set up. It is asked for at the next log-in.")


@action(f"{SECOND_FACTOR}/remove", role=Role.VIEWER, form=RemovalForm, shows=account)
async def remove_second_factor(request: DashboardRequest, form: RemovalForm) -> Response:
    """Remove the second factor."""
    await _require_password(request, form.password)
    wanted = SetTotp(user_id=request.person.user.id, secret=None, step=None, recovery_codes=None)
    await request.service.writer.submit(set_totp, wanted)
    return request.done(_path(request), "The second factor was removed.")


@action(f"{paths.ACCOUNT}/sessions/{{session_id}}/end", role=Role.VIEWER, form=EmptyForm, leads_to=account)
async def end_session(request: DashboardRequest, _form: EmptyForm) -> Response:
    """End one of the person's sessions."""
    wanted = EndSessions(user_id=request.person.user.id, only=request.path_values["session_id"])
    await request.service.writer.submit(end_sessions, wanted)
    return request.done(_path(request), "The session has ended.")


@action(f"{paths.ACCOUNT}/sessions/end", role=Role.VIEWER, form=EmptyForm, leads_to=account)
async def end_other_sessions(request: DashboardRequest, _form: EmptyForm) -> Response:
    """End all sessions of the person but this one."""
    person = request.person
    wanted = EndSessions(user_id=person.user.id, but=person.session.id)
    await request.service.writer.submit(end_sessions, wanted)
    return request.done(_path(request), "All other sessions have ended.")


async def _require_password(request: DashboardRequest, password: str | None) -> None:
    """Raise InvalidRequest where the password is wrong; attempts are bounded as those to log in are."""
    user = request.person.user
    request.guard.admit(user.email, request.address)
    if not await request.guard.passwords.verify(password or "", user.password_hash):
        raise InvalidRequest([FieldError("password", "invalid_value", "The password is wrong.")])


def _open(request: DashboardRequest, sealed: str) -> Setup:
    try:
        opened = request.service.encryption.open(sealed, SETUP, request.person.user.id)
        return msgspec.json.decode(opened, type=Setup)
    except ValueError:
        raise InvalidRequest([FieldError("sealed", "invalid_value", "Load the page again.")]) from None


def _qr_code(text: str) -> str:
    """Return the modules of a QR code as a path of SVG, and its size."""
    import segno

    return segno.make(text, error="m").svg_inline(omitsize=True, svgclass="qr", lineclass=None, border=4)


def _path(request: DashboardRequest) -> str:
    return f"{request.dashboard_path}{paths.ACCOUNT}"
