"""What an action writes is committed together with the claim to its form's idempotency key, whoever wrote the handler.

The endpoint runs each action with ``run_once``, which gives the handler a service whose writer is a ``ClaimingWriter``.
A handler has no other writer, so it cannot forget the key. A call of the API that honours an idempotency key claims it
itself, with all that its response shows once; ``run_operation`` gives it the writer without a claim.
"""

import hmac
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from hashlib import sha256
from typing import Any, Final

from starlette.responses import Response

from paidonce import ids
from paidonce.dashboard.forms import ReceivedForm
from paidonce.dashboard.request import DashboardRequest
from paidonce.database.batch import Action, Outcome, Request
from paidonce.errors import PaidonceError
from paidonce.http.context import context_of, path_in
from paidonce.idempotency.actions import load_idempotency_records, with_idempotency
from paidonce.idempotency.model import (
    AlreadyProcessed,
    Claim,
    Idempotency,
    ScopedKey,
    StoredResponse,
    field_digests,
    person_key_space,
)
from paidonce.service import Service, Writer

SEE_OTHER: Final = 303


class SentBefore(Exception):
    """The form was sent before, and took effect then."""


class ClaimingWriter:
    """A writer for one form. ``without_claim`` is the writer that it uses, for what claims the key itself."""

    def __init__(self, writer: Writer, claim: Claim) -> None:
        self.without_claim: Final = writer
        self._idempotency = Idempotency(claim, _summarize)

    @property
    def pid(self) -> int | None:
        """The id of the process that runs the actions; None where it is this process."""
        return self.without_claim.pid

    async def submit(self, action: Action[Request, Outcome | PaidonceError], request: Request) -> Outcome:
        """Run an action and claim the key in one transaction; returns the outcome.

        Raises SentBefore where the same form has committed something, and IdempotencyKeyReused where another form has
        the same key.
        """
        outcome: Any = await self.without_claim.submit(*with_idempotency(self._idempotency, action, request))
        if isinstance(outcome, AlreadyProcessed):
            raise SentBefore
        committed: Outcome = outcome
        return committed


async def run_once(request: DashboardRequest, handle: Callable[[DashboardRequest], Awaitable[Response]]) -> Response:
    """Run the handler of an action with a writer that claims the form's key.

    Raises SentBefore where the form has taken effect already, also where the handler refuses what has changed since
    then: a password that was changed is no longer the current one.
    """
    service, claim = request.service, _claim(request)
    try:
        return await handle(replace(request, service=replace(service, writer=ClaimingWriter(service.writer, claim))))
    except PaidonceError:
        if await _took_effect_before(claim, service):
            raise SentBefore from None
        raise


def without_claim(service: Service) -> Service:
    """Return the service with a writer that claims nothing."""
    writer = service.writer
    return replace(service, writer=writer.without_claim) if isinstance(writer, ClaimingWriter) else service


def _claim(request: DashboardRequest) -> Claim:
    received = request.received
    assert received is not None, "an action has a form"
    space = person_key_space(request.person.user.id)
    return Claim(
        id=ids.new_id(ids.CLAIM),
        name=ScopedKey(space.merchant_id, space.mode, received.idempotency_key),
        path=path_in(request.http.scope),
        fields=_digests(received, request.secret),
        retention_ms=request.service.settings.idempotency_retention_ms,
        request_id=context_of(request.http).id,
    )


async def _took_effect_before(claim: Claim, service: Service) -> bool:
    """Tell whether an earlier request sent the same form and committed something."""
    record = await service.reader.submit(load_idempotency_records, claim.name)
    return (
        record is not None
        and record.claim_id != claim.id
        and record.expires_at > service.clock()
        and not record.differing_fields(claim)
    )


def _digests(received: ReceivedForm, secret: str) -> dict[str, str]:
    """Return digests of the fields. They are keyed with the cookie of the session, which is stored nowhere: a fast hash
    of a password alone could be searched for.
    """
    fields: dict[str, list[str]] = {}
    for name, value in received.fields:
        fields.setdefault(name, []).append(value)
    for name, file in received.files.items():
        fields[name] = [file.filename or "", str(file.size)]
    return field_digests({name: _keyed(values, secret) for name, values in fields.items()})


def _keyed(values: Sequence[str], secret: str) -> list[str]:
    return [hmac.new(secret.encode(), one.encode(), sha256).hexdigest() for one in values]


def _summarize(_params: Any, _outcome: Any) -> StoredResponse:  # noqa: ANN401 - of any action
    return StoredResponse(SEE_OTHER, "/dashboard")
