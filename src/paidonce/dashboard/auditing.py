"""Records what people do: each action before it runs, and then its outcome. No action can be forgotten."""

from collections.abc import Awaitable, Callable
from typing import Final

import msgspec
import structlog
from starlette.responses import Response

from paidonce import ids
from paidonce.dashboard.declarations import Declaration
from paidonce.dashboard.forms import Form
from paidonce.dashboard.idempotency import SentBefore
from paidonce.dashboard.request import DashboardRequest
from paidonce.errors import PaidonceError
from paidonce.http.context import context_of
from paidonce.http.problems import InternalError
from paidonce.users.audit import DONE, AuditType, record_entries, record_outcomes
from paidonce.users.audit_store import AuditEntry, AuditOutcome
from paidonce.users.model import User

log = structlog.get_logger()

SUBJECT_LENGTH_MAX: Final = 200
REPEATED: Final = "sent before"


async def recorded(
    request: DashboardRequest, declaration: Declaration, form: Form, run: Callable[[], Awaitable[Response]]
) -> Response:
    """Run an action of a person, and record it. What is open to everybody is recorded where it is."""
    if request.signed_in is None:
        return await run()
    person, tenant = request.person, request.tenant_or_none
    subject = request.path_values[declaration.variables[-1]] if declaration.variables else form.subject
    detail = form.kept_fields if tenant is None else {"mode": tenant.mode, **form.kept_fields}
    entry = AuditEntry(
        id=ids.new_id(ids.AUDIT_ENTRY),
        merchant_id=person.user.merchant_id if tenant is None else tenant.merchant_id,
        type=declaration.name,
        actor=person.actor,
        subject=subject,
        detail=msgspec.json.encode(detail).decode() if detail else None,
        address=request.address,
        request_id=context_of(request.http).id,
    )
    await request.service.writer.submit(record_entries, entry)
    outcome = InternalError.code
    try:
        response = await run()
        outcome = DONE
    except SentBefore:
        outcome = REPEATED
        raise
    except PaidonceError as error:
        outcome = error.code
        raise
    finally:
        await request.service.writer.submit(record_outcomes, AuditOutcome(entry.id, outcome))
    return response


async def record(
    request: DashboardRequest, kind: AuditType, *, user: User | None = None, email: str = "", outcome: str = DONE
) -> None:
    """Record what a person did who was not logged in before, such as a log-in."""
    entry = AuditEntry(
        id=ids.new_id(ids.AUDIT_ENTRY),
        merchant_id=user.merchant_id if user else "",
        type=kind.value,
        actor=f"user:{user.id}" if user else None,
        subject=email[:SUBJECT_LENGTH_MAX] or (user.email if user else None),
        outcome=outcome,
        address=request.address,
        request_id=context_of(request.http).id,
    )
    await request.service.writer.submit(record_entries, entry)
    log.info(kind.value, user_id=user.id if user else None, outcome=outcome, address=request.address)
