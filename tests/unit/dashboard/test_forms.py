"""Forms of the dashboard: how they are received, and what is shown again where one is refused."""

from collections.abc import AsyncIterator, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Final

import httpx
import pytest
from starlette.requests import Request
from starlette.types import Message

from paidonce.dashboard.forms import NO_FORM, FormState, ReceivedForm, receive_form
from paidonce.errors import FieldError, InvalidRequest, KeyNotFound, MalformedBody

FILE: Final = ("logo.png", b"bytes")
MULTIPART: Final = {"Content-Type": "multipart/form-data; boundary=b"}


@asynccontextmanager
async def received(sent: httpx.Request) -> AsyncIterator[ReceivedForm]:
    """Receive the form of a request, as a browser sends it. Its files are closed at the end."""
    body = b"".join(sent.stream) if isinstance(sent.stream, Iterable) else b""
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Message:
        return messages.pop()

    headers = [(name.lower(), value) for name, value in sent.headers.raw]
    scope = {"type": "http", "method": "POST", "path": "/", "query_string": b"", "headers": headers}
    request = Request(scope, receive)
    try:
        yield await receive_form(request)
    finally:
        await request.close()


def posted(**sent: Any) -> AbstractAsyncContextManager[ReceivedForm]:  # noqa: ANN401 - as httpx has them
    return received(httpx.Request("POST", "http://paidonce/", **sent))


async def test_the_fields_of_the_page_and_credentials_are_kept_apart_from_those_of_the_form() -> None:
    fields = {
        "csrfToken": "token",
        "idempotencyKey": "key",
        "amount": "1",
        "scopes": ["one", "two"],
        "credentials.apiKey": "sk_1",
        "credentials.empty": "",
    }
    async with posted(data=fields) as form:
        assert (form.csrf_token, form.idempotency_key) == ("token", "key")
        assert list(form.fields) == [("amount", "1"), ("scopes", "one"), ("scopes", "two")]
        assert form.credentials == {"apiKey": "sk_1"}
        assert form.files == {}


async def test_a_form_without_the_fields_of_the_page_has_empty_ones() -> None:
    async with posted(data={"amount": "1"}) as form:
        assert (form.csrf_token, form.idempotency_key) == ("", "")


async def test_a_file_is_received_beside_the_fields_and_none_where_no_file_was_chosen() -> None:
    async with posted(data={"name": "x"}, files={"logo": FILE}) as form:
        assert await form.files["logo"].read() == b"bytes"
        assert list(form.fields) == [("name", "x")]
    # What a browser sends where no file was chosen.
    body = b'--b\r\nContent-Disposition: form-data; name="logo"; filename=""\r\n\r\n\r\n--b--\r\n'
    async with posted(content=body, headers=MULTIPART) as form:
        assert form.files == {}


@pytest.mark.parametrize(
    "sent",
    [
        {"files": {"one": FILE, "two": FILE}},
        {"data": {f"field{number}": "x" for number in range(201)}, "files": {"one": FILE}},
        {"content": b"x", "headers": MULTIPART},
    ],
)
async def test_a_form_with_too_many_files_or_fields_and_a_broken_one_are_refused(sent: dict[str, Any]) -> None:
    with pytest.raises(MalformedBody):
        async with posted(**sent):
            pass


def form_of(*fields: tuple[str, str], **credentials: str) -> ReceivedForm:
    return ReceivedForm("token", "key", list(fields), {}, credentials)


def test_a_refused_form_is_shown_again_with_its_values_but_no_password_and_no_credential() -> None:
    form = form_of(("email", "a@example.com"), ("newPassword", "secret"), apiKey="sk_1")
    for error in (KeyNotFound(), InvalidRequest([FieldError("/email", "invalid_value", "Wrong.")])):
        state = form.refused("create", error, 409)
        assert state.values["email"] == "a@example.com"
        assert "secret" not in str(state)
        assert "sk_1" not in str(state)
    invalid = InvalidRequest([FieldError("/email", "invalid_value", "Wrong.")])
    assert form.refused("create", invalid, 422).values["credentials.apiKey"] == ""


def test_what_is_wrong_with_a_field_is_shown_at_the_field_and_everything_else_above_the_form() -> None:
    form = form_of(("amount", "x"), apiKey="sk_1")
    errors = [
        FieldError("/amount", "invalid_value", "Not a number."),
        FieldError("/credentials/apiKey", "invalid_value", "Not a key."),
        FieldError("/currency", "missing", "A currency is missing."),
        FieldError("/scopes/1", "invalid_value", "Not a scope."),
    ]
    state = form.refused("refund", InvalidRequest(errors), 400)
    assert state.errors["amount"] == "Not a number."
    assert state.errors["credentials.apiKey"] == "Not a key."
    assert state.message == "A currency is missing. Not a scope."
    assert (state.action, state.status) == ("refund", 422)


def test_a_refusal_that_is_about_no_field_is_shown_above_the_form_with_its_status() -> None:
    state = form_of(("amount", "1")).refused("refund", KeyNotFound(), 409)
    assert (state.action, state.errors, state.message, state.status) == ("refund", {}, KeyNotFound().detail, 409)


def test_a_page_with_several_forms_shows_the_refused_one_at_its_action_alone() -> None:
    state = FormState("refund", {"amount": "1"})
    assert state.of("refund") is state
    assert state.of("capture") is NO_FORM
