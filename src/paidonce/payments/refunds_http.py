"""The calls that return money to buyers, and the disputes of what was paid."""

from starlette.responses import Response

from paidonce import ids
from paidonce.checkouts.http import checkout_tenant
from paidonce.errors import (
    AmountExceedsRefundable,
    CheckoutNotFound,
    InvalidState,
    RefundNotFound,
)
from paidonce.http.commands import Command, Repeat
from paidonce.http.operation import ResponseSpec, get, post
from paidonce.http.request import ApiRequest
from paidonce.http.responses import json_response
from paidonce.idempotency.model import StoredResponse
from paidonce.merchants.model import Scope, TenantScopedId
from paidonce.payments.disputes import load_disputes_of_checkouts
from paidonce.payments.http import route_of
from paidonce.payments.model import Attempt
from paidonce.payments.pay import Started
from paidonce.payments.refund import StartRefund, load_refunds, load_refunds_of_checkouts, start_refunds
from paidonce.payments.schemas import (
    DisputeList,
    RefundBody,
    RefundList,
    RefundResponse,
    dispute_response,
    refund_response,
)
from paidonce.service import Service


@post(
    "/checkouts/{checkout_id}/refunds",
    operation_id="createRefund",
    scope=Scope.REFUNDS_WRITE,
    tenant=checkout_tenant,
    tag="Refunds",
    summary="Refund a checkout",
    description="Several refunds may be in progress at once; together they are never more than was captured. The same "
    "Idempotency-Key gives the same refund.",
    body=RefundBody,
    body_example={"amount": 300, "reason": "returned"},
    responses={
        202: ResponseSpec(
            description="In progress, or as it is now.", schema=RefundResponse, headers=["Location", "Retry-After"]
        )
    },
    errors=[CheckoutNotFound, InvalidState, AmountExceedsRefundable],
)
async def create_refund(request: ApiRequest, body: RefundBody) -> Command[StartRefund, Started]:
    """Start a refund, or return the one that this key started."""

    async def respond(outcome: Started) -> Response:
        return _respond_with_refund(outcome.attempt)

    async def respond_again(repeat: Repeat) -> Response:
        return _respond_with_refund(await _load_refund(request.service, request.scoped_id(repeat.resource_id)))

    return Command(
        action=start_refunds,
        params=StartRefund(
            attempt_id=ids.new_id(ids.REFUND),
            checkout=request.resource,
            amount=body.amount,
            reason=body.reason,
            origin=request.origin,
        ),
        summarize=summarize_refund,
        respond=respond,
        respond_again=respond_again,
        route=await route_of(request),
    )


@get(
    "/checkouts/{checkout_id}/refunds",
    operation_id="listRefunds",
    scope=Scope.CHECKOUTS_READ,
    tag="Refunds",
    summary="List a checkout's refunds",
    responses={200: ResponseSpec(description="All of them, oldest first.", schema=RefundList)},
    errors=[CheckoutNotFound],
)
async def list_refunds(request: ApiRequest) -> Response:
    """Return a checkout's refunds."""
    found = await request.service.reader.submit(load_refunds_of_checkouts, request.resource)
    return json_response(RefundList([refund_response(one) for one in found]))


@get(
    "/checkouts/{checkout_id}/disputes",
    operation_id="listDisputes",
    scope=Scope.CHECKOUTS_READ,
    tag="Refunds",
    summary="List a checkout's disputes",
    description="A dispute is recorded when the provider tells of it. `reason` is the provider's code.",
    responses={200: ResponseSpec(description="All of them, oldest first.", schema=DisputeList)},
    errors=[CheckoutNotFound],
)
async def list_disputes(request: ApiRequest) -> Response:
    """Return a checkout's disputes."""
    found = await request.service.reader.submit(load_disputes_of_checkouts, request.resource)
    return json_response(DisputeList([dispute_response(one) for one in found]))


@get(
    "/refunds/{refund_id}",
    operation_id="getRefund",
    scope=Scope.CHECKOUTS_READ,
    tag="Refunds",
    summary="Get a refund",
    responses={200: ResponseSpec(description="As it is now.", schema=RefundResponse)},
    errors=[RefundNotFound],
)
async def get_refund(request: ApiRequest) -> Response:
    """Return a refund."""
    return json_response(refund_response(await _load_refund(request.service, request.resource)))


def summarize_refund(_params: object, outcome: Started) -> StoredResponse:
    """Store which refund was created."""
    return StoredResponse(202, f"/refunds/{outcome.attempt.id}", outcome.attempt.id)


def _respond_with_refund(refund: Attempt) -> Response:
    headers = {"Location": f"/refunds/{refund.id}", "Retry-After": "1"}
    return json_response(refund_response(refund), 202, headers)


async def _load_refund(service: Service, refund: TenantScopedId) -> Attempt:
    return await service.reader.submit(load_refunds, refund)
