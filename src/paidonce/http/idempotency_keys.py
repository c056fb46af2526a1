"""The call that tells what became of an idempotency key."""

from urllib.parse import unquote

from starlette.requests import Request
from starlette.responses import Response

from paidonce.checkouts.actions import load_checkouts_by_key
from paidonce.errors import IdempotencyKeyNotFound
from paidonce.http.answers_idempotency import IdempotencyKeyAnswer, KeyUse, creation_use, use_of
from paidonce.http.context import raw_path_in
from paidonce.http.exchange import caller_of, merchant_of
from paidonce.http.headers import IDEMPOTENCY_KEY
from paidonce.http.operations_idempotency import KeyParameters
from paidonce.http.reading import read_parameters
from paidonce.http.responses import reply
from paidonce.idempotency.actions import load_idempotency_records
from paidonce.idempotency.model import operator_key_space
from paidonce.service import Service

PREFIX = "/idempotency-keys/"


async def get_idempotency_key(request: Request, service: Service, _key_as_decoded: str) -> Response:
    """Show what a key was used for."""
    said = read_parameters(KeyParameters, request.query_params.multi_items())
    caller = caller_of(request)
    key = _key(request)
    if caller.merchant_id is None and caller.key_id is not None and said.merchant_id is None:
        return await _show_operators(service, operator_key_space(caller.key_id), key)
    merchant_id = merchant_of(caller, said.merchant_id, where="merchantId")
    created = await service.reader.submit(load_checkouts_by_key, (merchant_id, key))
    record = await service.reader.submit(load_idempotency_records, (merchant_id, key))
    uses: list[KeyUse] = [creation_use(created)] if created else []
    if record is not None:
        uses.append(use_of(record))
    if not uses:
        raise IdempotencyKeyNotFound
    return reply(IdempotencyKeyAnswer(key, merchant_id, uses))


async def _show_operators(service: Service, space: str, key: str) -> Response:
    """Show what an operator's API key used an idempotency key for, in calls that are about no merchant."""
    record = await service.reader.submit(load_idempotency_records, (space, key))
    if record is None:
        raise IdempotencyKeyNotFound
    return reply(IdempotencyKeyAnswer(key, None, [use_of(record)]))


def _key(request: Request) -> str:
    """Read the key from the path as it was sent: it may hold slashes, which the router would take for its own."""
    path, prefix = raw_path_in(request.scope).decode("latin-1"), PREFIX
    key = unquote(path[path.index(prefix) + len(prefix) :], errors="replace") if prefix in path else ""
    if not IDEMPOTENCY_KEY.fullmatch(key):
        raise IdempotencyKeyNotFound
    return key
