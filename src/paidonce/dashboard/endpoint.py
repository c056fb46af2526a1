"""The endpoint of a path: checks what its declaration demands, runs the handler, and shows errors as pages."""

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Final
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import Receive, Scope, Send

from paidonce.dashboard import cookies, paths
from paidonce.dashboard.auditing import recorded
from paidonce.dashboard.declarations import SEGMENTS, Declaration
from paidonce.dashboard.forms import Form, receive_form
from paidonce.dashboard.idempotency import SentBefore, run_once
from paidonce.dashboard.log_in_guard import LogInGuard
from paidonce.dashboard.request import DashboardRequest
from paidonce.errors import (
    InsufficientRole,
    InvalidCsrfToken,
    InvalidIdempotencyKey,
    MerchantNotFound,
    MethodNotAllowed,
    NotLoggedIn,
    PaidonceError,
    RouteNotFound,
)
from paidonce.events.actions import load_newest_sequences
from paidonce.http.context import context_of, path_in, prefix_in
from paidonce.http.headers import read_idempotency_key
from paidonce.http.problems import explain
from paidonce.merchants.actions import load_merchants
from paidonce.merchants.model import MERCHANT_ID, Mode, Tenant
from paidonce.service import Service
from paidonce.users.model import USED_AT_MS, Person
from paidonce.users.sessions import load_people, use_sessions

NOT_FOUND: Final = 404
SERVER_ERROR: Final = 500
SENT_BEFORE: Final = "This form was sent before, and took effect then. Nothing was done again."


class DashboardEndpoint:
    """Answers all requests to one path of the dashboard, as an ASGI application."""

    def __init__(
        self, declarations: Sequence[Declaration], service: Service, declared: frozenset[str], guard: LogInGuard
    ) -> None:
        methods = {one.method: one for one in declarations}
        self._declarations = methods | ({"HEAD": methods["GET"]} if "GET" in methods else {})
        self._service = service
        self._declared = declared
        self._guard = guard

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        http = Request(scope, receive)
        request = DashboardRequest(
            http=http,
            service=self._service,
            declared=self._declared,
            guard=self._guard,
            secret=cookies.read_cookie(http, cookies.VISITOR),
            path_values=scope.get("path_params", {}),
        )
        try:
            request = await self._identify(request)
            response = await self._respond(request)
        except Exception as error:  # noqa: BLE001 - the border of the application: every error becomes a page
            response = _error_page(request, error)
        finally:
            await http.close()  # The files that a form has sent.
        await response(scope, receive, send)

    async def _identify(self, request: DashboardRequest) -> DashboardRequest:
        """Find who is logged in."""
        token = cookies.read_cookie(request.http, cookies.SESSION)
        person = await self._service.reader.submit(load_people, token) if token else None
        if person is None:
            return request
        if person.session.verified_at is None:
            return replace(request, pending=person)
        if self._service.clock() >= person.session.used_at + USED_AT_MS:
            await self._service.writer.submit(use_sessions, person.session.id)
        return replace(request, signed_in=person, secret=token)

    async def _respond(self, request: DashboardRequest) -> Response:
        declaration = self._declarations.get(request.http.method)
        if not self._declarations:
            raise RouteNotFound("This page does not exist.")
        if declaration is None:
            raise MethodNotAllowed(request.http.method, sorted(self._declarations))
        if declaration.role is not None:
            person = request.signed_in
            if person is None:
                if declaration.method == "GET":
                    return _to_login(request)
                raise NotLoggedIn
            if declaration.is_of_tenant:
                request = replace(request, tenant_or_none=await _tenant(request, person))
            if not person.role.includes(declaration.role):
                raise InsufficientRole(declaration.role.value)
        for name in declaration.variables:
            SEGMENTS[name].check(request.path_values[name])
        return await (_show if declaration.method == "GET" else _act)(request, declaration)


async def _show(request: DashboardRequest, declaration: Declaration) -> Response:
    """Show a page. Its live updates go on from where the log was before the page was read: nothing is missed."""
    if declaration.is_of_tenant:
        newest = await request.service.reader.submit(load_newest_sequences, request.tenant)
        request = replace(request, newest_sequence=newest)
    return await declaration.handle(request)


async def _act(request: DashboardRequest, declaration: Declaration) -> Response:
    """Run an action that comes from a page of the same session; where it refuses the form, show that page again."""
    if cookies.is_from_another_site(request.http):
        raise InvalidCsrfToken
    received = await receive_form(request.http)
    if not cookies.is_csrf_token(request.secret, received.csrf_token):
        raise InvalidCsrfToken
    if not received.idempotency_key:
        raise InvalidIdempotencyKey("The form has no idempotency key.")
    read_idempotency_key(received.idempotency_key)
    request = replace(request, received=received)
    assert declaration.form is not None, "an action has a form"
    try:
        form = received.read(declaration.form)
        return await recorded(request, declaration, form, partial(_run, request, declaration, form))
    except SentBefore:
        return request.done(_page_after(request, declaration), SENT_BEFORE)
    except PaidonceError as error:
        _, (status, _) = explain(error, request.http.scope)
        if declaration.shows is None or status == NOT_FOUND or status >= SERVER_ERROR:
            raise
        refused = replace(request, form=received.refused(declaration.name, error, status))
        return await _show(refused, declaration.shows)


async def _run(request: DashboardRequest, declaration: Declaration, form: Form) -> Response:
    """Run the handler of an action. What a person's form commits claims its idempotency key."""
    if declaration.role is None:
        return await declaration.handle(request, form)
    return await run_once(request, lambda claiming: declaration.handle(claiming, form))


def _page_after(request: DashboardRequest, declaration: Declaration) -> str:
    """Return the path of the page that a form leads to which was sent before."""
    after = declaration.leads_to
    if after is None:
        return request.dashboard_path
    path = re.sub(r"{(\w+)}", lambda name: request.path_values[name[1]], after.path.removeprefix(paths.TENANT))
    return (request.tenant_path if after.is_of_tenant else request.dashboard_path) + path


async def _tenant(request: DashboardRequest, person: Person) -> Tenant:
    """Return the merchant and the mode that the path names. One that is not the person's is not found."""
    merchant_id = paths.read_merchant_id(request.path_values["merchant_id"])
    mode = request.path_values["mode"]
    if mode not in tuple(Mode) or not MERCHANT_ID.fullmatch(merchant_id) or not person.may_see(merchant_id):
        raise RouteNotFound("This page does not exist.")
    if person.is_operator:
        try:
            await request.service.reader.submit(load_merchants, merchant_id)
        except MerchantNotFound:
            raise RouteNotFound("This page does not exist.") from None
    return Tenant(merchant_id, mode)


def _to_login(request: DashboardRequest) -> Response:
    """Lead to the log-in, and from there back to the page."""
    path, query = path_in(request.http.scope), request.http.url.query
    wanted = urlencode({"next": f"{path}?{query}" if query else path})
    return RedirectResponse(f"{prefix_in(request.http.scope)}{paths.PATH}{paths.LOGIN}?{wanted}", 303)


def _error_page(request: DashboardRequest, error: Exception) -> Response:
    fact, (status, title) = explain(error, request.http.scope)
    values = {"detail": fact.detail, "request_id": context_of(request.http).id}
    headers = {"Allow": ", ".join(fact.allowed)} if isinstance(fact, MethodNotAllowed) else {}
    return request.page("error.html", values, title=title, status=status, headers=headers)
