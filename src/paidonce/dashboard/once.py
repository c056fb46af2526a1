"""Actions that are no calls of the API take effect once for each idempotency key, too."""

from typing import Any, Final

from paidonce import ids
from paidonce.dashboard.request import DashboardRequest
from paidonce.database.batch import Action
from paidonce.errors import PaidonceError
from paidonce.http.context import context_of, path_in
from paidonce.idempotency.actions import with_idempotency
from paidonce.idempotency.model import (
    AlreadyProcessed,
    Claim,
    Idempotency,
    ScopedKey,
    StoredResponse,
    field_digests,
    operator_key_space,
)

SEE_OTHER: Final = 303


async def submit_once(
    request: DashboardRequest, action: Action[Any, Any | PaidonceError], params: object
) -> Any | AlreadyProcessed:  # noqa: ANN401 - the outcome of any action
    """Run an action of a person once; returns AlreadyProcessed where the same form was sent before.

    Raises the errors of the action, and IdempotencyKeyReused where another form has the same key.
    """
    assert request.received is not None, "an action has a form"
    space = operator_key_space(request.person.user.id)
    claim = Claim(
        id=ids.new_id(ids.CLAIM),
        name=ScopedKey(space.merchant_id, space.mode, request.idempotency_key),
        path=path_in(request.http.scope),
        fields=field_digests(dict(request.received.fields)),
        retention_ms=request.service.settings.idempotency_retention_ms,
        request_id=context_of(request.http).id,
    )
    return await request.service.writer.submit(*with_idempotency(Idempotency(claim, _summarize), action, params))


def _summarize(_params: object, _outcome: object) -> StoredResponse:
    return StoredResponse(SEE_OTHER, "/dashboard")
