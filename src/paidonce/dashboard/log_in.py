"""Log-in with a password and a second factor, or with a one-time link; and log-out."""

from dataclasses import dataclass
from typing import Annotated
from urllib.parse import urlencode

from msgspec import Meta
from starlette.responses import Response

from paidonce import ids
from paidonce.dashboard import cookies, paths
from paidonce.dashboard.auditing import record
from paidonce.dashboard.declarations import action, open_action, open_page
from paidonce.dashboard.forms import EmptyForm, Form
from paidonce.dashboard.request import DashboardRequest
from paidonce.errors import FieldError, InvalidLogin, InvalidRequest, NotLoggedIn, UserNotFound
from paidonce.http.context import prefix_in
from paidonce.users.actions import (
    LogIn,
    UseLink,
    VerifySession,
    begin_sessions,
    load_users_by_email,
    load_users_by_link,
    use_links,
    verify_sessions,
)
from paidonce.users.audit import AuditType
from paidonce.users.model import Person, Role, User, hash_token
from paidonce.users.passwords import LENGTH_MAX, check_password
from paidonce.users.sessions import EndSessions, NewSession, end_sessions
from paidonce.users.totp import matching_step, open_totp_secret, without_recovery_code

Email = Annotated[str, Meta(max_length=254, pattern=r"^[^\x00]*$")]  # PostgreSQL takes no NUL in a text.
Password = Annotated[str, Meta(max_length=LENGTH_MAX)]


class LogInForm(Form, frozen=True, kw_only=True):
    """An e-mail address and a password, and the page to go to."""

    email: Email
    password: Password
    next: str | None = None


class CodeForm(Form, frozen=True, kw_only=True):
    """A code of the app, or a recovery code."""

    code: Annotated[str, Meta(max_length=40)]
    next: str | None = None


class LinkForm(Form, frozen=True, kw_only=True):
    """A new password, if the person wants one."""

    new_password: Password | None = None
    next: str | None = None


@dataclass(frozen=True, slots=True)
class _Begun:
    """A session to begin, and the token of its cookie."""

    token: str
    session: NewSession


@open_page(paths.LOGIN, because="Nobody is logged in yet.")
async def log_in_page(request: DashboardRequest) -> Response:
    """Ask for the e-mail address and the password."""
    return request.page("log_in.html", {"next": _wanted_page(request)}, title="Log in")


@open_action(paths.LOGIN, because="Nobody is logged in yet.", form=LogInForm, shows=log_in_page)
async def log_in(request: DashboardRequest, form: LogInForm) -> Response:
    """Log in with a password. Neither the response nor its duration shows whether the user exists."""
    email = form.email.strip().lower()
    request.guard.admit(email, request.address)
    user = await request.service.reader.submit(load_users_by_email, email)
    usable = user if user is not None and user.disabled_at is None else None
    is_right = await request.guard.passwords.verify(form.password, usable.password_hash if usable else None)
    if usable is None or usable.password_hash is None or not is_right:
        await record(request, AuditType.LOG_IN_FAILED, email=email, outcome=InvalidLogin.code)
        raise InvalidLogin
    begun = _new_session(request)
    try:
        session = await request.service.writer.submit(
            begin_sessions, LogIn(user_id=usable.id, password_hash=usable.password_hash, session=begun.session)
        )
    except UserNotFound:
        raise InvalidLogin from None
    if session.verified_at is not None:
        await record(request, AuditType.LOGGED_IN, user=usable)
    return _logged_in(request, begun, form.next, is_verified=session.verified_at is not None)


@open_page(f"{paths.LOGIN}/code", because="The person has given a password, and is asked for the second factor.")
async def second_factor_page(request: DashboardRequest) -> Response:
    """Ask for the code of the second factor."""
    if request.pending is None:
        return request.done(f"{request.dashboard_path}{paths.LOGIN}")
    return request.page("second_factor.html", {"next": _wanted_page(request)}, title="Second factor")


@open_action(
    f"{paths.LOGIN}/code",
    because="The person has given a password, and is asked for the second factor.",
    form=CodeForm,
    shows=second_factor_page,
)
async def second_factor(request: DashboardRequest, form: CodeForm) -> Response:
    """Log in with a code of the app, or a recovery code, after the password."""
    if request.pending is None:
        raise NotLoggedIn
    user = request.pending.user
    request.guard.admit(user.email, request.address)
    begun = _new_session(request)
    verifying = _verifying(request, request.pending, form.code, begun.session)
    if verifying is None or not await _verified(request, verifying):
        await record(request, AuditType.LOG_IN_FAILED, user=user, outcome=InvalidLogin.code)
        raise InvalidLogin("The code is wrong, or was used before.")
    await record(request, AuditType.LOGGED_IN, user=user)
    return _logged_in(request, begun, form.next, is_verified=True)


@open_page(f"{paths.LOGIN}/{{token}}", because="The link is the proof; whoever opens it has no session yet.")
async def link_page(request: DashboardRequest) -> Response:
    """Show the button of a one-time link. To open the page uses nothing up, because previews of links open it too."""
    user = await request.service.reader.submit(load_users_by_link, hash_token(request.path_values["token"]))
    shown = {"email": user.email, "has_password": user.password_hash is not None, "next": _wanted_page(request)}
    return request.page("link.html", shown, title="Log in")


@open_action(
    f"{paths.LOGIN}/{{token}}",
    because="The link is the proof; whoever opens it has no session yet.",
    form=LinkForm,
    shows=link_page,
)
async def use_link(request: DashboardRequest, form: LinkForm) -> Response:
    """Log in with a one-time link, and set a password."""
    link_hash = hash_token(request.path_values["token"])
    request.guard.admit(link_hash, request.address)  # A bucket for each link: nobody uses up the attempts of others.
    user = await request.service.reader.submit(load_users_by_link, link_hash)
    password_hash = await hash_new_password(request, user, form.new_password)
    begun = _new_session(request)
    used = UseLink(link_hash=link_hash, password_hash=password_hash, session=begun.session)
    user = await request.service.writer.submit(use_links, used)
    await record(request, AuditType.LINK_USED, user=user)
    return _logged_in(request, begun, form.next, is_verified=user.totp_secret is None)


@action("/logout", role=Role.VIEWER, form=EmptyForm)
async def log_out(request: DashboardRequest, _form: EmptyForm) -> Response:
    """End the session."""
    person = request.person
    await request.service.writer.submit(end_sessions, EndSessions(user_id=person.user.id, only=person.session.id))
    response = request.done(f"{request.dashboard_path}{paths.LOGIN}", "You are logged out.")
    cookies.delete_cookie(request.http, response, cookies.SESSION)
    return response


async def hash_new_password(request: DashboardRequest, user: User, password: str | None) -> str | None:
    """Return the hash of a new password; None where there is none. Raises InvalidRequest where it is refused."""
    if password is None:
        return None
    refused = check_password(password, user.email)
    if refused is not None:
        raise InvalidRequest([FieldError("newPassword", "invalid_value", refused)])
    return await request.guard.passwords.hash(password)


def _verifying(request: DashboardRequest, pending: Person, code: str, session: NewSession) -> VerifySession | None:
    """Check a code; returns None where it is wrong."""
    user = pending.user
    if user.totp_secret is None:
        return None
    secret = open_totp_secret(request.service.encryption, user.totp_secret, user.id)
    step = matching_step(secret, code, request.service.clock(), user.totp_step)
    left = None if step is not None else without_recovery_code(user.recovery_codes, code)
    if step is None and left is None:
        return None
    return VerifySession(user=user, pending_session=pending.session.id, session=session, step=step, recovery_codes=left)


async def _verified(request: DashboardRequest, verifying: VerifySession) -> bool:
    """Begin the session; returns False where another session has used the code at the same time."""
    try:
        await request.service.writer.submit(verify_sessions, verifying)
    except UserNotFound:
        return False
    return True


def _new_session(request: DashboardRequest) -> _Begun:
    token = ids.new_token()
    session = NewSession(
        id=ids.new_id(ids.USER_SESSION),
        token_hash=hash_token(token),
        address=request.address,
        user_agent=request.http.headers.get("user-agent", ""),
    )
    return _Begun(token, session)


def _logged_in(request: DashboardRequest, begun: _Begun, wanted: str | None, *, is_verified: bool) -> Response:
    """Set the cookie of a session, and lead to the page that was asked for, or to the second factor."""
    page = _own_path(wanted)
    if not is_verified:
        query = "" if page == paths.PATH else f"?{urlencode({'next': page})}"
        page = f"{paths.PATH}{paths.LOGIN}/code{query}"
    response = request.done(prefix_in(request.http.scope) + page)
    cookies.set_cookie(request.http, response, cookies.SESSION, begun.token)
    if is_verified:
        cookies.delete_cookie(request.http, response, cookies.VISITOR)
    return response


def _wanted_page(request: DashboardRequest) -> str:
    """Return the page to which the log-in is to lead, as the link or the form names it; empty where none is named."""
    return request.form.values.get("next") or request.http.query_params.get("next", "")


def _own_path(wanted: str | None) -> str:
    """Return a path of the dashboard, whatever a link to the log-in has asked for."""
    is_own = wanted is not None and (wanted == paths.PATH or wanted.startswith((f"{paths.PATH}/", f"{paths.PATH}?")))
    return wanted if is_own and wanted is not None and wanted.isprintable() and "\\" not in wanted else paths.PATH
