"""A person's own account, the users of a merchant, and the audit log."""

import re
from base64 import b32decode
from collections.abc import AsyncIterator
from html import unescape
from pathlib import Path

import httpx
import pytest
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP

from paidonce.merchants.actions import create_merchants
from paidonce.merchants.model import Mode
from paidonce.users.audit_store import AuditFilter, read_entries
from paidonce.users.model import Role
from paidonce.users.totp import open_totp_secret
from tests.isolation.dashboard_routes import a_second_factor
from tests.support.dashboard_client import PASSWORD, DashboardClient, logged_in
from tests.support.in_process_service import InProcessService, open_in_process_service
from tests.support.plans import plans_of


@pytest.fixture
async def running(migrated_database_url: str, tmp_path: Path) -> AsyncIterator[InProcessService]:
    async with open_in_process_service(migrated_database_url, str(tmp_path), migrating=False) as service:
        yield service


async def is_in(person: DashboardClient) -> bool:
    return (await person.get("/dashboard/account")).status_code == 200


async def another_session(running: InProcessService, person: DashboardClient) -> DashboardClient:
    """Log the same person in once more."""
    page = await running.http.get("/dashboard/login")
    found = re.search(r'csrfToken" value="([0-9a-f]+)"', page.text)
    assert found is not None
    fields = {"csrfToken": found[1], "idempotencyKey": "k", "email": person.user.email, "password": PASSWORD}
    response = await running.http.post("/dashboard/login", data=fields)
    token = re.search(r"paidonce_session=(\w+)", str(response.headers.get_list("set-cookie")))
    assert token is not None
    running.http.cookies.clear()
    return DashboardClient(running.http, person.user, token[1])


def flash(response: httpx.Response) -> str:
    found = re.search(r"paidonce_flash=([^;]+)", str(response.headers.get_list("set-cookie")))
    assert found is not None
    return httpx.URL(f"/?{found[1]}").query.decode().replace("%20", " ").replace("%3A", ":")


async def test_a_new_password_needs_the_current_one_and_ends_all_other_sessions(running: InProcessService) -> None:
    person = await logged_in(running)
    other = await another_session(running, person)
    path = "/dashboard/account/password"
    wrong = await person.post(path, {"password": "wrong", "newPassword": "another long password"})
    assert (wrong.status_code, "The password is wrong." in wrong.text) == (422, True)
    short = await person.post(path, {"password": PASSWORD, "newPassword": "short"})
    assert (short.status_code, "12 characters or more" in short.text) == (422, True)
    assert await is_in(other)
    assert (await person.post(path, {"password": PASSWORD, "newPassword": "another long password"})).status_code == 303
    assert await is_in(person)
    assert not await is_in(other)


async def test_a_second_factor_is_stored_encrypted_once_a_code_shows_that_the_app_has_it(
    running: InProcessService,
) -> None:
    person = await logged_in(running)
    path = "/dashboard/account/second-factor"
    page = await person.get(path)
    assert "<svg" in page.text
    sealed, secret = (
        re.search(r'name="sealed" value="([^"]+)"', page.text),
        re.search(r'class="code">((?:[A-Z2-7]{4} ?)+)<', page.text),
    )
    assert sealed is not None
    assert secret is not None
    refused = await person.post(path, {"sealed": unescape(sealed[1]), "code": "000000"})
    assert refused.status_code == 422
    assert secret[1] in refused.text
    assert running.rows()["dashboard_user"][0][6] is None
    raw = b32decode(secret[1].replace(" ", ""))
    code = TOTP(raw, 6, SHA1(), 30).generate(running.clock.now // 1000).decode()
    stranger = await logged_in(running)
    assert (await stranger.post(path, {"sealed": unescape(sealed[1]), "code": code})).status_code == 400
    assert (await person.post(path, {"sealed": unescape(sealed[1]), "code": code})).status_code == 303
    stored = next(row for row in running.rows()["dashboard_user"] if row[0] == person.user.id)
    assert open_totp_secret(running.service.encryption, stored[5], person.user.id) == raw
    assert (await person.post(f"{path}/remove", {"password": "wrong"})).status_code == 422
    assert (await person.post(f"{path}/remove", {"password": PASSWORD})).status_code == 303
    assert next(row for row in running.rows()["dashboard_user"] if row[0] == person.user.id)[5] is None


async def test_a_second_factor_is_replaced_only_after_the_password_has_removed_it(running: InProcessService) -> None:
    person = await logged_in(running)
    first, second = await a_second_factor(person), await a_second_factor(person)
    path = "/dashboard/account/second-factor"
    assert (await person.post(path, first, key="once")).status_code == 303
    stored = running.rows()["dashboard_user"]
    refused = await person.post(path, second)
    assert (refused.headers["location"], "Remove it first" in flash(refused)) == ("/dashboard/account", True)
    assert (await person.get(path)).headers["location"] == "/dashboard/account"
    assert "sent before" in flash(await person.post(path, first, key="once"))
    assert running.rows()["dashboard_user"] == stored
    assert (await person.post(f"{path}/remove", {"password": PASSWORD})).status_code == 303
    assert (await person.post(path, second)).status_code == 303
    assert running.rows()["dashboard_user"] != stored


async def test_the_way_in_leads_an_operator_to_a_page_that_exists(running: InProcessService) -> None:
    operator = await logged_in(running, Role.OPERATOR)
    first = (await operator.get("/dashboard")).headers["location"]
    assert first.startswith("/dashboard/operator/")
    assert (await operator.get(first)).status_code == 200


async def test_a_page_of_what_is_no_id_of_a_merchant_is_not_found(running: InProcessService) -> None:
    operator = await logged_in(running, Role.OPERATOR)
    for strange in ("%00", "a%20b", "m" * 129):
        assert (await operator.get(f"/dashboard/m/{strange}/test/payments")).status_code == 404


async def test_the_way_in_leads_to_the_mode_in_which_something_has_happened(running: InProcessService) -> None:
    person = await logged_in(running)
    path = f"/dashboard/m/{running.merchant_id}"
    assert (await person.get("/dashboard")).headers["location"] == f"{path}/test"
    live = await running.api_key(running.merchant_id, mode=Mode.LIVE)
    await running.checkout(as_who=live)
    assert (await person.get("/dashboard")).headers["location"] == f"{path}/live"


async def test_sessions_are_listed_and_ended_one_by_one_or_all_but_this_one(running: InProcessService) -> None:
    person = await logged_in(running)
    first, second, third = [await another_session(running, person) for _ in range(3)]
    page = (await person.get("/dashboard/account")).text
    assert "This session" in page
    newest = re.findall(r"/dashboard/account/sessions/(uss_\w+)/end", page)[0]
    stranger = await logged_in(running)
    assert (await stranger.post(f"/dashboard/account/sessions/{newest}/end")).status_code == 303
    assert await is_in(third)
    await person.post(f"/dashboard/account/sessions/{newest}/end")
    assert [await is_in(one) for one in (first, second, third)] == [True, True, False]
    await person.post("/dashboard/account/sessions/end")
    assert [await is_in(one) for one in (first, second, person)] == [False, False, True]


async def test_an_administrator_creates_a_user_of_their_merchant_and_is_shown_the_link_once(
    running: InProcessService,
) -> None:
    admin = await logged_in(running, Role.ADMIN)
    path = f"/dashboard/m/{running.merchant_id}/test/users"
    made = await admin.post(path, {"email": "New@Example.com", "role": "refunds"})
    assert "/dashboard/login/" in flash(made).replace("%2F", "/")
    page = (await admin.get(path)).text
    assert "new@example.com" in page
    again = await admin.post(path, {"email": "new@example.com", "role": "viewer"})
    assert (again.status_code, "Another user has this e-mail address." in again.text) == (409, True)
    assert (await admin.post(path, {"email": "o@example.com", "role": "operator"})).status_code == 422
    assert (await admin.post(path, {"email": "nobody", "role": "viewer"})).status_code == 422


async def test_the_idempotency_keys_of_two_people_are_different_ones(running: InProcessService) -> None:
    path = f"/dashboard/m/{running.merchant_id}/test/users"
    for email in ("one@example.com", "two@example.com"):
        admin = await logged_in(running, Role.ADMIN)
        made = await admin.post(path, {"email": email, "role": "viewer"}, key="the same")
        assert made.status_code == 303
        assert email in (await admin.get(path)).text


async def test_an_administrator_sees_and_changes_users_of_their_own_merchant_only(running: InProcessService) -> None:
    own = running.merchant_id
    stranger = await logged_in(running, Role.OPERATOR)
    await running.settle()
    admin = await logged_in(running, Role.ADMIN)
    other = await logged_in(running, Role.VIEWER, merchant_id=own)
    page = (await admin.get(f"/dashboard/m/{running.merchant_id}/test/users")).text
    assert admin.user.email in page
    assert other.user.email not in page
    assert stranger.user.email not in page
    for one in (other, stranger):
        path = f"/dashboard/m/{running.merchant_id}/test/users/{one.user.id}"
        assert (await admin.post(path, {"change": "disable"})).status_code == 404
        assert await is_in(one)


async def test_a_user_who_is_disabled_or_gets_another_role_is_logged_out(running: InProcessService) -> None:
    admin, person = await logged_in(running, Role.ADMIN), await logged_in(running)
    path = f"/dashboard/m/{running.merchant_id}/test/users/{person.user.id}"
    for change in ({"change": "role", "role": "admin"}, {"change": "disable"}, {"change": "end_sessions"}):
        await admin.post(path, {"change": "enable"})
        session = await another_session(running, person)
        assert await is_in(session)
        assert (await admin.post(path, change)).status_code == 303
        assert not await is_in(session)
    assert await is_in(admin)


async def test_the_last_operator_cannot_be_disabled(running: InProcessService) -> None:
    operator, second = await logged_in(running, Role.OPERATOR), await logged_in(running, Role.OPERATOR)
    change = {"change": "disable"}
    assert (await operator.post(f"/dashboard/operator/users/{second.user.id}", change)).status_code == 303
    refused = await operator.post(f"/dashboard/operator/users/{operator.user.id}", change)
    assert (refused.status_code, "last operator" in refused.text) == (409, True)
    assert await is_in(operator)


async def test_each_action_of_a_person_is_in_the_audit_log_with_what_was_sent_and_its_outcome(
    running: InProcessService,
) -> None:
    operator, admin = await logged_in(running, Role.OPERATOR), await logged_in(running, Role.ADMIN)
    person = await logged_in(running)
    path = f"/dashboard/m/{running.merchant_id}/test/users"
    await admin.post(f"{path}/{person.user.id}", {"change": "role", "role": "admin"})
    await admin.post(path, {"email": person.user.email, "role": "viewer"})
    rows = sorted(row[2:7] for row in running.rows()["audit_entry"])
    actor = f"user:{admin.user.id}"
    assert rows == [
        ("change_merchant_user", actor, person.user.id, '{"mode":"test","change":"role","role":"admin"}', "done"),
        (
            "create_merchant_user",
            actor,
            None,
            f'{{"mode":"test","email":"{person.user.email}","role":"viewer"}}',
            "email_taken",
        ),
    ]
    page = (await operator.get("/dashboard/operator/audit")).text
    assert admin.user.email in page
    assert "Email taken" in page
    assert "mode: test, change: role, role: admin" in page
    assert "Nothing was done yet." in (await operator.get("/dashboard/operator/audit", merchantId="m_none")).text


async def test_the_audit_log_keeps_no_secret_and_of_a_long_text_the_beginning(running: InProcessService) -> None:
    admin = await logged_in(running, Role.ADMIN)
    base = f"/dashboard/m/{running.merchant_id}/test"
    await admin.post("/dashboard/account/password", {"password": PASSWORD, "newPassword": "another password, 1"})
    await admin.post("/dashboard/login", {"email": admin.user.email, "password": PASSWORD})
    account = {"provider": "stripe", "name": "n" * 300, "credentials.secretKey": "sk_test_secret"}
    await admin.post(f"{base}/accounts", account)
    entries = {row[2]: row[5] for row in running.rows()["audit_entry"]}
    assert entries["change_password"] is None
    assert entries["add_account"] == f'{{"mode":"test","provider":"stripe","name":"{"n" * 200}"}}'
    everything = str(running.rows()["audit_entry"])
    assert not any(secret in everything for secret in (PASSWORD, "another password", "sk_test_secret"))


async def test_the_audit_log_is_paged(running: InProcessService) -> None:
    operator = await logged_in(running, Role.OPERATOR)
    for _ in range(51):
        await operator.post("/dashboard/account/sessions/end")
    first = (await operator.get("/dashboard/operator/audit")).text
    older = re.search(r'href="([^"]+)" rel="next"', first)
    assert older is not None
    second = (await operator.get(unescape(older[1]))).text
    assert (first.count("end other sessions"), second.count("end other sessions")) == (50, 1)


async def test_an_admin_reads_the_audit_log_of_the_merchant_alone_in_which_operators_are_not_named(
    running: InProcessService,
) -> None:
    operator, admin = await logged_in(running, Role.OPERATOR), await logged_in(running, Role.ADMIN)
    base = f"/dashboard/m/{running.merchant_id}"
    await admin.post(f"{base}/test/branding", {"displayName": "One"})
    await operator.post(f"{base}/live/branding", {"displayName": "Two"})
    other_merchant = running.new_name("m")
    await running.service.writer.submit(create_merchants, other_merchant)
    stranger = await logged_in(running, Role.ADMIN, merchant_id=other_merchant)
    await stranger.post(f"/dashboard/m/{other_merchant}/test/branding", {"displayName": "Three"})
    page = (await admin.get(f"{base}/test/audit")).text
    assert page.count("change branding") == 2
    table = page.partition("<tbody>")[2].partition("</tbody>")[0]
    assert table.count(admin.user.email) == 1
    assert "an operator of this service" in table
    assert operator.user.email not in page
    assert (await admin.get(f"{base}/test/audit", before="aud_0")).text.count("change branding") == 0
    assert operator.user.email in (await operator.get(f"{base}/test/audit")).text.partition("<tbody>")[2]


async def test_the_audit_log_of_a_merchant_is_read_by_its_index(running: InProcessService) -> None:
    wanted = AuditFilter(limit=50, merchant_id="m_1", starting_after="aud_1")
    (plan,) = plans_of(running.service.database, lambda transaction: read_entries(transaction, wanted))
    assert "audit_entry_by_merchant" in plan
    assert "Sort" not in plan
    assert "TEMP B-TREE" not in plan


@pytest.mark.parametrize(
    ("path", "fields", "secret"),
    [
        ("payments/{}/refund", {"reason": "paid with 4242 4242 4242 4242"}, "4242 4242"),
        ("branding", {"displayName": "4242424242424242"}, "4242"),
        ("webhooks", {"url": "https://ann:hunter22@shop.example/"}, "hunter22"),
        ("webhooks", {"url": "https://shop.example/", "description": "whsec_c2VjcmV0c2VjcmV0"}, "c2VjcmV0"),
        ("keys", {"scopes": ["checkouts:read", "sk_live_abcdefgh"]}, "abcdefgh"),
    ],
)
async def test_the_audit_log_keeps_no_card_number_and_no_secret_that_a_person_filled_in(
    running: InProcessService, path: str, fields: dict[str, str | list[str]], secret: str
) -> None:
    admin = await logged_in(running, Role.ADMIN)
    base = f"/dashboard/m/{running.merchant_id}/test"
    await admin.post(f"{base}/{path.format(await running.paid())}", fields)
    assert secret not in str(running.rows()["audit_entry"])
    assert "…" in (await admin.get(f"{base}/audit")).text.partition("<tbody>")[2]


@pytest.mark.parametrize(
    "page", ["operator/users?after=", "operator/audit?before=", "operator/audit?merchantId=", "m/{}/test/users?after="]
)
async def test_a_page_after_what_no_database_takes_is_refused(running: InProcessService, page: str) -> None:
    operator = await logged_in(running, Role.OPERATOR)
    response = await operator.get(f"/dashboard/{page.format(running.merchant_id)}%00")
    assert response.status_code == 400
