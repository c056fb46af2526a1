"""What the declaration of a page or an action checks before its handler runs, and what it cannot leave out."""

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest
from starlette.responses import Response

from paidonce.checkouts import http as checkouts
from paidonce.checkouts.schemas import CheckoutResponse
from paidonce.dashboard.declarations import Declaration, action, open_page, page
from paidonce.dashboard.forms import Form
from paidonce.dashboard.operations import run_operation
from paidonce.dashboard.paths import tenant_path
from paidonce.dashboard.request import DashboardRequest
from paidonce.dashboard.routes import dashboard_routes
from paidonce.http.app import create_api
from paidonce.http.problems import InternalError
from paidonce.merchants.actions import create_merchants
from paidonce.payments import refunds_http as refunds
from paidonce.payments.schemas import RefundResponse
from paidonce.users.model import Role
from tests.support.dashboard_client import DashboardClient, logged_in
from tests.support.in_process_service import InProcessService, open_in_process_service
from tests.support.in_process_transport import InProcessTransport


class RefundForm(Form, frozen=True, kw_only=True):
    amount: int | None = None
    reason: str | None = None


@page("/m/{merchant_id}/{mode}/payments/{checkout_id}", role=Role.VIEWER)
async def payment(request: DashboardRequest) -> Response:
    """Show a payment as plainly as it can be."""
    checkout_id = request.path_values["checkout_id"]
    found = await run_operation(request, checkouts.get_checkout, path_value=checkout_id)
    assert isinstance(found, CheckoutResponse)
    state = request.form.of("refund")
    detail = f"{found.id} {found.amount_refunded} {state.errors} {state.message} {dict(state.values)}"
    return request.page("error.html", {"detail": detail, "request_id": ""}, title="A payment")


@action("/m/{merchant_id}/{mode}/payments/{checkout_id}/refund", role=Role.REFUNDS, form=RefundForm, shows=payment)
async def refund(request: DashboardRequest, form: RefundForm) -> Response:
    """Refund a payment."""
    checkout_id = request.path_values["checkout_id"]
    body = {"amount": form.amount, "reason": form.reason}
    given = {name: value for name, value in body.items() if value is not None}
    made = await run_operation(request, refunds.create_refund, path_value=checkout_id, body=given)
    assert isinstance(made, RefundResponse)
    return request.done(f"{request.tenant_path}/payments/{checkout_id}", f"Refund {made.id} is on its way <soon>.")


@open_page("/about", because="It says nothing about anybody.")
async def about(request: DashboardRequest) -> Response:
    """Show a page to everybody."""
    return request.page("error.html", {"detail": "All may read this.", "request_id": ""}, title="About")


class Opened(NamedTuple):
    running: InProcessService
    http: httpx.AsyncClient

    async def person(self, role: Role, merchant_id: str | None = None) -> DashboardClient:
        return await logged_in(self.running, role, http=self.http, merchant_id=merchant_id)

    async def refund_path(self) -> tuple[str, str]:
        """Pay a checkout; returns the path of its page, and of its action."""
        path = f"/dashboard/m/{self.running.merchant_id}/test/payments/{await self.running.paid()}"
        return path, f"{path}/refund"


@pytest.fixture
async def opened(sqlite_url: str, tmp_path: Path) -> AsyncIterator[Opened]:
    async with open_in_process_service(sqlite_url, str(tmp_path)) as running:
        app = create_api(running.service, dashboard_routes(running.service, [payment, refund, about]))
        async with httpx.AsyncClient(transport=InProcessTransport(app), base_url="http://paidonce") as http:
            yield Opened(running, http)


async def handler(_request: DashboardRequest) -> Response:
    return Response()


def test_a_page_without_a_role_cannot_be_declared() -> None:
    with pytest.raises(TypeError):
        page("/payments")  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="role or the reason"):
        Declaration(method="GET", path="/payments", handle=handler, role=None)
    with pytest.raises(TypeError, match="role or the reason"):
        open_page("/payments", because="")(handler)


@pytest.mark.parametrize("path", ["/m/{merchant_id}/payments", "/m/{merchant_id}", "/m/{mode}/{merchant_id}"])
def test_a_merchants_page_without_the_merchant_and_the_mode_in_its_path_cannot_be_declared(path: str) -> None:
    with pytest.raises(TypeError, match="mode"):
        page(path, role=Role.VIEWER)(handler)


def test_an_operators_page_for_another_role_cannot_be_declared() -> None:
    with pytest.raises(TypeError, match="operator's role"):
        page("/operator/settings", role=Role.ADMIN)(handler)


async def test_a_page_reads_through_the_api_as_the_person_who_is_logged_in(opened: Opened) -> None:
    path, _ = await opened.refund_path()
    for role in Role:
        response = await (await opened.person(role)).get(path)
        assert response.status_code == 200
        assert path.rpartition("/")[2] in response.text
        policy = response.headers["content-security-policy"]
        assert "form-action 'self'" in policy
        assert "unsafe" not in policy


async def test_an_action_runs_a_call_of_the_api_once_for_each_idempotency_key(opened: Opened) -> None:
    path, action_path = await opened.refund_path()
    person = await opened.person(Role.REFUNDS)
    first = await person.post(action_path, {"amount": "300", "reason": ""}, key="one-form")
    assert (first.status_code, first.headers["location"]) == (303, path)
    again = await person.post(action_path, {"amount": "300", "reason": ""}, key="one-form")
    assert again.headers["location"] == path
    refunds = await opened.running.get(f"/checkouts/{path.rpartition('/')[2]}/refunds")
    assert [one["amount"] for one in refunds.json()["data"]] == [300]
    timeline = await opened.running.get(f"/checkouts/{path.rpartition('/')[2]}/timeline")
    actors = {one["type"]: one["actor"] for one in timeline.json()["data"]}
    assert actors["refund.created"] == f"user:{person.user.id}"
    assert actors["checkout.created"] is None
    key = await opened.running.get("/idempotency-keys/one-form")
    assert key.status_code == 200


async def test_below_a_prefix_an_action_uses_the_same_path_of_the_api_and_leads_to_a_page_below_it(
    opened: Opened,
) -> None:
    path, action_path = await opened.refund_path()
    app = create_api(opened.running.service, dashboard_routes(opened.running.service, [payment, refund, about]))
    transport = InProcessTransport(app)
    transport.root_path = "/billing"
    async with httpx.AsyncClient(transport=transport, base_url="http://paidonce") as http:
        person = await logged_in(opened.running, Role.REFUNDS, http=http)
        done = await person.post(f"/billing{action_path}", {"amount": "300"}, key="one-form")
    assert (done.status_code, done.headers["location"]) == (303, f"/billing{path}")
    used = (await opened.running.get("/idempotency-keys/one-form")).json()["data"]
    assert [one["path"] for one in used] == [f"/checkouts/{path.rpartition('/')[2]}/refunds"]


async def test_who_has_too_small_a_role_is_told_the_least_that_would_do(opened: Opened) -> None:
    _, action_path = await opened.refund_path()
    refused = await (await opened.person(Role.VIEWER)).post(action_path, {"amount": "1"})
    assert (refused.status_code, "This needs the role refunds." in refused.text) == (403, True)


async def test_what_an_action_says_is_shown_once_on_the_page_that_it_leads_to_and_escaped(opened: Opened) -> None:
    path, action_path = await opened.refund_path()
    person = await opened.person(Role.REFUNDS)
    done = await person.post(action_path, {"amount": "300"})
    name, value = re.search(r"(paidonce_flash)=([^;]+)", done.headers["set-cookie"]).groups()  # type: ignore[union-attr]
    person.cookies[name] = value
    shown = await person.get(path)
    assert "is on its way &lt;soon&gt;." in shown.text
    assert 'paidonce_flash=""' in shown.headers["set-cookie"]
    assert "Max-Age=0" in shown.headers["set-cookie"]


async def test_a_form_that_does_not_fit_is_shown_again_with_every_error_and_changes_nothing(opened: Opened) -> None:
    _, action_path = await opened.refund_path()
    person = await opened.person(Role.REFUNDS)
    before = opened.running.rows()
    for fields, errors in (
        ({"amount": "abc"}, ["This must be an integer.", "&#39;amount&#39;: &#39;abc&#39;"]),
        ({"amount": "0"}, ["This must be an integer from 1 to 999999999999."]),
        ({"amount": "1001"}, ["refund"]),
        ({"amount": "1", "colour": "red"}, ["This field is unknown."]),
    ):
        response = await person.post(action_path, fields)
        assert response.status_code == 422
        assert "<h1>A payment</h1>" in response.text
        for error in errors:
            assert error in response.text
    after = opened.running.rows()
    assert {name for name in after if after[name] != before[name]} <= {"audit_entry"}


async def test_an_action_that_fails_with_an_internal_error_shows_an_error_page_and_not_its_form_again(
    opened: Opened,
) -> None:
    @action("/m/{merchant_id}/{mode}/payments/{checkout_id}/refund", role=Role.REFUNDS, form=RefundForm, shows=payment)
    async def broken(_request: DashboardRequest, _form: RefundForm) -> Response:
        raise InternalError

    _, action_path = await opened.refund_path()
    app = create_api(opened.running.service, dashboard_routes(opened.running.service, [payment, broken, about]))
    async with httpx.AsyncClient(transport=InProcessTransport(app), base_url="http://paidonce") as http:
        person = await logged_in(opened.running, Role.REFUNDS, http=http)
        response = await person.post(action_path, {"amount": "300"})
    assert response.status_code == 500
    assert "<h1>Internal error</h1>" in response.text
    assert "A payment" not in response.text


async def test_an_action_needs_an_idempotency_key(opened: Opened) -> None:
    _, action_path = await opened.refund_path()
    person = await opened.person(Role.REFUNDS)
    response = await person.http.post(
        action_path,
        data={"csrfToken": re.search('csrfToken" value="([^"]+)"', (await person.get("/dashboard/about")).text)[1]},  # type: ignore[index]
        headers={"Cookie": f"paidonce_session={person.token}"},
    )
    assert response.status_code == 400
    assert "idempotency key" in response.text


async def test_a_browser_that_says_that_a_form_comes_from_another_site_is_believed(opened: Opened) -> None:
    _, action_path = await opened.refund_path()
    person = await opened.person(Role.REFUNDS)
    for site, status in (("cross-site", 403), ("same-site", 403), ("same-origin", 303)):
        person.http.headers["Sec-Fetch-Site"] = site
        assert (await person.post(action_path, {"amount": "1"})).status_code == status


async def test_an_open_page_is_shown_to_everybody(opened: Opened) -> None:
    response = await opened.http.get("/dashboard/about")
    assert (response.status_code, "All may read this." in response.text) == (200, True)


async def test_errors_are_pages(opened: Opened) -> None:
    person = await opened.person(Role.VIEWER)
    for path, status, allowed in (("/dashboard/nothing/here", 404, None), ("/dashboard/about", 405, "GET, HEAD")):
        answer = await person.post(path)
        assert answer.status_code == status
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        assert answer.headers.get("allow") == allowed


@pytest.mark.parametrize("merchant_id", ["a/b", "~1", "~", "a%2Fb", ".", "..", "?#%"])
async def test_every_merchant_can_be_named_in_a_path(opened: Opened, merchant_id: str) -> None:
    await opened.running.service.writer.submit(create_merchants, merchant_id)
    key = await opened.running.api_key(merchant_id)
    checkout_id = await opened.running.checkout(as_who=key)
    person = await opened.person(Role.VIEWER, merchant_id)
    response = await person.get(f"{tenant_path(merchant_id, 'test')}/payments/{checkout_id}")
    assert response.status_code == 200, response.text
