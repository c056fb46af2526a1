"""The calls about checkouts."""

from collections.abc import Iterable, Sequence
from functools import partial

import msgspec
from starlette.responses import Response

from paidonce import ids
from paidonce.checkouts.actions import (
    Created,
    Replayed,
    create_checkouts,
    load_checkouts,
    load_timelines,
)
from paidonce.checkouts.list_store import CheckoutFilter
from paidonce.checkouts.listing import list_checkouts
from paidonce.checkouts.model import Checkout, NewCheckout
from paidonce.checkouts.schemas import (
    CheckoutPage,
    CheckoutResponse,
    CreateCheckoutBody,
    ListCheckoutsParameters,
    Timeline,
    checkout_response,
)
from paidonce.checkouts.store import id_of
from paidonce.clock import parse_instant
from paidonce.errors import (
    CheckoutNotFound,
    IdempotencyKeyReused,
    MerchantNotFound,
    WrongMerchant,
    WrongMode,
)
from paidonce.events.model import EventType, Origin
from paidonce.events.schemas import event_response
from paidonce.http.disconnects import until_disconnected
from paidonce.http.fields import Fields
from paidonce.http.headers import header_of, headers_of, merge_idempotency_keys, read_wait_seconds
from paidonce.http.key_expiry import wait_while_key_is_valid
from paidonce.http.operation import ResponseSpec, exempt_post, get
from paidonce.http.rate_limits import count_wait
from paidonce.http.request import ApiRequest, refuse_two_cursors
from paidonce.http.responses import json_response
from paidonce.merchants.model import Scope, Tenant, TenantFilter, TenantScopedId
from paidonce.service import Service


def _required_fields(request: ApiRequest) -> Sequence[str]:
    required = [] if header_of(request.http, b"idempotency-key") else ["idempotencyKey"]
    return required if request.caller.merchant_id else [*required, "merchantId"]


@exempt_post(
    "/checkouts",
    operation_id="createCheckout",
    scope=Scope.CHECKOUTS_WRITE,
    summary="Create a checkout",
    description="The same merchant, mode, key and body give the same checkout for ever, from any number of clients at "
    "once. Another body with the same key is refused.",
    body=CreateCheckoutBody,
    required_fields=_required_fields,
    because="The key names the purchase for ever: it is stored in the checkout's own row, and may be in the body.",
    body_required=True,
    body_example={"merchantId": "m123", "amount": 1000, "currency": "USD", "idempotencyKey": "abc123"},
    headers=["Idempotency-Key"],
    responses={
        201: ResponseSpec(
            description="The checkout: new, or as it is now.",
            schema=CheckoutResponse,
            headers=["Location", "Idempotent-Replayed"],
        )
    },
    errors=[IdempotencyKeyReused, WrongMerchant, WrongMode, MerchantNotFound],
)
async def create_checkout(request: ApiRequest, body: CreateCheckoutBody) -> Response:
    """Create a checkout, or return the one that this key created."""
    tenant = request.tenant(body)
    await request.require_merchant(tenant.merchant_id)
    checkout = _new_checkout(request, body, tenant)
    outcome: Created | Replayed = await request.service.writer.submit(create_checkouts, checkout)
    headers = {"Location": f"/checkouts/{outcome.checkout.id}"}
    if not isinstance(outcome, Created):
        headers["Idempotent-Replayed"] = "true"
    return json_response(await show_checkout(request, outcome.checkout), 201, headers)


@get(
    "/checkouts",
    ListCheckoutsParameters,
    operation_id="listCheckouts",
    scope=Scope.CHECKOUTS_READ,
    summary="List checkouts",
    description="Newest first, by pages: pass the last id as `startingAfter` for the next.",
    responses={200: ResponseSpec(description="A page.", schema=CheckoutPage)},
    errors=[WrongMerchant, WrongMode, MerchantNotFound],
)
async def get_checkouts(request: ApiRequest, parameters: ListCheckoutsParameters) -> Response:
    """Return a page of checkouts."""
    tenant = request.tenant_filter(parameters)
    await request.require_merchant(tenant.merchant_id)
    page, has_more = await list_checkouts(request.service.reader, _filter(parameters, tenant))
    return json_response(CheckoutPage(await show_checkouts(request, page), has_more))


@get(
    "/checkouts/{checkout_id}",
    operation_id="getCheckout",
    scope=Scope.CHECKOUTS_READ,
    summary="Get a checkout",
    headers=["Prefer"],
    responses={
        200: ResponseSpec(description="As it is now.", schema=CheckoutResponse, headers=["Preference-Applied"]),
    },
    errors=[CheckoutNotFound],
)
async def get_checkout(request: ApiRequest) -> Response:
    """Return a checkout, at once or when it has left PROCESSING."""
    return await respond_when_settled(request, await load_checkout(request.service, request.resource), 200, {})


@get(
    "/checkouts/{checkout_id}/timeline",
    operation_id="getTimeline",
    scope=Scope.CHECKOUTS_READ,
    summary="Get a checkout's timeline",
    description="Every transition, attempt and response of the provider with its cause, oldest first. With `complete` "
    "it begins with the creation; otherwise its oldest events are deleted.",
    responses={200: ResponseSpec(description="What happened so far.", schema=Timeline)},
    errors=[CheckoutNotFound],
)
async def get_timeline(request: ApiRequest) -> Response:
    """Return everything that happened to a checkout."""
    events = await request.service.reader.submit(load_timelines, request.resource)
    is_complete = bool(events) and events[0].type == EventType.CHECKOUT_CREATED
    return json_response(Timeline([event_response(event) for event in events], is_complete))


async def load_checkout(service: Service, checkout: TenantScopedId) -> Checkout:
    """Read a checkout; raises CheckoutNotFound."""
    return await service.reader.submit(load_checkouts, checkout)


async def show_checkout(request: ApiRequest, checkout: Checkout) -> CheckoutResponse:
    """Show a checkout, with the URL of its page as this client reaches it."""
    token = request.service.page_tokens.token_of(checkout.id)
    has_page = token is not None and (
        request.service.profiles.all_have_pages or await has_checkout_page(request.service, checkout)
    )
    return checkout_response(checkout, request.absolute_url(f"/pay/{token}") if has_page else None)


async def show_checkouts(request: ApiRequest, checkouts: Iterable[Checkout]) -> list[CheckoutResponse]:
    """Show several checkouts."""
    return [await show_checkout(request, checkout) for checkout in checkouts]


async def checkout_page_path(service: Service, checkout: Checkout) -> str | None:
    """Return the path of the page on which a buyer can pay; None where pages are switched off, for all or for the
    merchant.
    """
    token = service.page_tokens.token_of(checkout.id)
    return None if token is None or not await has_checkout_page(service, checkout) else f"/pay/{token}"


async def has_checkout_page(service: Service, checkout: Checkout) -> bool:
    """Tell whether the merchant of a checkout has not switched pages off."""
    return await service.profiles.has_page(Tenant(checkout.merchant_id, checkout.mode))


async def checkout_tenant(request: ApiRequest, _body: Fields) -> Tenant:
    """Tell whose the checkout in the path is; raises CheckoutNotFound."""
    checkout = await load_checkout(request.service, request.resource)
    return Tenant(checkout.merchant_id, checkout.mode)


async def respond_when_settled(
    request: ApiRequest, checkout: Checkout, status: int, headers: dict[str, str], *, owned_locally: bool = False
) -> Response:
    """Respond with a checkout at once or, where ``Prefer: wait=N`` asks for it, when it has left PROCESSING
    or requires an action of the buyer.

    ``owned_locally`` is as ``SettlementWaiters.settled`` has it.
    """
    service = request.service
    seconds = read_wait_seconds(", ".join(headers_of(request.http, b"prefer")))
    if seconds and checkout.awaits_provider:
        if count_wait(request.context):
            waiting = service.settlement_waiters.settled(
                checkout,
                lambda: load_checkout(service, id_of(checkout)),
                seconds=seconds,
                owned_locally=owned_locally,
                gone=partial(until_disconnected, request.http.receive),
            )
            checkout = await wait_while_key_is_valid(request, waiting)
        else:
            seconds = 0  # Its key waits for too many already.
    if seconds:
        headers["Preference-Applied"] = f"wait={seconds}"
    return json_response(await show_checkout(request, checkout), status, headers)


def _new_checkout(request: ApiRequest, body: CreateCheckoutBody, tenant: Tenant) -> NewCheckout:
    key = merge_idempotency_keys(header_of(request.http, b"idempotency-key"), body.idempotency_key)
    assert key is not None, "the body must have it where the header does not"
    return NewCheckout(
        id=ids.new_id(ids.CHECKOUT),
        merchant_id=tenant.merchant_id,
        mode=tenant.mode,
        idempotency_key=key,
        amount=body.amount,
        currency=body.currency,
        expires_in_seconds=body.expires_in,
        capture_method=body.capture_method,
        description=body.description,
        # Sorted, so that the same pairs in another order are the same body.
        metadata=msgspec.json.encode(body.metadata, order="sorted").decode() if body.metadata else None,
        success_url=body.success_url,
        cancel_url=body.cancel_url,
        origin=Origin(request.context.id, key, request.caller.actor),
    )


def _filter(parameters: ListCheckoutsParameters, tenant: TenantFilter) -> CheckoutFilter:
    refuse_two_cursors(parameters.starting_after, parameters.ending_before)
    return CheckoutFilter(
        limit=parameters.limit,
        tenant=tenant,
        status=parameters.status,
        created_after=parse_instant(parameters.created_after) if parameters.created_after else None,
        created_before=parse_instant(parameters.created_before) if parameters.created_before else None,
        starting_after=parameters.starting_after,
        ending_before=parameters.ending_before,
    )
