"""Commands: what a POST asks for.

The handler of a POST returns a command: what is to be done, and how to respond. Here it is done, once for each
idempotency key. No handler sees the key, so none can forget it.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeAlias, TypeVar

import msgspec
from starlette.responses import Response

from paidonce import ids
from paidonce.checkouts.model import ProviderRoute
from paidonce.database.batch import Action
from paidonce.encryption import Keyring
from paidonce.errors import EncryptionKeyMissing, PaidonceError
from paidonce.http.context import path_in
from paidonce.http.fields import Fields
from paidonce.http.request import ApiRequest
from paidonce.idempotency.actions import load_idempotency_records, with_idempotency
from paidonce.idempotency.model import (
    AlreadyProcessed,
    Claim,
    Idempotency,
    IdempotencyRecord,
    ScopedKey,
    StoredResponse,
    field_digests,
    operator_key_space,
)
from paidonce.idempotency.secrets import StoredSecret, open_stored_secret, seal_stored_secret
from paidonce.merchants.model import Caller, Tenant
from paidonce.service import Service

ParamsT = TypeVar("ParamsT")
OutcomeT = TypeVar("OutcomeT")
BodyT = TypeVar("BodyT", bound=Fields)

TenantOf: TypeAlias = Callable[[ApiRequest, BodyT], Awaitable[Tenant]]
"""Tells the merchant and the mode that a request is about. It is asked only where the caller has no merchant."""


class Repeat(msgspec.Struct, frozen=True):
    """A request that was answered before. ``secret`` is what that answer showed once; None where it was not kept, where
    its encryption key is gone, or where it was shown to another than who asks now.
    """

    record: IdempotencyRecord
    secret: str | None

    @property
    def resource_id(self) -> str:
        """The id of what the request made or changed."""
        assert self.record.resource is not None, "what is committed was answered"
        return self.record.resource.rpartition("/")[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class Command(Generic[ParamsT, OutcomeT]):
    """What a POST asks for.

    ``action`` runs over ``params`` in the transaction that claims the idempotency key. ``route`` names the provider
    that is called when the transaction has committed, where the action begins an attempt.
    ``summarize`` says what is stored for those who repeat the request. It is one function for each operation.
    ``respond`` answers when it is done, ``respond_again`` when it was done before; the status is the first response's.
    ``secret`` is what the response shows once. ``check`` looks at what only the first request must pass, and raises.
    """

    action: Action[ParamsT, OutcomeT | PaidonceError]
    params: ParamsT
    summarize: Callable[[ParamsT, OutcomeT], StoredResponse]
    respond: Callable[[OutcomeT], Awaitable[Response]]
    respond_again: Callable[[Repeat], Awaitable[Response]]
    route: ProviderRoute | None = None
    secret: str | None = None
    check: Callable[[], Awaitable[None]] | None = None


async def perform(
    command: Command[Any, Any], request: ApiRequest, body: BodyT, tenant: TenantOf[BodyT] | None
) -> Response:
    """Do what a command says, once for each idempotency key, and respond; raises the errors of its action.

    ``body`` is the request's body as it was read: a field that is left out is the same as its default.
    """
    service = request.service
    idempotency = await _idempotency(command, request, body, tenant)
    if command.check is not None and not await _was_answered(idempotency, service):
        await command.check()
    if command.route is None:
        outcome = await service.writer.submit(*with_idempotency(idempotency, command.action, command.params))
    else:
        outcome = await service.worker.begin(command.action, command.params, command.route, idempotency=idempotency)
    if not isinstance(outcome, AlreadyProcessed):
        return await command.respond(outcome)
    secret = _open(service.encryption, outcome.record, request.caller)
    response = await command.respond_again(Repeat(outcome.record, secret))
    response.status_code = outcome.record.status or response.status_code
    response.headers["Idempotent-Replayed"] = "true"
    return response


async def _idempotency(
    command: Command[Any, Any], request: ApiRequest, body: BodyT, tenant: TenantOf[BodyT] | None
) -> Idempotency | None:
    """Tell how a command takes effect once; None where its request bears no key. Raises InvalidIdempotencyKey."""
    origin = request.origin
    if origin.idempotency_key is None:
        return None
    service = request.service
    owner = await _key_owner(request, body, tenant)
    name = ScopedKey(owner.merchant_id, owner.mode, origin.idempotency_key)
    claim = Claim(
        id=ids.new_id(ids.CLAIM),
        name=name,
        path=path_in(request.http.scope),
        fields=field_digests(msgspec.to_builtins(body)),
        retention_ms=service.settings.idempotency_retention_ms,
        request_id=origin.request_id,
        secret=_seal(service.encryption, command.secret, request.caller, name),
    )
    return Idempotency(claim, command.summarize)


async def _key_owner(request: ApiRequest, body: BodyT, tenant: TenantOf[BodyT] | None) -> Tenant:
    """Tell whose an idempotency key is: the caller's merchant's, that of what the call is about, or the operator's."""
    caller = request.caller
    if caller.merchant_id is not None:
        assert caller.mode is not None, "a merchant's key has a mode"
        return Tenant(caller.merchant_id, caller.mode)
    if tenant is not None:
        return await tenant(request, body)
    assert caller.key_id is not None, "only an operator's API key is admitted to an operator's calls"
    return operator_key_space(caller.key_id)


async def _was_answered(idempotency: Idempotency | None, service: Service) -> bool:
    return (
        idempotency is not None
        and await service.reader.submit(load_idempotency_records, idempotency.claim.name) is not None
    )


def _seal(encryption: Keyring, secret: str | None, caller: Caller, name: ScopedKey) -> str | None:
    """Encrypt what is shown once; None where nothing is, or where there is no encryption key."""
    if secret is None:
        return None
    try:
        return seal_stored_secret(encryption, StoredSecret(_shown_to(caller), secret), name)
    except EncryptionKeyMissing:
        return None


def _open(encryption: Keyring, record: IdempotencyRecord, caller: Caller) -> str | None:
    if record.secret is None:
        return None
    try:
        kept = open_stored_secret(encryption, record.secret, record.name)
    except EncryptionKeyMissing:
        return None
    return kept.secret if kept.shown_to == _shown_to(caller) else None


def _shown_to(caller: Caller) -> str:
    """Name who may be shown a secret again: a merchant, or one operator's API key; empty while keys are off."""
    if caller.merchant_id is not None:
        return caller.merchant_id
    return "" if caller.key_id is None else operator_key_space(caller.key_id).merchant_id
