"""An operator's calls: merchants, and their keys."""

import structlog
from litestar import Controller, get, post
from litestar.params import FromPath

from paidonce import ids
from paidonce.api import operations_merchants as operations
from paidonce.api.answers_merchants import KeyPage, MerchantPage, issued_answer, key_answer, merchant_answer
from paidonce.api.bodies_merchants import (
    CreateKeyBody,
    CreateMerchantBody,
    KeyParameters,
    MerchantParameters,
    RevokeKeyBody,
    RotateKeyBody,
)
from paidonce.api.exchange import AnyRequest, Injected, caller_of, read
from paidonce.api.operations import described
from paidonce.api.reading import read_parameters
from paidonce.api.reply import Reply, reply
from paidonce.merchants.actions import (
    Issued,
    MerchantFilter,
    NewKey,
    RevokeKey,
    RotateKey,
    create_keys,
    create_merchants,
    list_keys,
    list_merchants,
    revoke_keys,
    rotate_keys,
)
from paidonce.merchants.model import MERCHANT_SCOPES, Mode, Scope
from paidonce.merchants.secret import RANDOM_LENGTH
from paidonce.merchants.store import KeyFilter
from paidonce.service import Service

log = structlog.get_logger()


class MerchantController(Controller):
    """Who sells."""

    path = "/merchants"

    @post(opt=described(operations.CREATE_MERCHANT))
    async def create_merchant(self, request: AnyRequest, service: Injected) -> Reply:
        """Create a merchant; one that is there stays as it is."""
        said = await read(CreateMerchantBody, request)
        made = await service.writer.submit(create_merchants, said.id)
        headers = {} if made.is_new else {"Idempotent-Replayed": "true"}
        return reply(merchant_answer(made.merchant), 201, headers)

    @get(opt=described(operations.LIST_MERCHANTS))
    async def list_merchants(self, request: AnyRequest, service: Injected) -> Reply:
        """Show a page of merchants."""
        said = read_parameters(MerchantParameters, request.query_params.multi_items())
        wanted = MerchantFilter(said.limit, said.starting_after or "")
        page, has_more = await service.reader.submit(list_merchants, wanted)
        return reply(MerchantPage([merchant_answer(one) for one in page], has_more))


class KeyController(Controller):
    """Merchants' keys. An operator's own are made and ended by command: whoever stole one could else make more."""

    path = "/keys"

    @post(opt=described(operations.CREATE_KEY))
    async def create_key(self, request: AnyRequest, service: Injected) -> Reply:
        """Make a key of a merchant."""
        said = await read(CreateKeyBody, request)
        wish = NewKey(
            id=ids.new_id(ids.KEY),
            drawn=ids.draw_base62(RANDOM_LENGTH),
            merchant_id=said.merchant_id,
            mode=Mode(said.mode),
            scopes=MERCHANT_SCOPES if said.scopes is None else frozenset(Scope(one) for one in said.scopes),
        )
        issued = await service.writer.submit(create_keys, wish)
        assert isinstance(issued, Issued)  # The batcher raises errors.
        return _show_issued(request, service, issued, "key_created")

    @get(opt=described(operations.LIST_KEYS))
    async def list_keys(self, request: AnyRequest, service: Injected) -> Reply:
        """Show a page of keys."""
        said = read_parameters(KeyParameters, request.query_params.multi_items())
        wanted = KeyFilter(
            limit=said.limit, merchant_id=said.merchant_id, starting_after=said.starting_after, operators=False
        )
        page, has_more = await service.reader.submit(list_keys, wanted)
        return reply(KeyPage([key_answer(one, service.clock()) for one in page], has_more))

    @post("/{key_id:str}/revoke", status_code=200, opt=described(operations.REVOKE_KEY))
    async def revoke_key(self, request: AnyRequest, service: Injected, key_id: FromPath[str]) -> Reply:
        """Revoke a key."""
        await read(RevokeKeyBody, request)
        key = await service.writer.submit(revoke_keys, RevokeKey(id=key_id, operators=False))
        assert not isinstance(key, Exception)  # The batcher raises those.
        service.keyring.forget()
        log.info("key_revoked", key_id=key.id, merchant_id=key.merchant_id, by_key_id=caller_of(request).key_id)
        return reply(key_answer(key, service.clock()))

    @post("/{key_id:str}/rotate", opt=described(operations.ROTATE_KEY))
    async def rotate_key(self, request: AnyRequest, service: Injected, key_id: FromPath[str]) -> Reply:
        """Put a new key in a key's place."""
        said = await read(RotateKeyBody, request)
        wish = RotateKey(
            id=key_id,
            new_id=ids.new_id(ids.KEY),
            drawn=ids.draw_base62(RANDOM_LENGTH),
            overlap_seconds=said.overlap_seconds,
            operators=False,
        )
        issued = await service.writer.submit(rotate_keys, wish)
        assert isinstance(issued, Issued)  # The batcher raises errors.
        service.keyring.forget()
        return _show_issued(request, service, issued, "key_rotated")


def _show_issued(request: AnyRequest, service: Service, issued: Issued, what: str) -> Reply:
    key = issued.key
    log.info(what, key_id=key.id, merchant_id=key.merchant_id, by_key_id=caller_of(request).key_id)
    # Shown once: no cache may keep it.
    return reply(issued_answer(issued, service.clock()), 201, {"Cache-Control": "no-store"})
