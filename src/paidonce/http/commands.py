"""Commands: what a POST asks for. A handler says what is to be done and how to answer; here it is done, once for each
idempotency key. No handler of a POST sees the key, so none can forget it.
"""

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from paidonce import ids
from paidonce.encryption import Keyring
from paidonce.errors import EncryptionKeyMissing
from paidonce.http.context import path_in
from paidonce.http.exchange import caller_of, origin_of
from paidonce.http.reading import Fields
from paidonce.idempotency.actions import load_idempotency_records, with_idempotency
from paidonce.idempotency.model import (
    AlreadyProcessed,
    Claim,
    Idempotency,
    IdempotencyRecord,
    StoredResponse,
    operator_key_space,
)
from paidonce.idempotency.secrets import StoredSecret, open_stored_secret, seal_stored_secret
from paidonce.merchants.model import Caller
from paidonce.service import Service

DAY_MS: Final = 86_400_000
DIGEST_DIGITS: Final = 32

Outcome = TypeVar("Outcome")


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
class Command(Generic[Outcome]):
    """What a POST asks for.

    ``action`` runs over ``params`` in the transaction that claims the key; ``provider`` names the provider that is
    called when the transaction has committed, where the action begins an attempt.
    ``body`` is the request's body as it was read: a field that is left out is the same as its default.
    ``owner`` returns the id of the merchant whose idempotency key it is, and is asked only where a caller without a
    merchant sends one. None: the call is an operator's and about no merchant.
    ``summarize`` says what is kept for those who repeat the request. It is one function for each kind of call.
    ``respond`` answers when it is done, ``respond_again`` when it was done before; the status is the first answer's.
    ``secret`` is what the answer shows once. ``check`` looks at what only the first request must pass, and raises.
    """

    action: Callable[[Any, Any], Any]
    params: Any
    body: Fields
    owner: Callable[[], Awaitable[str]] | None
    summarize: Callable[[Any, Any], StoredResponse]
    respond: Callable[[Outcome], Awaitable[Response]]
    respond_again: Callable[[Repeat], Awaitable[Response]]
    provider: str | None = None
    secret: str | None = None
    check: Callable[[], Awaitable[None]] | None = None


async def perform(command: Command[Any], request: Request, service: Service) -> Response:
    """Do what a command says, once for each idempotency key, and answer; raises what its action returns as an error."""
    idempotency = await _idempotency(command, request, service)
    if command.check is not None and not await _was_answered(idempotency, service):
        await command.check()
    if command.provider is None:
        outcome = await service.writer.submit(*with_idempotency(idempotency, command.action, command.params))
    else:
        outcome = await service.worker.begin(command.action, command.params, command.provider, idempotency=idempotency)
    if not isinstance(outcome, AlreadyProcessed):
        return await command.respond(outcome)
    secret = _open(service.encryption, outcome.record, caller_of(request))
    answer = await command.respond_again(Repeat(outcome.record, secret))
    answer.status_code = outcome.record.status or answer.status_code
    answer.headers["Idempotent-Replayed"] = "true"
    return answer


async def _idempotency(command: Command[Any], request: Request, service: Service) -> Idempotency | None:
    """Tell how a command takes effect once; None where its request bears no key. Raises InvalidIdempotencyKey."""
    origin = origin_of(request)
    if origin.idempotency_key is None:
        return None
    caller = caller_of(request)
    owner = await _owner(command, caller)
    claim = Claim(
        id=ids.new_id(ids.CLAIM),
        merchant_id=owner,
        key=origin.idempotency_key,
        path=path_in(request.scope),
        fields={name: _digest(value) for name, value in msgspec.to_builtins(command.body).items()},
        retention_ms=service.settings.idempotency_days * DAY_MS,
        request_id=origin.request_id,
        secret=_seal(service.encryption, command.secret, caller, (owner, origin.idempotency_key)),
    )
    return Idempotency(claim, command.summarize)


async def _owner(command: Command[Any], caller: Caller) -> str:
    """Tell whose an idempotency key is: the caller's merchant's, that of what the call is about, or the operator's."""
    if caller.merchant_id is not None:
        return caller.merchant_id
    if command.owner is not None:
        return await command.owner()
    assert caller.key_id is not None, "only an operator's API key is admitted to an operator's calls"
    return operator_key_space(caller.key_id)


async def _was_answered(idempotency: Idempotency | None, service: Service) -> bool:
    return (
        idempotency is not None
        and await service.reader.submit(load_idempotency_records, idempotency.claim.name) is not None
    )


def _seal(encryption: Keyring, secret: str | None, caller: Caller, name: tuple[str, str]) -> str | None:
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
        kept = open_stored_secret(encryption, record.secret, (record.merchant_id, record.key))
    except EncryptionKeyMissing:
        return None
    return kept.secret if kept.shown_to == _shown_to(caller) else None


def _shown_to(caller: Caller) -> str:
    """Name who may be shown a secret again: a merchant, or one operator's API key; empty while keys are off."""
    if caller.merchant_id is not None:
        return caller.merchant_id
    return "" if caller.key_id is None else operator_key_space(caller.key_id)


def _digest(value: object) -> str:
    return hashlib.sha256(msgspec.json.encode(value, order="sorted")).hexdigest()[:DIGEST_DIGITS]
