"""The checkout calls: each reads its request, hands it to a use case, and shows the outcome."""

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from paidonce import ids
from paidonce.checkouts.actions import Created, Replayed, create_checkouts, list_checkouts, load_timelines
from paidonce.checkouts.model import CheckoutStatus, NewCheckout
from paidonce.checkouts.store import CheckoutFilter
from paidonce.clock import parse_instant
from paidonce.errors import FieldError, InvalidRequest
from paidonce.events.model import Origin
from paidonce.http.answers import CheckoutPage, Timeline, checkout_answer, event_answer
from paidonce.http.bodies import CancelBody, CaptureBody, CreateCheckoutBody, ListParameters, PayBody
from paidonce.http.commands import Command, Repeat
from paidonce.http.context import context_of
from paidonce.http.exchange import (
    caller_of,
    find,
    known_merchant_of,
    merchant_id_of,
    origin_of,
    provider_of,
    read,
    refuse_parameters,
    scoped_id,
    show,
    show_under_way,
    show_under_way_again,
    show_when_settled,
)
from paidonce.http.headers import agree_on_key
from paidonce.http.reading import read_parameters
from paidonce.http.responses import reply
from paidonce.http.summaries import summarize_attempt, summarize_cancel
from paidonce.payments.capture import StartCancel, StartCapture, start_cancels, start_captures
from paidonce.payments.pay import Repeated, Started, StartPayment, start_payments
from paidonce.service import Service


async def create_checkout(request: Request, service: Service) -> Response:
    """Create a checkout, or give back the one that this key created."""
    header = request.headers.get("idempotency-key")
    required = [] if header else ["idempotencyKey"]
    if caller_of(request).merchant_id is None:
        required.append("merchantId")
    said = await read(CreateCheckoutBody, request, required=required)
    merchant_id = await known_merchant_of(request, service, said.merchant_id)
    assert merchant_id is not None, "the body must have it where the caller does not"
    outcome: Created | Replayed = await service.writer.submit(
        create_checkouts, _new_checkout(request, said, merchant_id)
    )
    headers = {"Location": f"/checkouts/{outcome.checkout.id}"}
    if not isinstance(outcome, Created):
        headers["Idempotent-Replayed"] = "true"
    return show(outcome.checkout, 201, headers)


async def show_checkouts(request: Request, service: Service) -> Response:
    """Show a page of checkouts."""
    said = read_parameters(ListParameters, request.query_params.multi_items())
    merchant_id = await known_merchant_of(request, service, said.merchant_id)
    page, has_more = await service.reader.submit(list_checkouts, _filter(said, merchant_id))
    answer = CheckoutPage([checkout_answer(checkout) for checkout in page], has_more)
    return reply(answer)


async def get_checkout(request: Request, service: Service, checkout_id: str) -> Response:
    """Show a checkout, at once or when it has left PROCESSING."""
    refuse_parameters(request)
    return await show_when_settled(request, service, await find(service, scoped_id(request, checkout_id)), 200, {})


async def pay_checkout(request: Request, service: Service, checkout_id: str) -> Command[Started | Repeated]:
    """Start a payment, or show the one that is under way."""
    said = await read(PayBody, request)
    if said.provider not in service.providers:
        detail = f"There is no provider {said.provider}; there is {', '.join(sorted(service.providers))}."
        raise InvalidRequest([FieldError("/provider", "unknown_value", detail)])
    wish = StartPayment(
        attempt_id=ids.new_id(ids.ATTEMPT),
        checkout=scoped_id(request, checkout_id),
        payment_method=said.payment_method,
        provider=said.provider,
        origin=origin_of(request),
    )
    return Command(
        action=start_payments,
        params=wish,
        body=said,
        owner=lambda: merchant_id_of(service, wish.checkout),
        summarize=summarize_attempt,
        respond=lambda outcome: show_under_way(request, service, outcome),
        respond_again=lambda _repeat: show_under_way_again(request, service, wish.checkout),
        provider=said.provider,
    )


async def capture_checkout(request: Request, service: Service, checkout_id: str) -> Command[Started | Repeated]:
    """Capture what is held, or a part of it."""
    said = await read(CaptureBody, request)
    wish = StartCapture(
        attempt_id=ids.new_id(ids.ATTEMPT),
        checkout=scoped_id(request, checkout_id),
        amount=said.amount,
        origin=origin_of(request),
    )
    return Command(
        action=start_captures,
        params=wish,
        body=said,
        owner=lambda: merchant_id_of(service, wish.checkout),
        summarize=summarize_attempt,
        respond=lambda outcome: show_under_way(request, service, outcome),
        respond_again=lambda _repeat: show_under_way_again(request, service, wish.checkout),
        provider=await provider_of(service, wish.checkout),
    )


async def cancel_checkout(request: Request, service: Service, checkout_id: str) -> Command[Started | Repeated]:
    """Cancel a checkout that nobody has paid, or let go of the money that it holds."""
    said = await read(CancelBody, request)
    wish = StartCancel(
        attempt_id=ids.new_id(ids.ATTEMPT), checkout=scoped_id(request, checkout_id), origin=origin_of(request)
    )

    async def respond(outcome: Started | Repeated) -> Response:
        if outcome.checkout.status == CheckoutStatus.CANCELED:
            return show(outcome.checkout, 200, {})
        return show(outcome.checkout, 202, {"Retry-After": "1"})

    async def respond_again(repeat: Repeat) -> Response:
        headers = {} if repeat.record.status == 200 else {"Retry-After": "1"}  # noqa: PLR2004 - the code is its own name
        return show(await find(service, wish.checkout), 200, headers)

    return Command(
        action=start_cancels,
        params=wish,
        body=said,
        owner=lambda: merchant_id_of(service, wish.checkout),
        summarize=summarize_cancel,
        respond=respond,
        respond_again=respond_again,
        provider=await provider_of(service, wish.checkout),
    )


async def get_timeline(request: Request, service: Service, checkout_id: str) -> Response:
    """Show everything that happened to a checkout."""
    refuse_parameters(request)
    events = await service.reader.submit(load_timelines, scoped_id(request, checkout_id))
    return reply(Timeline([event_answer(event) for event in events]))


def _new_checkout(request: Request, said: CreateCheckoutBody, merchant_id: str) -> NewCheckout:
    key = agree_on_key(request.headers.get("idempotency-key"), said.idempotency_key)
    assert key is not None, "the body must have it where the header does not"
    return NewCheckout(
        id=ids.new_id(ids.CHECKOUT),
        merchant_id=merchant_id,
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
        origin=Origin(context_of(request).id, key),
    )


def _filter(said: ListParameters, merchant_id: str | None) -> CheckoutFilter:
    if said.starting_after and said.ending_before:
        detail = "Give startingAfter or endingBefore, not both."
        raise InvalidRequest([FieldError("endingBefore", "contradiction", detail)])
    return CheckoutFilter(
        limit=said.limit,
        merchant_id=merchant_id,
        status=said.status,
        created_after=parse_instant(said.created_after) if said.created_after else None,
        created_before=parse_instant(said.created_before) if said.created_before else None,
        starting_after=said.starting_after,
        ending_before=said.ending_before,
    )
