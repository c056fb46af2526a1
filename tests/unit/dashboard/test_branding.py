"""The page "Branding": a merchant's people change what its buyers see."""

from base64 import b64decode
from collections.abc import AsyncIterator, Mapping
from html import unescape
from pathlib import Path

import httpx
import pytest

from paidonce import ids
from paidonce.dashboard.cookies import csrf_token
from paidonce.profiles.model import LOGO_BYTES_MAX
from paidonce.users.model import Role
from tests.support.dashboard_client import DashboardClient, logged_in
from tests.support.images import PNG, png_like
from tests.support.in_process_service import InProcessService, Json, open_in_process_service

FULL = {
    "displayName": "Café <b>Ö</b> & Co",
    "color": "#ffd400",
    "supportEmail": "help@shop.example",
    "supportUrl": "https://shop.example/help",
    "checkoutPage": "true",
}


@pytest.fixture
async def running(migrated_sqlite_url: str, tmp_path: Path) -> AsyncIterator[InProcessService]:
    async with open_in_process_service(migrated_sqlite_url, str(tmp_path), migrating=False) as service:
        yield service


def path_of(running: InProcessService) -> str:
    return f"/dashboard/m/{running.merchant_id}/test/branding"


async def upload(
    running: InProcessService, person: DashboardClient, content: bytes, fields: Mapping[str, str]
) -> httpx.Response:
    """Send the form with a file, as a browser does."""
    form = {"csrfToken": csrf_token(person.token), "idempotencyKey": ids.new_token(), **fields}
    cookies = "; ".join(f"{name}={value}" for name, value in person.cookies.items())
    files = {"logo": ("logo.svg", content, "image/svg+xml")}  # Neither the name nor the type is believed.
    return await running.http.post(path_of(running), data=form, files=files, headers={"Cookie": cookies})


async def profile(running: InProcessService) -> Json:
    shown: Json = (await running.get("/profile")).json()
    return shown


async def test_the_form_changes_the_profile_and_shows_it(running: InProcessService) -> None:
    person = await logged_in(running, Role.ADMIN)
    done = await upload(running, person, b64decode(PNG), FULL)
    assert (done.status_code, done.headers["location"]) == (303, path_of(running))
    shown = await profile(running)
    assert {name: shown[name] for name in FULL} == {**FULL, "checkoutPage": True}
    page = (await person.get(path_of(running))).text
    assert "Caf\u00e9 &lt;b&gt;\u00d6&lt;/b&gt; &amp; Co" in page
    assert "<b>" not in page
    assert "The contrast is 14.67 to 1" in page
    assert shown["logo"]["path"] in page


async def test_what_is_left_empty_is_removed_and_the_logo_stays_until_it_is_removed(running: InProcessService) -> None:
    person = await logged_in(running, Role.ADMIN)
    await upload(running, person, b64decode(PNG), FULL)
    await person.post(path_of(running), {"displayName": "Shop"})
    shown = await profile(running)
    names = ("color", "supportEmail", "supportUrl", "checkoutPage", "displayName")
    assert [shown[name] for name in names] == [None, None, None, False, "Shop"]
    assert shown["logo"]["mediaType"] == "image/png"
    await person.post(path_of(running), {"displayName": "Shop", "removeLogo": "true"})
    assert (await profile(running))["logo"] is None


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"<svg><script/></svg>", "The image is no PNG, JPEG or WebP."),
        (b64decode(png_like(2000, 10)), "The image has 2000 × 10 pixels; at most 1024 × 1024 fit."),
        (b64decode(png_like(10, 10, length=LOGO_BYTES_MAX + 500)), "The image has more than 45000 bytes."),
    ],
)
async def test_a_logo_that_is_refused_is_explained_and_nothing_is_changed(
    running: InProcessService, content: bytes, told: str
) -> None:
    person = await logged_in(running, Role.ADMIN)
    refused = await upload(running, person, content, {**FULL, "displayName": "Kept in the form"})
    assert refused.status_code == 422
    assert told in unescape(refused.text)
    assert 'value="Kept in the form"' in refused.text
    assert (await profile(running))["displayName"] is None


async def test_a_file_that_no_request_may_have_is_refused(running: InProcessService) -> None:
    person = await logged_in(running, Role.ADMIN)
    refused = await upload(running, person, bytes(70_000), FULL)
    assert refused.status_code == 413


async def test_a_field_that_is_wrong_is_shown_with_what_is_wrong_with_it(running: InProcessService) -> None:
    person = await logged_in(running, Role.ADMIN)
    refused = await person.post(path_of(running), {**FULL, "color": "red", "supportUrl": "http://shop.example"})
    assert refused.status_code == 422
    assert 'id="change_branding-color-error"' in refused.text
    assert 'id="change_branding-supportUrl-error"' in refused.text
    assert 'value="red"' in refused.text


async def test_each_mode_has_a_branding_of_its_own(running: InProcessService) -> None:
    person = await logged_in(running, Role.ADMIN)
    await person.post(path_of(running).replace("/test/", "/live/"), {"displayName": "Live shop"})
    assert (await profile(running))["displayName"] is None
    assert "Live shop" in (await person.get(path_of(running).replace("/test/", "/live/"))).text
