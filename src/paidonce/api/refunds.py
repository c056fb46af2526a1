"""The refund calls."""

from litestar import Controller, get, post
from litestar.params import FromPath

from paidonce import ids
from paidonce.api import operations
from paidonce.api.answers import RefundList, refund_answer
from paidonce.api.bodies import RefundBody
from paidonce.api.exchange import AnyRequest, Injected, origin_of, provider_of, read, refuse_parameters
from paidonce.api.once import once_for, tell_refund
from paidonce.api.operations import described
from paidonce.api.reply import Reply, reply
from paidonce.idempotency.model import Answered
from paidonce.payments.model import Attempt
from paidonce.payments.pay import Started
from paidonce.payments.refund import StartRefund, find_refunds, read_refunds, start_refunds
from paidonce.service import Service


class RefundController(Controller):
    """What a client does with refunds."""

    @post("/checkouts/{checkout_id:str}/refunds", status_code=202, opt=described(operations.CREATE_REFUND))
    async def create_refund(self, request: AnyRequest, service: Injected, checkout_id: FromPath[str]) -> Reply:
        """Start a refund, or show the one that this key started."""
        said = await read(RefundBody, request)
        wish = StartRefund(
            attempt_id=ids.new_id(ids.REFUND),
            checkout_id=checkout_id,
            amount=said.amount,
            reason=said.reason,
            origin=origin_of(request),
        )
        provider = await provider_of(service, checkout_id)
        once = await once_for(request, service, checkout_id, said, tell_refund)
        outcome = await service.worker.begin(start_refunds, wish, provider, once=once)
        if isinstance(outcome, Started):
            headers = {"Location": f"/refunds/{outcome.attempt.id}", "Retry-After": "1"}
            return reply(refund_answer(outcome.attempt), 202, headers)
        assert isinstance(outcome, Answered)
        assert outcome.record.attempt_id is not None, "a refund is an attempt"
        refund = await _find(service, outcome.record.attempt_id)
        headers = {"Location": f"/refunds/{refund.id}", "Retry-After": "1", "Idempotent-Replayed": "true"}
        return reply(refund_answer(refund), 202, headers)

    @get("/checkouts/{checkout_id:str}/refunds", opt=described(operations.LIST_REFUNDS))
    async def list_refunds(self, request: AnyRequest, service: Injected, checkout_id: FromPath[str]) -> Reply:
        """Show a checkout's refunds."""
        refuse_parameters(request)
        found = await service.reader.submit(read_refunds, checkout_id)
        assert not isinstance(found, Exception)  # The batcher raises those.
        return reply(RefundList([refund_answer(one) for one in found]))

    @get("/refunds/{refund_id:str}", opt=described(operations.GET_REFUND))
    async def get_refund(self, request: AnyRequest, service: Injected, refund_id: FromPath[str]) -> Reply:
        """Show a refund."""
        refuse_parameters(request)
        return reply(refund_answer(await _find(service, refund_id)))


async def _find(service: Service, refund_id: str) -> Attempt:
    found = await service.reader.submit(find_refunds, refund_id)
    assert not isinstance(found, Exception)  # The batcher raises those.
    return found
