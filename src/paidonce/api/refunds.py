"""The refund calls."""

from paidonce import ids
from paidonce.api.answers import RefundList, refund_answer
from paidonce.api.bodies import RefundBody
from paidonce.api.exchange import origin_of, owned, provider_of, read, refuse_parameters
from paidonce.payments.pay import Repeated
from paidonce.payments.refund import StartRefund, find_refunds, read_refunds, start_refunds
from paidonce.service import Service
from paidonce.web.reply import Reply, reply
from paidonce.web.request import Request


async def create_refund(request: Request, service: Service, checkout_id: str) -> Reply:
    """Start a refund, or show the one that this key started."""
    said = await read(RefundBody, request)
    wish = StartRefund(
        attempt_id=ids.new_id(ids.REFUND),
        checkout=owned(request, checkout_id),
        amount=said.amount,
        reason=said.reason,
        origin=origin_of(request),
    )
    outcome = await service.worker.begin(start_refunds, wish, await provider_of(service, wish.checkout))
    assert outcome.attempt is not None, "a refund that was made before is shown"
    headers = {"Location": f"/refunds/{outcome.attempt.id}", "Retry-After": "1"}
    if isinstance(outcome, Repeated):
        headers["Idempotent-Replayed"] = "true"
    return reply(refund_answer(outcome.attempt), 202, headers)


async def list_refunds(request: Request, service: Service, checkout_id: str) -> Reply:
    """Show a checkout's refunds."""
    refuse_parameters(request)
    found = await service.reader.submit(read_refunds, owned(request, checkout_id))
    assert not isinstance(found, Exception)  # The batcher raises those.
    return reply(RefundList([refund_answer(one) for one in found]))


async def get_refund(request: Request, service: Service, refund_id: str) -> Reply:
    """Show a refund."""
    refuse_parameters(request)
    found = await service.reader.submit(find_refunds, owned(request, refund_id))
    assert not isinstance(found, Exception)  # The batcher raises those.
    return reply(refund_answer(found))
