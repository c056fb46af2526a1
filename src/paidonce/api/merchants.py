"""An operator's calls: merchants, and their keys."""

import structlog

from paidonce import ids
from paidonce.api.answers_merchants import KeyPage, MerchantPage, issued_answer, key_answer, merchant_answer
from paidonce.api.bodies_merchants import (
    CreateKeyBody,
    CreateMerchantBody,
    KeyParameters,
    MerchantParameters,
    RevokeKeyBody,
    RotateKeyBody,
)
from paidonce.api.exchange import caller_of, read
from paidonce.api.reading import read_parameters
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
from paidonce.web.reply import Reply, reply
from paidonce.web.request import Request

log = structlog.get_logger()


async def create_merchant(request: Request, service: Service) -> Reply:
    """Create a merchant; one that is there stays as it is."""
    said = read(CreateMerchantBody, request)
    made = await service.writer.submit(create_merchants, said.id)
    headers = {} if made.is_new else {"Idempotent-Replayed": "true"}
    return reply(merchant_answer(made.merchant), 201, headers)


async def show_merchants(request: Request, service: Service) -> Reply:
    """Show a page of merchants."""
    said = read_parameters(MerchantParameters, request.parameters)
    wanted = MerchantFilter(said.limit, said.starting_after or "")
    page, has_more = await service.reader.submit(list_merchants, wanted)
    return reply(MerchantPage([merchant_answer(one) for one in page], has_more))


async def create_key(request: Request, service: Service) -> Reply:
    """Make a key of a merchant."""
    said = read(CreateKeyBody, request)
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


async def show_keys(request: Request, service: Service) -> Reply:
    """Show a page of keys."""
    said = read_parameters(KeyParameters, request.parameters)
    wanted = KeyFilter(
        limit=said.limit, merchant_id=said.merchant_id, starting_after=said.starting_after, operators=False
    )
    page, has_more = await service.reader.submit(list_keys, wanted)
    return reply(KeyPage([key_answer(one, service.clock()) for one in page], has_more))


async def revoke_key(request: Request, service: Service, key_id: str) -> Reply:
    """Revoke a key."""
    read(RevokeKeyBody, request)
    key = await service.writer.submit(revoke_keys, RevokeKey(id=key_id, operators=False))
    assert not isinstance(key, Exception)  # The batcher raises those.
    service.keyring.forget()
    log.info("key_revoked", key_id=key.id, merchant_id=key.merchant_id, by_key_id=caller_of(request).key_id)
    return reply(key_answer(key, service.clock()))


async def rotate_key(request: Request, service: Service, key_id: str) -> Reply:
    """Put a new key in a key's place."""
    said = read(RotateKeyBody, request)
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


def _show_issued(request: Request, service: Service, issued: Issued, what: str) -> Reply:
    key = issued.key
    log.info(what, key_id=key.id, merchant_id=key.merchant_id, by_key_id=caller_of(request).key_id)
    return reply(issued_answer(issued, service.clock()), 201)
