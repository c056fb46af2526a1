"""The users of a merchant, for its administrators; and all users, for operators."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Final, Literal

from starlette.responses import Response

from paidonce import ids
from paidonce.dashboard import paths
from paidonce.dashboard.declarations import action, page
from paidonce.dashboard.forms import Form
from paidonce.dashboard.request import DashboardRequest
from paidonce.errors import FieldError, InvalidRequest
from paidonce.http.fields import Fields
from paidonce.http.formats import MerchantId, Text, whole
from paidonce.users.actions import ChangeUser, NewUser, WantedUser, change_users, create_users, list_users, load_users
from paidonce.users.model import Role, hash_token
from paidonce.users.sessions import EndSessions, end_sessions
from paidonce.users.store import UserFilter

PAGE_LENGTH: Final = 50
ROLES: Final = (
    (Role.VIEWER.value, "Viewer: sees everything, changes nothing"),
    (Role.REFUNDS.value, "Refunds: also captures, cancels and refunds"),
    (Role.ADMIN.value, "Admin: also webhooks, provider accounts, branding and users"),
)
OPERATOR_ROLE: Final = (Role.OPERATOR.value, "Operator: everything, for every merchant")

Email = Annotated[str, whole(r"[^@\s\x00]{1,64}@[^@\s\x00]{1,189}", "An e-mail address.")]


class UsersParameters(Fields, frozen=True, kw_only=True):
    """Which page of users."""

    after: Text = ""


class NewMerchantUserForm(Form, frozen=True, kw_only=True):
    """A user of the merchant."""

    audited: ClassVar = ("email", "role")

    email: Email
    role: Literal["viewer", "refunds", "admin"]


class NewUserForm(Form, frozen=True, kw_only=True):
    """A user of a merchant, or an operator."""

    audited: ClassVar = ("email", "role", "merchant_id")

    email: Email
    role: Literal["viewer", "refunds", "admin", "operator"]
    merchant_id: MerchantId | None = None


class ChangeForm(Form, frozen=True, kw_only=True):
    """What to change of a user."""

    audited: ClassVar = ("change", "role")

    change: Literal["role", "disable", "enable", "link", "end_sessions"]
    role: Literal["viewer", "refunds", "admin"] | None = None


@page(f"{paths.TENANT}/users", role=Role.ADMIN)
async def merchant_users(request: DashboardRequest) -> Response:
    """Show the users of a merchant."""
    return await _show(request, f"{request.tenant_path}/users", request.tenant.merchant_id)


@action(f"{paths.TENANT}/users", role=Role.ADMIN, form=NewMerchantUserForm, shows=merchant_users)
async def create_merchant_user(request: DashboardRequest, form: NewMerchantUserForm) -> Response:
    """Create a user of the merchant."""
    path, merchant_id = f"{request.tenant_path}/users", request.tenant.merchant_id
    return await _create(request, path, form.email, Role(form.role), merchant_id)


@action(f"{paths.TENANT}/users/{{user_id}}", role=Role.ADMIN, form=ChangeForm, shows=merchant_users)
async def change_merchant_user(request: DashboardRequest, form: ChangeForm) -> Response:
    """Change a user of the merchant."""
    return await _change(request, f"{request.tenant_path}/users", form, request.tenant.merchant_id)


@page(f"{paths.OPERATOR}/users", role=Role.OPERATOR)
async def all_users(request: DashboardRequest) -> Response:
    """Show all users."""
    return await _show(request, _operator_path(request), None)


@action(f"{paths.OPERATOR}/users", role=Role.OPERATOR, form=NewUserForm, shows=all_users)
async def create_user(request: DashboardRequest, form: NewUserForm) -> Response:
    """Create a user of a merchant, or an operator."""
    role = Role(form.role)
    if (role is Role.OPERATOR) == (form.merchant_id is not None):
        detail = "An operator belongs to no merchant. Every other user needs one."
        raise InvalidRequest([FieldError("merchantId", "contradiction", detail)])
    return await _create(request, _operator_path(request), form.email, role, form.merchant_id or "")


@action(f"{paths.OPERATOR}/users/{{user_id}}", role=Role.OPERATOR, form=ChangeForm, shows=all_users)
async def change_user(request: DashboardRequest, form: ChangeForm) -> Response:
    """Change a user."""
    return await _change(request, _operator_path(request), form, None)


async def _show(request: DashboardRequest, path: str, merchant_id: str | None) -> Response:
    after = request.parameters(UsersParameters).after if request.http.method != "POST" else ""
    wanted = UserFilter(limit=PAGE_LENGTH, merchant_id=merchant_id, starting_after=after)
    users, more = await request.service.reader.submit(list_users, wanted)
    values: Mapping[str, Any] = {
        "users": users,
        "path": path,
        "roles": ROLES if merchant_id is not None else (*ROLES, OPERATOR_ROLE),
        "changeable_roles": [(role, text.partition(":")[0]) for role, text in ROLES],
        "names_merchant": merchant_id is None,
        "create": "create_user" if merchant_id is None else "create_merchant_user",
        "change": "change_user" if merchant_id is None else "change_merchant_user",
        "next_page": f"{path}?after={users[-1].id}" if more else "",
    }
    return request.page("users.html", values, title="Users")


async def _create(request: DashboardRequest, path: str, email: str, role: Role, merchant_id: str) -> Response:
    token = ids.new_token()
    new = NewUser(
        id=ids.new_id(ids.USER),
        email=email.lower(),
        role=role,
        merchant_id=merchant_id,
        link_hash=hash_token(token),
    )
    await request.service.writer.submit(create_users, new)
    return request.done(path, _with_link(request, f"{new.email} was created.", token))


async def _change(request: DashboardRequest, path: str, form: ChangeForm, merchant_id: str | None) -> Response:
    wanted = WantedUser(request.path_values["user_id"], merchant_id)
    user = await request.service.reader.submit(load_users, wanted)
    if form.change == "end_sessions":
        await request.service.writer.submit(end_sessions, EndSessions(user_id=user.id))
        return request.done(path, f"All sessions of {user.email} have ended.")
    token = ids.new_token()
    change = ChangeUser(
        user=wanted,
        role=_new_role(form) if form.change == "role" else None,
        is_disabled={"disable": True, "enable": False}.get(form.change),
        link_hash=hash_token(token) if form.change == "link" else None,
        kept_session=request.person.session.id,
    )
    await request.service.writer.submit(change_users, change)
    message = {
        "role": f"{user.email} has another role. Their sessions have ended.",
        "disable": f"{user.email} is disabled. Their sessions have ended.",
        "enable": f"{user.email} is enabled.",
        "link": f"{user.email} has a new link.",
    }[form.change]
    return request.done(path, _with_link(request, message, token) if form.change == "link" else message)


def _new_role(form: ChangeForm) -> Role:
    if form.role is None:
        raise InvalidRequest([FieldError("role", "missing", "Choose a role.")])
    return Role(form.role)


def _with_link(request: DashboardRequest, message: str, token: str) -> str:
    """Return what the next page says. A link is shown once: only its hash is stored."""
    base_url = request.service.settings.public_url or str(request.http.base_url)
    link = f"{base_url.rstrip('/')}{paths.PATH}{paths.LOGIN}/{token}"
    return f"{message} Give them this link, which is valid once, for 15 minutes: {link}"


def _operator_path(request: DashboardRequest) -> str:
    return f"{request.dashboard_path}{paths.OPERATOR}/users"
