"""A request to the dashboard that was admitted: what handlers of pages and actions are given."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from paidonce import ids
from paidonce.dashboard import cookies, paths
from paidonce.dashboard.formats import FORMATS
from paidonce.dashboard.forms import NO_FORM, FormState, ReceivedForm
from paidonce.dashboard.log_in_guard import LogInGuard
from paidonce.dashboard.navigation import navigation_of
from paidonce.http.context import context_of, path_in, prefix_in
from paidonce.http.fields import Fields, read_form_fields
from paidonce.merchants.model import Caller, Mode, Tenant
from paidonce.pages.headers import page_headers
from paidonce.pages.templates import Templates
from paidonce.service import Service
from paidonce.users.model import Person

TEMPLATES: Final = Templates("paidonce.dashboard")
HEADERS: Final = page_headers(form_action="'self'")

OK: Final = 200

T = TypeVar("T", bound=Fields)


@dataclass(frozen=True, slots=True, kw_only=True)
class DashboardRequest:
    """``http`` is what came in, ``service`` the running parts, ``path_values`` the variable parts of the path.

    ``signed_in`` is who is logged in, and ``tenant`` whose data the path names; both were checked. ``secret`` is the
    cookie that CSRF tokens are bound to. ``received`` is the form of an action, and ``form`` one that was refused.
    ``newest_sequence`` is the number of the merchant's newest event before a page was read.
    ``declared`` has the paths of all pages. ``pending`` is who has given a password and no second factor yet.
    """

    http: Request
    service: Service
    declared: frozenset[str]
    secret: str
    path_values: Mapping[str, str]
    guard: LogInGuard
    signed_in: Person | None = None
    pending: Person | None = None
    tenant_or_none: Tenant | None = None
    newest_sequence: int | None = None
    received: ReceivedForm | None = None
    form: FormState = NO_FORM

    @property
    def person(self) -> Person:
        """Who is logged in."""
        assert self.signed_in is not None, "an open page has nobody who is logged in"
        return self.signed_in

    @property
    def tenant(self) -> Tenant:
        """Whose data the page is about, and in which mode."""
        assert self.tenant_or_none is not None, "this page is about no merchant"
        return self.tenant_or_none

    @property
    def caller(self) -> Caller:
        """The caller as whom the person runs calls of the API: for the merchant of the page, or as an operator."""
        return self.person.caller(self.tenant_or_none)

    @property
    def dashboard_path(self) -> str:
        """The path of the dashboard, for links."""
        return f"{prefix_in(self.http.scope)}{paths.PATH}"

    @property
    def tenant_path(self) -> str:
        """The path of the merchant's pages in the mode of this page, for links."""
        return prefix_in(self.http.scope) + paths.tenant_path(self.tenant.merchant_id, self.tenant.mode)

    @property
    def address(self) -> str:
        """The client's address; empty where none is known."""
        return context_of(self.http).address

    @property
    def idempotency_key(self) -> str:
        """The idempotency key of an action: it was made with the page that holds the form."""
        assert self.received is not None, "a page has no idempotency key"
        return self.received.idempotency_key

    def parameters(self, kind: type[T]) -> T:
        """Read the query parameters; raises InvalidRequest. Empty ones are absent, as in a form."""
        return read_form_fields(kind, self.http.query_params.multi_items())

    def page(
        self,
        template: str,
        values: Mapping[str, Any],
        *,
        title: str,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        """Respond with a page. A refused form has a status of its own, where the page is right."""
        status = self.form.status if self.form is not NO_FORM and status == OK else status
        new_visitor = "" if self.secret else ids.new_token()
        flash = cookies.read_flash(self.http)
        response = TEMPLATES.respond(
            self.http,
            template,
            {**self._common_values(new_visitor or self.secret), "flash": flash, "title": title, **values},
            status=status,
            headers=HEADERS | dict(headers or {}),
        )
        if new_visitor:
            cookies.set_cookie(self.http, response, cookies.VISITOR, new_visitor)
        if flash:
            cookies.delete_cookie(self.http, response, cookies.FLASH)
        return response

    def done(self, path: str, message: str = "") -> Response:
        """End an action: lead to a page, which shows the message."""
        response = RedirectResponse(path, 303)
        if message:
            cookies.set_flash(self.http, response, message)
        return response

    @property
    def _events_path(self) -> str:
        """The path of the merchant's event stream, for live updates of this page; empty where there is none."""
        is_there = self.newest_sequence is not None and f"{paths.TENANT}/events/stream" in self.declared
        return f"{self.tenant_path}/events/stream?after={self.newest_sequence}" if is_there else ""

    def _common_values(self, secret: str) -> dict[str, Any]:
        """Return what every template may use; dashboard/templates/layout.html describes it."""
        tenant = self.tenant_or_none
        return {
            **FORMATS,
            "dashboard": self.dashboard_path,
            "tenant": tenant,
            "tenant_path": None if tenant is None else self.tenant_path,
            "mode_paths": {}
            if tenant is None
            else {
                one.value: self.dashboard_path.removesuffix(paths.PATH) + paths.tenant_path(tenant.merchant_id, one)
                for one in Mode
            },
            "person": self.signed_in,
            "form": self.form,
            "csrf_token": cookies.csrf_token(secret),
            "new_idempotency_key": ids.new_token,
            "events_path": self._events_path,
            "navigation": navigation_of(
                self.signed_in, tenant, self.declared, prefix=prefix_in(self.http.scope), path=path_in(self.http.scope)
            ),
        }
