"""The checkout calls: each reads its request, hands it to a use case, and shows the outcome."""

import msgspec
from litestar import Controller, get, post
from litestar.params import FromPath

from paidonce import ids
from paidonce.api import operations
from paidonce.api.answers import CheckoutPage, Timeline, checkout_answer, event_answer
from paidonce.api.bodies import CancelBody, CaptureBody, CreateCheckoutBody, ListParameters, PayBody
from paidonce.api.exchange import (
    AnyRequest,
    Injected,
    find,
    origin_of,
    provider_of,
    read,
    refuse_parameters,
    show,
    show_under_way,
    show_when_settled,
)
from paidonce.api.headers import agree_on_key
from paidonce.api.once import once_for, tell_canceled, tell_under_way
from paidonce.api.operations import described
from paidonce.api.reading import read_parameters
from paidonce.api.reply import Reply, reply
from paidonce.checkouts.actions import Created, create_checkouts, list_checkouts, read_timelines
from paidonce.checkouts.model import CheckoutStatus, NewCheckout
from paidonce.checkouts.store import CheckoutFilter
from paidonce.clock import parse_instant
from paidonce.errors import FieldError, InvalidRequest
from paidonce.events.model import Origin
from paidonce.idempotency.model import Answered
from paidonce.payments.capture import StartCancel, StartCapture, start_cancels, start_captures
from paidonce.payments.pay import StartPayment, start_payments


class CheckoutController(Controller):
    """What a client does with checkouts."""

    path = "/checkouts"

    @post(opt=described(operations.CREATE_CHECKOUT))
    async def create_checkout(self, request: AnyRequest, service: Injected) -> Reply:
        """Create a checkout, or give back the one that this key created."""
        header = request.headers.get("idempotency-key")
        said = await read(CreateCheckoutBody, request, required=() if header else ("idempotencyKey",))
        outcome = await service.writer.submit(create_checkouts, _new_checkout(request, said))
        assert not isinstance(outcome, Exception)  # The batcher raises those.
        headers = {"Location": f"/checkouts/{outcome.checkout.id}"}
        if not isinstance(outcome, Created):
            headers["Idempotent-Replayed"] = "true"
        return show(outcome.checkout, 201, headers)

    @get(opt=described(operations.LIST_CHECKOUTS))
    async def list_checkouts(self, request: AnyRequest, service: Injected) -> Reply:
        """Show a page of checkouts."""
        said = read_parameters(ListParameters, request.query_params.multi_items())
        page, has_more = await service.reader.submit(list_checkouts, _filter(said))
        answer = CheckoutPage([checkout_answer(checkout) for checkout in page], has_more)
        return reply(answer)

    @get("/{checkout_id:str}", opt=described(operations.GET_CHECKOUT))
    async def get_checkout(self, request: AnyRequest, service: Injected, checkout_id: FromPath[str]) -> Reply:
        """Show a checkout, at once or when it has left PROCESSING."""
        refuse_parameters(request)
        return await show_when_settled(request, service, await find(service, checkout_id), 200, {})

    @post("/{checkout_id:str}/pay", opt=described(operations.PAY_CHECKOUT))
    async def pay_checkout(self, request: AnyRequest, service: Injected, checkout_id: FromPath[str]) -> Reply:
        """Start a payment, or show the one that is under way."""
        said = await read(PayBody, request)
        if said.provider not in service.providers:
            detail = f"There is no provider {said.provider}; there is {', '.join(sorted(service.providers))}."
            raise InvalidRequest([FieldError("/provider", "unknown_value", detail)])
        wish = StartPayment(
            attempt_id=ids.new_id(ids.ATTEMPT),
            checkout_id=checkout_id,
            payment_method=said.payment_method,
            provider=said.provider,
            origin=origin_of(request),
        )
        once = await once_for(request, service, checkout_id, said, tell_under_way)
        outcome = await service.worker.begin(start_payments, wish, said.provider, once=once)
        return await show_under_way(request, service, checkout_id, outcome)

    @post("/{checkout_id:str}/capture", opt=described(operations.CAPTURE_CHECKOUT))
    async def capture_checkout(self, request: AnyRequest, service: Injected, checkout_id: FromPath[str]) -> Reply:
        """Capture what is held, or a part of it."""
        said = await read(CaptureBody, request)
        wish = StartCapture(
            attempt_id=ids.new_id(ids.ATTEMPT),
            checkout_id=checkout_id,
            amount=said.amount,
            origin=origin_of(request),
        )
        provider = await provider_of(service, checkout_id)
        once = await once_for(request, service, checkout_id, said, tell_under_way)
        outcome = await service.worker.begin(start_captures, wish, provider, once=once)
        return await show_under_way(request, service, checkout_id, outcome)

    @post("/{checkout_id:str}/cancel", opt=described(operations.CANCEL_CHECKOUT))
    async def cancel_checkout(self, request: AnyRequest, service: Injected, checkout_id: FromPath[str]) -> Reply:
        """Cancel a checkout that nobody has paid, or let go of the money that it holds."""
        said = await read(CancelBody, request)
        wish = StartCancel(attempt_id=ids.new_id(ids.ATTEMPT), checkout_id=checkout_id, origin=origin_of(request))
        provider = await provider_of(service, checkout_id)
        once = await once_for(request, service, checkout_id, said, tell_canceled)
        outcome = await service.worker.begin(start_cancels, wish, provider, once=once)
        if isinstance(outcome, Answered):
            return show(await find(service, checkout_id), outcome.record.status or 200, {"Idempotent-Replayed": "true"})
        if outcome.checkout.status == CheckoutStatus.CANCELED:
            return show(outcome.checkout, 200, {})
        return show(outcome.checkout, 202, {"Retry-After": "1"})

    @get("/{checkout_id:str}/timeline", opt=described(operations.GET_TIMELINE))
    async def get_timeline(self, request: AnyRequest, service: Injected, checkout_id: FromPath[str]) -> Reply:
        """Show everything that happened to a checkout."""
        refuse_parameters(request)
        events = await service.reader.submit(read_timelines, checkout_id)
        assert not isinstance(events, Exception)  # The batcher raises those.
        return reply(Timeline([event_answer(event) for event in events]))


def _new_checkout(request: AnyRequest, said: CreateCheckoutBody) -> NewCheckout:
    key = agree_on_key(request.headers.get("idempotency-key"), said.idempotency_key)
    assert key is not None, "the body must have it where the header does not"
    return NewCheckout(
        id=ids.new_id(ids.CHECKOUT),
        merchant_id=said.merchant_id,
        idempotency_key=key,
        amount=said.amount,
        currency=said.currency,
        expires_in_seconds=said.expires_in,
        capture_method=said.capture_method,
        description=said.description,
        # Sorted, so that the same pairs in another order are the same body.
        metadata=msgspec.json.encode(said.metadata, order="sorted").decode() if said.metadata else None,
        success_url=said.success_url,
        cancel_url=said.cancel_url,
        origin=Origin(request.scope["state"]["request_id"], key),
    )


def _filter(said: ListParameters) -> CheckoutFilter:
    if said.starting_after and said.ending_before:
        detail = "Give startingAfter or endingBefore, not both."
        raise InvalidRequest([FieldError("endingBefore", "contradiction", detail)])
    return CheckoutFilter(
        limit=said.limit,
        merchant_id=said.merchant_id,
        status=said.status,
        created_after=parse_instant(said.created_after) if said.created_after else None,
        created_before=parse_instant(said.created_before) if said.created_before else None,
        starting_after=said.starting_after,
        ending_before=said.ending_before,
    )
