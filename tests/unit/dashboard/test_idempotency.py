"""A form takes effect once, whenever its handler refuses what has changed since, and the person is told why."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import httpx
import pytest
from starlette.responses import Response

from paidonce.dashboard.declarations import action, page
from paidonce.dashboard.forms import Form
from paidonce.dashboard.request import DashboardRequest
from paidonce.dashboard.routes import dashboard_routes
from paidonce.errors import KeyNotActive, MerchantNotFound
from paidonce.http.app import create_api
from paidonce.merchants.actions import create_merchants, load_merchants
from paidonce.users.model import Role
from tests.support.dashboard_client import DashboardClient, logged_in
from tests.support.in_process_service import InProcessService, open_in_process_service
from tests.support.in_process_transport import InProcessTransport

PATH: Final = "/dashboard/operator/names"
TOLD: Final = "was%20sent%20before"


class NameForm(Form, frozen=True, kw_only=True):
    name: str


@page("/operator/names", role=Role.OPERATOR)
async def names(request: DashboardRequest) -> Response:
    """Show what is wrong with a form."""
    return request.page("error.html", {"detail": request.form.message, "request_id": ""}, title="Names")


@action("/operator/names", role=Role.OPERATOR, form=NameForm, shows=names, leads_to=names)
async def take_name(request: DashboardRequest, form: NameForm) -> Response:
    """Create a merchant whose id nobody has."""
    try:
        await request.service.reader.submit(load_merchants, form.name)
    except MerchantNotFound:
        await request.service.writer.submit(create_merchants, form.name)
        return request.done(PATH, "Created.")
    raise KeyNotActive("is taken")


@action("/operator/names/late", role=Role.OPERATOR, form=NameForm, shows=names, leads_to=names)
async def fail_late(request: DashboardRequest, form: NameForm) -> Response:
    """Commit, and fail afterwards."""
    await request.service.writer.submit(create_merchants, form.name)
    raise KeyNotActive("is taken")


@pytest.fixture
async def running(migrated_database_url: str, tmp_path: Path) -> AsyncIterator[InProcessService]:
    async with open_in_process_service(migrated_database_url, str(tmp_path), migrating=False) as opened:
        yield opened


@pytest.fixture
async def person(running: InProcessService) -> AsyncIterator[DashboardClient]:
    app = create_api(running.service, dashboard_routes(running.service, [names, take_name, fail_late]))
    async with httpx.AsyncClient(transport=InProcessTransport(app), base_url="http://paidonce") as http:
        yield await logged_in(running, Role.OPERATOR, http=http)


async def test_a_form_that_its_own_effect_makes_wrong_was_sent_before(person: DashboardClient) -> None:
    first = await person.post(PATH, {"name": "n"}, key="one-form")
    again = await person.post(PATH, {"name": "n"}, key="one-form")
    assert (first.status_code, TOLD in first.headers["set-cookie"]) == (303, False)
    assert (again.status_code, again.headers["location"]) == (303, PATH)
    assert TOLD in again.headers["set-cookie"]


async def test_another_form_that_is_refused_is_shown_what_is_wrong_with_it(
    person: DashboardClient, running: InProcessService
) -> None:
    await person.post(PATH, {"name": "n"}, key="one-form")
    for name, key in (("n", "another-form"), (running.merchant_id, "one-form")):
        refused = await person.post(PATH, {"name": name}, key=key)
        assert (refused.status_code, "is taken" in refused.text) == (409, True), refused.text


async def test_an_action_that_fails_after_its_commit_shows_its_error_at_first(person: DashboardClient) -> None:
    first = await person.post(f"{PATH}/late", {"name": "n"}, key="one-form")
    assert (first.status_code, "is taken" in first.text) == (409, True)
    again = await person.post(f"{PATH}/late", {"name": "n"}, key="one-form")
    assert (again.status_code, TOLD in again.headers["set-cookie"]) == (303, True)
