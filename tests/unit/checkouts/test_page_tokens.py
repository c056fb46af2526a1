"""Tokens of checkouts' pages: the same at every read, and of no use to whoever guesses."""

import os
import string

import pytest

from paidonce import ids
from paidonce.checkouts.page_tokens import PageTokens
from paidonce.encryption import KEY_BYTES, Keyring

OLD = bytes(KEY_BYTES)
NEW = bytes([1]) * KEY_BYTES
CHECKOUT = "chk_06f0q0h7pvsnb2c9vq3k1jv2rg"  # Fixed: the names of tests hold it.
ALPHABET = string.ascii_letters + string.digits + "-_"


def tokens(*keys: bytes, is_on: bool = True) -> PageTokens:
    return PageTokens(Keyring(lambda: keys, draw=os.urandom), is_on=is_on)


def token_of(made: PageTokens, checkout_id: str = CHECKOUT) -> str:
    token = made.token_of(checkout_id)
    assert token is not None
    return token


def test_a_token_is_the_same_at_every_read_in_every_process_and_opens_its_checkout() -> None:
    token = token_of(tokens(OLD))
    assert token == token_of(tokens(OLD))
    assert tokens(OLD).checkout_id_of(token) == CHECKOUT
    others = [token_of(tokens(OLD), ids.new_id(ids.CHECKOUT)) for _ in range(50)]
    assert len({token, *others}) == 51


def test_the_links_of_earlier_releases_still_open_their_checkouts() -> None:
    token = "fQUhLG9y97199MCKbxo-TVr1-sJk0VTFxKVbukZ-o3A"
    assert (tokens(OLD).checkout_id_of(token), token_of(tokens(OLD))) == (CHECKOUT, token)


def test_a_token_does_not_show_the_id_nor_what_ids_have_in_common() -> None:
    both = [token_of(tokens(OLD), ids.new_id(ids.CHECKOUT)) for _ in range(2)]
    assert CHECKOUT.partition("_")[2] not in both[0]
    assert both[0][:6] != both[1][:6]  # Their ids begin alike, because they were made at nearly the same time.


def test_a_token_that_was_made_with_an_older_key_still_opens_its_checkout() -> None:
    old = token_of(tokens(OLD))
    both = tokens(NEW, OLD)
    assert both.checkout_id_of(old) == CHECKOUT
    assert token_of(both) == token_of(tokens(NEW)) != old
    assert tokens(NEW).checkout_id_of(old) is None


@pytest.mark.parametrize("position", [0, 10, 21, 30, 42])
def test_a_token_that_was_changed_anywhere_opens_nothing(position: int) -> None:
    token = token_of(tokens(OLD))
    for other in ALPHABET.replace(token[position], ""):
        assert tokens(OLD).checkout_id_of(token[:position] + other + token[position + 1 :]) is None


@pytest.mark.parametrize(
    "text", ["", "x", "A" * 42, "A" * 43, "A" * 44, "é" * 43, "../../etc/passwd", CHECKOUT, "\0" * 43]
)
def test_what_is_no_token_opens_nothing(text: str) -> None:
    assert tokens(OLD).checkout_id_of(text) is None


def test_a_token_has_one_spelling() -> None:
    token = token_of(tokens(OLD))
    for spelling in (f"{token}=", f" {token}", f"{token}\n", token.lower(), token.swapcase()):
        assert tokens(OLD).checkout_id_of(spelling) is None


def test_without_a_key_or_where_pages_are_switched_off_there_are_no_tokens() -> None:
    token = token_of(tokens(OLD))
    for none in (tokens(), tokens(OLD, is_on=False)):
        assert (none.token_of(CHECKOUT), none.checkout_id_of(token), none.exist) == (None, None, False)
    assert tokens(OLD).exist


def test_the_keys_are_looked_for_once() -> None:
    asked = []

    def find() -> list[bytes]:
        asked.append("asked")
        return []

    made = PageTokens(Keyring(find, draw=os.urandom), is_on=True)
    assert [made.token_of(CHECKOUT) for _ in range(3)] == [None, None, None]
    assert asked == ["asked"]
