"""Reading bodies and parameters: everything that is wrong is named, each with its place."""

import json
import sys
from collections.abc import Callable
from contextlib import nullcontext
from types import FrameType
from typing import Any

import msgspec
import pytest
from hypothesis import given, strategies as st

from paidonce.checkouts.schemas import CreateCheckoutBody, ListCheckoutsParameters
from paidonce.errors import FieldError, InvalidRequest, MalformedBody, UnsupportedMediaType
from paidonce.http.fields import Fields, read_body, read_parameters
from paidonce.http.request import NoParameters
from paidonce.payments.schemas import CancelBody, PayBody
from paidonce.webhook_endpoints.schemas import CreateEndpointBody

JSON = "application/json"
GOOD: dict[str, Any] = {"merchantId": "m123", "amount": 1000, "currency": "USD", "idempotencyKey": "abc123"}


class AnyMetadata(Fields, frozen=True, kw_only=True):
    """A body with pairs of any texts."""

    metadata: dict[str, str]


def refused(kind: type[Fields], body: bytes | dict[str, Any]) -> dict[str, str]:
    """Return pointer → code of everything that is wrong with a body."""
    with pytest.raises(InvalidRequest) as raised:
        read_body(kind, body if isinstance(body, bytes) else msgspec.json.encode(body), JSON)
    return {field.pointer: field.code for field in raised.value.fields}


def details_of(kind: type[Fields], body: dict[str, Any]) -> list[str]:
    with pytest.raises(InvalidRequest) as raised:
        read_body(kind, msgspec.json.encode(body), JSON)
    return [field.detail for field in raised.value.fields]


def refused_parameters(*given: tuple[str, str]) -> list[tuple[str, str]]:
    with pytest.raises(InvalidRequest) as raised:
        read_parameters(ListCheckoutsParameters, given)
    return [(field.pointer, field.code) for field in raised.value.fields]


def test_a_body_that_fits_is_read() -> None:
    read = read_body(CreateCheckoutBody, msgspec.json.encode(GOOD), "Application/JSON; charset=utf-8")
    assert (read.merchant_id, read.amount, read.currency, read.idempotency_key) == ("m123", 1000, "USD", "abc123")


def test_all_failing_fields_are_named_and_not_only_the_first() -> None:
    body = {
        "merchantId": "two words",
        "amount": 0,
        "currency": "usd",
        "idempotencyKey": 7,
        "captureMethod": "later",
        "expiresIn": 1,
        "successUrl": "https://",
        "cancelUrl": "https://host:99999/",
        "colour": "red",
    }
    assert refused(CreateCheckoutBody, body) == {
        "/merchantId": "wrong_format",
        "/amount": "out_of_range",
        "/currency": "wrong_format",
        "/idempotencyKey": "wrong_type",
        "/captureMethod": "unknown_value",
        "/expiresIn": "out_of_range",
        "/successUrl": "wrong_format",
        "/cancelUrl": "invalid_value",
        "/colour": "unknown_field",
    }


def test_every_missing_field_is_named() -> None:
    wanted = {"/amount": "missing", "/currency": "missing"}
    assert refused(CreateCheckoutBody, b"{}") == wanted
    assert refused(CreateCheckoutBody, b"") == wanted


@pytest.mark.parametrize("amount", ["1000.0", "1e3", "true", '"1000"', "[1000]", "0.1"])
def test_no_amount_but_an_integer_is_an_amount(amount: str) -> None:
    body = f'{{"merchantId":"m","currency":"USD","amount":{amount}}}'.encode()
    assert refused(CreateCheckoutBody, body) == {"/amount": "wrong_type"}


@pytest.mark.parametrize("amount", [0, -1, 1_000_000_000_000, 10**30, -(10**30)])
def test_an_amount_has_limits(amount: int) -> None:
    body = f'{{"merchantId":"m","currency":"USD","amount":{amount}}}'.encode()
    assert refused(CreateCheckoutBody, body) == {"/amount": "out_of_range"}


@pytest.mark.parametrize("body", [b"{", b"NaN", b'{"amount":NaN}', b'{"amount":Infinity}', b"{'a':1}", b"\xff", b" "])
def test_what_is_not_json_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedBody):
        read_body(CreateCheckoutBody, body, JSON)


@pytest.mark.parametrize("opening", [b"[", b'{"metadata":'])
def test_nesting_without_end_is_malformed_and_no_crash(opening: bytes) -> None:
    with pytest.raises(MalformedBody):
        read_body(CreateCheckoutBody, opening * 20_000, JSON)


@pytest.mark.parametrize("body", [b"[]", b"null", b"1", b'"text"', b"true"])
def test_a_body_that_is_no_object_is_refused_as_a_whole(body: bytes) -> None:
    assert refused(CreateCheckoutBody, body) == {"": "wrong_type"}


@pytest.mark.parametrize("content_type", ["", "text/plain", "application/x-www-form-urlencoded", "application/jsonp"])
def test_a_body_must_be_declared_as_json(content_type: str) -> None:
    with pytest.raises(UnsupportedMediaType):
        read_body(CancelBody, b"{}", content_type)


def test_an_absent_body_needs_no_content_type() -> None:
    assert read_body(PayBody, b"", "") == PayBody()


def test_every_pair_of_the_metadata_that_does_not_fit_is_named() -> None:
    metadata = {"good": "yes", "number": 1, "": "x", "long": "x" * 501, "a/b~c.d": None, "nul\x00": "x", "x" * 41: ""}
    assert refused(CreateCheckoutBody, GOOD | {"metadata": metadata}) == {
        "/metadata/number": "wrong_type",
        "/metadata/": "wrong_length",
        "/metadata/long": "wrong_length",
        "/metadata/a~1b~0c.d": "wrong_type",
        "/metadata/nul\x00": "wrong_format",
        f"/metadata/{'x' * 41}": "wrong_length",
    }


def test_too_many_pairs_of_metadata_are_one_mistake() -> None:
    metadata = {str(number): "x" for number in range(51)}
    assert refused(CreateCheckoutBody, GOOD | {"metadata": metadata}) == {"/metadata": "wrong_length"}


@pytest.mark.parametrize("metadata", [[], "text", 1, True])
def test_metadata_that_is_no_object_is_refused(metadata: object) -> None:
    assert refused(CreateCheckoutBody, GOOD | {"metadata": metadata}) == {"/metadata": "wrong_type"}


def test_an_unknown_field_is_named_with_its_slashes_and_tildes_escaped() -> None:
    assert refused(CancelBody, {"a/b~c": 1}) == {"/a~1b~0c": "unknown_field"}


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(), st.lists))
def test_whatever_stands_in_a_field_it_is_read_or_named(value: object) -> None:
    for name in ("merchantId", "amount", "currency", "description", "metadata", "expiresIn", "successUrl"):
        try:
            read_body(CreateCheckoutBody, msgspec.json.encode(GOOD | {name: value}), JSON)
        except InvalidRequest as error:
            assert [field.pointer.split("/")[1] for field in error.fields] == [name]  # noqa: PT017 - not always raised


def test_parameters_that_fit_are_read() -> None:
    read = read_parameters(ListCheckoutsParameters, [("limit", "100"), ("status", "PENDING"), ("merchantId", "m123")])
    assert (read.limit, read.status, read.merchant_id) == (100, "PENDING", "m123")


def test_every_parameter_that_does_not_fit_is_named() -> None:
    given = [("limit", "0"), ("status", "paid"), ("startingAfter", "1"), ("page", "2"), ("createdAfter", "now")]
    assert sorted(refused_parameters(*given)) == [
        ("createdAfter", "wrong_format"),
        ("limit", "out_of_range"),
        ("page", "unknown_field"),
        ("startingAfter", "wrong_format"),
        ("status", "unknown_value"),
    ]


def test_a_parameter_that_is_given_twice_is_refused() -> None:
    assert refused_parameters(("limit", "1"), ("limit", "1")) == [("limit", "repeated")]


@pytest.mark.parametrize("limit", ["", " 5", "+5", "05", "0x5", "5.5", "five", "true", "null", "-1", "101", "5\n"])
def test_no_limit_but_a_number_is_a_limit(limit: str) -> None:
    assert [name for name, _ in refused_parameters(("limit", limit))] == ["limit"]


@pytest.mark.parametrize("name", ["status", "merchantId", "startingAfter", "createdBefore"])
def test_an_empty_parameter_is_not_an_absent_one(name: str) -> None:
    assert [pointer for pointer, _ in refused_parameters((name, ""))] == [name]


@pytest.mark.parametrize("text", ["null", "NULL", "None"])
def test_the_word_null_is_not_an_absent_parameter(text: str) -> None:
    assert [pointer for pointer, _ in refused_parameters(("status", text))] == ["status"]


def test_a_call_without_parameters_refuses_any() -> None:
    with pytest.raises(InvalidRequest) as raised:
        read_parameters(NoParameters, [("expand", "all")])
    assert raised.value.fields == [FieldError("expand", "unknown_field", "This field is unknown.")]


def test_a_pattern_is_told_as_the_document_writes_it_with_what_the_field_is() -> None:
    assert details_of(CreateCheckoutBody, GOOD | {"currency": "usd"}) == [
        "This must be a string that matches ^[A-Z]{3}$. ISO 4217, active, upper case."
    ]


def test_whoever_mistypes_the_name_of_a_field_is_told_the_name() -> None:
    assert details_of(CreateCheckoutBody, GOOD | {"capture_method": "manual", "size": 1}) == [
        "This field is unknown. Did you mean captureMethod?",
        "This field is unknown.",
    ]


@pytest.mark.parametrize(
    "written",
    [
        b'{"merchantId":"m","amount":1,"currency":"USD","idempotencyKey":"k","amount":2}',
        b'{"merchantId":"m","amount":1,"currency":"USD","idempotencyKey":"k","amo\\u0075nt":2}',
        b'{"merchantId":"m","amount":1,"currency":"USD","idempotencyKey":"k","expiresIn":86400,"expiresIn":300}',
        b'{"merchantId":"m","amount":1,"currency":"USD","idempotencyKey":"k","metadata":{"a":"1","a":"2"}}',
        b'{"merchantId":"m","amount":0,"currency":"USD","idempotencyKey":"k","amount":0}',
        # As many quotes as before, if the second amount is dropped and the escaped quotes are counted as they are read.
        b'{"merchantId":"m","amount":1,"currency":"USD","idempotencyKey":"k\\u0022\\u0022","amount":2}',
    ],
)
def test_a_name_that_is_there_twice_is_refused(written: bytes) -> None:
    with pytest.raises(MalformedBody, match="repeats a name"):
        read_body(CreateCheckoutBody, written, JSON)


@pytest.mark.parametrize(
    "more",
    [
        {"description": 'he said "amount" twice: "amount"'},
        {"metadata": {"amount": "amount", "currency": "amount"}},
        {"expiresIn": 86400, "captureMethod": "automatic", "description": None, "metadata": {}},
        {"successUrl": "https://shop/", "cancelUrl": "https://shop/", "metadata": {"a": "\\"}},
    ],
)
def test_a_name_may_stand_in_a_text_again(more: dict[str, Any]) -> None:
    assert read_body(CreateCheckoutBody, msgspec.json.encode({**GOOD, **more}), JSON).amount == 1000


@given(
    pairs=st.dictionaries(st.text(max_size=3), st.text(max_size=3), max_size=4),
    is_repeated=st.booleans(),
    space=st.sampled_from(("", " ", "\n\t")),
)
def test_whatever_the_names_and_values_a_name_is_refused_if_and_only_if_it_is_there_twice(
    *, pairs: dict[str, str], is_repeated: bool, space: str
) -> None:
    written = [
        f"{json.dumps(name, ensure_ascii=False)}{space}:{space}{json.dumps(value, ensure_ascii=False)}"
        for name, value in pairs.items()
    ]
    written += written[:1] if is_repeated else []
    body = f'{{"metadata":{space}{{{f"{space},".join(written)}}}}}'.encode()
    with pytest.raises(MalformedBody) if is_repeated and pairs else nullcontext():
        assert read_body(AnyMetadata, body, JSON).metadata == pairs


def test_no_more_than_a_hundred_mistakes_are_told() -> None:
    assert len(refused(CreateCheckoutBody, {f"x{number}": 1 for number in range(1000)})) == 100


def pairs(count: int, value: str) -> str:
    return ",".join(f'"k{number}":{value}' for number in range(count))


HOSTILE = {
    "7000 pairs of metadata that are wrong": f'{{"metadata":{{{pairs(7000, "1")}}}}}',
    "6000 pairs of metadata that are right": f'{{"metadata":{{{pairs(6000, chr(34) * 2)}}}}}',
    "objects in the metadata": f'{{"metadata":{{{pairs(6000, "{}")}}}}}',
    "6000 unknown fields": f"{{{pairs(6000, '1')}}}",
    "1000 unknown fields with names as long as are compared": "{"
    + ",".join(f'"{number:04}{"captureMethod" * 4}":1' for number in range(1000))
    + "}",
    "21 000 objects": f'{{"x":[{",".join(["{}"] * 21_000)}]}}',
    "32 000 numbers where an object belongs": f'{{"metadata":[{",".join(["1"] * 32_000)}]}}',
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_body_full_of_mistakes_is_refused_without_a_look_at_each_of_them(name: str) -> None:
    body = HOSTILE[name].encode()
    # It made up to 6,700 calls when this was written, and 30,000 to 290,000 where each value was looked at by itself.
    assert calls_of(lambda: refused(CreateCheckoutBody, body)) < 10_000


def calls_of(work: Callable[[], object]) -> int:
    """Count the calls that a piece of work makes: the same on every machine, however busy it is."""
    count = 0

    def note(_frame: FrameType, event: str, _argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count


@pytest.mark.parametrize(
    ("types", "code"),
    [
        (["no.such"], "unknown_value"),
        ([1], "wrong_type"),
        (["checkout.created"] * 100, "wrong_length"),
        ("all", "wrong_type"),
        ({}, "wrong_type"),
    ],
)
def test_a_list_is_refused_for_its_length_or_for_the_first_item_that_does_not_fit(types: object, code: str) -> None:
    assert refused(CreateEndpointBody, {"url": "https://shop/", "eventTypes": types}) == {"/eventTypes": code}


def test_no_more_than_a_hundred_parameters_are_told() -> None:
    assert len(refused_parameters(*[("limit", "1")] * 1000)) == 100
    assert len(refused_parameters(*[(f"x{number}", "1") for number in range(1000)])) == 100
