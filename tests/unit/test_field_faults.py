"""Faults of fields: each is told in the words of JSON, with what must be sent instead."""

from enum import StrEnum
from typing import Annotated, Literal

import pytest
from msgspec import Meta, inspect

from paidonce.field_faults import fault_of, fault_of_parameter


class Color(StrEnum):
    """An enumeration."""

    RED = "red"
    BLUE = "blue"


LETTER = Annotated[str, Meta(pattern="^a\\Z", description="An a.")]
TIME = Annotated[str, Meta(pattern="^[0-9]$", extra_json_schema={"format": "date-time"})]


@pytest.mark.parametrize(
    ("kind", "value", "code", "sentence"),
    [
        (Annotated[int, Meta(ge=1, le=999_999_999_999)], 0, "out_of_range", "an integer from 1 to 999999999999."),
        (Annotated[int, Meta(le=2**53 - 1)], 2**53, "out_of_range", "an integer of at most 9007199254740991."),
        (Annotated[int, Meta(ge=1)], 0, "out_of_range", "an integer of at least 1."),
        (Annotated[int, Meta(le=9)], 10, "out_of_range", "an integer of at most 9."),
        (Annotated[int, Meta(ge=1, le=9)] | None, "1", "wrong_type", "an integer from 1 to 9, not a string."),
        (int, 1.0, "wrong_type", "an integer, not a number with a decimal point."),
        (int, True, "wrong_type", "an integer, not true or false."),
        (int, None, "wrong_type", "an integer, not null."),
        (bool, 1, "wrong_type", "true or false, not an integer."),
        (str, [], "wrong_type", "a string, not an array."),
        (list[int], "x", "wrong_type", "an array, not a string."),
        (list[int], {}, "wrong_type", "an array, not an object."),
        (dict[str, str], [], "wrong_type", "an object, not an array."),
        (Literal["a", "b"], "c", "unknown_value", "one of a, b."),
        (Literal["a", "b"], 1, "wrong_type", "one of a, b, not an integer."),
        (Color, "green", "unknown_value", "one of red, blue."),
        (list[Color], ["red", "green"], "unknown_value", "an array whose element 1 is one of red, blue."),
        (Annotated[list[int], Meta(min_length=1, max_length=5)], [], "wrong_length", "an array of 1 to 5 elements."),
        (Annotated[dict[str, str], Meta(max_length=0)], {"a": ""}, "wrong_length", "an object of at most 0 pairs."),
        (Annotated[str, Meta(min_length=2)], "a", "wrong_length", "a string of at least 2 characters."),
        (LETTER, "b", "wrong_format", "a string that matches ^a$. An a."),
        (Annotated[str, Meta(pattern="^[^\\x00]*$")], "\0", "wrong_format", "a string without the character U+0000."),
        (TIME, "now", "wrong_format", "an RFC 3339 time such as 2026-01-02T03:04:05Z."),
    ],
)
def test_a_fault_says_what_must_be_sent_in_the_words_of_json(
    kind: object, value: object, code: str, sentence: str
) -> None:
    fault = fault_of(value, inspect.type_info(kind))
    assert fault is not None
    assert (fault.code, fault.sentence) == (code, f"This must be {sentence}")


@pytest.mark.parametrize(
    ("kind", "text", "code", "requirement"),
    [
        (Annotated[int, Meta(ge=1, le=100)], "101", "out_of_range", "an integer from 1 to 100"),
        (Annotated[int, Meta(ge=1, le=100)], "ten", "wrong_type", "an integer from 1 to 100"),
        (Annotated[float, Meta(gt=0, le=60)], "0", "wrong_type", "a number above 0 and at most 60"),
        (bool, "maybe", "wrong_type", "true or false"),
    ],
)
def test_of_a_parameter_which_is_always_a_text_no_type_is_told(
    kind: object, text: str, code: str, requirement: str
) -> None:
    fault = fault_of_parameter(text, inspect.type_info(kind))
    assert fault is not None
    assert (fault.code, fault.requirement) == (code, requirement)


@pytest.mark.parametrize(
    ("kind", "value"), [(int, 1), (bool, True), (str, "a"), (list[int], [1]), (Color, "red"), (dict[str, str], {})]
)
def test_what_fits_has_no_fault(kind: object, value: object) -> None:
    assert fault_of(value, inspect.type_info(kind)) is None
