"""What the handlers of all calls share: reading a request, and showing a checkout."""

from collections.abc import Collection
from functools import partial
from typing import TypeVar

from starlette.requests import Request
from starlette.responses import Response

from paidonce.checkouts.actions import load_checkouts
from paidonce.checkouts.model import Checkout, CheckoutStatus
from paidonce.checkouts.store import id_of
from paidonce.errors import FieldError, InvalidRequest, WrongMerchant
from paidonce.events.model import Origin
from paidonce.http.answers import checkout_answer
from paidonce.http.bodies import NoParameters
from paidonce.http.context import context_of
from paidonce.http.disconnects import until_disconnected
from paidonce.http.headers import read_idempotency_key, read_wait_seconds
from paidonce.http.key_lifetime import wait_while_key_lives
from paidonce.http.rate_limits import count_wait
from paidonce.http.reading import Fields, read_body, read_parameters
from paidonce.http.responses import reply
from paidonce.merchants.actions import load_merchants
from paidonce.merchants.model import Caller, TenantScopedId
from paidonce.payments.pay import Repeated, Started
from paidonce.service import Service

T = TypeVar("T", bound=Fields)


async def read(kind: type[T], request: Request, *, required: Collection[str] = ()) -> T:
    """Read the body; raises what ``read_body`` raises. Query parameters are refused."""
    refuse_parameters(request)
    content_type = request.headers.get("content-type", "")
    return read_body(kind, await request.body(), content_type, required=required)


def refuse_parameters(request: Request) -> None:
    """Refuse query parameters where a call takes none."""
    if request.scope["query_string"]:
        read_parameters(NoParameters, request.query_params.multi_items())


def caller_of(request: Request) -> Caller:
    """Tell who makes this request."""
    return context_of(request).caller


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


async def known_merchant_of(request: Request, service: Service, said: str | None) -> str | None:
    """Tell which merchant a request is about, as ``merchant_of``; None where a caller without one names none.

    Raises MerchantNotFound where an operator's key names one that is not there. While keys are off a merchant comes
    into being by first use; and a merchant that has a key is there.
    """
    caller = caller_of(request)
    if said is None and caller.merchant_id is None:
        return None
    merchant_id = merchant_of(caller, said)
    if caller.merchant_id is None and caller.key_id is not None:
        await service.reader.submit(load_merchants, merchant_id)
    return merchant_id


def origin_of(request: Request) -> Origin:
    """Tell where a change comes from: the request's id and, if it bears one, its idempotency key."""
    return Origin(context_of(request).id, read_idempotency_key(request.headers.get("idempotency-key")))


def scoped_id(request: Request, thing_id: str) -> TenantScopedId:
    """Name a thing as this request's caller may: another merchant's is not found."""
    return TenantScopedId(thing_id, caller_of(request).merchant_id)


async def find(service: Service, checkout: TenantScopedId) -> Checkout:
    """Read a checkout; raises CheckoutNotFound."""
    return await service.reader.submit(load_checkouts, checkout)


def show(checkout: Checkout, status: int, headers: dict[str, str]) -> Response:
    """Answer with a checkout."""
    return reply(checkout_answer(checkout), status, headers)


async def show_when_settled(
    request: Request,
    service: Service,
    checkout: Checkout,
    status: int,
    headers: dict[str, str],
    *,
    owned_locally: bool = False,
) -> Response:
    """Answer with a checkout at once or, where ``Prefer: wait=N`` asks for it, when it has left PROCESSING.

    ``owned_locally`` is as ``SettlementWaiters.settled`` has it.
    """
    seconds = read_wait_seconds(", ".join(request.headers.getlist("prefer")))
    if seconds:
        if checkout.status == CheckoutStatus.PROCESSING:
            if not count_wait(context_of(request)):
                return show(checkout, status, headers)
            gone = partial(until_disconnected, request.receive)
            waiting = service.settlement_waiters.settled(
                checkout,
                lambda: find(service, id_of(checkout)),
                seconds=seconds,
                owned_locally=owned_locally,
                gone=gone,
            )
            checkout = await wait_while_key_lives(request, service, waiting)
        headers["Preference-Applied"] = f"wait={seconds}"
    return show(checkout, status, headers)


async def show_under_way(request: Request, service: Service, outcome: Started | Repeated) -> Response:
    """Answer a call that began something at the provider, or that found it begun."""
    headers = _under_way(outcome.checkout)
    if not isinstance(outcome, Started):
        headers["Idempotent-Replayed"] = "true"
    owned_locally = isinstance(outcome, Started) and outcome.is_owned_locally
    return await show_when_settled(request, service, outcome.checkout, 202, headers, owned_locally=owned_locally)


async def show_under_way_again(request: Request, service: Service, wanted: TenantScopedId) -> Response:
    """Answer a call that repeats one that began something at the provider."""
    checkout = await find(service, wanted)
    return await show_when_settled(request, service, checkout, 202, _under_way(checkout))


def _under_way(checkout: Checkout) -> dict[str, str]:
    return {"Location": f"/checkouts/{checkout.id}", "Retry-After": "1"}


async def merchant_id_of(service: Service, checkout: TenantScopedId) -> str:
    """Tell whose a checkout is; raises CheckoutNotFound."""
    return (await find(service, checkout)).merchant_id


async def provider_of(service: Service, wanted: TenantScopedId) -> str:
    """Name the provider that has a checkout's money; empty where none has. Raises CheckoutNotFound."""
    checkout = await find(service, wanted)
    return checkout.attempt.provider if checkout.attempt else ""
