"""How another request with the same key is compared."""

import msgspec
import pytest

from paidonce.idempotency.model import Claim, IdempotencyRecord, ScopedKey, field_digests, operator_key_space


def record(fields: dict[str, str], path: str = "/a") -> IdempotencyRecord:
    return IdempotencyRecord(
        merchant_id="m",
        mode="live",
        key="k",
        claim_id="clm_1",
        path=path,
        fields=msgspec.json.encode(fields).decode(),
        status=200,
        resource="/a",
        attempt_id=None,
        request_id=None,
        created_at=0,
        expires_at=1,
        secret=None,
        answer=None,
    )


def claim(fields: dict[str, str], path: str = "/a") -> Claim:
    return Claim(id="clm_2", name=ScopedKey("m", "live", "k"), path=path, fields=fields, retention_ms=1)


@pytest.mark.parametrize(
    ("stored", "sent", "differing"),
    [
        ({}, {}, []),
        ({"a": "1", "b": "2"}, {"b": "2", "a": "1"}, []),
        ({"a": "1", "b": "2"}, {"a": "1", "b": "3"}, ["b"]),
        ({"a": "1", "b": "2"}, {"a": "2", "b": "1"}, ["a", "b"]),
        ({"a": "1"}, {"a": "1", "new": "2"}, ["new"]),
        ({"a": "1", "old": "2"}, {"a": "1"}, ["old"]),
    ],
)
def test_each_field_that_differs_is_named_also_one_that_only_one_of_both_has(
    stored: dict[str, str], sent: dict[str, str], differing: list[str]
) -> None:
    assert record(stored).differing_fields(claim(sent)) == differing


@pytest.mark.parametrize(
    ("sent", "is_same"),
    [
        ({"y": [1, 2], "x": {"b": None, "a": "1"}}, True),
        ({"x": {"a": "1", "b": None}, "y": [2, 1]}, False),
        ({"x": {"a": 1, "b": None}, "y": [1, 2]}, False),
        ({"x": {"a": "1"}, "y": [1, 2]}, False),
    ],
)
def test_a_field_is_the_same_whatever_the_order_of_its_pairs_and_another_with_any_other_value(
    sent: dict[str, object],
    is_same: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    digests = field_digests({"metadata": {"x": {"a": "1", "b": None}, "y": [1, 2]}})
    assert (field_digests({"metadata": sent}) == digests) is is_same


def test_another_path_is_named_alone_whatever_the_body_says() -> None:
    assert record({"a": "1"}).differing_fields(claim({"a": "1"}, "/b")) == ["path"]
    assert record({"a": "1"}).differing_fields(claim({"a": "2"}, "/b")) == ["path"]


def test_a_record_is_named_by_its_merchant_its_mode_and_its_key_as_its_claim_is() -> None:
    assert record({}).name == claim({}).name == ScopedKey("m", "live", "k")


def test_each_operators_key_has_a_space_of_its_own_that_no_merchant_id_can_be() -> None:
    assert operator_key_space("key_1").merchant_id == "operator key_1"
    assert operator_key_space("key_1") != operator_key_space("key_2")
    assert " " in operator_key_space("key_1").merchant_id
