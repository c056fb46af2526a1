"""Each page and action of the dashboard refuses whoever may not use it, and no form takes effect twice."""

import asyncio
import re
from collections.abc import Mapping

import httpx
import pytest

from paidonce.dashboard.routes import DECLARATIONS
from paidonce.idempotency.model import field_digests
from paidonce.merchants.actions import create_merchants
from paidonce.users.model import Role
from tests.isolation.dashboard_routes import LINES, Line
from tests.support.dashboard_client import PASSWORD, DashboardClient, logged_in
from tests.support.in_process_service import InProcessService

pytestmark = pytest.mark.postgresql_in_prove

OTHER = "m_of_somebody_else"
# What only tells who came when, and what was tried.
NOT_COMPARED = {"audit_entry", "dashboard_session"}

PAGES = [call for call in LINES if call.startswith("GET")]
ACTIONS = [call for call in LINES if call.startswith("POST")]
CLOSED = [call for call, line in LINES.items() if line.role is not None]


def is_of_tenant(call: str) -> bool:
    return "{merchant_id}" in call


def variables(call: str) -> set[str]:
    return set(re.findall(r"{(\w+)}", call)) - {"merchant_id", "mode"}


async def prepared(running: InProcessService, line: Line) -> Mapping[str, str]:
    await running.settle()
    return {} if line.prepare is None else await line.prepare(running)


def filled(call: str, merchant_id: str, values: Mapping[str, str], *, mode: str = "test") -> str:
    names = {"merchant_id": merchant_id, "mode": mode, **values}
    return re.sub(r"{(\w+)}", lambda found: names[found[1]], call.partition(" ")[2])


async def use(person: DashboardClient, call: str, path: str, line: Line, **given: str) -> httpx.Response:
    return await (person.get(path) if call.startswith("GET") else person.post(path, line.fields, **given))


def state(running: InProcessService) -> dict[str, list[tuple[object, ...]]]:
    return {name: rows for name, rows in running.rows().items() if name not in NOT_COMPARED}


def test_every_page_and_action_is_in_the_table_with_its_role_and_no_other() -> None:
    declared = {f"{one.method} /dashboard{one.path}": one.role for one in DECLARATIONS}
    assert {call: line.role for call, line in LINES.items()} == declared


def test_the_audit_log_keeps_each_field_of_an_action_that_is_no_secret() -> None:
    fields = {
        (one.name, field)
        for one in DECLARATIONS
        if one.form is not None and one.role is not None
        for field in set(one.form.__struct_fields__) - set(one.form.audited)
    }
    assert fields == {
        ("change_password", "password"),
        ("change_password", "new_password"),
        ("set_up_second_factor", "sealed"),
        ("set_up_second_factor", "code"),
        ("remove_second_factor", "password"),
        # They are the subject of the entry.
        *((name, field) for name in ("replay_webhook", "dismiss_webhook") for field in ("provider", "id")),
    }


@pytest.mark.parametrize("call", PAGES)
async def test_a_page_is_shown_to_who_has_its_role(running: InProcessService, call: str) -> None:
    line = LINES[call]
    values = await prepared(running, line)
    person = await logged_in(running, line.role or Role.VIEWER)
    response = await person.get(filled(call, running.merchant_id, values))
    assert response.status_code in (200, 303), response.text
    assert line.role is None or "/dashboard/login" not in response.headers.get("location", "")


@pytest.mark.parametrize("call", CLOSED)
async def test_nobody_who_is_not_logged_in_sees_or_does_anything(running: InProcessService, call: str) -> None:
    line = LINES[call]
    values = await prepared(running, line)
    path = filled(call, running.merchant_id, values)
    before = state(running)
    for cookies in ({}, {"paidonce_session": "0" * 42}):
        stranger = await logged_in(running)
        stranger.cookies = cookies
        before = state(running)
        response = await use(stranger, call, path, line)
        if call.startswith("GET"):
            assert response.status_code == 303
            assert response.headers["location"].startswith("/dashboard/login?next=")
        else:
            assert response.status_code == 403
        assert state(running) == before


@pytest.mark.parametrize(
    ("call", "role"),
    [
        (call, role)
        for call in CLOSED
        for role in Role
        if (least := LINES[call].role) is not None and not role.includes(least)
    ],
)
async def test_a_smaller_role_is_refused(running: InProcessService, call: str, role: Role) -> None:
    line = LINES[call]
    values = await prepared(running, line)
    path = filled(call, running.merchant_id, values)
    person = await logged_in(running, role)
    before = state(running)
    assert (await use(person, call, path, line)).status_code == 403
    assert state(running) == before


@pytest.mark.parametrize("call", [call for call in CLOSED if is_of_tenant(call)])
async def test_another_merchant_and_another_mode_are_not_found(running: InProcessService, call: str) -> None:
    line = LINES[call]
    values = await prepared(running, line)
    await running.service.writer.submit(create_merchants, OTHER)
    other = await logged_in(running, Role.ADMIN, merchant_id=OTHER)
    own = await logged_in(running, Role.ADMIN)
    operator = await logged_in(running, Role.OPERATOR)
    before = state(running)
    attempts = [
        (other, filled(call, running.merchant_id, values)),
        (other, filled(call, running.merchant_id, values, mode="live")),
        (own, filled(call, running.merchant_id, values, mode="none")),
        (operator, filled(call, "m_that_nobody_has", values)),
    ]
    if variables(call):  # What is the owner's, below a path of one's own, or in the other mode.
        attempts.append((other, filled(call, OTHER, values)))
        if line.has_mode:
            attempts.append((own, filled(call, running.merchant_id, values, mode="live")))
    for person, path in attempts:
        response = await use(person, call, path, line)
        assert response.status_code == 404, path
        assert running.merchant_id not in response.text.replace(path, ""), path
    assert state(running) == before


@pytest.mark.parametrize("call", ACTIONS)
async def test_a_form_without_the_csrf_token_of_the_session_is_refused(running: InProcessService, call: str) -> None:
    line = LINES[call]
    values = await prepared(running, line)
    path = filled(call, running.merchant_id, values)
    person = await logged_in(running, line.role or Role.VIEWER)
    other = await logged_in(running, line.role or Role.VIEWER)
    before = state(running)
    for token in ("", "0" * 64, other.token, "é"):
        response = await person.post(path, line.fields, csrf=token)
        assert response.status_code == 403
        assert "session" in response.text
    assert state(running) == before


@pytest.mark.parametrize("call", [call for call in ACTIONS if LINES[call].role is not None])
async def test_a_form_that_is_sent_twice_takes_effect_once(running: InProcessService, call: str) -> None:
    line = LINES[call]
    values = await prepared(running, line)
    path = filled(call, running.merchant_id, values)
    person = await logged_in(running, line.role or Role.VIEWER)
    fields = line.fields if line.fill is None else await line.fill(person)
    before = state(running)
    first = await person.post(path, fields, key="sent-twice")
    once = state(running)
    second = await person.post(path, fields, key="sent-twice")
    assert state(running) == once
    assert first.status_code in (200, 303), first.text
    assert second.status_code == (403 if line.ends_session else first.status_code), second.text
    assert line.ends_session or first.headers.get("location") == second.headers.get("location")
    claims = set(once["idempotency_key"]) - set(before["idempotency_key"])
    assert len(claims) == line.has_effect, "what an action commits claims the form's key"


async def test_a_form_that_is_sent_again_does_not_undo_what_happened_since(running: InProcessService) -> None:
    await running.settle()
    endpoint_id, _ = await running.delivery()
    person = await logged_in(running, Role.ADMIN)
    path = f"/dashboard/m/{running.merchant_id}/test/webhooks/{endpoint_id}"
    await person.post(f"{path}/pause", key="paused-once")
    await person.post(f"{path}/resume")
    again = await person.post(f"{path}/pause", key="paused-once")
    assert (again.status_code, again.headers["location"]) == (303, path)
    assert "was%20sent%20before" in again.headers["set-cookie"]
    endpoint = await running.get(f"/webhook-endpoints/{endpoint_id}")
    assert endpoint.json()["enabled"] is True


async def test_another_form_with_the_same_idempotency_key_is_refused(running: InProcessService) -> None:
    await running.settle()
    person = await logged_in(running, Role.ADMIN)
    path = f"/dashboard/m/{running.merchant_id}/test/branding"
    await person.post(path, {"displayName": "One"}, key="used-twice")
    other = await person.post(path, {"displayName": "Another"}, key="used-twice")
    assert other.status_code == 422
    assert "sent before with other values" in other.text
    assert (await running.get("/profile")).json()["displayName"] == "One"


async def test_no_digest_of_a_password_is_stored_that_could_be_searched_for(running: InProcessService) -> None:
    await running.settle()
    person = await logged_in(running)
    fields = {"password": PASSWORD, "newPassword": "another long password"}
    before = set(state(running)["idempotency_key"])
    await person.post("/dashboard/account/password", fields)
    (claim,) = set(state(running)["idempotency_key"]) - before
    for form in ("another long password", ["another long password"]):
        assert field_digests({"x": form})["x"] not in str(claim)
    assert "newPassword" in str(claim)


async def test_a_form_that_another_request_has_sent_meanwhile_commits_nothing(running: InProcessService) -> None:
    await running.settle()
    person = await logged_in(running, Role.ADMIN)
    path = f"/dashboard/m/{running.merchant_id}/test/users"
    fields = {"email": "once@example.com", "role": "viewer"}
    answers = await asyncio.gather(*(person.post(path, fields, key="at-once") for _ in range(5)))
    assert {one.status_code for one in answers} == {303}
    assert sum("link" in one.headers["set-cookie"] for one in answers) == 1
    assert str(running.rows()["dashboard_user"]).count("once@example.com") == 1
