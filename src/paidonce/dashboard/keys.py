"""API keys of a merchant, which its admins manage, and the operators' keys."""

from typing import ClassVar, Final

from starlette.responses import Response

from paidonce.dashboard.declarations import action, page
from paidonce.dashboard.formats import present
from paidonce.dashboard.forms import EmptyForm, Form
from paidonce.dashboard.operations import run_operation
from paidonce.dashboard.request import DashboardRequest
from paidonce.http.fields import Fields
from paidonce.merchants import http as merchants
from paidonce.merchants.actions import RevokeKey, list_keys, revoke_keys
from paidonce.merchants.model import MERCHANT_SCOPES, OPERATOR, Scope
from paidonce.merchants.schemas import IssuedKeyResponse, KeyId, KeyPage, key_response
from paidonce.merchants.store import KeyFilter
from paidonce.users.model import Role

PAGE_LENGTH: Final = 50
OVERLAPS: Final = (("86400", "A day"), ("3600", "An hour"), ("604800", "A week"), ("0", "None: it ends at once"))


class KeyForm(Form, frozen=True, kw_only=True):
    """A key to create; without scopes it may do all that a merchant may."""

    audited: ClassVar = ("scopes",)

    scopes: list[str] | None = None


class RotateForm(Form, frozen=True, kw_only=True):
    """How long the former key stays valid."""

    audited: ClassVar = ("overlap_seconds",)

    overlap_seconds: int


class KeysParameters(Fields, frozen=True, kw_only=True):
    """Which page of keys to show."""

    after: KeyId | None = None


@page("/m/{merchant_id}/{mode}/keys", role=Role.ADMIN)
async def keys(request: DashboardRequest) -> Response:
    """Show the keys of a merchant in one mode."""
    parameters = present(limit=str(PAGE_LENGTH), startingAfter=request.parameters(KeysParameters).after)
    found = await run_operation(request, merchants.get_keys, parameters=parameters, granting=Scope.ADMIN)
    assert isinstance(found, KeyPage)
    path = f"{request.tenant_path}/keys"
    values = {
        "keys": found.data,
        "older": f"{path}?after={found.data[-1].id}" if found.has_more else "",
        "scopes": sorted(MERCHANT_SCOPES),
        "overlaps": OVERLAPS,
        "path": path,
    }
    return request.page("keys.html", values, title="API keys")


@action("/m/{merchant_id}/{mode}/keys", role=Role.ADMIN, form=KeyForm, shows=keys)
async def create_key(request: DashboardRequest, form: KeyForm) -> Response:
    """Create a key, and show its secret once."""
    tenant = request.tenant
    body = present(merchantId=tenant.merchant_id, mode=tenant.mode, scopes=form.scopes or None)
    issued = await run_operation(request, merchants.create_key, body=body, granting=Scope.ADMIN)
    return _show_secret(request, issued, "The API key is created")


@action("/m/{merchant_id}/{mode}/keys/{key_id}/rotate", role=Role.ADMIN, form=RotateForm)
async def rotate_key(request: DashboardRequest, form: RotateForm) -> Response:
    """Replace a key, and show the secret of the new one once."""
    key_id, body = request.path_values["key_id"], {"overlapSeconds": form.overlap_seconds}
    issued = await run_operation(request, merchants.rotate_key, path_value=key_id, body=body, granting=Scope.ADMIN)
    return _show_secret(request, issued, "The API key is rotated")


@action("/m/{merchant_id}/{mode}/keys/{key_id}/revoke", role=Role.ADMIN, form=EmptyForm)
async def revoke_key(request: DashboardRequest, _form: EmptyForm) -> Response:
    """Revoke a key for good."""
    key_id = request.path_values["key_id"]
    await run_operation(request, merchants.revoke_key, path_value=key_id, body={}, granting=Scope.ADMIN)
    return request.done(f"{request.tenant_path}/keys", "The API key is revoked.")


@page("/operator/keys", role=Role.OPERATOR)
async def operator_keys(request: DashboardRequest) -> Response:
    """Show the operators' keys."""
    service = request.service
    after = request.parameters(KeysParameters).after
    wanted = KeyFilter(limit=PAGE_LENGTH, operators=True, merchant_id=OPERATOR, starting_after=after)
    found, has_more = await service.reader.submit(list_keys, wanted)
    path = f"{request.dashboard_path}/operator/keys"
    values = {
        "keys": [key_response(one, service.clock()) for one in found],
        "older": f"{path}?after={found[-1].id}" if has_more else "",
        "path": path,
    }
    return request.page("operator_keys.html", values, title="Operators' API keys")


@action("/operator/keys/{key_id}/revoke", role=Role.OPERATOR, form=EmptyForm, shows=operator_keys)
async def revoke_operator_key(request: DashboardRequest, _form: EmptyForm) -> Response:
    """Revoke an operator's key, or a merchant's, for good. Revoking it again changes nothing."""
    await request.service.writer.submit(revoke_keys, RevokeKey(id=request.path_values["key_id"], operators=True))
    request.service.api_key_cache.invalidate()
    return request.done(f"{request.dashboard_path}/operator/keys", "The API key is revoked.")


def _show_secret(request: DashboardRequest, issued: object, title: str) -> Response:
    """Answer the form itself: a secret is neither put into a URL nor kept for another request."""
    assert isinstance(issued, IssuedKeyResponse)
    values = {"key": issued, "secret": issued.secret or "", "shown_at": issued.secret_shown_at}
    return request.page("key_secret.html", values, title=title)
