"""Logging in: with a password, a second factor or a one-time link; and how it is refused."""

import re
from collections.abc import AsyncIterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import httpx
import pytest
from cryptography.exceptions import InvalidKey
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.kdf import argon2
from cryptography.hazmat.primitives.twofactor.totp import TOTP

from paidonce import ids
from paidonce.dashboard.cookies import SESSION, VISITOR
from paidonce.dashboard.log_in_guard import LogInGuard
from paidonce.errors import RateLimited
from paidonce.http.token_buckets import BUCKETS_MAX, SHARED_BUCKETS
from paidonce.users.actions import ChangeUser, SetTotp, WantedUser, change_users, set_totp
from paidonce.users.model import IDLE_MS_MAX, LINK_MS, SECOND_FACTOR_MS, SESSION_MS, Role, User, hash_token
from paidonce.users.sessions import EndSessions, end_sessions
from paidonce.users.totp import seal_recovery_codes, seal_totp_secret
from paidonce.web import WebApp
from tests.support.dashboard_client import PASSWORD, DashboardClient, logged_in
from tests.support.in_process_service import Clock, InProcessService, open_in_process_service
from tests.support.in_process_transport import InProcessTransport

SECRET = bytes(range(20))
CODE = re.compile(r'name="csrfToken" value="([0-9a-f]+)"')


@pytest.fixture
async def running(migrated_database_url: str, tmp_path: Path) -> AsyncIterator[InProcessService]:
    async with open_in_process_service(migrated_database_url, str(tmp_path), migrating=False, clock=Clock()) as service:
        yield service


class Browser:
    """Somebody who is not logged in. It keeps cookies, and sends forms from the pages that it was shown."""

    def __init__(
        self, running: InProcessService, *, base_url: str = "http://paidonce", address: str = "192.0.2.7"
    ) -> None:
        transport = InProcessTransport(WebApp(running.service), address)
        self.http = httpx.AsyncClient(transport=transport, base_url=base_url)
        self.page = ""

    async def get(self, path: str) -> httpx.Response:
        shown = await self.http.get(path)
        self.page = shown.text
        return shown

    async def post(self, path: str, **fields: str) -> httpx.Response:
        found = CODE.search(self.page)
        assert found is not None
        return await self.http.post(path, data={"csrfToken": found[1], "idempotencyKey": ids.new_token(), **fields})

    async def log_in(self, email: str, password: str = PASSWORD, **fields: str) -> httpx.Response:
        await self.get("/dashboard/login")
        return await self.post("/dashboard/login", email=email, password=password, **fields)

    async def is_in(self) -> bool:
        return "/login" not in (await self.http.get("/dashboard")).headers["location"]


async def link_for(running: InProcessService, user: User) -> str:
    token = ids.new_token()
    wanted = WantedUser(user.id, None)
    await running.service.writer.submit(change_users, ChangeUser(user=wanted, link_hash=hash_token(token)))
    return token


async def with_second_factor(running: InProcessService, user: User) -> None:
    sealed = seal_totp_secret(running.service.encryption, SECRET, user.id)
    codes = seal_recovery_codes(["recovery-one", "recovery-two"])
    await running.service.writer.submit(
        set_totp, SetTotp(user_id=user.id, secret=sealed, step=None, recovery_codes=codes)
    )


def code(running: InProcessService, *, steps: int = 0) -> str:
    return TOTP(SECRET, 6, SHA1(), 30).generate(running.clock.now // 1000 + steps * 30).decode()


async def test_a_person_logs_in_with_a_password_and_is_led_to_the_page_that_they_asked_for(
    running: InProcessService,
) -> None:
    user = (await logged_in(running)).user
    browser = Browser(running)
    response = await browser.log_in(user.email.upper(), next="/dashboard/account?x=1")
    assert VISITOR not in browser.http.cookies
    assert (response.status_code, response.headers["location"]) == (303, "/dashboard/account?x=1")
    assert await browser.is_in()


@pytest.mark.parametrize(
    "wanted", ["https://evil.example", "//evil.example", "/dashboardevil", "/dashboard/\\evil", "/dashboard/\r\nX: y"]
)
async def test_a_link_to_the_log_in_cannot_lead_out_of_the_dashboard(running: InProcessService, wanted: str) -> None:
    user = (await logged_in(running)).user
    response = await Browser(running).log_in(user.email, next=wanted)
    assert response.headers["location"] == "/dashboard"


async def test_a_one_time_link_leads_to_the_page_that_it_names(running: InProcessService) -> None:
    path = f"/dashboard/login/{await link_for(running, (await logged_in(running)).user)}?next=/dashboard/account"
    browser = Browser(running)
    await browser.get(path)
    assert 'name="next" value="/dashboard/account"' in browser.page
    response = await browser.post(path, next="/dashboard/account")
    assert (response.status_code, response.headers["location"]) == (303, "/dashboard/account")


async def test_the_page_that_was_asked_for_comes_after_the_second_factor(running: InProcessService) -> None:
    user = (await logged_in(running)).user
    await with_second_factor(running, user)
    browser = Browser(running)
    response = await browser.log_in(user.email, next="/dashboard/account?x=1")
    await browser.get(response.headers["location"])
    assert 'name="next" value="/dashboard/account?x=1"' in browser.page
    response = await browser.post("/dashboard/login/code", code=code(running), next="/dashboard/account?x=1")
    assert (response.status_code, response.headers["location"]) == (303, "/dashboard/account?x=1")


async def test_an_e_mail_address_that_no_database_takes_is_refused(running: InProcessService) -> None:
    response = await Browser(running).log_in("ann\0@example.com")
    assert response.status_code == 422


async def test_a_wrong_password_an_unknown_user_and_a_disabled_one_are_answered_alike(
    running: InProcessService,
) -> None:
    user, disabled = (await logged_in(running)).user, (await logged_in(running)).user
    wanted = WantedUser(disabled.id, None)
    await running.service.writer.submit(change_users, ChangeUser(user=wanted, is_disabled=True))
    answers = set()
    for email, password in ((user.email, "wrong"), ("nobody@example.com", PASSWORD), (disabled.email, PASSWORD)):
        browser = Browser(running)
        response = await browser.log_in(email, password)
        assert not await browser.is_in()
        text = re.sub(r'value="[^"]*"', "", response.text)
        answers.add((response.status_code, text))
    assert len(answers) == 1
    assert "The e-mail address or the password is wrong." in answers.pop()[1]


async def test_the_password_is_verified_by_argon2_whether_the_user_exists_or_not(
    running: InProcessService, monkeypatch: pytest.MonkeyPatch
) -> None:
    verified: list[str] = []

    class Counting:
        @staticmethod
        def verify_phc_encoded(_password: bytes, hashed: str) -> None:
            verified.append(hashed.rpartition("$")[0].rpartition("$")[0])
            raise InvalidKey

    monkeypatch.setattr(argon2, "Argon2id", Counting)
    await Browser(running).log_in("nobody@example.com")
    assert verified == ["$argon2id$v=19$m=19456,t=2,p=1"]


@pytest.fixture
def still_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no time pass for the limits, however slow the machine is."""
    monkeypatch.setattr("paidonce.dashboard.routes.LogInGuard", partial(LogInGuard, stopwatch=lambda: 1))


@pytest.mark.usefixtures("still_time")
async def test_attempts_for_one_account_are_bounded_wherever_they_come_from_and_whether_it_exists(
    running: InProcessService,
) -> None:
    app = WebApp(running.service)
    for email in ((await logged_in(running)).user.email, "nobody@example.com"):
        texts = []
        browser = Browser(running)
        for number in range(12):
            browser = Browser(running)
            browser.http = httpx.AsyncClient(
                transport=InProcessTransport(app, f"198.51.100.{number}"), base_url="http://paidonce"
            )
            texts.append((await browser.log_in(email, "wrong")).text)
        assert sum("too many attempts" in text for text in texts) == 2
        assert "too many attempts" in (await browser.log_in(email)).text


def test_attempts_from_one_address_are_bounded() -> None:
    guard = LogInGuard(stopwatch=lambda: 1)
    for number in range(30):
        guard.admit(f"{number}@example.com", "192.0.2.1")
    with pytest.raises(RateLimited):
        guard.admit("other@example.com", "192.0.2.1")
    guard.admit("other@example.com", "192.0.2.2")


def test_an_address_that_is_refused_uses_up_the_attempts_of_nobody() -> None:
    guard = LogInGuard(stopwatch=lambda: 1)
    # So many names as there are buckets, and then those that must share the last ones.
    names = [f"{number}@example.com" for number in range(BUCKETS_MAX + 30 * SHARED_BUCKETS)]
    for name in [*names, *["ann@example.com"] * 20]:
        with suppress(RateLimited):
            guard.admit(name, "192.0.2.1")
    guard.admit("ann@example.com", "192.0.2.2")
    guard.admit(hash_token("a link"), "192.0.2.2")


@pytest.mark.usefixtures("still_time")
async def test_whoever_tries_links_keeps_nobody_else_from_using_theirs(running: InProcessService) -> None:
    app = WebApp(running.service)
    user = (await logged_in(running)).user
    path = f"/dashboard/login/{await link_for(running, user)}"
    for number in range(12):
        stranger = Browser(running)
        stranger.http = httpx.AsyncClient(
            transport=InProcessTransport(app, f"198.51.100.{number}"), base_url="http://paidonce"
        )
        await stranger.get("/dashboard/login")
        assert (await stranger.post(f"/dashboard/login/{ids.new_token()}")).status_code == 403
    browser = Browser(running)
    browser.http = httpx.AsyncClient(transport=InProcessTransport(app), base_url="http://paidonce")
    await browser.get(path)
    assert (await browser.post(path)).status_code == 303


async def test_a_form_of_the_log_in_needs_the_cookie_of_its_page(running: InProcessService) -> None:
    user = (await logged_in(running)).user
    browser = Browser(running)
    await browser.get("/dashboard/login")
    browser.http.cookies.delete(VISITOR)
    response = await browser.post("/dashboard/login", email=user.email, password=PASSWORD)
    assert response.status_code == 403
    assert not await browser.is_in()


async def test_a_one_time_link_logs_in_once_and_only_when_its_button_is_pressed(running: InProcessService) -> None:
    user = (await logged_in(running)).user
    path = f"/dashboard/login/{await link_for(running, user)}"
    browser, preview = Browser(running), Browser(running)
    for _ in range(3):
        assert (await preview.get(path)).status_code == 200
    assert not await preview.is_in()
    await browser.get(path)
    assert (await browser.post(path)).status_code == 303
    assert await browser.is_in()
    await browser.get("/dashboard/login")
    assert (await browser.get(path)).status_code == 403
    assert (await preview.post(path)).status_code == 403
    assert not await preview.is_in()


async def test_a_one_time_link_ends_after_15_minutes_and_when_another_one_is_made(running: InProcessService) -> None:
    user = (await logged_in(running)).user
    replaced, path = [f"/dashboard/login/{await link_for(running, user)}" for _ in range(2)]
    browser = Browser(running)
    assert (await browser.get(replaced)).status_code == 403
    running.clock.now += LINK_MS - 1
    assert (await browser.get(path)).status_code == 200
    running.clock.now += 1
    assert (await browser.post(path)).status_code == 403


async def test_a_password_that_is_set_with_a_link_is_stored_as_a_hash_and_ends_other_sessions(
    running: InProcessService,
) -> None:
    person = await logged_in(running)
    path = f"/dashboard/login/{await link_for(running, person.user)}"
    browser = Browser(running)
    await browser.get(path)
    for refused in ("too short", "aaaaaaaaaaaaaaaa", f"my {person.user.email.partition('@')[0]} word"):
        assert (await browser.post(path, newPassword=refused)).status_code == 422
    chosen = "quite a long passphrase"
    assert (await browser.post(path, newPassword=chosen)).status_code == 303
    assert chosen not in str(running.rows())
    assert "$argon2id$v=19$m=19456,t=2,p=1$" in str(running.rows()["dashboard_user"])
    assert (await person.get("/dashboard")).headers["location"].startswith("/dashboard/login")
    assert (await Browser(running).log_in(person.user.email)).status_code == 403
    again = Browser(running)
    await again.log_in(person.user.email, chosen)
    assert await again.is_in()


async def test_a_password_with_a_second_factor_opens_nothing_until_the_code_is_given(running: InProcessService) -> None:
    user = (await logged_in(running)).user
    await with_second_factor(running, user)
    browser = Browser(running)
    response = await browser.log_in(user.email)
    assert response.headers["location"] == "/dashboard/login/code"
    assert not await browser.is_in()
    await browser.get("/dashboard/login/code")
    assert (await browser.post("/dashboard/login/code", code="000000")).status_code == 403
    assert not await browser.is_in()
    before = browser.http.cookies[SESSION]
    assert (await browser.post("/dashboard/login/code", code=code(running))).status_code == 303
    assert await browser.is_in()
    assert browser.http.cookies[SESSION] != before


async def test_a_code_and_a_recovery_code_are_used_once(running: InProcessService) -> None:
    user = (await logged_in(running)).user
    await with_second_factor(running, user)
    for given, is_right in (
        (code(running), True),
        (code(running), False),
        (code(running, steps=-1), False),
        (code(running, steps=1), True),
        (code(running, steps=2), False),
        ("recovery-one", True),
        ("recovery-one", False),
        ("recovery-two", True),
    ):
        browser = Browser(running)
        await browser.log_in(user.email)
        await browser.get("/dashboard/login/code")
        await browser.post("/dashboard/login/code", code=given)
        assert await browser.is_in() == is_right, given


async def test_a_second_factor_must_be_given_within_five_minutes(running: InProcessService) -> None:
    user = (await logged_in(running)).user
    await with_second_factor(running, user)
    browser = Browser(running)
    await browser.log_in(user.email)
    await browser.get("/dashboard/login/code")
    running.clock.now += SECOND_FACTOR_MS
    late = await browser.post("/dashboard/login/code", code=code(running))
    assert late.headers["location"] == "/dashboard/login"
    assert not await browser.is_in()


async def is_in(person: DashboardClient) -> bool:
    return "/login" not in (await person.get("/dashboard")).headers["location"]


async def test_a_session_ends_when_it_is_not_used_for_eight_hours_and_after_seven_days(
    running: InProcessService,
) -> None:
    idle, used = await logged_in(running), await logged_in(running)
    began = running.clock.now
    running.clock.now += IDLE_MS_MAX - 1
    assert await is_in(used)
    running.clock.now += 1
    assert not await is_in(idle)
    while running.clock.now + IDLE_MS_MAX // 2 < began + SESSION_MS:
        running.clock.now += IDLE_MS_MAX // 2
        assert await is_in(used)
    running.clock.now = began + SESSION_MS
    assert not await is_in(used)


@pytest.mark.parametrize("change", ["role", "password_hash", "is_disabled"])
async def test_a_change_of_role_or_password_and_disabling_a_user_end_their_sessions(
    running: InProcessService, change: str
) -> None:
    person, other = await logged_in(running), await logged_in(running)
    values: dict[str, object] = {"role": Role.ADMIN, "password_hash": "$argon2id$other", "is_disabled": True}
    request = ChangeUser(user=WantedUser(person.user.id, None), **{change: values[change]})  # type: ignore[arg-type]
    await running.service.writer.submit(change_users, request)
    assert not await is_in(person)
    assert await is_in(other)


async def test_an_ended_session_is_refused_at_once_and_so_is_one_of_a_user_who_logs_out(
    running: InProcessService,
) -> None:
    person, other = await logged_in(running), await logged_in(running)
    await running.service.writer.submit(end_sessions, EndSessions(user_id=person.user.id))
    assert not await is_in(person)
    response = await other.post("/dashboard/logout")
    assert response.headers["location"] == "/dashboard/login"
    assert "Max-Age=0" in response.headers["set-cookie"]
    assert not await is_in(other)


async def test_cookies_cannot_be_read_by_scripts_and_are_sent_over_https_only_where_it_is_used(
    running: InProcessService,
) -> None:
    user = (await logged_in(running)).user
    for base_url, expected in (
        ("http://paidonce", "paidonce_session=X; HttpOnly; Path=/dashboard; SameSite=lax"),
        ("https://paidonce", "__Host-paidonce_session=X; HttpOnly; Path=/; SameSite=lax; Secure"),
    ):
        response = await Browser(running, base_url=base_url).log_in(user.email)
        cookies = [re.sub(r"=[0-9A-Za-z]{42}", "=X", one) for one in response.headers.get_list("set-cookie")]
        assert expected in cookies


async def test_no_token_is_stored_and_no_password_is_shown_again(running: InProcessService) -> None:
    person = await logged_in(running)
    token = await link_for(running, person.user)
    stored = str(running.rows())
    assert person.token not in stored
    assert token not in stored
    assert "wrong-secret" not in (await Browser(running).log_in(person.user.email, "wrong-secret")).text


async def test_log_ins_and_failed_ones_are_in_the_audit_log(running: InProcessService) -> None:
    user = (await logged_in(running)).user
    await Browser(running).log_in(user.email, "wrong")
    await Browser(running).log_in(user.email)
    entries = sorted(running.rows()["audit_entry"], key=lambda row: str(row[2]))
    assert [(row[2], row[6]) for row in entries] == [("log_in_failed", "invalid_login"), ("logged_in", "done")]
    assert [(row[1], row[3], row[4]) for row in entries] == [
        ("", None, user.email),
        (user.merchant_id, f"user:{user.id}", user.email),
    ]
    assert {row[0].partition("_")[0] for row in entries} == {ids.AUDIT_ENTRY}
    assert {row[7] for row in entries} == {"192.0.2.7"}
    assert all(row[8] for row in entries), "each names its request"


async def test_without_the_dashboard_none_of_its_paths_exists(sqlite_url: str, tmp_path: Path) -> None:
    async with open_in_process_service(sqlite_url, str(tmp_path), dashboard="off") as running:
        for path in ("/dashboard", "/dashboard/login", "/dashboard/login/code"):
            assert (await running.http.get(path)).status_code == 404
            assert (await running.http.post(path)).status_code == 404
