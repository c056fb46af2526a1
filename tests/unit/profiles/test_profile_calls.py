"""The calls about profiles, on both databases."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from paidonce.errors import InvalidRequest
from paidonce.http.fields import read_body
from paidonce.merchants.model import OPERATOR, Mode, Scope, Tenant
from paidonce.profiles.actions import ChangeProfile, change_profiles, load_profiles
from paidonce.profiles.model import LOGO_BYTES_MAX
from paidonce.profiles.schemas import UpdateProfileBody
from paidonce.profiles.store import write_profile
from tests.support.images import JPEG, PNG, WEBP, png_like
from tests.support.in_process_service import InProcessService, open_in_process_service

Json = dict[str, Any]

FULL: Json = {
    "displayName": "Café Ö & Co",
    "color": "#0A5C36",
    "checkoutPage": False,
    "supportEmail": "help@shop.example",
    "supportUrl": "https://shop.example/help?lang=de",
}


@pytest.fixture
async def inside(database_url: str, tmp_path: Path) -> AsyncIterator[InProcessService]:
    async with open_in_process_service(database_url, str(tmp_path)) as opened:
        yield opened


async def change(inside: InProcessService, body: Json, *, as_who: str | None = None) -> httpx.Response:
    headers = {"Authorization": f"Bearer {as_who or inside.merchant_key}"}
    return await inside.http.patch("/profile", json=body, headers=headers)


async def changed(inside: InProcessService, body: Json, *, as_who: str | None = None) -> Json:
    answer = await change(inside, body, as_who=as_who)
    assert answer.status_code == 200, answer.text
    values: Json = answer.json()
    return values


async def events(inside: InProcessService) -> list[str]:
    found = (await inside.get("/events")).json()["data"]
    return [one["type"] for one in found]


async def test_a_merchant_that_has_set_nothing_has_a_profile_with_defaults(inside: InProcessService) -> None:
    answer = await inside.get("/profile")
    assert answer.json() == {
        "merchantId": inside.merchant_id,
        "mode": "test",
        "displayName": None,
        "color": None,
        "textColor": None,
        "contrast": None,
        "checkoutPage": True,
        "supportEmail": None,
        "supportUrl": None,
        "logo": None,
        "updatedAt": None,
    }


async def test_a_change_stays_until_the_next_and_what_is_absent_stays_as_it_is(inside: InProcessService) -> None:
    await changed(inside, FULL)
    inside.clock.now += 1000
    shown = await changed(inside, {"checkoutPage": True})
    assert shown == (await inside.get("/profile")).json()
    assert shown == {
        **FULL,
        "merchantId": inside.merchant_id,
        "mode": "test",
        "color": "#0a5c36",
        "textColor": "#ffffff",
        "contrast": 8.09,
        "checkoutPage": True,
        "logo": None,
        "updatedAt": "2023-11-14T22:13:21.000Z",
    }


async def test_an_empty_text_removes(inside: InProcessService) -> None:
    await changed(inside, {**FULL, "logo": PNG})
    names = ("displayName", "color", "supportEmail", "supportUrl", "logo")
    shown = await changed(inside, dict.fromkeys(names, ""))
    assert [shown[name] for name in names] == [None] * 5


async def test_each_change_has_its_event_and_a_repeated_one_changes_nothing(inside: InProcessService) -> None:
    first = await changed(inside, FULL)
    inside.clock.now += 1000
    assert await changed(inside, FULL) == first
    await changed(inside, {"logo": PNG})
    assert await events(inside) == ["profile.updated"] * 2


async def test_a_logo_is_served_to_everybody_for_ever_and_can_do_nothing(inside: InProcessService) -> None:
    for content, media_type in ((PNG, "image/png"), (JPEG, "image/jpeg"), (WEBP, "image/webp")):
        logo = (await changed(inside, {"logo": content}))["logo"]
        assert {**logo, "path": ""} == {"path": "", "mediaType": media_type, "width": 20, "height": 10}
        await changed(inside, {"displayName": media_type})  # The logo stays.
        served = await inside.http.get(logo["path"])
        assert (served.status_code, served.headers["content-type"]) == (200, media_type)
        assert served.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert served.headers["content-security-policy"] == "default-src 'none'; sandbox"
        assert served.headers["x-content-type-options"] == "nosniff"
        assert inside.merchant_id not in logo["path"]


async def test_a_logo_that_was_replaced_or_removed_is_served_no_more(inside: InProcessService) -> None:
    paths = [(await changed(inside, {"logo": content}))["logo"]["path"] for content in (PNG, WEBP)]
    assert [(await inside.http.get(path)).status_code for path in paths] == [404, 200]
    await changed(inside, {"logo": ""})
    assert (await inside.http.get(paths[1])).json()["code"] == "logo_not_found"


async def test_two_merchants_may_have_the_same_logo(inside: InProcessService) -> None:
    path = (await changed(inside, {"logo": PNG}))["logo"]["path"]
    await inside.settle()
    assert (await changed(inside, {"logo": PNG}))["logo"]["path"] == path
    await changed(inside, {"logo": ""})
    assert (await inside.http.get(path)).status_code == 200


async def test_the_largest_logo_fits_into_a_request_with_all_other_fields(inside: InProcessService) -> None:
    longest = {
        "displayName": "Ö" * 80,
        "supportEmail": "a" * 64 + "@" + "b" * 180 + ".example",
        "supportUrl": "https://shop.example/".ljust(2048, "x"),
    }
    largest = png_like(1024, 1024, length=LOGO_BYTES_MAX)
    shown = await changed(inside, {**FULL, **longest, "logo": largest})
    assert shown["logo"]["width"] == 1024
    refused = await change(inside, {"logo": png_like(10, 10, length=LOGO_BYTES_MAX + 1)})
    assert refused.json()["errors"][0]["pointer"] == "/logo"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("displayName", "x" * 81),
        ("displayName", "two\nlines"),
        ("displayName", "   "),
        ("displayName", "\u202egnp.exe"),
        ("displayName", "4242 4242 4242 4242"),
        ("displayName", 7),
        ("color", "red"),
        ("color", "#12345"),
        ("color", "#12345g"),
        ("color", "#123456;"),
        ("color", "#123456\n"),
        ("checkoutPage", "yes"),
        ("supportEmail", "nobody"),
        ("supportEmail", "a b@shop.example"),
        ("supportEmail", "a@shop"),
        ("supportEmail", "a@shop.example?bcc=b@c.example"),
        ("supportUrl", "http://shop.example"),
        ("supportUrl", "javascript:alert(1)"),
        ("supportUrl", "https://"),
        ("supportUrl", "https://shop@evil.example"),
        ("supportUrl", "https://shop.example:port"),
        ("supportUrl", "https://shop.example/ x"),
        ("logo", "not base64!"),
        ("logo", "PHN2Zy8+"),
        ("logo", PNG[:40]),
    ],
)
def test_what_buyers_should_not_see_is_refused(field: str, value: object) -> None:
    read_body(UpdateProfileBody, json.dumps(FULL | {"logo": PNG}).encode(), "application/json")
    with pytest.raises(InvalidRequest) as refused:
        read_body(UpdateProfileBody, json.dumps({"color": "#123456", field: value}).encode(), "application/json")
    assert [one.pointer for one in refused.value.fields] == [f"/{field}"]


async def test_a_change_of_which_a_part_is_refused_changes_nothing(inside: InProcessService) -> None:
    refused = await change(inside, {"displayName": "Changed", "supportUrl": "http://shop.example"})
    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (400, "/supportUrl")
    assert (await inside.get("/profile")).json()["displayName"] is None


async def test_test_and_live_mode_have_a_profile_each(inside: InProcessService) -> None:
    live = await inside.api_key(inside.merchant_id, mode=Mode.LIVE)
    await changed(inside, {"displayName": "Trial"})
    await changed(inside, {"displayName": "Real"}, as_who=live)
    shown = [(await inside.get("/profile", as_who=one)).json() for one in (inside.merchant_key, live)]
    assert [(one["mode"], one["displayName"]) for one in shown] == [("test", "Trial"), ("live", "Real")]


async def test_an_operator_names_the_merchant_and_the_mode(inside: InProcessService) -> None:
    named = {"merchantId": inside.merchant_id, "mode": "live"}
    await changed(inside, {**named, "displayName": "Real"}, as_who=inside.operator_key)
    assert (await inside.get("/profile", as_who=inside.operator_key, **named)).json()["displayName"] == "Real"
    assert (await inside.get("/profile")).json()["displayName"] is None
    unknown = await change(inside, {"merchantId": "nobody"}, as_who=inside.operator_key)
    assert (unknown.status_code, unknown.json()["code"]) == (404, "merchant_not_found")


async def test_a_key_that_may_not_change_the_profile_does_not(inside: InProcessService) -> None:
    others = await inside.api_key(OPERATOR, set(Scope) - {Scope.PROFILE_WRITE})
    refused = await change(inside, {"merchantId": inside.merchant_id, "displayName": "Evil"}, as_who=others)
    assert (refused.status_code, refused.json()["code"]) == (403, "insufficient_scope")


async def test_a_profile_that_two_change_at_once_has_both_changes(inside: InProcessService) -> None:
    tenant = Tenant(inside.merchant_id, "test")
    with inside.service.database.write() as transaction:
        one, other = ChangeProfile(tenant=tenant, color="#000000"), ChangeProfile(tenant=tenant, display_name="Name")
        last = change_profiles(transaction, [one, other])[-1]
    assert (last.color, last.display_name, last.version) == ("#000000", "Name", 2)


async def test_a_change_that_another_process_has_overtaken_is_not_written(inside: InProcessService) -> None:
    tenant = Tenant(inside.merchant_id, "test")
    with inside.service.database.write() as transaction:
        [seen] = change_profiles(transaction, [ChangeProfile(tenant=tenant, display_name="First")])
        [newer] = change_profiles(transaction, [ChangeProfile(tenant=tenant, display_name="Second")])
        assert not write_profile(transaction, msgspec.structs.replace(seen, version=seen.version + 1), None)
        assert load_profiles(transaction, [tenant]) == [newer]


async def test_the_service_uses_a_change_of_this_process_at_once(inside: InProcessService) -> None:
    tenant = Tenant(inside.merchant_id, "test")
    assert (await inside.service.profiles.find(tenant)).shown_name == inside.merchant_id
    await changed(inside, {"displayName": "Name"})
    assert (await inside.service.profiles.find(tenant)).shown_name == "Name"


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.text(min_size=1, max_size=80))
async def test_a_name_is_stored_as_it_was_given_or_refused(inside: InProcessService, name: str) -> None:
    answer = await change(inside, {"displayName": name})
    assert answer.status_code in (200, 400)
    if answer.status_code == 200:
        assert answer.json()["displayName"] == name.strip()
