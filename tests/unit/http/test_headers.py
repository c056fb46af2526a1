"""Idempotency-Key, Prefer and X-Request-Id, as clients really write them."""

import pytest
from hypothesis import given, strategies as st

from paidonce.errors import InvalidIdempotencyKey
from paidonce.http.headers import (
    WAIT_SECONDS_MAX,
    merge_idempotency_keys,
    read_idempotency_key,
    read_wait_seconds,
)
from paidonce.http.middleware.request_context import REQUEST_ID


@pytest.mark.parametrize(
    ("header", "key"),
    [
        (None, None),
        ("abc123", "abc123"),
        ('"abc123"', "abc123"),
        ("  abc123  ", "abc123"),
        ('"with \\"quotes\\" and \\\\"', 'with "quotes" and \\'),
        ('"', '"'),
        ("~" * 255, "~" * 255),
        ('"' + "x" * 255 + '"', "x" * 255),
    ],
)
def test_an_idempotency_key_is_quoted_or_bare(header: str | None, key: str | None) -> None:
    assert read_idempotency_key(header) == key


@pytest.mark.parametrize("header", ["", "   ", '""', '"  "', "x" * 256, "schlüssel", "a\tb", "a\x00b", "a\nb"])
def test_what_is_no_idempotency_key_is_refused(header: str) -> None:
    with pytest.raises(InvalidIdempotencyKey):
        read_idempotency_key(header)


@given(st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=255))
def test_a_key_that_is_quoted_as_the_standard_says_is_the_key(key: str) -> None:
    escaped = key.replace("\\", "\\\\").replace('"', '\\"')
    assert read_idempotency_key(f'"{escaped}"') == key


@pytest.mark.parametrize(
    ("header", "body", "agreed"), [(None, None, None), ("k", None, "k"), (None, "k", "k"), ('"k"', "k", "k")]
)
def test_header_and_body_name_the_same_key(header: str | None, body: str | None, agreed: str | None) -> None:
    assert merge_idempotency_keys(header, body) == agreed


def test_a_header_and_a_body_that_differ_are_refused() -> None:
    with pytest.raises(InvalidIdempotencyKey, match="differ"):
        merge_idempotency_keys("one", "another")


@pytest.mark.parametrize(
    ("prefer", "seconds"),
    [
        (None, 0),
        ("", 0),
        ("wait=10", 10),
        ("Wait=10", 10),
        ("wait = 10", 10),
        ('wait="10"', 10),
        ("respond-async, wait=10", 10),
        ("wait=10; strict", 10),
        ("wait=0", 0),
        ("wait=31", WAIT_SECONDS_MAX),
        ("wait=999999999", WAIT_SECONDS_MAX),
    ],
)
def test_prefer_wait_is_read_and_kept_within_its_limit(prefer: str | None, seconds: int) -> None:
    assert read_wait_seconds(prefer) == seconds


@pytest.mark.parametrize("prefer", ["wait", "wait=", "wait=-1", "wait=1.5", "wait=ten", "await=10", "wait=10s", "w"])
def test_a_preference_that_is_not_understood_is_ignored(prefer: str) -> None:
    assert read_wait_seconds(prefer) == 0


@pytest.mark.parametrize("header", [b"req_1", b"a" * 128, b"0af7651916cd43dd8448eb211c80319c", b"A.b:c-d_e"])
def test_a_well_formed_request_id_is_kept(header: bytes) -> None:
    assert REQUEST_ID.fullmatch(header)


@pytest.mark.parametrize("header", [b"", b"a" * 129, b"two words", b"<script>", b"a\n", b"\xff"])
def test_another_request_id_is_not(header: bytes) -> None:
    assert not REQUEST_ID.fullmatch(header)
