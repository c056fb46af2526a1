"""The cookies of the dashboard: their names and attributes, the CSRF token, and the message for the next page."""

import pytest
from starlette.requests import Request
from starlette.responses import Response

from paidonce.dashboard import cookies


def request_with(scheme: str = "http", prefix: str = "", **headers: str) -> Request:
    sent = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "scheme": scheme, "path": f"{prefix}/dashboard", "root_path": prefix, "headers": sent}
    return Request(scope | {"method": "GET", "query_string": b"", "server": ("shop.example", 443)})


@pytest.mark.parametrize(
    ("scheme", "prefix", "name", "attributes"),
    [
        ("http", "", "paidonce_session", "HttpOnly; Path=/dashboard; SameSite=lax"),
        ("http", "/pay", "paidonce_session", "HttpOnly; Path=/pay/dashboard; SameSite=lax"),
        ("https", "", "__Host-paidonce_session", "HttpOnly; Path=/; SameSite=lax; Secure"),
        ("https", "/pay", "__Secure-paidonce_session", "HttpOnly; Path=/pay/dashboard; SameSite=lax; Secure"),
    ],
)
def test_a_cookie_is_bound_to_the_service_as_strictly_as_its_address_allows(
    scheme: str, prefix: str, name: str, attributes: str
) -> None:
    response = Response()
    cookies.set_cookie(request_with(scheme, prefix), response, cookies.SESSION, "token")
    assert response.headers["set-cookie"] == f"{name}=token; {attributes}"
    for sent in ("paidonce_session", "__Host-paidonce_session", "__Secure-paidonce_session"):
        read = cookies.read_cookie(request_with(scheme, prefix, cookie=f"{sent}=token"), cookies.SESSION)
        assert read == ("token" if sent == name else "")


def test_a_deleted_cookie_has_the_place_of_the_one_that_was_set() -> None:
    response = Response()
    cookies.delete_cookie(request_with("https", "/pay"), response, cookies.SESSION)
    expected = '__Secure-paidonce_session=""; HttpOnly; Max-Age=0; Path=/pay/dashboard; SameSite=lax; Secure'
    assert expected in response.headers["set-cookie"].replace("expires", "Expires")


def test_the_csrf_token_of_a_cookie_fits_this_cookie_alone_and_nobody_has_one_without_a_cookie() -> None:
    token = cookies.csrf_token("secret")
    assert cookies.is_csrf_token("secret", token)
    assert "secret" not in token
    assert not cookies.is_csrf_token("other", token)
    for given in (token, cookies.csrf_token(""), ""):
        assert not cookies.is_csrf_token("", given)
    for given in (token[:-1], token + "0", "", "é"):
        assert not cookies.is_csrf_token("secret", given)


@pytest.mark.parametrize(
    ("site", "is_refused"),
    [("cross-site", True), ("same-site", True), ("same-origin", False), ("none", False), (None, False)],
)
def test_what_a_browser_says_of_the_site_of_a_form_is_believed(site: str | None, *, is_refused: bool) -> None:
    request = request_with() if site is None else request_with(sec_fetch_site=site)
    assert cookies.is_from_another_site(request) == is_refused


def test_a_message_for_the_next_page_comes_back_as_it_was_but_for_its_length() -> None:
    for message, shown in (("Täglich; 5 % = «x»", "Täglich; 5 % = «x»"), ("é" * 600, "é" * 500), ("", "")):
        response = Response()
        cookies.set_flash(request_with(), response, message)
        sent = response.headers["set-cookie"].partition(";")[0]
        assert cookies.read_flash(request_with(cookie=sent)) == shown
        assert "Max-Age=60" in response.headers["set-cookie"]
    assert cookies.read_flash(request_with(cookie=f"paidonce_flash={'x' * 600}")) == "x" * 500
    assert cookies.read_flash(request_with()) == ""
