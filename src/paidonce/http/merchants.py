"""An operator's calls: merchants, and their keys."""

import structlog
from starlette.requests import Request
from starlette.responses import Response

from paidonce import ids
from paidonce.http.answers_merchants import (
    KeyPage,
    MerchantPage,
    issued_answer,
    issued_answer_again,
    key_answer,
    merchant_answer,
)
from paidonce.http.bodies_merchants import (
    CreateKeyBody,
    CreateMerchantBody,
    KeyParameters,
    MerchantParameters,
    RevokeKeyBody,
    RotateKeyBody,
)
from paidonce.http.commands import Command, Repeat
from paidonce.http.exchange import caller_of, read
from paidonce.http.reading import read_parameters
from paidonce.http.responses import reply
from paidonce.http.summaries import summarize_key_issued, summarize_key_revoked, summarize_merchant_created
from paidonce.merchants.actions import (
    CreatedMerchant,
    IssuedKey,
    MerchantFilter,
    NewKey,
    RevokeKey,
    RotateKey,
    create_keys,
    create_merchants,
    list_keys,
    list_merchants,
    load_keys,
    load_merchants,
    revoke_keys,
    rotate_keys,
)
from paidonce.merchants.model import MERCHANT_SCOPES, ApiKey, Mode, Scope
from paidonce.merchants.secret import RANDOM_LENGTH, make_secret
from paidonce.merchants.store import KeyFilter
from paidonce.service import Service

log = structlog.get_logger()


async def create_merchant(request: Request, service: Service) -> Command[CreatedMerchant]:
    """Create a merchant; one that is there stays as it is."""
    said = await read(CreateMerchantBody, request)

    async def respond(made: CreatedMerchant) -> Response:
        headers = {} if made.is_new else {"Idempotent-Replayed": "true"}
        return reply(merchant_answer(made.merchant), 201, headers)

    async def respond_again(_repeat: Repeat) -> Response:
        found = await service.reader.submit(load_merchants, said.id)
        return reply(merchant_answer(found), 201)

    return Command(
        action=create_merchants,
        params=said.id,
        body=said,
        owner=None,
        summarize=summarize_merchant_created,
        respond=respond,
        respond_again=respond_again,
    )


async def show_merchants(request: Request, service: Service) -> Response:
    """Show a page of merchants."""
    said = read_parameters(MerchantParameters, request.query_params.multi_items())
    wanted = MerchantFilter(said.limit, said.starting_after or "")
    page, has_more = await service.reader.submit(list_merchants, wanted)
    return reply(MerchantPage([merchant_answer(one) for one in page], has_more))


async def create_key(request: Request, service: Service) -> Command[IssuedKey]:
    """Make a key of a merchant."""
    said = await read(CreateKeyBody, request)
    wish = NewKey(
        id=ids.new_id(ids.KEY),
        random_part=ids.draw_base62(RANDOM_LENGTH),
        merchant_id=said.merchant_id,
        mode=Mode(said.mode),
        scopes=MERCHANT_SCOPES if said.scopes is None else frozenset(Scope(one) for one in said.scopes),
    )

    async def respond(issued: IssuedKey) -> Response:
        return _show_issued(request, service, issued, "key_created")

    return Command(
        action=create_keys,
        params=wish,
        body=said,
        owner=None,
        summarize=summarize_key_issued,
        respond=respond,
        respond_again=lambda repeat: _show_issued_again(service, repeat),
        secret=wish.random_part,
    )


async def show_keys(request: Request, service: Service) -> Response:
    """Show a page of keys."""
    said = read_parameters(KeyParameters, request.query_params.multi_items())
    wanted = KeyFilter(
        limit=said.limit, merchant_id=said.merchant_id, starting_after=said.starting_after, operators=False
    )
    page, has_more = await service.reader.submit(list_keys, wanted)
    return reply(KeyPage([key_answer(one, service.clock()) for one in page], has_more))


async def revoke_key(request: Request, service: Service, key_id: str) -> Command[ApiKey]:
    """Revoke a key."""
    said = await read(RevokeKeyBody, request)

    async def respond(key: ApiKey) -> Response:
        service.api_key_cache.invalidate()
        log.info("key_revoked", key_id=key.id, merchant_id=key.merchant_id, by_key_id=caller_of(request).key_id)
        return reply(key_answer(key, service.clock()))

    async def respond_again(repeat: Repeat) -> Response:
        service.api_key_cache.invalidate()  # It may have been another process that revoked it.
        return reply(key_answer(await _find(service, repeat.resource_id), service.clock()))

    return Command(
        action=revoke_keys,
        params=RevokeKey(id=key_id, operators=False),
        body=said,
        owner=None,
        summarize=summarize_key_revoked,
        respond=respond,
        respond_again=respond_again,
    )


async def rotate_key(request: Request, service: Service, key_id: str) -> Command[IssuedKey]:
    """Put a new key in a key's place."""
    said = await read(RotateKeyBody, request)
    wish = RotateKey(
        id=key_id,
        new_id=ids.new_id(ids.KEY),
        random_part=ids.draw_base62(RANDOM_LENGTH),
        overlap_seconds=said.overlap_seconds,
        operators=False,
    )

    async def respond(issued: IssuedKey) -> Response:
        service.api_key_cache.invalidate()
        return _show_issued(request, service, issued, "key_rotated")

    return Command(
        action=rotate_keys,
        params=wish,
        body=said,
        owner=None,
        summarize=summarize_key_issued,
        respond=respond,
        respond_again=lambda repeat: _show_issued_again(service, repeat),
        secret=wish.random_part,
    )


def _show_issued(request: Request, service: Service, issued: IssuedKey, what: str) -> Response:
    key = issued.key
    log.info(what, key_id=key.id, merchant_id=key.merchant_id, by_key_id=caller_of(request).key_id)
    return reply(issued_answer(issued, service.clock()), 201)


async def _show_issued_again(service: Service, repeat: Repeat) -> Response:
    service.api_key_cache.invalidate()  # It may have been another process that rotated a key.
    key = await _find(service, repeat.resource_id)
    secret = None if repeat.secret is None else make_secret(Mode(key.mode), repeat.secret)
    answer = issued_answer_again(key, service.clock(), secret=secret, shown_at=repeat.record.created_at)
    return reply(answer, 201)


async def _find(service: Service, key_id: str) -> ApiKey:
    return await service.reader.submit(load_keys, key_id)
