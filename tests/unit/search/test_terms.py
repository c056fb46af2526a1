"""The terms under which a checkout is found: words, numbers and e-mail addresses of its texts."""

import msgspec
import pytest

from paidonce.search.model import QUERY_TERMS_MAX, TERM_LENGTH_MAX, TERMS_MAX, query_terms, terms_of_checkout


def is_found(text: str, description: str | None = None, **metadata: str) -> bool:
    document = msgspec.json.encode(metadata).decode() if metadata else None
    return set(query_terms(text)) <= set(terms_of_checkout(description, document))


@pytest.mark.parametrize(
    "text",
    ["shirt", "Shirt", "blue shirt", "shirt, blue", "A-1234", "a-1234", "1234", "anna@example.com", "ANNA@Example.com"],
)
def test_a_word_a_number_or_an_address_of_the_description_finds_it(text: str) -> None:
    assert is_found(text, "Blue shirt (A-1234), for Anna@example.com.")


@pytest.mark.parametrize("text", ["shirts", "shir", "red shirt", "a-123", "anna@example.org", "customer"])
def test_what_is_not_a_whole_word_of_it_does_not(text: str) -> None:
    assert not is_found(text, "Blue shirt (A-1234), for Anna@example.com.", customer="c_1")


def test_a_value_of_the_metadata_finds_it() -> None:
    assert is_found("ord_77", "A shirt", order="ord_77", note="second line")
    assert is_found("second", None, note="second line")


@pytest.mark.parametrize(
    ("text", "description"), [("STRASSE", "Straße 1"), ("\uff21\uff11", "A1"), ("привет", "ПРИВЕТ"), ("שלום", "שלום!")]
)
def test_letters_are_compared_as_people_do_in_every_script(text: str, description: str) -> None:
    assert is_found(text, description)


def test_a_checkout_without_texts_has_no_terms() -> None:
    assert terms_of_checkout(None, None) == []


def test_the_terms_of_a_checkout_are_bounded_in_number_and_length() -> None:
    metadata = msgspec.json.encode({f"key{n}": " ".join(f"{n}x{m}" for m in range(60)) for n in range(50)}).decode()
    terms = terms_of_checkout("word " + "x" * 900, metadata)
    assert len(terms) == TERMS_MAX
    assert is_found("x" * 900, "x" * 900)
    assert max(map(len, terms_of_checkout("x" * 900, None))) == TERM_LENGTH_MAX


def test_the_terms_of_a_query_are_bounded_in_number() -> None:
    assert len(query_terms(" ".join(f"w{n}" for n in range(100)))) == QUERY_TERMS_MAX


def test_a_text_without_letters_or_digits_has_no_terms() -> None:
    assert query_terms(" -- !? ") == []
