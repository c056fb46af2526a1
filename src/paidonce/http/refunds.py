"""The refund calls."""

from starlette.requests import Request
from starlette.responses import Response

from paidonce import ids
from paidonce.http.answers import RefundList, refund_answer
from paidonce.http.bodies import RefundBody
from paidonce.http.commands import Command, Repeat
from paidonce.http.exchange import merchant_id_of, origin_of, provider_of, read, refuse_parameters, scoped_id
from paidonce.http.responses import reply
from paidonce.http.summaries import summarize_refund
from paidonce.merchants.model import TenantScopedId
from paidonce.payments.model import Attempt
from paidonce.payments.pay import Started
from paidonce.payments.refund import StartRefund, find_refunds, read_refunds, start_refunds
from paidonce.service import Service


async def create_refund(request: Request, service: Service, checkout_id: str) -> Command[Started]:
    """Start a refund, or show the one that this key started."""
    said = await read(RefundBody, request)
    wish = StartRefund(
        attempt_id=ids.new_id(ids.REFUND),
        checkout=scoped_id(request, checkout_id),
        amount=said.amount,
        reason=said.reason,
        origin=origin_of(request),
    )

    async def respond(outcome: Started) -> Response:
        return _show_under_way(outcome.attempt)

    async def respond_again(repeat: Repeat) -> Response:
        return _show_under_way(await _find(service, scoped_id(request, repeat.resource_id)))

    return Command(
        action=start_refunds,
        params=wish,
        body=said,
        owner=lambda: merchant_id_of(service, wish.checkout),
        summarize=summarize_refund,
        respond=respond,
        respond_again=respond_again,
        provider=await provider_of(service, wish.checkout),
    )


async def list_refunds(request: Request, service: Service, checkout_id: str) -> Response:
    """Show a checkout's refunds."""
    refuse_parameters(request)
    found = await service.reader.submit(read_refunds, scoped_id(request, checkout_id))
    return reply(RefundList([refund_answer(one) for one in found]))


async def get_refund(request: Request, service: Service, refund_id: str) -> Response:
    """Show a refund."""
    refuse_parameters(request)
    return reply(refund_answer(await _find(service, scoped_id(request, refund_id))))


def _show_under_way(refund: Attempt) -> Response:
    headers = {"Location": f"/refunds/{refund.id}", "Retry-After": "1"}
    return reply(refund_answer(refund), 202, headers)


async def _find(service: Service, refund: TenantScopedId) -> Attempt:
    return await service.reader.submit(find_refunds, refund)
