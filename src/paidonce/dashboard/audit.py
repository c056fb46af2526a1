"""The audit log: what people did and tried."""

from typing import Annotated, Final

from msgspec import Meta
from starlette.responses import Response

from paidonce.dashboard import paths
from paidonce.dashboard.declarations import page
from paidonce.dashboard.request import DashboardRequest
from paidonce.http.fields import Fields
from paidonce.users.actions import load_names
from paidonce.users.audit import list_entries
from paidonce.users.audit_store import AuditFilter
from paidonce.users.model import Role

PAGE_LENGTH: Final = 50


class AuditParameters(Fields, frozen=True, kw_only=True):
    """Which entries: those before another one, and of one merchant or of all."""

    before: Annotated[str, Meta(max_length=40)] | None = None
    merchant_id: Annotated[str, Meta(max_length=128)] | None = None


@page(f"{paths.OPERATOR}/audit", role=Role.OPERATOR)
async def audit_log(request: DashboardRequest) -> Response:
    """Show a page of the audit log, newest first."""
    given = request.parameters(AuditParameters)
    reader = request.service.reader
    wanted = AuditFilter(limit=PAGE_LENGTH, merchant_id=given.merchant_id, starting_after=given.before)
    entries, more = await reader.submit(list_entries, wanted)
    actors = {one.actor.removeprefix("user:") for one in entries if one.actor}
    path = f"{request.dashboard_path}{paths.OPERATOR}/audit"
    values = {
        "entries": entries,
        "names": await reader.submit(load_names, frozenset(actors)),
        "path": path,
        "older": request.http.url.include_query_params(before=entries[-1].id).query if more else "",
        "merchant_id": given.merchant_id or "",
    }
    return request.page("audit.html", values, title="Audit log")
