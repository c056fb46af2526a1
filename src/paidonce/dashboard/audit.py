"""The audit log: what people did and tried, for a merchant's admins and for operators."""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import msgspec
from starlette.responses import Response

from paidonce.dashboard import paths
from paidonce.dashboard.declarations import page
from paidonce.dashboard.request import DashboardRequest
from paidonce.http.fields import Fields
from paidonce.http.formats import Text
from paidonce.users.actions import load_users_by_id
from paidonce.users.audit import list_entries
from paidonce.users.audit_store import AuditEntry, AuditFilter
from paidonce.users.model import Role, User

PAGE_LENGTH: Final = 50


class AuditParameters(Fields, frozen=True, kw_only=True):
    """Which entries: those before another one."""

    before: Text | None = None


class AllAuditParameters(AuditParameters, frozen=True, kw_only=True):
    """Which entries, and of one merchant or of all."""

    merchant_id: Text | None = None


class ShownEntry(NamedTuple):
    """An entry, who did it, what exactly, and from which address; empty where the reader is not told."""

    entry: AuditEntry
    who: str
    detail: str
    address: str


@page(f"{paths.TENANT}/audit", role=Role.ADMIN)
async def merchant_audit_log(request: DashboardRequest) -> Response:
    """Show what people did for a merchant, in both modes, newest first. Operators are not named to its admins."""
    given = request.parameters(AuditParameters)
    merchant_id = request.tenant.merchant_id
    return await _show(request, given, merchant_id, f"{request.tenant_path}/audit")


@page(f"{paths.OPERATOR}/audit", role=Role.OPERATOR)
async def audit_log(request: DashboardRequest) -> Response:
    """Show what people did, for one merchant or for all, newest first."""
    given = request.parameters(AllAuditParameters)
    return await _show(request, given, given.merchant_id, f"{request.dashboard_path}{paths.OPERATOR}/audit")


async def _show(request: DashboardRequest, given: AuditParameters, merchant_id: str | None, path: str) -> Response:
    reader = request.service.reader
    wanted = AuditFilter(limit=PAGE_LENGTH, merchant_id=merchant_id, starting_after=given.before)
    entries, more = await reader.submit(list_entries, wanted)
    actors = frozenset(one.actor.removeprefix("user:") for one in entries if one.actor)
    people = await reader.submit(load_users_by_id, actors)
    values = {
        "entries": [_shown(one, people, names_operators=request.person.is_operator) for one in entries],
        "path": path,
        "older": request.http.url.include_query_params(before=entries[-1].id).query if more else "",
        "merchant_id": merchant_id or "",
    }
    return request.page("audit.html", values, title="Audit log")


def _shown(entry: AuditEntry, people: Mapping[str, User], *, names_operators: bool) -> ShownEntry:
    user = people.get(entry.actor.removeprefix("user:")) if entry.actor else None
    who, address = user.email if user else entry.actor or "nobody", entry.address
    if user and user.role == Role.OPERATOR and not names_operators:
        who, address = "an operator of this service", ""
    return ShownEntry(entry, who, _readable(entry.detail), address)


def _readable(detail: str | None) -> str:
    """Return the fields of an entry's detail as a person reads them: ``change: role, role: admin``."""
    fields: dict[str, Any] = msgspec.json.decode(detail) if detail else {}
    texts = {name: " ".join(value) if isinstance(value, list) else str(value) for name, value in fields.items()}
    return ", ".join(f"{name}: {text}" for name, text in texts.items())
