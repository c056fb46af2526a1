"""A merchant's accounts with payment providers, in the order of preference."""

from typing import ClassVar, Final

from starlette.responses import Response

from paidonce.dashboard.declarations import action, page
from paidonce.dashboard.formats import present
from paidonce.dashboard.forms import EmptyForm, Form
from paidonce.dashboard.operations import run_operation
from paidonce.dashboard.request import DashboardRequest
from paidonce.errors import FieldError, InvalidRequest
from paidonce.http.fields import Fields
from paidonce.merchants.model import Mode
from paidonce.provider_accounts import http as provider_accounts
from paidonce.provider_accounts.actions import list_accounts, load_accounts
from paidonce.provider_accounts.model import AccountName, AccountStatus
from paidonce.provider_accounts.schemas import (
    AccountCheckResponse,
    ProviderAccountResponse,
    ProviderName,
    account_response,
)
from paidonce.provider_accounts.store import AccountFilter
from paidonce.users.model import Role

ACCOUNTS_MAX: Final = 200


class ChooseProviderParameters(Fields, frozen=True, kw_only=True):
    """The provider of an account to add."""

    provider: ProviderName | None = None


class AccountForm(Form, frozen=True, kw_only=True):
    """An account to add. Its credentials are fields named ``credentials.…``, which are kept apart."""

    audited: ClassVar = ("provider", "name")

    provider: str
    name: str | None = None


class PositionForm(Form, frozen=True, kw_only=True):
    """A place in the order of preference."""

    audited: ClassVar = ("position",)

    position: int


@page("/m/{merchant_id}/{mode}/accounts", role=Role.VIEWER)
async def accounts(request: DashboardRequest) -> Response:
    """Show the accounts of a merchant in one mode, the preferred ones first, and the form to add one."""
    tenant = request.tenant
    wanted = AccountFilter(limit=ACCOUNTS_MAX, merchant_id=tenant.merchant_id, mode=Mode(tenant.mode))
    found, _ = await request.service.reader.submit(list_accounts, wanted)
    found = sorted(found, key=lambda one: (one.status != AccountStatus.ACTIVE, one.position, one.id))
    connectors = request.service.provider_accounts.opener.connectors
    chosen = request.form.of("add_account").values.get("provider") or _chosen(request)
    connector = connectors.get(chosen) if chosen else None
    values = {
        "accounts": [account_response(one) for one in found],
        "providers": [("", "Choose one"), *((name, connectors[name].display_name) for name in sorted(connectors))],
        "chosen": chosen if connector else "",
        "connector": connector,
        "path": f"{request.tenant_path}/accounts",
    }
    return request.page("provider_accounts.html", values, title="Provider accounts")


@page("/m/{merchant_id}/{mode}/accounts/{account_id}", role=Role.VIEWER)
async def account(request: DashboardRequest) -> Response:
    """Show an account, and what can be done with it."""
    tenant = request.tenant
    name = AccountName(request.path_values["account_id"], tenant.merchant_id, Mode(tenant.mode))
    found = await request.service.reader.submit(load_accounts, name)
    values = {
        "account": account_response(found),
        "connector": request.service.provider_accounts.opener.connectors.get(found.provider),
        "webhook_url": _webhook_url(request, found.provider, found.id),
        "path": f"{request.tenant_path}/accounts/{found.id}",
    }
    return request.page("provider_account.html", values, title=found.name)


@action("/m/{merchant_id}/{mode}/accounts", role=Role.ADMIN, form=AccountForm, shows=accounts)
async def add_account(request: DashboardRequest, form: AccountForm) -> Response:
    """Add an account."""
    body = present(provider=form.provider, name=form.name) | {"credentials": _credentials(request)}
    made = await run_operation(request, provider_accounts.create_account, body=body)
    assert isinstance(made, ProviderAccountResponse)
    return request.done(f"{request.tenant_path}/accounts/{made.id}", "The account is added. Check it now.")


@action("/m/{merchant_id}/{mode}/accounts/{account_id}/check", role=Role.ADMIN, form=EmptyForm, shows=account)
async def check_account(request: DashboardRequest, _form: EmptyForm) -> Response:
    """Ask the provider whether it accepts the credentials."""
    checked = await run_operation(request, provider_accounts.check_account, path_value=_id(request), body={})
    assert isinstance(checked, AccountCheckResponse)
    result = " ".join(checked.problems) or "The provider accepts the credentials."
    return request.done(_path(request), result)


@action("/m/{merchant_id}/{mode}/accounts/{account_id}/rotate", role=Role.ADMIN, form=EmptyForm, shows=account)
async def rotate_account(request: DashboardRequest, _form: EmptyForm) -> Response:
    """Replace the credentials of an account."""
    body = {"credentials": _credentials(request)}
    await run_operation(request, provider_accounts.rotate_account, path_value=_id(request), body=body)
    return request.done(_path(request), "The credentials are replaced. Check them now.")


@action("/m/{merchant_id}/{mode}/accounts/{account_id}/position", role=Role.ADMIN, form=PositionForm, shows=account)
async def move_account(request: DashboardRequest, form: PositionForm) -> Response:
    """Change the place of an account in the order of preference."""
    body = {"position": form.position}
    await run_operation(request, provider_accounts.move_account, path_value=_id(request), body=body)
    return request.done(f"{request.tenant_path}/accounts", "The order of preference is changed.")


@action("/m/{merchant_id}/{mode}/accounts/{account_id}/disable", role=Role.ADMIN, form=EmptyForm, shows=account)
async def disable_account(request: DashboardRequest, _form: EmptyForm) -> Response:
    """Disable an account."""
    await run_operation(request, provider_accounts.disable_account, path_value=_id(request), body={})
    return request.done(_path(request), "The account takes no new payments.")


@action("/m/{merchant_id}/{mode}/accounts/{account_id}/enable", role=Role.ADMIN, form=EmptyForm, shows=account)
async def enable_account(request: DashboardRequest, _form: EmptyForm) -> Response:
    """Enable an account."""
    await run_operation(request, provider_accounts.enable_account, path_value=_id(request), body={})
    return request.done(_path(request), "The account can be used again.")


def _credentials(request: DashboardRequest) -> dict[str, str]:
    assert request.received is not None, "an action has a form"
    if not request.received.credentials:
        raise InvalidRequest([FieldError("/credentials", "missing", "Fill in the credentials.")])
    return dict(request.received.credentials)


def _chosen(request: DashboardRequest) -> str:
    if request.received is not None:
        return ""
    return request.parameters(ChooseProviderParameters).provider or ""


def _webhook_url(request: DashboardRequest, provider: str, account_id: str) -> str:
    base = request.service.settings.public_url or str(request.http.base_url)
    return f"{base.rstrip('/')}/providers/{provider}/{account_id}/webhooks"


def _id(request: DashboardRequest) -> str:
    return request.path_values["account_id"]


def _path(request: DashboardRequest) -> str:
    return f"{request.tenant_path}/accounts/{_id(request)}"
