"""What the handlers of all calls share: reading a request, and showing a checkout."""

import re
from collections.abc import Collection
from typing import Any, Final, TypeAlias, TypeVar

from litestar import Request
from litestar.di import NamedDependency

from paidonce.api.answers import checkout_answer
from paidonce.api.bodies import NoParameters
from paidonce.api.headers import read_idempotency_key, read_wait_seconds
from paidonce.api.reading import Fields, read_body, read_parameters
from paidonce.api.reply import Reply, reply
from paidonce.checkouts.actions import read_checkouts
from paidonce.checkouts.model import Checkout, CheckoutStatus
from paidonce.errors import (
    CheckoutNotFound,
    DeliveryNotFound,
    FieldError,
    InvalidRequest,
    PaidonceError,
    RefundNotFound,
    WebhookEndpointNotFound,
    WrongMerchant,
)
from paidonce.events.model import Origin
from paidonce.merchants.model import Caller
from paidonce.payments.pay import Repeated, Started
from paidonce.service import Service

AnyRequest: TypeAlias = Request[Any, Any, Any]
Injected: TypeAlias = NamedDependency[Service]
"""The running service, as the web layer hands it to a handler."""

T = TypeVar("T", bound=Fields)

IDS_IN_PATHS: Final[dict[str, tuple[re.Pattern[str], type[PaidonceError]]]] = {
    "checkout_id": (re.compile(r"chk_[0-9a-v]{26}"), CheckoutNotFound),
    "refund_id": (re.compile(r"ref_[0-9a-v]{26}"), RefundNotFound),
    "endpoint_id": (re.compile(r"whe_[0-9a-v]{26}"), WebhookEndpointNotFound),
    "delivery_id": (re.compile(r"dlv_[0-9a-v]{26}"), DeliveryNotFound),
}


async def refuse_strange_ids(request: AnyRequest) -> None:
    """Answer at once where an id in the path cannot be one; PostgreSQL would not even take a NUL."""
    for name, (pattern, not_found) in IDS_IN_PATHS.items():
        if name in request.path_params and not pattern.fullmatch(request.path_params[name]):
            raise not_found


async def read(kind: type[T], request: AnyRequest, *, required: Collection[str] = ()) -> T:
    """Read the body; raises what ``read_body`` raises. Query parameters are refused."""
    refuse_parameters(request)
    return read_body(kind, await request.body(), request.headers.get("content-type", ""), required=required)


def refuse_parameters(request: AnyRequest) -> None:
    """Refuse query parameters where a call takes none."""
    if request.scope["query_string"]:
        read_parameters(NoParameters, request.query_params.multi_items())


def caller_of(request: AnyRequest) -> Caller:
    """Tell who makes this request."""
    caller: Caller = request.scope["state"]["caller"]
    return caller


def merchant_of(caller: Caller, said: str | None, *, where: str = "/merchantId") -> str:
    """Tell which merchant a request is about: the caller's own, or, for a caller without one, that which it names.

    ``where`` points to the field that names it. Raises WrongMerchant, or InvalidRequest where none is named.
    """
    if said is not None and caller.merchant_id not in (None, said):
        raise WrongMerchant
    merchant_id = said or caller.merchant_id
    if merchant_id is None:
        raise InvalidRequest([FieldError(where, "missing", "This field is required.")])
    return merchant_id


def origin_of(request: AnyRequest) -> Origin:
    """Tell where a change comes from: the request's id and, if it bears one, its idempotency key."""
    return Origin(request.scope["state"]["request_id"], read_idempotency_key(request.headers.get("idempotency-key")))


async def find(service: Service, checkout_id: str) -> Checkout:
    """Read a checkout; raises CheckoutNotFound."""
    found = await service.reader.submit(read_checkouts, checkout_id)
    assert not isinstance(found, Exception)  # The batcher raises those.
    return found


def show(checkout: Checkout, status: int, headers: dict[str, str]) -> Reply:
    """Answer with a checkout."""
    return reply(checkout_answer(checkout), status, headers)


async def show_when_settled(
    request: AnyRequest, service: Service, checkout: Checkout, status: int, headers: dict[str, str]
) -> Reply:
    """Answer with a checkout at once or, where ``Prefer: wait=N`` asks for it, when it has left PROCESSING."""
    seconds = read_wait_seconds(request.headers.get("prefer"))
    if seconds:
        headers["Preference-Applied"] = f"wait={seconds}"
        if checkout.status == CheckoutStatus.PROCESSING:
            checkout = await service.watch.settled(
                checkout, lambda checkout_id: find(service, checkout_id), seconds=seconds
            )
    return show(checkout, status, headers)


async def show_under_way(request: AnyRequest, service: Service, outcome: Started | Repeated) -> Reply:
    """Answer a call that began something at the provider, or that repeats one that did."""
    headers = {"Location": f"/checkouts/{outcome.checkout.id}", "Retry-After": "1"}
    if isinstance(outcome, Repeated):
        headers["Idempotent-Replayed"] = "true"
    return await show_when_settled(request, service, outcome.checkout, 202, headers)


async def provider_of(service: Service, checkout_id: str) -> str:
    """Name the provider that has a checkout's money; empty where none has. Raises CheckoutNotFound."""
    checkout = await find(service, checkout_id)
    return checkout.attempt.provider if checkout.attempt else ""
