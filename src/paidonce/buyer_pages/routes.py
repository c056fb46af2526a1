"""The pages of checkouts: to look at, to pay on, and to wait on."""

import re
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from paidonce.buyer_pages.charged import charged_text
from paidonce.buyer_pages.errors import missing_page
from paidonce.buyer_pages.methods import Method, methods_for
from paidonce.buyer_pages.state import BuyerState, provider_url, shown_state, state_of
from paidonce.buyer_pages.streaming import PACE, BuyerStreams, ChangeStream
from paidonce.buyer_pages.view import (
    PATH,
    TEMPLATES,
    OpenedPage,
    language_of,
    language_values,
    page_path,
    plain_headers,
    show,
)
from paidonce.checkouts.http import load_checkout
from paidonce.checkouts.model import Checkout
from paidonce.errors import CheckoutNotFound, MethodNotAllowed, PaidonceError
from paidonce.events.model import Origin
from paidonce.events.streaming import respond_to_head
from paidonce.http.context import context_of
from paidonce.http.request import new_return_url
from paidonce.idempotency.model import AlreadyProcessed
from paidonce.merchants.model import Mode, Tenant, TenantScopedId
from paidonce.pages.languages import in_language_of
from paidonce.payments.pay import Started, StartPayment, start_payments
from paidonce.payments.sessions import ReplaceSession, replace_sessions
from paidonce.payments.starting import start_payment
from paidonce.service import Service

ACTION_SECONDS_MAX: Final = 10.0  # How long a press of the button waits for the provider's page.
FIELDS_MAX: Final = 10
ATTEMPT_COUNT: Final = re.compile("[0-9]{1,3}")
OWN_SITES: Final = frozenset({"same-origin", "none"})
OPAQUE_ORIGIN: Final = "null"  # Which a browser names where our pages tell it to send no referrer.
DONE: Final = {"Referrer-Policy": "no-referrer"}


def buyer_routes(service: Service) -> list[Route]:
    """Return the routes of the pages of checkouts."""
    pages = BuyerPages(service)
    return [
        Route(f"{PATH}/{{token}}/events", pages.follow, methods=["GET"]),
        Route(f"{PATH}/{{token}}", _Pages(GET=pages.look, POST=pages.pay)),
    ]


class BuyerPages:
    """Answers buyers. Who has a token may pay its checkout, and is asked for nothing else: there is no cookie."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._streams = BuyerStreams()

    async def look(self, request: Request) -> Response:
        """Show a checkout as it stands."""
        opened = await self._opened(request)
        now = self._service.clock()
        is_payable = state_of(opened.checkout, now) is BuyerState.PAYABLE
        methods = await self._methods(opened.checkout) if is_payable else ()
        return show(request, opened, methods, await charged_text(self._service, opened.checkout), now)

    async def pay(self, request: Request) -> Response:
        """Start a payment, or join the one that is under way, and send the buyer on.

        A form that was shown before the newest attempt starts nothing: its buyer is shown what has happened since.
        """
        token, checkout, _ = await self._opened(request)
        if is_from_another_site(request):
            values = {"page_url": page_path(request, token), **language_values(language_of(request))}
            return TEMPLATES.respond(request, "refused.html", values, status=403, headers=plain_headers())
        form = await _read_form(request)
        seen = form.get("attempt", "")
        on_page = RedirectResponse(page_path(request, token), 303, DONE)
        if not ATTEMPT_COUNT.fullmatch(seen):
            return on_page
        if "replace" in form:
            await self._replace(request, checkout, int(seen))
            return on_page
        method = next((one for one in await self._methods(checkout) if one.name == form.get("method")), None)
        if method is None:
            return on_page
        try:
            started = await self._start(request, checkout, method, int(seen))
        except PaidonceError as error:
            if error.retryable or isinstance(error, CheckoutNotFound):
                raise
            return on_page  # It shows why: the checkout has ended, or no account can take it any more.
        url = provider_url(started)
        return on_page if url is None else RedirectResponse(url, 303, DONE)

    async def follow(self, request: Request) -> ASGIApp:
        """Tell a page that waits when it is out of date."""
        _, checkout, _ = await self._opened(request)
        if request.method == "HEAD":
            return respond_to_head
        shown = request.query_params.get("shown", "")
        stream = ChangeStream(
            checkout,
            partial(self._load, checkout.id),
            self._service.settlement_waiters,
            lambda now: shown_state(now, self._service.clock()) != shown,
            pace=PACE,
        )

        async def send_counted(scope: Scope, receive: Receive, send: Send) -> None:
            with self._streams.counted(context_of(request)):
                await stream(scope, receive, send)

        return send_counted

    async def _opened(self, request: Request) -> OpenedPage:
        """Return what a request opens; raises CheckoutNotFound, for every token alike, also where the merchant has
        switched pages off.
        """
        token = request.path_params["token"]
        checkout_id = self._service.page_tokens.checkout_id_of(token)
        if checkout_id is None:
            raise CheckoutNotFound
        checkout = await self._load(checkout_id)
        profile = await self._service.profiles.find(Tenant(checkout.merchant_id, checkout.mode))
        if not profile.checkout_page:
            raise CheckoutNotFound
        return OpenedPage(token, checkout, profile)

    async def _load(self, checkout_id: str) -> Checkout:
        return await load_checkout(self._service, TenantScopedId(checkout_id, None))

    async def _methods(self, checkout: Checkout) -> tuple[Method, ...]:
        return await methods_for(self._service.payment_providers, checkout)

    async def _start(self, request: Request, checkout: Checkout, method: Method, seen: int) -> Checkout:
        """Start a payment as the API does; returns the checkout when the buyer knows where to go.

        Raises what the API's call raises.
        """
        service, scoped = self._service, TenantScopedId(checkout.id, checkout.merchant_id, checkout.mode)
        load = partial(load_checkout, service, scoped)
        chosen = await service.payment_providers.choose(load, Mode(checkout.mode), method.wanted)
        assert method.wanted.payment_method is not None, "each method names how to pay"
        params: StartPayment = start_payment(
            chosen,
            scoped,
            method.wanted.payment_method,
            new_return_url=lambda: in_language_of(new_return_url(request, service), request.query_params),
            origin=Origin(context_of(request).id, None),
            seen_attempt_count=seen,
        )
        outcome = await service.worker.begin(start_payments, params, params.route)
        assert not isinstance(outcome, AlreadyProcessed), "there is no idempotency key"
        started: Checkout = outcome.checkout
        if not started.awaits_provider:
            return started
        assert started.attempt is not None, "what awaits the provider has an attempt"
        if not chosen.provider.opens_session(started.attempt.payment_method):
            return started  # Nobody has to act: the page waits.
        owned_locally = isinstance(outcome, Started) and outcome.is_owned_locally
        return await service.settlement_waiters.settled(
            started, load, seconds=ACTION_SECONDS_MAX, owned_locally=owned_locally
        )

    async def _replace(self, request: Request, checkout: Checkout, seen: int) -> None:
        scoped = TenantScopedId(checkout.id, checkout.merchant_id, checkout.mode)
        wanted = ReplaceSession(scoped, seen, Origin(context_of(request).id, None))
        await self._service.writer.submit(replace_sessions, wanted)


def is_from_another_site(request: Request) -> bool:
    """Tell whether a browser says that another site's page sent a form.

    Nothing is charged by such a form that its sender could not charge: the token is the secret, no cookie takes part,
    and the buyer still has to pay on the provider's page. It is refused, because no honest page sends it.
    """
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site not in OWN_SITES
    origin = request.headers.get("origin", OPAQUE_ORIGIN)
    return origin != OPAQUE_ORIGIN and urlsplit(origin).netloc != request.headers.get("host", "")


async def _read_form(request: Request) -> Mapping[str, str]:
    """Read a form; empty where it is none of ours."""
    try:
        return dict(parse_qsl((await request.body()).decode("ascii"), max_num_fields=FIELDS_MAX))
    except ValueError:
        return {}


class _Pages:
    """Answers the methods of a path. What is raised here becomes a page where a browser asks for one."""

    def __init__(self, **methods: Callable[[Request], Awaitable[Response]]) -> None:
        self._methods = methods | {"HEAD": methods["GET"]}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        request = Request(scope, receive)
        answer = self._methods.get(request.method)
        await TEMPLATES.load()
        if answer is None:
            raise MethodNotAllowed(request.method, sorted(self._methods))
        try:
            response = await answer(request)
        except CheckoutNotFound:
            response = missing_page(request)
        await response(scope, receive, send)
